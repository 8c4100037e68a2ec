"""A model as a folder, written whole and read with nothing believed.

    manifest.json      what is told of it, and the SHA-256 of every other file
    model.ubj          XGBoost's own format; or
    model.json         the numbers of the simple forms (`predictors`)
    golden.json        vectors, and the probabilities that they must give
    schema.json        names, types and units of what goes in and comes out
    reference.parquet  a sample of the training rows, for drift
    card.md card.html  the model card, and its plots (*.png, *.svg)

Only manifest, numbers and golden vectors are needed to serve. Nothing is ever unpickled, and no
file is run. What `read_model` holds before a number is computed: the folder has these plain files
and no others, each within its limit; every file has the hash that the manifest states; the model's
file is of its native format, whole, and consistent in itself (`booster_file`). Then the model
loads, must give the golden probabilities bit for bit, and its schema must be the manifest's.

What stays trusted: who can write both a model's file and its manifest chooses the predictions
(not what the process does). The registry therefore keeps the manifest's hash apart, in its
database, and passes it here.
"""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np

from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.models.classes import CLASS_NAMES
from services.models.errors import ModelNotWrittenError, ModelRefusedError, Refusal
from services.models.forms import decode_json, decode_predictor, encode_predictor
from services.models.manifest import FORMAT, MODEL_FILES, Golden, ModelManifest, encode_manifest
from services.models.predictors import Predictor
from services.models.schema import Schema, check_schema, encode_schema, schema_of
from services.models.vector import VALUE_MAX, Matrix, inputs_of

MANIFEST: Final = "manifest.json"
GOLDEN: Final = "golden.json"
SCHEMA: Final = "schema.json"
"""Not in folders that were written before there were schemas."""
REFERENCE: Final = "reference.parquet"
CARD: Final = "card.md"
CARD_PAGE: Final = "card.html"
GOLDEN_MIN: Final = 16
GOLDEN_MAX: Final = 1_024
SUM_TOLERANCE: Final = 1e-5
"""How far from 1 three 32-bit probabilities may add up to."""

_MIB: Final = 1 << 20
_CHUNK_BYTES: Final = _MIB
_PLOT: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,63}\.(?:png|svg)")
_ATTACHMENTS: Final = frozenset({REFERENCE, CARD, CARD_PAGE})
_NAMES: Final = frozenset({MANIFEST, GOLDEN, SCHEMA, *MODEL_FILES.values(), *_ATTACHMENTS})


class Limits(msgspec.Struct, frozen=True):
    """How much is read at all."""

    model_bytes_max: int = 64 * _MIB
    json_bytes_max: int = 4 * _MIB
    attachment_bytes_max: int = 64 * _MIB
    files_max: int = 64
    columns_max: int = 1_024


LIMITS: Final = Limits()


class LoadedModel(msgspec.Struct, frozen=True):
    """A model that was read, checked, and gave its golden probabilities in this process."""

    folder: Path
    manifest: ModelManifest
    manifest_sha256: str
    """Tells the whole folder, since the manifest states the other files' hashes."""
    predictor: Predictor
    golden: Golden


class _Stamp(msgspec.Struct):
    format: int


# --- writing


