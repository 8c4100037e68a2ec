"""What the reports of one partition come to: live orders, holdings, limits and numbers.

The state is kept as bytes, and carried on by what a later stretch of reports came to: carried on
over every stretch, or asked for all at once, it is the same bytes.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Self

import msgspec

from services.gateway.core.recorded import Recorded, RecordedOrder, RecordedTicker

FORMAT_VERSION: Final = 1
"""Of `ReportState.dump`."""


class StretchOrder(msgspec.Struct, frozen=True, gc=False):
    """The last word of a stretch about an order that it leaves live."""

    order: RecordedOrder
    """With the number of the first report of the stretch since the order last ended there."""
    has_ended: bool
    """Whether it ended within the stretch before: its id was used again."""


class Stretch(msgspec.Struct, frozen=True):
    """The last words of a stretch of one partition's reports."""

    live: tuple[StretchOrder, ...] = ()
    ended: tuple[tuple[str, str], ...] = ()
    """Account and id of orders that it leaves ended; those that were live before must be there."""
    tickers: tuple[RecordedTicker, ...] = ()
    states: tuple[tuple[str, bytes], ...] = ()
    sequences: Mapping[str, int] = msgspec.field(default_factory=dict)


class _Dump(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    orders: tuple[RecordedOrder, ...]
    tickers: tuple[RecordedTicker, ...]
    states: tuple[tuple[str, bytes], ...]
    sequences: tuple[tuple[str, int], ...]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Dump)


class ReportState:
    """The state of one partition of `executions` below some offset."""

    def __init__(self) -> None:
        self._orders: dict[tuple[str, str], RecordedOrder] = {}
        self._tickers: dict[tuple[str, str], RecordedTicker] = {}
        self._states: dict[str, bytes] = {}
        self._sequences: dict[str, int] = {}

    def carry_on(self, stretch: Stretch) -> None:
        """Be the state behind this stretch, which begins where the state stands."""
        for account, order_id in stretch.ended:
            self._orders.pop((account, order_id), None)
        for said in stretch.live:
            order = said.order
            known = self._orders.get((order.account, order.order_id))
            if known is not None and not said.has_ended:
                order = msgspec.structs.replace(order, first_sequence=known.first_sequence)
            self._orders[order.account, order.order_id] = order
        for held in stretch.tickers:
            key = (held.account, held.ticker)
            before = self._tickers.get(key, held)
            self._tickers[key] = RecordedTicker(
                *key, held.accepted or before.accepted, held.other or before.other
            )
        self._states.update(stretch.states)
        self._sequences.update(stretch.sequences)

    @property
    def live(self) -> list[str]:
        """Ids of the live orders."""
        return [order_id for _, order_id in self._orders]

    def values(self) -> Iterable[bytes]:
        """Every record of `executions` in it."""
        yield from (order.value for order in self._orders.values())
        for held in self._tickers.values():
            yield from (value for value in (held.accepted, held.other) if value is not None)
        yield from self._states.values()

    def dump(self) -> bytes:
        """Canonical: equal states have equal bytes, whatever path led to them."""
        return _ENCODER.encode(
            _Dump(
                self.orders(),
                tuple(self._tickers[key] for key in sorted(self._tickers)),
                tuple(sorted(self._states.items())),
                tuple(sorted(self._sequences.items())),
            )
        )

    @classmethod
    def load(cls, dumped: bytes) -> Self:
        """The state of a dump.

        Raises:
            ValueError: these bytes are none.
        """
        read = _DECODER.decode(dumped)  # its errors are ValueErrors
        state = cls()
        state._orders = {(order.account, order.order_id): order for order in read.orders}
        state._tickers = {(held.account, held.ticker): held for held in read.tickers}
        state._states = dict(read.states)
        state._sequences = dict(read.sequences)
        return state

    def orders(self) -> tuple[RecordedOrder, ...]:
        """By account, and the oldest first within each."""
        return tuple(
            sorted(
                self._orders.values(),
                key=lambda order: (order.account, order.first_sequence, order.order_id),
            )
        )

    def add_to(self, recorded: Recorded) -> Recorded:
        """What is recorded of other partitions, and this one's too."""
        return msgspec.structs.replace(
            recorded,
            orders=(*recorded.orders, *self.orders()),
            tickers=(*recorded.tickers, *self._tickers.values()),
            states=(*recorded.states, *self._states.items()),
            sequences={**recorded.sequences, **self._sequences},
        )
