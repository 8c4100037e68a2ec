"""A day's folder: written whole or not at all, and read with suspicion."""

from datetime import date
from pathlib import Path

import pytest

from services.tools.ledger.errors import LedgerError
from services.tools.ledger.files import (
    FORMAT,
    DayWriter,
    Manifest,
    Range,
    TableFile,
    read_day,
    read_rows,
)

DAY = date(2026, 11, 25)
ROWS = [b"PGCOPY\n", b"some rows " * 1_000, b"\xff\xff"]


def write(directory: Path) -> Manifest:
    writer = DayWriter(directory, DAY)
    writer.begin()
    blank = TableFile("trades", ("offset", "price"), 7, "")
    digest = writer.write(blank.name, iter(ROWS))
    table = TableFile("trades", blank.columns, 7, digest)
    place = Range("trades", 0, 1, 2, 10, 16)
    manifest = Manifest(FORMAT, DAY.isoformat(), {"default": 1}, (table,), (place,))
    writer.finish(manifest)
    return manifest


def test_what_was_written_is_read(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    folder = tmp_path / "2026-11-25"
    assert read_day(folder) == manifest
    assert b"".join(read_rows(folder, manifest.tables[0])) == b"".join(ROWS)
    assert manifest.rows == 7
    assert [path.name for path in tmp_path.iterdir()] == ["2026-11-25"]


def test_the_same_rows_make_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name)
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "2026-11-25").iterdir()}
        for name in ("a", "b")
    ]
    assert files[0] == files[1]


def test_a_write_that_was_cut_off_leaves_no_day(tmp_path: Path) -> None:
    writer = DayWriter(tmp_path, DAY)
    writer.begin()
    writer.write("trades.copy.gz", ROWS)
    with pytest.raises(LedgerError, match="no archived day"):
        read_day(tmp_path / "2026-11-25")
    assert read_day_after_another_attempt(tmp_path).rows == 7


def read_day_after_another_attempt(directory: Path) -> Manifest:
    write(directory)
    return read_day(directory / "2026-11-25")


def test_every_single_changed_byte_is_found(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "2026-11-25" / "trades.copy.gz"
    good = path.read_bytes()
    header = 10  # its time and system say nothing about the rows
    for place in range(header, len(good)):
        changed = bytearray(good)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(LedgerError, match=r"trades\.copy\.gz is damaged"):
            read_day(path.parent)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "2026-11-25" / "trades.copy.gz").unlink()
    with pytest.raises(LedgerError, match=r"trades\.copy\.gz is damaged or missing"):
        read_day(tmp_path / "2026-11-25")


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LedgerError, match="can't be made: Not a directory"):
        DayWriter(tmp_path / "file", DAY).begin()
