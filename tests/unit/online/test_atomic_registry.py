"""Feast's registry file: what somebody sees who looks while it is written."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig

from services.featuresets import SETS
from services.lake.files import PARTIAL_SUFFIX
from services.online.atomic_registry import LEFT_S, AtomicFileRegistryStore
from services.online.errors import UnknownServiceError
from services.online.features import OnlineFeatures
from services.online.settings import feast_folder
from tests.support.online_world import V1, declared


class Interrupted:
    """A registry that, as it is turned into bytes, lets something happen first.

    Protobuf allows no subclass of a message.
    """

    def __init__(self, registry: Registry, happens: Callable[[], object]) -> None:
        self._registry = registry
        self._happens = happens

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the message has
        return getattr(self._registry, name)

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's
        self._happens()
        return bytes(self._registry.SerializeToString())


def write_interrupted(store: FileRegistryStore, happens: Callable[[], object]) -> None:
    """Write what the registry holds once more, with something happening amid it."""
    known = store.get_registry_proto()  # type: ignore[no-untyped-call]  # Feast's
    store.update_registry_proto(cast("Registry", Interrupted(known, happens)))


def services_seen_amid_writing(home: Path, store: type[FileRegistryStore]) -> set[str]:
    """What a process that starts then finds declared, where all sets had been before."""
    path = feast_folder(home) / "registry.db"
    written = store(RegistryConfig(path=str(path)), path.parent)
    seen: set[str] = set()

    def look() -> None:
        found = OnlineFeatures(home).store.list_feature_services()
        seen.update(service.name for service in found)

    write_interrupted(written, look)
    return seen


def test_a_reader_amid_a_change_sees_everything_that_was_declared(tmp_path: Path) -> None:
    declared(tmp_path)
    assert services_seen_amid_writing(tmp_path, AtomicFileRegistryStore) == set(SETS)


def test_the_same_reader_finds_nothing_declared_amid_feasts_own_writing(tmp_path: Path) -> None:
    declared(tmp_path)
    assert services_seen_amid_writing(tmp_path, FileRegistryStore) == set()


def test_a_death_amid_writing_leaves_the_registry_as_it_was(tmp_path: Path) -> None:
    declared(tmp_path)
    folder = feast_folder(tmp_path)
    before = (folder / "registry.db").read_bytes()
    names = {path.name for path in folder.iterdir()}
    store = AtomicFileRegistryStore(RegistryConfig(path=str(folder / "registry.db")), folder)

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_interrupted(store, die)
    assert (folder / "registry.db").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == names


def test_who_looked_before_anything_was_declared_writes_nothing_and_sees_it_later(
    tmp_path: Path,
) -> None:
    early = OnlineFeatures(tmp_path)
    with pytest.raises(UnknownServiceError):
        early.service(V1.name)
    assert not (feast_folder(tmp_path) / "registry.db").exists()
    declared(tmp_path)
    assert early.service(V1.name).name == V1.name


def test_what_a_killed_writer_left_is_swept_and_what_another_writes_now_is_not(
    tmp_path: Path,
) -> None:
    folder = feast_folder(tmp_path)
    folder.mkdir(parents=True)
    left, present = (folder / f"registry.db.{name}{PARTIAL_SUFFIX}" for name in ("old", "new"))
    for path in (left, present):
        path.write_bytes(b"half")
    os.utime(left, (0, time.time() - LEFT_S - 1))
    declared(tmp_path)
    assert (left.exists(), present.exists()) == (False, True)
