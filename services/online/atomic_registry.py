"""Feast's registry file, replaced whole.

Feast 0.67 empties the file and then writes it: a process that looks in between reads a registry
without a single FeatureService, and a death there leaves one. And a process that finds no file
writes an empty one, maybe over what another has just declared.

Of two that change it at once the last one's change stands, as with Feast's own.
"""

import contextlib
import os
import time
from typing import Final
from uuid import uuid4

import services.online.unchecked_feast  # noqa: F401 - before Feast

# isort: split
from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.utils import _utc_now

from services.lake.files import PARTIAL_SUFFIX

LEFT_S: Final = 60.0
"""A file that was begun and is older than this, its writer has left behind; writing takes less than
a second."""


class AtomicFileRegistryStore(FileRegistryStore):
    """A reader sees the registry before a change or after it."""

    def get_registry_proto(self) -> Registry:
        """The registry as it is; an empty one where there is none, so that reading never writes."""
        found = Registry()
        with contextlib.suppress(FileNotFoundError):
            found.ParseFromString(self._filepath.read_bytes())
        return found

    def _write_registry(self, registry_proto: Registry) -> None:
        registry_proto.version_id = str(uuid4())
        registry_proto.last_updated.FromDatetime(_utc_now())
        self._filepath.parent.mkdir(exist_ok=True)
        self._sweep()
        partial = self._filepath.with_name(
            f"{self._filepath.name}.{os.getpid()}-{uuid4().hex[:8]}{PARTIAL_SUFFIX}"
        )
        try:
            with partial.open("xb") as file:
                file.write(registry_proto.SerializeToString())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._filepath)
        finally:
            partial.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what writers that were killed have left."""
        for left in self._filepath.parent.glob(f"{self._filepath.name}.*{PARTIAL_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):  # another sweeps, too
                if time.time() - left.stat().st_mtime > LEFT_S:
                    left.unlink()
