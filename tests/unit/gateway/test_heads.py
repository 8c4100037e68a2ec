import copy
from typing import Any

import pytest

from services.domain import codes
from services.domain.events import AccountState
from services.gateway.core import heads
from services.gateway.core.heads import HeadReader
from services.wire.codec import Codec, RegisteredSchema, UndecodableError
from services.wire.schemas import load_schemas, newest_schema
from services.wire.topics import EXECUTIONS
from tests.support.gateway_memory import CODEC, origin, report

TOPIC = EXECUTIONS.name
STATE = AccountState("bob", 9, "open-bob", killed=False, short_allowed=True, exposure_max=1,
                     position_max=2, notional_max=3, tickers=())  # fmt: skip


@pytest.mark.parametrize("account", ["a", "a" * 63, "a" * 64])
@pytest.mark.parametrize("sequence", [0, 1, 63, 64, 8_191, 8_192, 2**40, 2**62])
@pytest.mark.parametrize("status", sorted(codes.ORDER_STATUS_NAMES))
def test_a_head_says_what_the_whole_report_says(account: str, sequence: int, status: int) -> None:
    said = report(account=account, account_sequence=sequence, order_status=status,
                  client_order_id="c" * 64, order_id="AAPL-" + "0" * 36)  # fmt: skip
    value = CODEC.encode(TOPIC, origin(offset=2**33), said)
    assert HeadReader(CODEC).read(value) == (
        account, sequence, said.order_id, status, said.exec_type,
    )  # fmt: skip


def test_an_account_state_has_a_head_without_an_order() -> None:
    value = CODEC.encode(TOPIC, origin(), STATE)
    assert HeadReader(CODEC).read(value) == ("bob", 9, "", codes.NO_ORDER, heads.ACCOUNT_STATE)


def codec_with_another_version(change: Any, schema_id: int = 900) -> Codec:  # noqa: ANN401
    """A codec whose writer of execution reports uses a changed schema."""
    files = enumerate(load_schemas(), start=1)
    known = [RegisteredSchema(i, f.topic, f.record, f.schema) for i, f in files]
    changed = copy.deepcopy(newest_schema(TOPIC, "ExecutionReport").schema)
    change(changed["fields"])
    return Codec((*known, RegisteredSchema(schema_id, TOPIC, "ExecutionReport", changed)))


def encode_with(codec: Codec, schema_id: int, fields: dict[str, Any]) -> bytes:
    from io import BytesIO

    import fastavro
    import msgspec

    header = b"\0" + schema_id.to_bytes(4, "big")
    _, schema = codec.writer_of(TOPIC, header)
    out = BytesIO()
    record = msgspec.structs.asdict(report()) | fields
    record["origin"] = msgspec.structs.asdict(origin())
    fastavro.schemaless_writer(out, schema, record)
    return header + out.getvalue()


def test_a_version_with_a_field_among_the_first_is_read_right_too() -> None:
    optional = {"name": "venue", "type": ["null", "string"], "default": None}
    codec = codec_with_another_version(lambda fields: fields.insert(3, optional))
    value = encode_with(codec, 900, {"venue": "X"})
    said = report()
    expected = (said.account, said.account_sequence, said.order_id, said.order_status,
                said.exec_type)  # fmt: skip
    reader = HeadReader(codec)
    assert reader.read(value) == expected
    assert reader._parsers[value[:5]] != heads._parse_report


def test_a_version_with_a_field_at_the_end_is_read_the_short_way() -> None:
    optional = {"name": "venue", "type": ["null", "string"], "default": None}
    codec = codec_with_another_version(lambda fields: fields.append(optional))
    value = encode_with(codec, 900, {"venue": "X"})
    reader = HeadReader(codec)
    assert reader.read(value)[2] == report().order_id
    assert reader._parsers[value[:5]] is heads._parse_report


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\0\0\0\0\0", b"\0\xff\xff\xff\xffabc"])
def test_what_is_no_report_is_refused(value: bytes | None) -> None:
    with pytest.raises(UndecodableError):
        HeadReader(CODEC).read(value)


def test_a_report_cut_anywhere_in_its_head_is_refused() -> None:
    value = CODEC.encode(TOPIC, origin(), report())
    reader = HeadReader(CODEC)
    whole = reader.read(value)
    head_length = next(n for n in range(5, len(value)) if _reads(reader, value[:n], whole))
    assert head_length > 40
    for length in range(head_length):
        with pytest.raises(UndecodableError):
            reader.read(value[:length])


def _reads(reader: HeadReader, value: bytes, whole: heads.Head) -> bool:
    try:
        return reader.read(value) == whole
    except UndecodableError:
        return False


def test_a_string_with_a_negative_length_is_refused() -> None:
    value = bytearray(CODEC.encode(TOPIC, origin(), report()))
    at = bytes(value).index(b"alice") - 1
    value[at] = 9  # zigzag of -5
    with pytest.raises(UndecodableError):
        HeadReader(CODEC).read(bytes(value))
