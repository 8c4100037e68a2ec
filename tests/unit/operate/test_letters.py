from services.domain.controls import SetMark
from services.runtime.ports import TopicPartition
from services.tools.operate.letters import read_letters
from services.tools.operate.spelling import show_bytes
from services.tools.operate.tail import read_tail
from services.tools.operate.topic_rows import read_topics
from services.wire.topics import TOPICS
from tests.support.memory_exchange import MARK, MemoryExchange


def test_the_newest_dead_letters_are_shown_oldest_first() -> None:
    exchange = MemoryExchange()
    for partition, junk in enumerate((b"", b"{}", b"\x00\x00\x00\x00\xff.", b"x" * 70_000)):
        exchange.publish_raw("orders", partition, junk)
    exchange.publish_raw("controls", 0, b"no control")
    exchange.run()
    letters = read_letters(exchange.reader, exchange.codec, 10)
    assert [letter.position for letter in letters] == [
        "orders-0@0", "orders-1@0", "orders-2@0", "orders-3@0", "controls-0@0",
    ]  # fmt: skip
    assert [letter.cause for letter in letters] == [
        "EMPTY_VALUE", "INVALID_JSON", "UNKNOWN_SCHEMA", "WRONG_MAGIC", "WRONG_MAGIC",
    ]  # fmt: skip
    assert letters[3].length_bytes == 70_000
    assert len(letters[3].head_hex) == 2 * 65_536
    assert read_letters(exchange.reader, exchange.codec, 2) == letters[-2:]


def test_no_dead_letters_are_none() -> None:
    exchange = MemoryExchange()
    assert not read_letters(exchange.reader, exchange.codec, 10)


def test_a_tail_is_found_behind_any_number_of_offsets_that_hold_nothing() -> None:
    exchange = MemoryExchange()
    place = TopicPartition("controls", 0)
    for number in range(3):
        exchange.publish("controls", 0, "", SetMark(f"mark-{number}", "AAPL", MARK))
    for _ in range(1_500):
        exchange.publish_raw("controls", 0, b"junk")
    tail = read_tail(exchange.reader, exchange.codec, place, 2)
    assert [seen.decoded.payload.client_command_id for seen in tail] == ["mark-1", "mark-2"]
    assert len(read_tail(exchange.reader, exchange.codec, place, 10)) == 3


def test_every_topic_is_listed_with_how_far_it_reaches() -> None:
    exchange = MemoryExchange()
    exchange.begin()
    rows = read_topics(exchange.reader, "test.")
    assert [row.topic for row in rows] == [f"test.{topic.name}" for topic in TOPICS]
    assert next(row for row in rows if row.topic == "test.controls").end_offset == 6


def test_bytes_of_unknown_kind_are_shown_in_one_line() -> None:
    assert show_bytes(b'{"type": 1}', 60) == '{"type": 1}'
    assert show_bytes(b"\x00\x01\n", 60) == "0x00010a"
    assert show_bytes("ü".encode(), 60) == "0xc3bc"
    assert show_bytes(b"", 60) == ""
    assert show_bytes(b"a" * 100, 10) == "a" * 9 + "…"
