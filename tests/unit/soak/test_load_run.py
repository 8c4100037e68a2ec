"""`outcry load`: locust's figures are read right, and what is left in the folder shows them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from services.tools.soak.load_run import (
    FOLDER,
    SCENARIOS,
    LoadPlan,
    LoadRow,
    page_of,
    read_stats,
    run_load,
)
from services.tools.stack.errors import StackError
from tests.support.optional import missing_part

STATS = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,"
    "Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,50%,95%,99%\n"
    'POST,"POST /orders, from when it was due",43,2,65,70,3,475.9,20,10.7,0,65,290,480\n'
    "GET,GET /orders,0,0,0,0,0,0,0,0.0,0,N/A,N/A,N/A\n"
    ",Aggregated,43,2,65,70,3,475.9,20,10.7,0,65,290,480\n"
)


def plan(folder: Path, scenario: str, gateway: str, **changes: object) -> LoadPlan:
    made = LoadPlan(scenario, 3, (20.0,), 2.0, folder, gateway, "", ("maker-1",))
    return msgspec.structs.replace(made, **changes)


@asynccontextmanager
async def gateway() -> AsyncIterator[str]:
    """Takes every POST of an order and knows nothing else; its host:port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length:")[2].split()
                await reader.readexactly(int(length[0]) if length else 0)
                status, body = b"404 no", b'{"reason":"NO_SUCH_PATH"}'
                if head.startswith(b"POST /orders HTTP"):
                    status, body = b"202 yes", b'{"order_id":"AAPL-1"}'
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
                )
        except asyncio.IncompleteReadError:
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def test_locusts_table_is_read_without_its_sum() -> None:
    rows = read_stats(STATS)
    assert [row.name for row in rows] == ["POST /orders, from when it was due", "GET /orders"]
    assert rows[0] == LoadRow(rows[0].name, 43, 2, 10.7, 65.0, 290.0, 480.0, 475.9)
    assert rows[1].p99_ms == 0


def test_the_page_has_every_row_and_hides_no_markup(tmp_path: Path) -> None:
    rows = [LoadRow("<b>POST", 43, 2, 10.7, 65.0, None, 480.0, 475.9)]
    page = page_of(plan(tmp_path, "rest", "h:1"), rows, "<?xml?><svg></svg>")
    assert "<td>&lt;b&gt;POST</td><td>43</td><td>2</td>" in page
    assert "<?xml?>" not in page
    assert "locust.html" in page


async def test_open_loop_orders_leave_a_table_a_page_and_a_picture(tmp_path: Path) -> None:
    async with gateway() as address:
        wanted = plan(tmp_path, "orders", address, rates_per_s=(20.0, 40.0), duration_s=1.0)
        rows = await asyncio.to_thread(run_load, wanted, lambda _line: None)
    assert [(row.requests, row.failed) for row in rows] == [(20, 0), (40, 0)]
    assert msgspec.json.decode((tmp_path / "load.json").read_bytes(), type=list[LoadRow]) == rows
    assert "40/s offered" in (tmp_path / "load.html").read_text(encoding="utf-8")
    assert "99th" in (tmp_path / "load.svg").read_text(encoding="utf-8")


@pytest.mark.long
async def test_locust_counts_each_question_from_when_it_was_due_too(tmp_path: Path) -> None:
    if find_spec("locust") is None:
        missing_part("locust is not installed; `make setup` brings it")
    async with gateway() as address:
        # Locust counts the seconds from its own start, of which a busy machine takes some.
        wanted = plan(tmp_path, "rest", address, duration_s=20.0)
        rows = await asyncio.to_thread(run_load, wanted, lambda _line: None)
    found = {row.name: row for row in rows}
    placed = found["POST /orders"]
    assert placed.requests > 0
    assert placed.failed == 0
    assert found["POST /orders, from when it was due"].requests == placed.requests
    assert (tmp_path / "locust.html").is_file()


def test_every_scenario_has_its_file_and_another_is_refused(tmp_path: Path) -> None:
    assert [name for name in SCENARIOS if not (FOLDER / f"{name}.py").is_file()] == []
    with pytest.raises(StackError, match="scenarios are in a checkout"):
        run_load(plan(tmp_path, "no-such", "127.0.0.1:1"), lambda _line: None)
