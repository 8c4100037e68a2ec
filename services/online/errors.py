"""Why the online store can't be asked. The message says what to do.

OperatingError
|- RetriableError
|  `- OnlineStoreAwayError
`- FatalError
   `- OnlineStoreError
      |- UnknownServiceError
      `- ForeignFingerprintError
"""

from services.runtime.errors import FatalError, RetriableError


class OnlineStoreAwayError(RetriableError):
    """It does not answer now, or not in time."""


class OnlineStoreError(FatalError):
    """It, or the registry, is not as it should be. A person has to act."""


class UnknownServiceError(OnlineStoreError):
    """The registry has no FeatureService of this name."""


class ForeignFingerprintError(OnlineStoreError):
    """Rows or a registry were made by other definitions of a feature set than this code's."""
