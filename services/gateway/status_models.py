"""Shapes of what is said about the exchange as a whole, as OpenAPI shows them."""

from typing import Literal

from pydantic import Field

from services.gateway.models import Answer

_STATE = Field(description="unknown: its source did not answer; reason says which.")
_REASON = Field(description="Null: the part is known.")


class Stage(Answer):
    """One room and one topic that it reads."""

    room: str = Field(examples=["risk"])
    topic: str
    behind: int | None = Field(
        description="About how many records it has yet to read; ends of transactions among those"
        " that wait are counted. Null: not known."
    )
    reason: str | None = Field(description="Why it is not known; null: it is.")


class Stages(Answer):
    state: Literal["known", "unknown"] = _STATE
    reason: str | None = _REASON
    stages: list[Stage]


class RoomSnapshots(Answer):
    """The newest snapshots of a room, one of each partition."""

    room: str
    partitions: int
    newest_at_us: int = Field(description="Wall clock of the database.")
    oldest_at_us: int = Field(description="Of the partition whose newest snapshot is the oldest.")


class Snapshots(Answer):
    state: Literal["known", "unknown"] = _STATE
    reason: str | None = _REASON
    rooms: list[RoomSnapshots]


class LastAudit(Answer):
    """What `outcry audit` found when it last compared the database too."""

    audited_at_us: int = Field(description="Wall clock of the database.")
    holds: bool = Field(description="Whether everything followed from the log.")
    records: int
    differences: int
    from_snapshots: bool = Field(description="Whether snapshots were believed.")
    digest: str = Field(description="The same for whoever audited the same records.")
    next_offsets: dict[str, list[int]] = Field(
        description="Topic to where it ended, partition by partition."
    )
    first_difference: str = Field(description="Where; empty if it holds.")


class Audit(Answer):
    state: Literal["known", "unknown"] = _STATE
    reason: str | None = _REASON
    last: LastAudit | None = Field(description="Null: unknown, or none was kept yet.")


class ReadModel(Answer):
    """Where this gateway's orders, positions and limits begin."""

    source: Literal["database", "topic"] = Field(
        description="database: from what PostgreSQL has, and `executions` from there on; topic:"
        " from where Kafka's `executions` begins."
    )
    is_whole: bool = Field(description="Whether nothing that is older is missing.")
    reason: str | None = Field(description="Why it is, or what could not be asked.")


class ExchangeStatus(Answer):
    """Parts from different sources; each is known or unknown by itself."""

    asked_at_us: int = Field(description="When the sources were asked: some seconds ago at most.")
    stages: Stages
    snapshots: Snapshots
    audit: Audit
    read_model: ReadModel
