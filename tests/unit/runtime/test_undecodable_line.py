"""The line about a record that could not be decoded: where it is, and of which trace."""

import pytest
from structlog.testing import capture_logs

from services.runtime.ports import Record
from services.runtime.room import undecodable_reporter
from services.runtime.telemetry import Telemetry
from services.wire.codec import MALFORMED_AVRO, UndecodableError

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    "header, named",
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01".encode(), {"trace_id": TRACE}),
        (None, {}),
        (b"junk", {}),
    ],
)
def test_a_record_passed_over_is_named_with_its_place_and_its_trace(
    header: bytes | None, named: dict[str, str]
) -> None:
    record = Record("orders", 3, 12, 0, None, b"?", header)
    with capture_logs() as lines:
        undecodable_reporter(Telemetry("ingest"))(record, UndecodableError(MALFORMED_AVRO, "cut"))
    (line,) = lines
    place = {"topic": "orders", "partition": 3, "offset": 12, "cause": MALFORMED_AVRO}
    assert place.items() | named.items() <= line.items()
    assert named.keys() == line.keys() & {"trace_id"}
