"""The id under which a request's command may be sent again, from its body or its header."""

from starlette.requests import Request

from services.domain.ids import is_valid_id
from services.door.problems import Fault
from services.gateway.documents import IDEMPOTENCY_HEADER
from services.gateway.problems import HttpReason, field_problem, problem


def command_id_of(request: Request, field: str, in_body: str | None) -> str:
    """The id that makes the command the same one when it is sent again."""
    in_header = request.headers.get(IDEMPOTENCY_HEADER)
    if in_header is not None:
        in_header = in_header.removeprefix('"').removesuffix('"')
        if not is_valid_id(in_header):
            raise problem(
                HttpReason.INVALID_PARAMETER,
                f"{IDEMPOTENCY_HEADER}: 1 to 64 printable ASCII characters without spaces",
            )
    if in_body is not None and in_header is not None and in_body != in_header:
        detail = f"differs from the header {IDEMPOTENCY_HEADER}; send one of them"
        raise field_problem([Fault(f"#/{field}", HttpReason.INVALID_FIELD, detail)])
    found = in_body if in_body is not None else in_header
    if found is None:
        detail = f"is missing, and so is the header {IDEMPOTENCY_HEADER}"
        raise field_problem([Fault(f"#/{field}", HttpReason.MISSING_FIELD, detail)])
    return found
