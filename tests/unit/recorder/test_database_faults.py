import psycopg
import pytest

from services.recorder.postgres import _faults
from services.runtime.errors import ConfigurationError, OperatingError, RetriableError


@pytest.mark.parametrize(
    "error,kind",
    [
        (psycopg.errors.DiskFull("could not extend file: No space left on device"), RetriableError),
        (psycopg.errors.InternalError_("could not extend file: File too large"), RetriableError),
        (psycopg.OperationalError("server closed the connection"), RetriableError),
        (psycopg.errors.UndefinedTable("relation does not exist"), ConfigurationError),
        (psycopg.errors.UniqueViolation("duplicate key"), ConfigurationError),
    ],
)
def test_what_may_pass_is_tried_again_and_what_can_not_is_for_a_person(
    error: psycopg.Error, kind: type[OperatingError]
) -> None:
    with pytest.raises(kind, match="recording a batch"), _faults("recording a batch"):
        raise error
