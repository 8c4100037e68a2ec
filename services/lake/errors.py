"""Why the lake can't be read or written. A person has to act: the message says how."""

from services.runtime.errors import FatalError


class LakeError(FatalError):
    """One line: the file, the cause and the next step."""


class LakeLockedError(LakeError):
    """Another process writes this part of the lake."""
