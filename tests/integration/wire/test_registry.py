"""Schemas on a real registry: what changes it takes, what it refuses, what old readers see."""

import struct
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from typing import Any

import fastavro
import msgspec
import pytest

from services.domain.commands import CancelOrder
from services.features.core import PartitionFold
from services.runtime.errors import ConfigurationError
from services.runtime.registry import COMPATIBILITY, Registry, load_codec, register_schemas
from services.wire.codec import Codec
from services.wire.schemas import load_schemas, newest_schema
from tests.support.stack_fixture import StackInfra
from tests.support.trade_tape import V1, V2, TradeTape, live_sets
from tests.support.trade_versions import encoded_by, with_renamed_price, with_second_price

pytestmark = pytest.mark.kafka
type Schema = dict[str, Any]


@pytest.fixture(scope="module")
def url(stack_infra: StackInfra) -> str:
    register_schemas(stack_infra.addresses.registry_url)
    return stack_infra.addresses.registry_url


def test_every_schema_is_registered_under_its_subject_and_twice_is_once(url: str) -> None:
    again = register_schemas(url)
    assert [entry.subject for entry in again] == [file.subject for file in load_schemas()]
    assert register_schemas(url) == again
    assert len({entry.schema_id for entry in again}) == len(again)


def test_each_subject_is_held_to_full_transitive_compatibility(url: str) -> None:
    registry = Registry(url)
    for file in load_schemas():
        rule = registry._ask("GET", f"/config/{file.subject}")
        assert rule["compatibilityLevel"] == COMPATIBILITY


def without_field(schema: Schema) -> Schema:
    schema["fields"].pop(0)
    return schema


def with_required_field(schema: Schema) -> Schema:
    schema["fields"].append({"name": "note", "doc": "One line.", "type": "string"})
    return schema


def with_another_type(schema: Schema) -> Schema:
    schema["fields"][0]["type"] = "long"
    return schema


@pytest.mark.parametrize("change", [without_field, with_required_field, with_another_type])
def test_an_incompatible_change_is_refused(url: str, change: Callable[[Schema], Schema]) -> None:
    schema = change(deepcopy(newest_schema("orders", "ReduceOrder").schema))
    with pytest.raises(ConfigurationError, match="not FULL_TRANSITIVE compatible"):
        Registry(url).register("orders-ReduceOrder", schema)


def test_an_optional_field_is_taken_and_both_versions_are_read(url: str) -> None:
    newer = deepcopy(newest_schema("orders", "CancelOrder").schema)
    newer["fields"].append({"name": "note", "doc": "One line.", "type": "string", "default": ""})
    schema_id = Registry(url).register("orders-CancelOrder", newer)
    codec = load_codec(url)
    cancel = CancelOrder("alice", "c-1", "AAPL-1")
    body = BytesIO()
    record = {**msgspec.structs.asdict(cancel), "event_time_us": 3, "note": "by a newer client"}
    fastavro.schemaless_writer(body, fastavro.parse_schema(newer), record)
    new = codec.decode("orders", struct.pack(">bI", 0, schema_id) + body.getvalue())
    old = codec.decode("orders", codec.encode_command("orders", cancel, 3))
    assert new == old
    assert new.payload == cancel


@pytest.mark.parametrize("alias", [False, True])
def test_a_field_of_the_trade_can_not_be_renamed_with_or_without_an_alias(
    url: str, *, alias: bool
) -> None:
    """With one, new readers take old trades; readers of before would not take new ones."""
    with pytest.raises(ConfigurationError, match="not FULL_TRANSITIVE compatible"):
        Registry(url).register("trades-Trade", with_renamed_price(alias=alias))


def test_a_new_name_beside_the_old_one_is_taken_and_folds_to_the_same_rows(url: str) -> None:
    newer = with_second_price()
    schema_id = Registry(url).register("trades-Trade", newer)
    codec = load_codec(url)
    tape = TradeTape(0, 7)
    old, new = (PartitionFold(0, live_sets(V1, V2)) for _ in range(2))
    rows = 0
    for offset in range(200):
        origin, trade = tape.next()
        by_old = codec.decode("trades", codec.encode("trades", origin, trade))
        by_new = codec.decode("trades", encoded_by(newer, schema_id, origin, trade))
        assert by_new == by_old
        closed = old.handle(offset, by_old)
        assert new.handle(offset, by_new) == closed
        rows += len(closed)
    assert rows > 50


def test_ids_come_from_the_registry_and_not_from_the_files(url: str) -> None:
    codec: Codec = load_codec(url)
    value = codec.encode_command("orders", CancelOrder("alice", "c-1", "AAPL-1"))
    schema_id = struct.unpack(">bI", value[:5])[1]
    newest = newest_schema("orders", "CancelOrder")
    assert Registry(url).schema(newest.subject, newest.version)[0] == schema_id


def test_a_registry_without_our_schemas_names_the_next_step(url: str) -> None:
    empty = url.rsplit("/apis", 1)[0] + "/apis/ccompat/v7/nowhere"
    with pytest.raises(ConfigurationError, match=r"outcry topics create|Confluent API"):
        load_codec(empty)
