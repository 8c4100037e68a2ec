"""A day in files: each table's rows as PostgreSQL's binary COPY, compressed, and a manifest.

The manifest follows from the rows alone: the same day written twice, anywhere, gives the same one.
It has the SHA-256 of what was compressed, not of the files, since libraries compress differently.
"""

import gzip
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from services.tools.ledger.errors import LedgerError

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_CHUNK_BYTES: Final = 1 << 20
_COMPRESSION: Final = 6


class TableFile(msgspec.Struct, frozen=True):
    """The rows of one table."""

    table: str
    columns: tuple[str, ...]
    rows: int
    sha256: str
    """Of the COPY stream, before compression."""

    @property
    def name(self) -> str:
        """Of the file."""
        return f"{self.table}.copy.gz"


class Range(msgspec.Struct, frozen=True):
    """From which to which offset a table holds rows of one partition."""

    table: str
    topic_number: int
    """Of outcry.archive_topics; 0 in tables of one topic."""
    deployment_id: int
    partition: int
    first_offset: int
    last_offset: int


class Manifest(msgspec.Struct, frozen=True):
    """What a day's folder holds."""

    format: int
    day: str
    deployments: dict[str, int]
    """By name, the numbers that rows have for them."""
    tables: tuple[TableFile, ...]
    ranges: tuple[Range, ...]

    @property
    def rows(self) -> int:
        """In all tables."""
        return sum(table.rows for table in self.tables)

    def encode(self) -> bytes:
        """As it stands in its file."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1) + b"\n"

    @property
    def sha256(self) -> str:
        """Of the file."""
        return sha256(self.encode()).hexdigest()


class DayWriter:
    """Writes a day's folder beside its place, to be put there once it is whole."""

    def __init__(self, directory: Path, day: date) -> None:
        self.place = directory / day.isoformat()
        self._partial = directory / f".{day.isoformat()}.partial"

    def begin(self) -> None:
        """Make the folder, without what an earlier attempt left."""
        try:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir(parents=True)
        except OSError as error:
            raise LedgerError(f"{self._partial} can't be made: {error.strerror}") from error

    def write(self, name: str, chunks: Iterable[bytes]) -> str:
        """Compress a stream into a file; its SHA-256."""
        digest = sha256()
        try:
            with (self._partial / name).open("wb") as file:
                with gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as packed:
                    for chunk in chunks:
                        digest.update(chunk)
                        packed.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LedgerError(
                f"{self._partial / name}: {error.strerror}; nothing changed"
            ) from error
        return digest.hexdigest()

    def finish(self, manifest: Manifest) -> None:
        """Read all of it back, then put it in its place, where nothing may be yet."""
        try:
            with (self._partial / _MANIFEST).open("wb") as file:
                file.write(manifest.encode())
                file.flush()
                os.fsync(file.fileno())
            read_day(self._partial)
            self._partial.rename(self.place)
            folder = os.open(self.place.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise LedgerError(f"{self.place} can't be written: {error.strerror}") from error

    def give_up(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._partial, ignore_errors=True)


def read_day(folder: Path) -> Manifest:
    """A day's manifest, once every file was read and is as the manifest says.

    Raises:
        LedgerError: something is missing or damaged.
    """
    path = folder / _MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise LedgerError(f"{folder} is no archived day: no {_MANIFEST} can be read") from error
    except msgspec.MsgspecError as error:
        raise LedgerError(f"{path} is damaged: {error}; use another copy") from error
    if manifest.format != FORMAT:
        raise LedgerError(
            f"{path} has format {manifest.format} and this version reads {FORMAT};"
            " use the version that wrote it"
        )
    for table in manifest.tables:
        digest = sha256()
        for chunk in read_rows(folder, table):
            digest.update(chunk)
        if digest.hexdigest() != table.sha256:
            raise LedgerError(f"{folder / table.name} is damaged; use another copy")
    return manifest


def read_rows(folder: Path, table: TableFile) -> Iterator[bytes]:
    """A table's COPY stream, in chunks.

    Raises:
        LedgerError: the file can't be read.
    """
    path = folder / table.name
    try:
        with gzip.open(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise LedgerError(f"{path} is damaged or missing ({error}); use another copy") from error


def folder_bytes(folder: Path) -> int:
    """What a day's files take on the disk."""
    return sum(path.stat().st_size for path in folder.iterdir())
