"""Why history could not be taken in or sent out."""

from services.tools.operate.errors import OperateError


class HistoryError(OperateError):
    """One line: the file, the rows, the cause and the next step."""
