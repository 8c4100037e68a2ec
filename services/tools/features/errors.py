"""What a person gets to read when features can't be made or compared."""

from services.tools.operate.errors import OperateError


class FeaturesError(OperateError):
    """One line: the cause and the next step."""
