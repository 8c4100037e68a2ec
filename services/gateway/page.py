"""The web page at /: the files that `make web` built, or a word on how to build them.

The files are read into memory, so that no path of a request ever reaches the disk, and read again
when the page was built anew.
"""

import threading
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

import msgspec
from starlette.responses import Response

from services.gateway.problems import HttpReason, problem

INDEX: Final = "index.html"
ASSETS: Final = "assets"
FILES_MAX: Final = 64
FILE_BYTES_MAX: Final = 4 * 1024 * 1024

PAGE_POLICY: Final = (
    "default-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; object-src 'none'"
)
"""Content-Security-Policy of the page: nothing inline, and nothing from elsewhere."""
_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""What a build may hold; other files are not served."""
_HEADERS: Final = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
"""A file of assets/ has the hash of what is in it in its name."""

type _Mark = tuple[int, int]
"""When index.html was written, in nanoseconds, and its size."""

_UNBUILT: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Outcry</title></head>
<body>
<h1>Outcry</h1>
<p>The API is here: <a href="/openapi.json">/openapi.json</a> describes it.</p>
<p>This page is not built: {cause}. With node and npm installed, build it in the checkout by
<code>make web</code> and load this page again; nothing needs to be started anew.</p>
</body>
</html>
"""


class _Built(msgspec.Struct, frozen=True):
    mark: _Mark
    files: Mapping[str, bytes]
    """By name: index.html, and those of assets/."""


class _UnbuiltError(Exception):
    """There is no page; the message says what is wrong, in words that end a sentence."""


class Page:
    """The page's files. Called from any thread.

    Args:
        folder: where `make web` puts them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built: _Built | None = None
        self._lock = threading.Lock()

    def show(self) -> Response:
        """The page, or how to build it."""
        try:
            index = self._read().files[INDEX]
        except _UnbuiltError as error:
            text = _UNBUILT.format(cause=escape(str(error)))
            return Response(text, headers=_HEADERS, media_type=_TYPES[".html"])
        return Response(index, headers=_HEADERS, media_type=_TYPES[".html"])

    def asset(self, name: str) -> Response:
        """One of the page's files.

        Raises:
            ProblemError: NOT_FOUND.
        """
        try:
            found = self._read().files.get(name) if name != INDEX else None
        except _UnbuiltError:
            found = None
        if found is None:
            raise problem(HttpReason.NOT_FOUND, "the page has no such file; load it again")
        return Response(found, headers=_FOR_EVER, media_type=_TYPES[Path(name).suffix])

    def _read(self) -> _Built:
        with self._lock:
            try:
                found = (self._folder / INDEX).stat()
                mark = (found.st_mtime_ns, found.st_size)
                if self._built is None or self._built.mark != mark:
                    self._built = _Built(mark, _files(self._folder))
            except FileNotFoundError as error:
                raise _UnbuiltError("there is none in the folder it is served from") from error
            except OSError as error:
                raise _UnbuiltError(f"its files can't be read ({error.strerror})") from error
            return self._built


def _files(folder: Path) -> dict[str, bytes]:
    paths = [folder / INDEX]
    if (folder / ASSETS).is_dir():
        paths += sorted(p for p in (folder / ASSETS).iterdir() if p.suffix in _TYPES)
    if len(paths) > FILES_MAX:
        raise _UnbuiltError(f"its folder holds more than {FILES_MAX} files")
    found: dict[str, bytes] = {}
    for path in paths:
        with path.open("rb") as file:
            found[path.name] = file.read(FILE_BYTES_MAX + 1)
        if len(found[path.name]) > FILE_BYTES_MAX:
            raise _UnbuiltError(f"{path.name} is larger than {FILE_BYTES_MAX:,} bytes")
    return found
