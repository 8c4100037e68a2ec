"""Import this before Feast, to start in less than half of the time.

Feast decorates its classes with `typeguard.typechecked`, which reads each class's source anew and
compiles it with checks of every argument: 7 of the 11 s of processor time that a process needs to
import Feast 0.67. typeguard leaves them out of optimized Python; here they are left out for Feast's
own classes alone. What we hand to Feast mypy has checked, and Feast's command line, which does not
come through here, checks it once more.
"""

from functools import partial

import typeguard

_typechecked = typeguard.typechecked


def _leave_feast(target: object = None, **options: object) -> object:
    """In place of `typeguard.typechecked`, which may be called with options first."""
    if target is None:
        return partial(_leave_feast, **options)
    if target.__module__.partition(".")[0] == "feast":
        return target
    return _typechecked(target, **options)  # type: ignore[call-overload]  # passed on as they came


typeguard.typechecked = _leave_feast  # type: ignore[assignment]
