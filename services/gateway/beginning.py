"""Where `executions` is read from at the start, and what is known of the time before."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from services.gateway.core.recorded import Beginning, Recorded

NO_DATABASE: Final = "this gateway runs without PostgreSQL (OUTCRY_PG_DSN)"


class Bounds(msgspec.Struct, frozen=True):
    """Of one partition of `executions` in Kafka."""

    first: int
    end: int


class NothingRecordedError(Exception):
    """There is no beginning to be had from a database; one line says why."""


class ReportsBefore(Protocol):
    """Where the read model may begin; `recorded_reports.PostgresReports` is one."""

    def read(self, bounds: Mapping[int, Bounds], topic_id: str) -> Recorded:
        """What came before some offsets that Kafka still has, and which these are. Blocks.

        Raises:
            NothingRecordedError: nothing can be told; the topic must be read from where it begins.
        """


def find_beginning(
    bounds: Mapping[int, Bounds], before: ReportsBefore | None, topic_id: Callable[[], str]
) -> tuple[Beginning, Recorded]:
    """The latest beginning before which everything is known, else that of the topic.

    Args:
        bounds: of each partition of `executions`.
        before: None: there is no database.
        topic_id: asked only where there is one.
    """
    is_whole = not any(bound.first for bound in bounds.values())
    reason = None if is_whole else NO_DATABASE
    if before is not None:
        try:
            recorded = before.read(bounds, topic_id())
        except NothingRecordedError as error:
            reason = str(error)
        else:
            is_asked = any(recorded.starts.values())
            beginning = Beginning(
                source="database" if is_asked else "topic",
                is_whole=not recorded.lacks,
                reason=recorded.lacks or None,
            )
            return beginning, recorded
    firsts = {partition: bound.first for partition, bound in bounds.items()}
    return Beginning("topic", is_whole, reason), Recorded(firsts)