def write_model(
    folder: Path,
    predictor: Predictor,
    manifest: ModelManifest,
    golden_vectors: Matrix,
    attachments: Mapping[str, bytes] | None = None,
) -> ModelManifest:
    """Write a model, then read it back as everybody will; the manifest as it was written.

    The folder appears whole or not at all.

    Args:
        folder: must not be there yet.
        predictor: of the manifest's kind.
        manifest: `files` is filled in here.
        golden_vectors: at least `GOLDEN_MIN` rows, best from test data; the model that is read
            back says what they give.
        attachments: by name: `REFERENCE`, `CARD`, `CARD_PAGE` and plots.

    Raises:
        ModelRefusedError: nobody could read it; nothing is left.
        ModelNotWrittenError: the disk does not take it; nothing is left.
    """
    assert predictor.kind == manifest.kind, f"a {predictor.kind} is written as {manifest.kind}"
    assert GOLDEN_MIN <= len(golden_vectors) <= GOLDEN_MAX, f"{len(golden_vectors)} golden vectors"
    foreign = [n for n in attachments or {} if n not in _ATTACHMENTS and not _PLOT.fullmatch(n)]
    assert not foreign, f"a model's folder has no {foreign[0]}"
    model = encode_predictor(predictor)
    reread = decode_predictor(manifest.kind, model, manifest.columns)
    golden = Golden(_rows(golden_vectors), _rows(reread.probabilities(golden_vectors)))
    contents: dict[str, bytes] = {
        manifest.model_file: model,
        GOLDEN: msgspec.json.encode(golden),
        SCHEMA: encode_schema(schema_of(manifest)),
        **(attachments or {}),
    }
    hashes = {name: sha256(data).hexdigest() for name, data in sorted(contents.items())}
    complete = msgspec.structs.replace(manifest, files=hashes)
    with new_folder(folder) as partial:
        for name, data in {**contents, MANIFEST: encode_manifest(complete)}.items():
            (partial / name).write_bytes(data)
        read_model(partial)
    return complete


def copy_model(source: Path, folder: Path) -> None:
    """Copy a model's files, whole or not at all. Read the copy before it is used.

    Raises:
        ModelRefusedError: the source is not a folder of plain files within the limits.
        ModelNotWrittenError: the disk does not take it; nothing is left.
    """
    with _Folder(source, LIMITS) as opened, new_folder(folder) as partial:
        for name in opened.names:
            with (partial / name).open("wb") as file:
                for chunk in opened.chunks(name):
                    file.write(chunk)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder under a temporary name; at the end it is synced and gets its own.

    Raises:
        ModelNotWrittenError: it is there already, or the disk does not take it.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        if folder.exists():
            raise FileExistsError(errno.EEXIST, "it is there already")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for path in (*partial.iterdir(), partial):
            _sync(path)
        partial.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ModelNotWrittenError(
            f"{folder} can't be written ({error.strerror or error}); nothing changed there"
        ) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rows(matrix: Matrix) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())


# --- reading


def read_model(
    folder: Path,
    limits: Limits = LIMITS,
    *,
    manifest_sha256: str | None = None,
    is_checked_already: bool = False,
) -> LoadedModel:
    """Read a folder of any origin.

    Args:
        folder: of one model.
        limits: sizes.
        manifest_sha256: what the manifest must hash to, from a place that its writer can't write.
        is_checked_already: this function took the folder with this `manifest_sha256` before, in
            whichever process. Hashes are held again, over the bytes that are then loaded; what
            follows from the same bytes (`booster_file`) or does not serve is left out.

    Raises:
        ModelRefusedError: it is no model that may serve; `reason` says why.
    """
    assert not is_checked_already or manifest_sha256, "what was checked is told by its hash"
    with _Folder(folder, limits) as opened:
        text = opened.read(MANIFEST)
        found_sha256 = _check_sha256(text, manifest_sha256)
        manifest = read_manifest(text)
        if len(manifest.columns) > limits.columns_max:
            raise ModelRefusedError(Refusal.TOO_LARGE, f"{len(manifest.columns):,} columns")
        _check_names(manifest, opened.names)
        kept = dict.fromkeys((manifest.model_file, GOLDEN, SCHEMA), b"")
        for name, stated in manifest.files.items():
            if name in kept:
                kept[name] = opened.read(name)
            elif is_checked_already:
                continue
            parts = [kept[name]] if name in kept else opened.chunks(name)
            if _sha256_of(parts) != stated:
                raise ModelRefusedError(
                    Refusal.WRONG_SHA256, f"{name} is not the file that the manifest states"
                )
    predictor = decode_predictor(
        manifest.kind,
        kept[manifest.model_file],
        manifest.columns,
        is_checked_already=is_checked_already,
    )
    golden = decode_json(kept[GOLDEN], Golden, GOLDEN)
    _check_golden(golden, predictor, len(manifest.columns))
    if SCHEMA in manifest.files:
        check_schema(decode_json(kept[SCHEMA], Schema, SCHEMA), manifest)
    return LoadedModel(folder, manifest, found_sha256, predictor, golden)


