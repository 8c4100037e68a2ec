"""A file of history, CSV or Parquet, read in chunks of text with the numbers of its rows.

Rows are numbered as people see them: in a CSV by line, the header being line 1; in Parquet from 1.
"""

import csv
import gzip
from collections.abc import Iterator, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from services.tools.history.columns import find_columns
from services.tools.history.errors import HistoryError
from services.tools.history.values import as_text

CHUNK_BYTES: Final = 8 << 20
CHUNK_ROWS: Final = 65_536
_GZIP_MAGIC: Final = b"\x1f\x8b"
_PARQUET_MAGIC: Final = b"PAR1"
_DELIMITERS: Final = ",;\t|"


class Asked(msgspec.Struct, frozen=True):
    """What a person said of the files."""

    ticker: str | None = None
    """Of files without such a column."""
    time_zone: str | None = None
    """Of times without an offset."""
    renames: Mapping[str, str] = {}
    """New names of tickers."""
    columns: Mapping[str, str] = {}
    """Headers by column, where the spelling does not tell."""
    units_per_dollar: int = 1
    """1: prices are in dollars; 10000: they are integers of 1/10000 dollar."""
    round_prices: bool = False
    """Round prices of trades that are finer than 1/10000 dollar, instead of refusing them."""
    keep_equal: bool = False
    """Rows that are equal in everything are trades of their own, not repetitions."""
    interval: str = "auto"
    """Of bars: `1d`, `1m`, or by the file's times of day."""
    replace: bool = False
    """What the file says counts more than what the lake holds."""


class Chunk(msgspec.Struct, frozen=True):
    """Some rows: the text of each column the file has, by its name here."""

    rows: "pa.Array"
    columns: "Mapping[str, pa.Array]"


class Source:
    """One file, opened.

    Raises:
        HistoryError: it can't be read, or lacks a column.
    """

    def __init__(self, path: Path, kind: str, asked: Asked) -> None:
        self.path: Final = path
        self.malformed: list[tuple[int, str]] = []
        """Rows with too many or too few columns, since it was last emptied."""
        self.bytes_total = 0
        self.bytes_done = 0
        self._kind = kind
        self._asked = asked
        try:
            with path.open("rb") as file:
                magic = file.read(4)
            self.bytes_total = path.stat().st_size
        except OSError as error:
            raise HistoryError(f"{path} can't be opened: {error.strerror}") from error
        if not magic:
            raise HistoryError(f"{path.name} is empty")
        self._is_parquet = magic == _PARQUET_MAGIC or path.suffix == ".parquet"
        self._is_gzip = magic[:2] == _GZIP_MAGIC
        self._malformed_lines: list[int] = []

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order."""
        return self._parquet_chunks() if self._is_parquet else self._csv_chunks()

    # --- Parquet

    def _parquet_chunks(self) -> Iterator[Chunk]:
        try:
            with pq.ParquetFile(self.path) as file:
                schema = file.schema_arrow
                found = self._find(schema.names)
                first, total = 1, max(file.metadata.num_rows, 1)
                titles = list(dict.fromkeys(found.values()))
                for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=titles):
                    rows = pa.array(range(first, first + batch.num_rows), pa.int64())
                    first += batch.num_rows
                    self.bytes_done = self.bytes_total * (first - 1) // total
                    columns = {name: as_text(batch.column(title)) for name, title in found.items()}
                    yield Chunk(rows, columns)
        except (OSError, pa.ArrowException) as error:
            raise HistoryError(
                f"{self.path.name} is no whole Parquet file ({_first_line(error)}): half-written"
                " or damaged; get it again"
            ) from error

    # --- CSV

    def _csv_chunks(self) -> Iterator[Chunk]:
        header, delimiter = self._read_header()
        found = self._find(header)
        raw = pa.OSFile(str(self.path))
        try:
            stream = pa.CompressedInputStream(raw, "gzip") if self._is_gzip else raw
            reader = pa_csv.open_csv(
                stream,
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=CHUNK_BYTES),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter,
                    ignore_empty_lines=False,
                    invalid_row_handler=self._note_malformed,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()),
                    include_columns=list(dict.fromkeys(found.values())),
                    strings_can_be_null=False,
                ),
            )
            first = 2
            for batch in reader:
                rows = self._number(first, batch.num_rows)
                first = rows[-1].as_py() + 1 if batch.num_rows else first
                self.bytes_done = min(raw.tell(), self.bytes_total)
                texts = [batch.column(title) for title in dict.fromkeys(found.values())]
                is_row = pc.not_equal(pc.binary_join_element_wise(*texts, ""), "")
                columns = {name: batch.column(title) for name, title in found.items()}
                yield Chunk(
                    rows.filter(is_row), {name: c.filter(is_row) for name, c in columns.items()}
                )
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            raise HistoryError(
                f"{self.path.name} is no whole CSV file ({_first_line(error)}); get it again"
            ) from error
        finally:
            raw.close()

    def _note_malformed(self, row: "pa_csv.InvalidRow") -> str:
        self._malformed_lines.append(row.number)
        told = f"{row.actual_columns} columns, not {row.expected_columns}: {row.text[:80]}"
        self.malformed.append((row.number, told))
        return "skip"

    def _number(self, first: int, count: int) -> "pa.Array":
        """Numbers of the next rows that were read, those skipped between them left out."""
        if not self._malformed_lines:
            return pa.array(range(first, first + count), pa.int64())
        skipped, number = set(self._malformed_lines), first
        numbers: list[int] = []
        while len(numbers) < count:
            if number not in skipped:
                numbers.append(number)
            number += 1
        self._malformed_lines = [line for line in self._malformed_lines if line >= number]
        return pa.array(numbers, pa.int64())

    def _read_header(self) -> tuple[list[str], str]:
        try:
            with self.path.open("rb") as raw, gzip.open(raw) if self._is_gzip else raw as file:
                line = file.readline(65_536).decode("utf-8-sig").rstrip("\r\n")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise HistoryError(f"{self.path.name} is no CSV file in UTF-8: {error}") from error
        delimiter = max(_DELIMITERS, key=line.count)
        header = next(csv.reader([line], delimiter=delimiter), [])
        if len(set(header)) != len(header):
            raise HistoryError(f"{self.path.name}: two columns have one header: {line[:200]}")
        return header, delimiter

    def _find(self, header: list[str]) -> dict[str, str]:
        try:
            has_ticker = self._asked.ticker is not None
            return find_columns(header, self._kind, self._asked.columns, has_ticker=has_ticker)
        except HistoryError as error:
            raise HistoryError(f"{self.path.name}: {error}") from error


def digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        HistoryError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise HistoryError(f"{path} can't be opened: {error.strerror}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
