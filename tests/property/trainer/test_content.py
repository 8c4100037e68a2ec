"""The content hash: the same for the same rows, however they lay; another for any other bit."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.lake.places import Lake
from services.trainer import content
from services.trainer.dataset import DatasetPlan, dataset_of_table, load_dataset
from tests.support.made_datasets import planted_bug
from tests.support.markets import V1, null_market, put_table

PLAN = DatasetPlan(V1.name)
TABLE = null_market(600)
MADE = dataset_of_table(TABLE, PLAN)
RULE: dict[str, object] = {"columns": ("a", "b"), "horizon_s": 10}
TICKERS = ("AAPL", "MSFT", "NVDA")


@given(st.randoms(), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_and_where_they_are_cut_does_not_matter(
    random: Random, parts: int
) -> None:
    order = random.sample(range(TABLE.num_rows), TABLE.num_rows)
    shuffled = TABLE.take(pa.array(order))
    cuts = sorted(random.sample(range(TABLE.num_rows), parts))
    pieces = [
        shuffled.slice(begin, end - begin)
        for begin, end in zip([0, *cuts], [*cuts, TABLE.num_rows], strict=True)
    ]
    assert dataset_of_table(pa.concat_tables(reversed(pieces)), PLAN).sha256 == MADE.sha256


@given(st.integers(20, 200), st.integers(0, 120), st.sampled_from(("stream", "backfill")))
@settings(max_examples=8, deadline=None)
def test_the_files_of_the_lake_do_not_matter(rows_per_file: int, twice: int, first: str) -> None:
    with TemporaryDirectory() as home:
        lake = Lake(Path(home))
        put_table(lake, TABLE, rows_per_file=rows_per_file, is_stream=first == "stream")
        put_table(lake, TABLE.slice(0, twice), is_stream=first != "stream")
        made = load_dataset(lake, PLAN)
    assert made.sha256 == MADE.sha256
    assert made.duplicates == twice
    for field in ("grid_time_us", "ticker", "inputs", "label", "move", "mid", "half_spread"):
        assert np.array_equal(getattr(made, field), getattr(MADE, field))


def hashed(rule: dict[str, object], ticker: list[int], numbers: bytes, label: bytes) -> str:
    """Of rows with two numbers and a label each."""
    return content.content_sha256(
        rule,
        TICKERS,
        np.array(ticker, dtype=np.int16),
        [np.frombuffer(numbers).reshape(-1, 2), np.frombuffer(label, dtype=np.int8)],
    )


@given(st.data())
def test_any_bit_of_any_row_changes_it(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 6))
    ticker = sorted(data.draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows)))
    numbers = data.draw(st.binary(min_size=16 * rows, max_size=16 * rows))
    label = data.draw(st.binary(min_size=rows, max_size=rows))
    before = hashed(RULE, ticker, numbers, label)
    assert hashed(RULE, ticker, numbers, label) == before
    bit = data.draw(st.integers(0, 8 * (len(numbers) + len(label)) - 1))
    flipped = bytearray(numbers + label)
    flipped[bit // 8] ^= 1 << bit % 8
    assert (
        hashed(RULE, ticker, bytes(flipped[: len(numbers)]), bytes(flipped[len(numbers) :]))
        != before
    )
    place = data.draw(st.integers(0, rows - 1))
    other = [*ticker[:place], (ticker[place] + 1) % 3, *ticker[place + 1 :]]
    assert hashed(RULE, other, numbers, label) != before
    assert hashed(RULE | {"horizon_s": 11}, ticker, numbers, label) != before


@pytest.mark.parametrize(
    "change",
    [{"horizon_s": 9}, {"threshold": 1}, {"folds": 4}, {"tickers": ("AAPL", "MSFT")}],
)
def test_another_rule_is_another_data_set(change: dict[str, object]) -> None:
    plan = msgspec.structs.replace(PLAN, **change)
    assert dataset_of_table(TABLE, plan).sha256 != MADE.sha256


def test_bounds_that_cut_nothing_off_change_nothing() -> None:
    wide = msgspec.structs.replace(PLAN, first_us=0, last_us=2**60, tickers=MADE.tickers)
    assert dataset_of_table(TABLE, wide).sha256 == MADE.sha256


def test_it_is_pinned_so_that_it_stays_the_same_everywhere() -> None:
    numbers = np.array([1.5, -2.0, 0.1, 1e-300]).tobytes()
    assert hashed(RULE, [0, 2], numbers, b"\x00\x02") == (
        "2fb2adfdcb1d399c967fab77abad3f99d6cda1e905b8374c5c680e809636307e"
    )


@pytest.mark.parametrize(
    "was,planted",
    [
        ('f"\\n{name} {len(places)}\\n".encode()', 'b""'),
        ("[FORMAT, rule]", "[FORMAT]"),
        ("for column in columns:", "for column in columns[:1]:"),
        ("begin = end", "begin = 0"),
        ('kind="stable")', 'kind="stable")[::-1]'),
    ],
)
def test_a_planted_bug_in_the_hash_is_found(was: str, planted: str) -> None:
    numbers = np.arange(6.0).tobytes()
    kept = hashed(RULE, [0, 0, 2], numbers, b"\x00\x01\x02")
    with planted_bug(content, was, planted):
        assert hashed(RULE, [0, 0, 2], numbers, b"\x00\x01\x02") != kept