def read_manifest_of(
    folder: Path, limits: Limits = LIMITS, *, manifest_sha256: str | None = None
) -> ModelManifest:
    """What is told of a model of any origin; its other files are not looked at.

    Raises:
        ModelRefusedError: as `read_model` for the manifest.
    """
    with _Folder(folder, limits) as opened:
        text = opened.read(MANIFEST)
    _check_sha256(text, manifest_sha256)
    return read_manifest(text)


def _sha256_of(parts: Iterable[bytes]) -> str:
    digest = sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _check_sha256(manifest: bytes, stated: str | None) -> str:
    found = sha256(manifest).hexdigest()
    if stated is not None and found != stated:
        raise ModelRefusedError(
            Refusal.WRONG_SHA256, f"{MANIFEST} is not the one that was registered"
        )
    return found


def read_manifest(text: bytes) -> ModelManifest:
    """A manifest of any origin.

    Raises:
        ModelRefusedError: too_deep, malformed, newer_format, wrong_classes, wrong_columns.
    """
    stamp = decode_json(text, _Stamp, MANIFEST)
    if stamp.format != FORMAT:
        raise ModelRefusedError(
            Refusal.NEWER_FORMAT, f"it has format {stamp.format} and this version reads {FORMAT}"
        )
    manifest = decode_json(text, ModelManifest, MANIFEST)
    if manifest.classes != CLASS_NAMES:
        raise ModelRefusedError(
            Refusal.WRONG_CLASSES, f"its classes are not {', '.join(CLASS_NAMES)}, in this order"
        )
    if not manifest.columns or len(set(manifest.columns)) != len(manifest.columns):
        raise ModelRefusedError(Refusal.WRONG_COLUMNS, "it has no columns, or one twice")
    return manifest


def check_repo(manifest: ModelManifest) -> None:
    """Refuse a model that was trained on other features than this code makes.

    Raises:
        ModelRefusedError: unknown_feature_set, wrong_fingerprint, wrong_columns.
    """
    feature_set = SETS.get(manifest.feature_set)
    if feature_set is None:
        raise ModelRefusedError(
            Refusal.UNKNOWN_FEATURE_SET,
            f"{manifest.feature_set!r} is none of {', '.join(SETS)}",
        )
    current = fingerprint(feature_set)
    if manifest.fingerprint != current:
        raise ModelRefusedError(
            Refusal.WRONG_FINGERPRINT,
            f"it was trained on {manifest.feature_set} of {manifest.fingerprint[:12]} and this"
            f" code makes {current[:12]}: train again, or run the code it is of",
        )
    _check_columns(manifest.columns, inputs_of(feature_set))


def _check_columns(columns: Sequence[str], inputs: Sequence[str]) -> None:
    if tuple(columns) == tuple(inputs):
        return
    missing = [name for name in inputs if name not in columns]
    extra = [name for name in columns if name not in inputs]
    said = "; ".join(
        f"{word} {', '.join(names[:4])}"
        for word, names in (("missing:", missing), ("extra:", extra))
        if names
    )
    raise ModelRefusedError(
        Refusal.WRONG_COLUMNS, f"not the set's inputs ({said or 'in another order'})"
    )


def _check_names(manifest: ModelManifest, present: Sequence[str]) -> None:
    needed = {MANIFEST, GOLDEN, manifest.model_file}
    stated = {MANIFEST, *manifest.files}
    if absent := sorted((needed | stated) - set(present)) or sorted(needed - stated):
        raise ModelRefusedError(Refusal.MISSING_FILE, f"there is no {absent[0]!r:.80}")
    optional = _ATTACHMENTS | {SCHEMA}
    allowed = needed | {n for n in stated if n in optional or _PLOT.fullmatch(n)}
    if foreign := sorted(set(present) - allowed):
        raise ModelRefusedError(
            Refusal.FOREIGN_FILE, f"{foreign[0]!r:.80} is none that the manifest states"
        )


