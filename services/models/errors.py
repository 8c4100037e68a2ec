"""Why a model can't be used, and why the registry does not do what it was asked.

OperatingError
|- RetriableError
|  |- RegistryAwayError        the registry's database does not answer now
|  `- RegistryLockedError      another process changes it just now
`- FatalError
   `- ModelError
      |- ModelRefusedError     a folder is no model that may serve; carries a reason of `Refusal`
      |- ModelNotWrittenError  the disk does not take it
      `- RegistryError
         |- UnknownVersionError    nothing is registered under this number or alias
         |- PromotionRefusedError  a gate is closed; the message names each
         `- NothingBeforeError     there is no champion to go back to
"""

from enum import StrEnum

from services.runtime.errors import FatalError, RetriableError


class Refusal(StrEnum):
    """Why a model is refused: a closed list; `docs/models.md` says what to do about each."""

    MISSING_FILE = "missing_file"
    FOREIGN_FILE = "foreign_file"
    NOT_A_FILE = "not_a_file"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    MALFORMED = "malformed"
    TOO_DEEP = "too_deep"
    NEWER_FORMAT = "newer_format"
    WRONG_SHA256 = "wrong_sha256"
    NOT_NATIVE = "not_native"
    DAMAGED = "damaged"
    WRONG_COLUMNS = "wrong_columns"
    WRONG_CLASSES = "wrong_classes"
    WRONG_SCHEMA = "wrong_schema"
    WRONG_PROBABILITIES = "wrong_probabilities"
    GOLDEN_DIFFERS = "golden_differs"
    UNKNOWN_FEATURE_SET = "unknown_feature_set"
    WRONG_FINGERPRINT = "wrong_fingerprint"


class ModelError(FatalError):
    """A model or the registry is not as it should be. A person has to act."""


class ModelRefusedError(ModelError):
    """A folder is no model that may serve."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(f"the model is refused ({reason}): {detail}")
        self.reason = reason
        self.detail = detail


class ModelNotWrittenError(ModelError):
    """The disk does not take it."""


class RegistryAwayError(RetriableError):
    """The registry's database does not answer now."""


class RegistryLockedError(RetriableError):
    """Another process changes the registry just now."""


class RegistryError(ModelError):
    """The registry has not what was asked for, or refuses to change."""


class UnknownVersionError(RegistryError):
    """Nothing is registered under this number or alias."""


class NothingBeforeError(RegistryError):
    """There is no champion to go back to."""


class PromotionRefusedError(RegistryError):
    """A gate is closed."""

    def __init__(self, message: str, gates: tuple[str, ...]) -> None:
        super().__init__(message)
        self.gates = gates
        """Names of the closed ones."""
