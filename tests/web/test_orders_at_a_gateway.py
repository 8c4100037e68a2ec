"""`outcry order ... --gateway`: a trader's terminal that reaches a gateway and no Kafka."""

import asyncio
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from services.cli import main
from services.client import SigningKey
from services.domain import codes
from services.domain.commands import PlaceOrder
from services.domain.ids import make_order_id
from services.gateway.parts import Gateway
from services.gateway.service import Service
from services.tools.operate.over_http import key_of
from tests.support.gateway_keys import ALICE, make_ring
from tests.support.gateway_memory import (
    MemoryCommandLog,
    book,
    feed,
    make_gateway,
    report,
    serving,
)

ORDER_ID = make_order_id("alice", "a-1", "AAPL")
PLACE = ("order", "place", "AAPL", "BUY", "100", "187.25", "--client-order-id", "a-1")


def outcry(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command, typed where no log is within reach."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("OUTCRY_PORT_BASE", "1100")
        for name in ("OUTCRY_KEY", "OUTCRY_KEY_ID", "OUTCRY_SIGNING_SECRET"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["outcry", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    if isinstance(code, str):
        return 1, out.getvalue(), err.getvalue() + code
    return int(code or 0), out.getvalue(), err.getvalue()


class AnsweredLog(MemoryCommandLog):
    """A log behind which an exchange takes every order and every cancel."""

    gateway: Gateway

    async def append(
        self, partition: int, key: bytes, value: bytes, traceparent: bytes | None = None
    ) -> None:
        await super().append(partition, key, value, traceparent)
        command = self.commands()[-1]
        is_new = isinstance(command, PlaceOrder)
        told = report(
            order_id=ORDER_ID,
            account_sequence=len(self.records),
            client_command_id="a-1" if is_new else command.client_command_id,
            exec_type=codes.EXEC_NEW if is_new else codes.EXEC_CANCELED,
            order_status=codes.NEW if is_new else codes.CANCELED,
        )
        asyncio.get_running_loop().call_soon(feed, self.gateway, told)


async def make_keyed(log: AnsweredLog) -> Gateway:
    log.gateway = make_gateway(log, ring=await make_ring(), gateway_access="keys")
    feed(log.gateway, book())
    return log.gateway


def url_of(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}"


async def test_an_order_is_placed_shown_and_cancelled_with_a_key_of_the_environment() -> None:
    log = AnsweredLog()
    async with serving(await make_keyed(log)) as service:
        at = ("--gateway", url_of(service))
        key = {"OUTCRY_KEY": ALICE.key}
        code, out, err = await asyncio.to_thread(outcry, *PLACE, *at, **key)
        assert (code, err) == (0, "")
        assert out.splitlines()[0] == f"order {ORDER_ID}"
        assert "NEW" in out
        assert ALICE.key not in out
        code, out, _ = await asyncio.to_thread(
            outcry, "order", "show", ORDER_ID, *at, "--json", **key
        )
        assert json.loads(out)["order"]["price"] == "187.25"
        command = ("order", "cancel", ORDER_ID, "--client-command-id", "c-1", *at)
        code, out, err = await asyncio.to_thread(outcry, *command, **key)
        assert (code, "CANCELED" in out) == (0, True), err
    assert [type(one).__name__ for one in log.commands()] == ["PlaceOrder", "CancelOrder"]
    assert {one.account for one in log.commands()} == {"alice"}


async def test_what_a_gateway_refuses_is_one_line_with_the_reason() -> None:
    async with serving(await make_keyed(AnsweredLog())) as service:
        at = ("--gateway", url_of(service))
        for given, reason in (
            ({}, "KEY_REQUIRED"), ({"OUTCRY_KEY": ALICE.key[:-1] + "x"}, "KEY_REFUSED"),
        ):  # fmt: skip
            code, _, err = await asyncio.to_thread(outcry, *PLACE, *at, **given)
            assert code == 1
            assert err.startswith(f"error: {reason}: ")
    code, _, err = await asyncio.to_thread(outcry, *PLACE, *at)
    assert (code, err.count("\n")) == (1, 0)
    assert "is it up?" in err


def test_who_writes_to_the_log_itself_must_say_whose_order_it_is() -> None:
    code, _, err = outcry(*PLACE)
    assert code == 2
    assert "--account" in err


def test_a_key_to_sign_with_is_preferred_to_one_that_travels() -> None:
    both = {"OUTCRY_KEY": "k", "OUTCRY_KEY_ID": "id", "OUTCRY_SIGNING_SECRET": "s"}
    assert key_of(both) == SigningKey("id", "s")
    assert key_of({"OUTCRY_KEY": "k", "OUTCRY_KEY_ID": "id"}) == "k"
    assert key_of({}) is None
