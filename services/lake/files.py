"""One file of the lake: written whole or not at all, read whole or refused.

A file is written under a name that no reader looks at, synced, and renamed. The same rows give the
same bytes (with the same version of Arrow), so a file that is written twice is one that is written
once. Each page carries a checksum, which reading compares.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from services.lake.errors import LakeError
from services.lake.schemas import kind_of

PARTIAL_SUFFIX: Final = ".partial"
ROWS_A_GROUP: Final = 131_072
"""Rows are grouped by number, never by how they were handed over: the bytes must not tell."""


class FileWriter:
    """Writes one file; until `finish` nothing is to be seen, and `give_up` leaves nothing.

    Args:
        metadata: put beside what the schema says of itself.

    Raises:
        LakeError: the disk does not take it.
    """

    def __init__(
        self, path: Path, schema: "pa.Schema", metadata: Mapping[bytes, bytes] | None = None
    ) -> None:
        self.rows = 0
        self._path = path
        self._partial = partial_of(path)
        self._schema = schema.with_metadata({**(schema.metadata or {}), **(metadata or {})})
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self._partial,
                self._schema,
                compression="zstd",
                compression_level=3,
                version="2.6",
                data_page_version="2.0",
                write_page_checksum=True,
            )

    def write(self, table: "pa.Table | pa.RecordBatch") -> None:
        """Rows with the schema's columns: a Table or a RecordBatch."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        table = table.select(self._schema.names).cast(self._schema)
        self._pending.append(table)
        self._pending_rows += table.num_rows
        self.rows += table.num_rows
        while self._pending_rows >= ROWS_A_GROUP:
            whole = pa.concat_tables(self._pending)
            self._write_group(whole.slice(0, ROWS_A_GROUP))
            self._pending = [whole.slice(ROWS_A_GROUP)]
            self._pending_rows -= ROWS_A_GROUP

    def finish(self) -> bool:
        """Put the file in its place; whether that changed anything."""
        if self._pending_rows:
            self._write_group(pa.concat_tables(self._pending))
        with _told(self._path):
            self._writer.close()
            if _same_bytes(self._partial, self._path):
                self._partial.unlink()
                return False
            put_in_place(self._partial, self._path)
        return True

    def give_up(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()
        self._partial.unlink(missing_ok=True)

    def _write_group(self, rows: "pa.Table") -> None:
        with _told(self._path):
            self._writer.write_table(rows.combine_chunks(), row_group_size=ROWS_A_GROUP)


def write_file(
    path: Path,
    schema: "pa.Schema",
    tables: "Iterable[pa.Table]",
    metadata: Mapping[bytes, bytes] | None = None,
) -> bool:
    """Write a file of these rows; whether that changed anything.

    Raises:
        LakeError: the disk does not take it; what was there before is there still.
    """
    writer = FileWriter(path, schema, metadata)
    try:
        for table in tables:
            writer.write(table)
        return writer.finish()
    except BaseException:
        writer.give_up()
        raise


def open_file(path: Path, kind: str) -> "pq.ParquetFile":
    """A ParquetFile, once it is known to be whole and of this kind.

    Raises:
        LakeError: it is missing, half-written, damaged, another's, or of another kind.
    """
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise LakeError(f"no file {path}: ingest it (`outcry history ingest`)") from error
    except (OSError, pa.ArrowException) as error:
        raise LakeError(
            f"{path} is half-written or damaged ({_first_line(error)});"
            " remove it and make it again from its source"
        ) from error
    try:
        found = kind_of(file.schema_arrow)
        if found != kind:
            raise LakeError(f"it holds {found}, not {kind}")
    except LakeError as error:
        file.close()
        raise LakeError(f"{path} does not belong here: {error}; move it away") from error
    return file


def read_batches(
    path: Path, kind: str, rows_max: int = ROWS_A_GROUP, columns: Sequence[str] | None = None
) -> "Iterator[pa.RecordBatch]":
    """The rows of a file as record batches, in its order; all columns, or those that are named.

    Raises:
        LakeError: as `open_file`, or a page is damaged, or a column is not there.
    """
    with open_file(path, kind) as file:
        _refuse_missing(path, file.schema_arrow, columns or ())
        batches = file.iter_batches(batch_size=rows_max, columns=columns)
        while True:
            try:
                batch = next(batches, None)
            except (OSError, pa.ArrowException) as error:
                raise LakeError(
                    f"{path} is damaged ({_first_line(error)});"
                    " remove it and make it again from its source"
                ) from error
            if batch is None:
                return
            yield batch


def read_file(path: Path, kind: str, columns: Sequence[str] | None = None) -> "pa.Table":
    """All rows of a file as a Table, with all columns, or with those that are named.

    Raises:
        LakeError: as `read_batches`.
    """
    with open_file(path, kind) as file:
        schema = file.schema_arrow
    if columns is not None:
        _refuse_missing(path, schema, columns)
        schema = pa.schema([schema.field(name) for name in columns], schema.metadata)
    batches = [batch.select(schema.names) for batch in read_batches(path, kind, columns=columns)]
    return pa.Table.from_batches(batches, schema)


def partial_of(path: Path) -> Path:
    """The name under which a file is written before it is whole."""
    return path.with_name(f".{path.name}{PARTIAL_SUFFIX}")


def sweep(folder: Path, names: str = "*") -> int:
    """Remove what dead writers left unfinished; how many files. Only under the writer's lock.

    Args:
        folder: with all below it.
        names: a pattern of the names that the files would have got.
    """
    left = list(folder.rglob(f".{names}{PARTIAL_SUFFIX}"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def put_in_place(partial: Path, path: Path) -> None:
    """Sync a written file, give it its name, and sync its folder."""
    for target in (partial, None, path.parent):
        if target is None:
            partial.replace(path)
            continue
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _refuse_missing(path: Path, schema: "pa.Schema", columns: Sequence[str]) -> None:
    if missing := [name for name in columns if name not in schema.names]:
        raise LakeError(f"{path} has no column {missing[0]}: it was written by another version")


def _same_bytes(one: Path, other: Path) -> bool:
    if not other.exists() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(1 << 20):
            if chunk != right.read(1 << 20):
                return False
    return True


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"{path} can't be written ({error.strerror or error}); nothing changed there"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
