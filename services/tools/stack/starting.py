"""Whether the stack of this environment is on its way up, for whoever did not find it ready."""

from pathlib import Path


def home_that_starts() -> Path | None:
    """Its home if it is starting; None if it is up, down or elsewhere."""
    from services.runtime.errors import ConfigurationError
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings
    from services.tools.stack.status import Phase, read_live_status

    try:
        home = read_settings(StackSettings).home
    except ConfigurationError:
        return None  # which is then the error that is told
    status = read_live_status(home)
    return home if status is not None and status.phase is Phase.STARTING else None
