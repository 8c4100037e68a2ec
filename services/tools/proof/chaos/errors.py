"""Why a chaos run could not go on. A broken promise is no error: it is a fault in the report."""

from services.tools.operate.errors import OperateError


class ChaosError(OperateError):
    """The exchange did not come back, or the fault could not be brought about."""
