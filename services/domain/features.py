"""What the feature stream says: one row of one feature set, at one point of the event-time grid."""

import msgspec


class FeatureRow(msgspec.Struct, frozen=True, gc=False):
    """The features of a ticker as known at a grid time. Values are integers, so that equal is `==`.

    Its origin is the trade that closed the grid point: the first at or after it. A row is a
    function of the log, so one that was written twice has the same bytes twice.
    """

    feature_set: str
    """For example `microstructure_v1`."""
    fingerprint: str
    """SHA-256 of the set's definitions and of the code of its fold, in hexadecimal."""
    ticker: str
    grid_time_us: int
    """The row knows every trade before this time and none at or after it; a whole second."""
    rewind_offset: int
    """Offset in `trades` from which a new fold comes to the same state at this row."""
    values: tuple[int | None, ...]
    """In the order of the set's features, each in its declared unit; None: not defined here."""
