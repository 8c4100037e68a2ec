"""What goes out beside the answers: origins, marks, depth, dumps."""

import msgspec
import pytest

from services.domain import codes, origin
from services.domain.controls import Halt, Resume
from services.domain.events import BookDepth, Level
from services.domain.genesis import default_genesis, hash_genesis
from services.matcher.core import MatcherCore
from services.matcher.service import MatcherCores
from services.wire.codec import local_codec
from services.wire.partition import account_partition
from services.wire.topics import BY_NAME
from tests.support.drawn_book import TICKER, DrawnBook


def make_traded_book() -> DrawnBook:
    book = DrawnBook()
    book.sell("s1", 100, "10.01")
    book.buy("b1", 40, "10.01")
    return book


def show(book: DrawnBook) -> BookDepth:
    (message,) = book.matcher.at_batch_end()
    assert isinstance(message.payload, BookDepth)
    return message.payload


def test_messages_of_one_command_are_numbered_and_go_where_their_account_lives() -> None:
    book = make_traded_book()
    assert [message.origin.index for message in book.messages] == [0, 1, 2, 3]
    assert {message.origin.offset for message in book.messages} == {2}
    accepted, trade, maker, taker = book.messages
    assert (trade.topic, trade.partition, trade.key) == ("trades", 0, TICKER)
    for message, account in ((accepted, "b1"), (maker, "s1"), (taker, "b1")):
        owner = f"owner-of-{account}"
        assert (message.topic, message.key) == ("accounts", owner)
        assert message.partition == account_partition(owner, 4)


def test_each_destination_counts_its_messages_without_a_gap() -> None:
    book = DrawnBook()
    counts: dict[tuple[str, int], list[int]] = {}
    for number in range(20):
        book.sell(f"s{number}", 10, "10.01")
        sent = list(book.messages)
        book.buy(f"b{number}", 5, "10.01")
        for message in sent + book.messages:
            place = (message.topic, message.partition)
            counts.setdefault(place, []).append(message.origin.sequence)
    assert len(counts) == 5
    for sequences in counts.values():
        assert sequences == list(range(1, len(sequences) + 1))


def test_every_message_is_one_that_its_topic_holds() -> None:
    codec = local_codec()
    book = make_traded_book()
    sent = [*book.messages, *book.matcher.at_batch_end()]
    book.cancel("nobody")
    sent += book.messages
    for message in sent:
        assert type(message.payload).__name__ in BY_NAME[message.topic].records
        value = codec.encode(message.topic, message.origin, message.payload)
        assert codec.decode(message.topic, value).payload == message.payload


def test_time_never_goes_back_although_shards_interleave() -> None:
    book = DrawnBook()
    book.time_us = 5_000_000
    book.buy("b1", 10, "10.00")
    book.time_us = 4_000_000
    book.buy("b2", 10, "10.00")
    assert book.messages[0].origin.time_us == 5_000_000


def test_event_time_is_the_clock_only_where_the_genesis_says_so() -> None:
    book = DrawnBook(time_source=codes.TIME_FROM_EVENT)
    book.event_time_us = 77
    book.buy("b1", 10, "10.00")
    assert (book.messages[0].origin.time_us, book.messages[0].origin.event_time_us) == (77, 77)
    book.event_time_us = 0  # states none: nothing moves
    book.buy("b2", 10, "10.00")
    assert (book.messages[0].origin.time_us, book.messages[0].origin.event_time_us) == (77, 0)

    log = DrawnBook()
    log.event_time_us = 77
    log.buy("b1", 10, "10.00")
    assert log.messages[0].origin.time_us == log.time_us
    assert log.messages[0].origin.event_time_us == 77


def test_a_refusal_before_the_genesis_carries_its_own_time_and_moves_no_clock() -> None:
    book = DrawnBook(begun=False, time_source=codes.TIME_FROM_EVENT)
    book.buy("b1", 10, "10.00")
    assert book.messages[0].origin.time_us == book.time_us
    book.send(book.genesis)
    book.event_time_us = 77
    book.buy("b1", 10, "10.00")
    assert book.messages[0].origin.time_us == 77


def test_a_new_mark_goes_to_every_account_partition_with_the_next_command() -> None:
    book = make_traded_book()
    assert book.marks() == []
    assert book.cancel("nobody") == ["nobody cancel refused UNKNOWN_ORDER"]
    assert book.marks() == [(partition, "10.01") for partition in range(4)]
    assert [message.origin.index for message in book.messages] == [0, 1, 2, 3, 4]


def test_marks_keep_their_distance_and_carry_the_price_before_the_command() -> None:
    book = make_traded_book()
    book.cancel("nobody")
    sent_us = book.time_us
    book.sell("s2", 10, "10.05")
    book.buy("b2", 70, "10.05")
    book.time_us = sent_us + 99_999
    book.cancel("nobody")
    assert book.marks() == []
    book.time_us = sent_us + 100_000
    book.buy("b3", 10, "10.04")
    assert book.marks() == [(partition, "10.05") for partition in range(4)]
    book.time_us += 1_000_000
    book.cancel("nobody")
    assert book.marks() == []  # nothing was traded since


