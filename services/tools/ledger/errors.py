"""Why a day was not archived, dropped or restored."""

from services.tools.operate.errors import OperateError


class LedgerError(OperateError):
    """Nothing was changed. One line: the cause and the next step."""
