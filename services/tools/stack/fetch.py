"""Download what the stack is made of, once, by Maven: Kafka and the schema registry.

A component is whole or absent: it is assembled in a folder beside its place and renamed there.
Several stacks may fetch at once; one does, under a lock, and the others find it done.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final
from xml.etree import ElementTree as ET

import msgspec

from services.runtime.settings import read_settings
from services.tools.stack.errors import FetchError
from services.tools.stack.settings import StackSettings

INFRA_DIRECTORY: Final = Path(__file__).parents[3] / "infra"

type Report = Callable[[str], None]
"""Takes one line of progress; called often, may not block."""

_PROGRESS: Final = re.compile(r"Progress \(\d+\): (.+)")
_DOWNLOADED: Final = re.compile(r"Downloaded from \S+: \S+/(\S+\.(?:jar|gz)) ")
_MAVEN_ERROR: Final = re.compile(r"\[(?:\x1b\[[\d;]*m)?ERROR(?:\x1b\[[\d;]*m)?\] (.+)")
_ANSI: Final = re.compile(r"\x1b\[[\d;]*m")


class Download(msgspec.Struct, frozen=True):
    """One component as Maven gives it."""

    name: str
    title: str
    size_mb: int
    goal: str
    unpack: bool

    @property
    def pom(self) -> Path:
        return INFRA_DIRECTORY / self.name / "pom.xml"


KAFKA: Final = Download("kafka", "Apache Kafka", 55, "dependency:copy-dependencies", unpack=False)
REGISTRY: Final = Download("registry", "Apicurio Registry", 109, "dependency:copy", unpack=True)


def directory_of(download: Download, components: Path) -> Path:
    """Where it is or will be: a change of the pom makes another folder."""
    if not download.pom.is_file():
        raise FetchError(f"{download.pom} is missing: run from a whole checkout")
    content = download.pom.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    return components / f"{download.name}-{version_of(download)}-{digest}"


def fetch(download: Download, components: Path, report: Report) -> Path:
    """The component's folder, downloaded if need be; blocks until then.

    Raises FetchError with the cause and the next step.
    """
    place = directory_of(download, components)
    if place.is_dir():
        return place
    components.mkdir(parents=True, exist_ok=True)
    version = version_of(download)
    label = f"{download.title} {version}, about {download.size_mb} MB"
    with _locked(components / f".{download.name}.lock", lambda: report(f"{label}: waiting")):
        if place.is_dir():
            return place
        for leftover in components.glob(f".{download.name}.part-*"):
            shutil.rmtree(leftover)
        part = components / f".{download.name}.part-{os.getpid()}"
        part.mkdir()
        try:
            report(f"{label}: asking Maven")
            _run_maven(download, part, components / f"{download.name}.fetch.log", label, report)
            _assemble(download, part, place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    report(f"{label}: done")
    return place


def version_of(download: Download) -> str:
    """Of the component, as its pom says: `4.2.2`."""
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    pom = ET.fromstring(download.pom.read_bytes())  # noqa: S314 - ours
    version = pom.findtext("m:version", None, namespace)
    assert version, "the component's pom has a version"
    return version


@contextmanager
def _locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_maven(download: Download, part: Path, log: Path, label: str, report: Report) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise FetchError(
            f"Maven (mvn) is missing, which downloads {download.title}; install it "
            "(Debian: apt install maven) and run this again"
        )
    # Without --batch-mode Maven writes how far each file is, also into a pipe.
    command = [maven, "--strict-checksums", "--file", str(download.pom), download.goal]
    with (
        log.open("wb") as copy,
        subprocess.Popen(
            [*command, f"-DoutputDirectory={part / 'files'}"],
            cwd=part,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as maven_run,
    ):
        assert maven_run.stdout is not None
        try:
            error = _follow(maven_run.stdout, copy, label, report)
        except BaseException:
            maven_run.terminate()
            raise
    if maven_run.returncode != 0:
        raise FetchError(
            f"Maven could not get {download.title}: {error or 'no error given'}; check the network "
            f"or Maven's settings.xml and run this again (all it said: {log})"
        )


def _follow(output: IO[bytes], copy: IO[bytes], label: str, report: Report) -> str | None:
    """Report progress until the output ends; the first error Maven names, if any."""
    files, error, rest = 0, None, ""
    while chunk := os.read(output.fileno(), 65536):
        copy.write(chunk)
        *lines, rest = re.split(r"[\r\n]+", rest + chunk.decode("utf-8", errors="replace"))
        for line in lines:
            if _DOWNLOADED.match(line):
                files += 1
            elif found := _PROGRESS.match(line):
                report(f"{label}: {files} files, {found[1].strip()}")
            elif error is None and (named := _MAVEN_ERROR.match(line)):
                error = _ANSI.sub("", named[1])
    return error


def _assemble(download: Download, part: Path, place: Path) -> None:
    whole = part / "files"
    if download.unpack:
        (archive,) = whole.iterdir()
        whole = part / "unpacked"
        with tarfile.open(archive) as tar:
            tar.extractall(whole, filter="data")
    whole.rename(place)


def main() -> int:
    """`python -m services.tools.stack.fetch`: everything now, so that no test waits for it."""
    try:
        for download in (KAFKA, REGISTRY):
            fetch(download, read_settings(StackSettings).components, lambda _line: None)
    except FetchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