def test_a_price_that_is_back_where_it_was_is_sent_all_the_same() -> None:
    book = make_traded_book()
    book.cancel("nobody")
    assert book.marks()[0] == (0, "10.01")
    for name, price in (("2", "10.05"), ("3", "10.01")):  # within one interval
        book.sell(f"s{name}", 100, price)
        book.buy(f"b{name}", 100, price)
    book.time_us += 1_000_000
    book.cancel("nobody")
    assert book.marks() == [(partition, "10.01") for partition in range(4)]


def test_a_trade_in_the_very_command_is_not_yet_in_its_mark() -> None:
    book = make_traded_book()
    book.time_us += 1_000_000
    book.sell("s2", 100, "10.05")
    assert book.marks()[0] == (0, "10.01")
    book.time_us += 1_000_000
    book.buy("b2", 100, "10.05")
    assert book.marks() == []


def test_the_depth_is_shown_at_the_batchs_end_if_it_changed() -> None:
    book = make_traded_book()
    depth = show(book)
    assert depth == BookDepth(TICKER, codes.OPEN, 100_100, (), (Level(100_100, 60, 1),))
    assert book.matcher.at_batch_end() == []
    book.cancel("nobody")
    assert book.matcher.at_batch_end() == []


def test_the_depth_follows_the_last_inputs_messages_and_has_no_sequence() -> None:
    book = make_traded_book()
    (message,) = book.matcher.at_batch_end()
    cause = message.origin
    assert (message.topic, message.partition, message.key) == ("book", 0, TICKER)
    assert (cause.topic, cause.offset, cause.index, cause.sequence) == (origin.MATCHING, 2, 4, 0)


def test_the_depth_shows_ten_levels_from_the_best() -> None:
    book = DrawnBook()
    for number in range(12):
        book.buy(f"b{number}", 10 + number, f"9.{80 + number}")
        book.buy(f"c{number}", 10, f"9.{80 + number}")
        book.sell(f"s{number}", 10, f"10.{10 + number}")
    depth = show(book)
    assert [level.price for level in depth.bids] == list(range(99_100, 98_100, -100))
    assert [level.price for level in depth.asks] == list(range(101_000, 102_000, 100))
    assert depth.bids[0] == Level(99_100, 31, 2)


def test_what_lies_below_the_tenth_level_is_not_shown() -> None:
    book = DrawnBook()
    for number in range(10):
        book.buy(f"b{number}", 10, f"9.{80 + number}")
    show(book)
    book.buy("deep", 10, "1.00")
    assert book.matcher.at_batch_end() == []


def test_a_halt_and_a_resume_are_shown() -> None:
    book = DrawnBook()
    assert show(book).status == codes.OPEN
    book.send(Halt("h1", TICKER))
    assert show(book).status == codes.HALTED
    book.send(Halt("h2", TICKER))
    assert book.matcher.at_batch_end() == []
    book.send(Resume("h3", TICKER))
    assert show(book).status == codes.OPEN


def test_a_partition_without_an_instrument_shows_nothing() -> None:
    book = DrawnBook(instruments=default_genesis().instruments[:1], partition=3)
    assert book.matcher.at_batch_end() == []
    assert DrawnBook(begun=False).matcher.at_batch_end() == []


def test_the_first_genesis_holds_for_ever() -> None:
    book = DrawnBook()
    other = msgspec.structs.replace(book.genesis, deployment="other", book_orders_max=1)
    book.time_us += 1
    assert book.send(other) == []
    assert book.matcher.genesis_hash() == hash_genesis(book.genesis)
    book.buy("b1", 10, "10.00")
    assert book.buy("b2", 10, "10.00") == ["b2 accepted"]


def test_there_is_no_genesis_hash_before_the_genesis() -> None:
    assert MatcherCore(0).genesis_hash() == ""


def test_a_loaded_book_dumps_the_same_bytes_and_goes_on_the_same() -> None:
    book = make_traded_book()
    book.buy("b2", 10, "10.00", post_only=True)
    state = book.matcher.dump()
    again = MatcherCores().load(0, state)
    assert again.dump() == state
    assert again.genesis_hash() == book.matcher.genesis_hash()
    left = book.cancel("b2")
    book.matcher = MatcherCore.load(0, state)
    assert book.cancel("b2") == left == ["b2 canceled 10 CANCEL_REQUESTED"]


def test_a_loaded_book_shows_its_depth_again_only_when_something_came() -> None:
    book = make_traded_book()
    show(book)
    book.matcher = MatcherCore.load(0, book.matcher.dump())
    assert book.matcher.at_batch_end() == []
    book.cancel("nobody")
    assert show(book).last_price == 100_100


@pytest.mark.parametrize("state", [b"", b"\xc1", b"\x90", b"nonsense", b"\x9b" + b"\x00" * 11])
def test_bytes_that_are_no_dump_are_refused(state: bytes) -> None:
    with pytest.raises(ValueError, match="no state of a matcher"):
        MatcherCore.load(0, state)


def test_a_cut_off_dump_is_refused() -> None:
    state = make_traded_book().matcher.dump()
    with pytest.raises(ValueError, match="no state of a matcher"):
        MatcherCore.load(0, state[:-1])


def test_another_partitions_dump_is_refused() -> None:
    state = make_traded_book().matcher.dump()
    with pytest.raises(ValueError, match="partition 0, not of 1"):
        MatcherCores().load(1, state)