def _check_golden(golden: Golden, predictor: Predictor, width: int) -> None:
    count = len(golden.vectors)
    if not GOLDEN_MIN <= count <= GOLDEN_MAX or len(golden.probabilities) != count:
        raise ModelRefusedError(
            Refusal.MALFORMED, f"{GOLDEN} has {count} vectors, {GOLDEN_MIN} or more are needed"
        )
    if any(len(vector) != width for vector in golden.vectors):
        raise ModelRefusedError(Refusal.WRONG_COLUMNS, f"a golden vector has not {width} numbers")
    vectors = np.array(golden.vectors, np.float64)
    if not (np.abs(vectors) <= VALUE_MAX).all():
        raise ModelRefusedError(Refusal.MALFORMED, "a golden vector is none that may be asked")
    answer = predictor.probabilities(vectors)
    is_sound = (answer >= 0).all() and (np.abs(answer.sum(axis=1) - 1) <= SUM_TOLERANCE).all()
    if not is_sound:
        raise ModelRefusedError(
            Refusal.WRONG_PROBABILITIES, "golden vectors do not give numbers that add up to 1"
        )
    alone = predictor.probabilities(vectors[:1])
    if _rows(answer) != golden.probabilities or _rows(alone) != golden.probabilities[:1]:
        raise ModelRefusedError(
            Refusal.GOLDEN_DIFFERS, "golden vectors do not give the stated probabilities"
        )


class _Folder:
    """A folder's plain files, through one descriptor: no link is followed, nothing is swapped."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._descriptor = -1
        self.names: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(self._path, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ModelRefusedError(
                Refusal.MISSING_FILE, f"{self._path} is no folder of a model"
            ) from error
        except OSError as error:
            raise self._unreadable(self._path.name, error) from error
        try:
            self._list()
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def _list(self) -> None:
        with os.scandir(self._descriptor) as entries:
            for entry in entries:
                if len(self.names) >= self._limits.files_max:
                    raise ModelRefusedError(
                        Refusal.FOREIGN_FILE, f"more than {self._limits.files_max} files"
                    )
                if entry.name not in _NAMES and not _PLOT.fullmatch(entry.name):
                    raise ModelRefusedError(
                        Refusal.FOREIGN_FILE, f"a model's folder has no {entry.name!r:.80}"
                    )
                self.names.append(entry.name)
        self.names.sort()

    def read(self, name: str) -> bytes:
        """All of a file."""
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file piece by piece; refuses it once it is longer than it may be."""
        if name not in self.names:
            raise ModelRefusedError(Refusal.MISSING_FILE, f"there is no {name!r:.80}")
        limit = self._limit(name)
        length = 0
        try:
            descriptor = os.open(
                name,
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                dir_fd=self._descriptor,
            )
            with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - of a descriptor
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ModelRefusedError(Refusal.NOT_A_FILE, f"{name} is no plain file")
                while chunk := file.read(min(_CHUNK_BYTES, limit + 1 - length)):
                    length += len(chunk)
                    if length > limit:
                        raise ModelRefusedError(
                            Refusal.TOO_LARGE, f"{name} has more than {limit:,} bytes"
                        )
                    yield chunk
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO, errno.EISDIR}:
                raise ModelRefusedError(Refusal.NOT_A_FILE, f"{name} is no plain file") from error
            raise self._unreadable(name, error) from error

    def _limit(self, name: str) -> int:
        if name in MODEL_FILES.values():
            return self._limits.model_bytes_max
        if name in {MANIFEST, GOLDEN, SCHEMA}:
            return self._limits.json_bytes_max
        return self._limits.attachment_bytes_max

    def _unreadable(self, name: str, error: OSError) -> ModelRefusedError:
        return ModelRefusedError(
            Refusal.UNREADABLE, f"{name} can't be read ({error.strerror or error})"
        )
