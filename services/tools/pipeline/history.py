"""The step that takes files of history in."""

from datetime import UTC, datetime

from services.lake.places import Lake
from services.tools.history.ingest import ingest_file
from services.tools.history.quality import keep
from services.tools.history.session import SessionAsked, ingest_session, pair_files
from services.tools.history.source import Asked
from services.tools.pipeline.errors import PipelineError
from services.tools.pipeline.order import GivenFile
from services.tools.pipeline.steps import Say, Values


def take_in(lake: Lake, file: GivenFile, say: Say) -> Values:
    """One file into the lake, its report kept beside. The caller holds the lake's lock of history.

    Raises:
        PipelineError: nothing of it can be taken.
        LakeError: the lake can't be read or written.
    """
    say(f"ingest: {file.path.name}")
    if file.kind == "lobster":
        ((message, book),) = pair_files([file.path])
        report = ingest_session(lake, message, book, SessionAsked())
    else:
        report = ingest_file(lake, file.path, "trades", Asked())
    keep(lake, report, datetime.now(UTC))
    if report.error:
        raise PipelineError(f"step ingest: {file.path.name}: {report.error}")
    return {
        "file": report.file,
        "sha256": report.sha256,
        "read": report.rows_read,
        "kept": report.kept,
    }
