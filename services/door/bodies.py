"""From a request's body to a JSON object: bounded in bytes and time, and every member once."""

import asyncio
import json
from typing import Any, Final, NoReturn

from starlette.requests import Request

from services.door.exchange import exchange_of
from services.door.problems import DoorReason, door_problem

NAME_LENGTH_MAX: Final = 64
_MS_PER_S: Final = 1_000


def require_json(request: Request) -> None:
    """Refuse what does not say that it is JSON.

    A page of another site can send a form to this port unasked, but JSON only with our consent.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise door_problem(
            DoorReason.UNSUPPORTED_MEDIA_TYPE,
            "send the header Content-Type: application/json",
            headers={"Accept": "application/json"},
        )


async def read_object(
    request: Request, bytes_max: int, timeout_ms: int, *, step: str = "send a smaller one"
) -> dict[str, Any]:
    """The JSON object that the request carries."""
    require_json(request)
    return parse_object(await read_bytes(request, bytes_max, timeout_ms, step=step))


async def read_bytes(
    request: Request, bytes_max: int, timeout_ms: int, *, step: str = "send a smaller one"
) -> bytes:
    """The body, as long as it is not too long and not too slow."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > bytes_max:
        _refuse_size(bytes_max, step)
    exchange = exchange_of(request.scope)
    if exchange is not None and announced.isdecimal():
        at_hand = exchange.take_body(int(announced))
        if at_hand is not None:
            return at_hand  # what is there needs no clock
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_ms / _MS_PER_S):
            has_more = True
            while has_more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    # Nobody reads this answer; the handler ends here, and nothing was done.
                    raise door_problem(DoorReason.REQUEST_TIMEOUT, "the client hung up")
                body += message.get("body", b"")
                has_more = message.get("more_body", False)
                if len(body) > bytes_max:
                    _refuse_size(bytes_max, step)
    except TimeoutError as error:
        raise door_problem(
            DoorReason.REQUEST_TIMEOUT, f"the body did not arrive within {timeout_ms} ms"
        ) from error
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in these bytes.

    NaN is let through to the field it stands in, so that the problem can name the field.
    """
    try:
        document = _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise door_problem(DoorReason.INVALID_JSON, "the body is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise door_problem(DoorReason.INVALID_JSON, f"{error.msg} at {error.pos}") from error
    except RecursionError as error:
        raise door_problem(DoorReason.INVALID_JSON, "nested too deeply") from error
    except ValueError as error:
        # Python refuses to read numbers of more than some thousand digits.
        raise door_problem(DoorReason.INVALID_JSON, "a number has too many digits") from error
    if not isinstance(document, dict):
        raise door_problem(DoorReason.INVALID_JSON, "the body is JSON, but no object")
    return document


def pointer_to(*names: str | int) -> str:
    """A JSON pointer, in ASCII, whatever stood in the request."""
    return "#" + "".join(f"/{_escape(str(name))}" for name in names)


def _escape(name: str) -> str:
    shown = name[:NAME_LENGTH_MAX].encode("ascii", "backslashreplace").decode()
    return shown.replace("~", "~0").replace("/", "~1")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise door_problem(DoorReason.INVALID_JSON, "a member occurs twice; say it once")
    return found


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique_members)


def _refuse_size(bytes_max: int, step: str) -> NoReturn:
    # What is left of the body stays unread, so this connection can't be used again.
    raise door_problem(
        DoorReason.BODY_TOO_LARGE,
        f"at most {bytes_max} bytes are read; {step}",
        headers={"Connection": "close"},
        members={"bytes_max": bytes_max},
    )
