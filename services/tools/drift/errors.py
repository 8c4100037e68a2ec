"""What ends a command of drift with one line."""

from services.tools.operate.errors import OperateError


class NotCalibratedError(OperateError):
    """A reference says too little; the message says why."""


class NotAskedWellError(OperateError):
    """What was asked for can't be; the message says what can."""


class ActLockedError(OperateError):
    """Another process acts on an alarm of this deployment."""
