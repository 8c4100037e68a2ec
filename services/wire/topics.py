"""The only place that names a topic: who writes it, who reads it, how it is kept and keyed."""

from typing import Final, Literal

import msgspec

from services.domain import origin

TICKER_PARTITIONS: Final = 5
ACCOUNT_PARTITIONS: Final = 4

type Cleanup = Literal["delete", "compact", "forever"]
type Key = Literal["ticker", "account", "source", "none"]


class Topic(msgspec.Struct, frozen=True):
    """One topic. An inbox is named for what its one acting reader owns; a feed has one writer."""

    name: str
    kind: Literal["inbox", "feed"]
    key: Key
    partitions: int
    cleanup: Cleanup
    log_append_time: bool
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    records: tuple[str, ...]
    """Names of the Avro records it holds; the subject of each is `<topic>-<Record>`."""
    has_origin: bool
    """Whether records carry an Origin first (all but those that clients write)."""


_CLIENT_COMMANDS: Final = ("PlaceOrder", "CancelOrder", "ReduceOrder", "ReplaceOrder", "CancelAll")
_ACCOUNT_CONTROLS: Final = (
    "Genesis",
    "OpenAccount",
    "Deposit",
    "SetLimits",
    "SetMark",
    "KillSwitch",
)
_TICKER_CONTROLS: Final = ("Genesis", "Halt", "Resume")
_MATCHER_EVENTS: Final = (
    "OrderAccepted",
    "OrderRefused",
    "OrderFilled",
    "OrderCanceled",
    "OrderReduced",
    "OrderReplaced",
    "CancelRefused",
    "ReplaceRefused",
    "MarkChanged",
)

ORDERS: Final = Topic(
    "orders", "inbox", "ticker", TICKER_PARTITIONS, "delete", True,
    ("gateway", "clients"), ("ingest",), _CLIENT_COMMANDS, False,
)  # fmt: skip
ORDERS_DLQ: Final = Topic(
    "orders.dlq", "feed", "source", TICKER_PARTITIONS, "delete", False,
    ("ingest",), ("people",), ("DeadLetter",), True,
)  # fmt: skip
CONTROLS: Final = Topic(
    "controls", "inbox", "none", 1, "forever", True,
    ("gateway", "operators"), ("ingest", "recorder", "gateway"),
    ("Genesis", "OpenAccount", "Deposit", "SetLimits", "SetMark", "Halt", "Resume", "KillSwitch"),
    False,
)  # fmt: skip
ACCOUNTS: Final = Topic(
    "accounts", "inbox", "account", ACCOUNT_PARTITIONS, "delete", False,
    ("ingest", "matcher"), ("risk", "recorder"),
    _CLIENT_COMMANDS + _ACCOUNT_CONTROLS + _MATCHER_EVENTS, True,
)  # fmt: skip
MATCHING: Final = Topic(
    "matching", "inbox", "ticker", TICKER_PARTITIONS, "delete", False,
    ("risk", "ingest"), ("matcher", "recorder"),
    ("EnterOrder", "CancelOrder", "ReduceOrder", "ReplaceOrder", *_TICKER_CONTROLS), True,
)  # fmt: skip
TRADES: Final = Topic(
    "trades", "feed", "ticker", TICKER_PARTITIONS, "delete", False,
    ("matcher",), ("recorder", "gateway", "features"), ("Trade",), True,
)  # fmt: skip
BOOK: Final = Topic(
    "book", "feed", "ticker", TICKER_PARTITIONS, "compact", False,
    ("matcher",), ("gateway",), ("BookDepth",), True,
)  # fmt: skip
EXECUTIONS: Final = Topic(
    "executions", "feed", "account", ACCOUNT_PARTITIONS, "delete", False,
    ("risk",), ("gateway", "recorder"), ("ExecutionReport", "AccountState"), True,
)  # fmt: skip

FEATURES: Final = Topic(
    "features", "feed", "ticker", TICKER_PARTITIONS, "delete", False,
    ("features",), ("materializer", "inference"), ("FeatureRow",), True,
)  # fmt: skip
PREDICTIONS: Final = Topic(
    "predictions", "feed", "ticker", TICKER_PARTITIONS, "delete", False,
    ("inference",), ("gateway", "drift", "clients"), ("Prediction",), True,
)  # fmt: skip

TRADING: Final = (ORDERS, ORDERS_DLQ, CONTROLS, ACCOUNTS, MATCHING, TRADES, BOOK, EXECUTIONS)
"""The topics of the trading path: what is written exactly once, and what the audit derives."""

TOPICS: Final = (*TRADING, FEATURES, PREDICTIONS)
"""Every topic."""

BY_NAME: Final = {topic.name: topic for topic in TOPICS}

ORIGIN_NUMBERS: Final = {
    ORDERS.name: origin.ORDERS,
    CONTROLS.name: origin.CONTROLS,
    ACCOUNTS.name: origin.ACCOUNTS,
    MATCHING.name: origin.MATCHING,
    TRADES.name: origin.TRADES,
    FEATURES.name: origin.FEATURES,
}
"""The number an Origin gives each source topic."""
