"""Reports of drift for people, as files below the deployment's folder.

A report is drawn by a library, with scripts of its own in it. So it is a page of no origin: its
policy puts it into a sandbox, where it reaches neither this gateway nor anything else.
"""

from pathlib import Path, PurePosixPath
from typing import Final

from starlette.responses import Response

from services.gateway.problems import HttpReason, problem

FOLDER: Final = "drift/reports"
"""Below the deployment's folder; nothing outside is ever read."""
REPORT_BYTES_MAX: Final = 32 * 1024 * 1024
REPORT_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline';"
    " style-src 'unsafe-inline'; img-src data:; font-src data:; connect-src 'none';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of a report. Without allow-same-origin its scripts are nobody's."""
_HEADERS: Final = {
    "Content-Security-Policy": REPORT_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


def show_report(home: Path | None, path: str) -> Response:
    """A report, in its sandbox. Blocks.

    Args:
        home: the deployment's folder; None: not known here.
        path: of the report below it, as the ledger says; empty: there is none.

    Raises:
        ProblemError: NOT_FOUND.
    """
    if not path:
        raise problem(HttpReason.NOT_FOUND, "this job made no report; GET /drift/jobs/ shows it")
    if home is None:
        raise problem(
            HttpReason.NOT_FOUND,
            "this gateway does not know where reports lie: start it with OUTCRY_HOME",
        )
    found = _inside(home, path)
    try:
        with found.open("rb") as file:
            data = file.read(REPORT_BYTES_MAX + 1)
    except OSError as error:
        raise problem(
            HttpReason.NOT_FOUND, "the report is gone: only the latest are kept"
        ) from error
    if len(data) > REPORT_BYTES_MAX:
        raise problem(
            HttpReason.NOT_FOUND,
            f"the report is larger than {REPORT_BYTES_MAX:,} bytes; it lies in the folder of drift",
        )
    return Response(data, headers=_HEADERS, media_type="text/html")


def _inside(home: Path, path: str) -> Path:
    """The file, if it is a page of the folder, also after every link was followed."""
    folder = (home / FOLDER).resolve()
    named = PurePosixPath(path)
    found = (home / path).resolve()
    is_page = named.suffix == ".html" and found.suffix == ".html"
    if "\0" in path or not is_page or not found.is_relative_to(folder):
        raise problem(HttpReason.NOT_FOUND, "the report does not lie where reports do")
    return found
