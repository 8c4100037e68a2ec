"""One recorded log gives the same bytes wherever, however and in whatever pieces it is folded.

No room is compiled, so there is no compiled form to compare with pure Python; the interpreter's
version is varied instead. Of the audit there are both: test_compiled_audit.py compares them.
"""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from services.domain.controls import Halt, KillSwitch, Resume, SetLimits
from services.domain.genesis import default_genesis
from services.runtime.ports import Record
from services.tools.market.population import crowd_controls, participants
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.wire.topics import CONTROLS
from tests.support.fold_log import FOLDED_BY, Folded
from tests.support.memory_exchange import MemoryExchange
from tests.support.optional import make_locale, python_with_packages

ROOT = Path(__file__).parents[2]
SEED = 31
COMMANDS = 2_500

type Found = dict[str, Folded]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crowd with junk, and operators who halt, resume, limit, kill and lift."""
    exchange = MemoryExchange()
    exchange.publish(CONTROLS.name, 0, "", default_genesis())
    for control in crowd_controls(SEED):
        exchange.publish(CONTROLS.name, 0, "", control)
    exchange.run()
    account = participants(SEED)[0].account
    controls = {
        500: Halt("h-1", "AAPL"),
        700: Resume("r-1", "AAPL"),
        900: SetLimits("l-1", account, "MSFT", 10, 10**9, 10**12, -1),
        1_100: KillSwitch("k-1", account, engaged=True),
        1_300: KillSwitch("k-2", account, engaged=False),
        1_500: Halt("h-2", "NVDA"),
    }
    for outbound in islice(Crowd(SEED).commands(), COMMANDS):
        value = encode(exchange.codec, outbound, 0)
        exchange.publish_raw("orders", outbound.index % 5, value, outbound.key.encode())
        if outbound.index in controls:
            exchange.publish(CONTROLS.name, 0, "", controls[outbound.index])
        if outbound.index % 50 == 0:
            exchange.run()
    exchange.publish_raw("matching", 0, b"a stranger's junk")
    exchange.publish_raw("accounts", 1, b"\0\0\0\0")
    exchange.run()
    records = [record for topic in FOLDED_BY for record in exchange.records(topic)]
    path = tmp_path_factory.mktemp("log") / "log.msgpack"
    path.write_bytes(msgspec.msgpack.encode(records))
    return path


def fold(log: Path, *arguments: str, python: str = sys.executable, **environment: str) -> Found:
    """Fold the log in a process of its own, in the locale named or in C."""
    ours = ("LC_", "LANG", "PYTHON")
    clean = {name: v for name, v in os.environ.items() if not name.startswith(ours)}
    ended = subprocess.run(
        [python, "-W", "error", "-m", "tests.support.fold_log", str(log), *arguments],
        cwd=ROOT, env=clean | environment, capture_output=True, timeout=110, check=False,
    )  # fmt: skip
    said = ended.stderr.decode()
    assert ended.returncode == 0, said
    assert said == f"locale {environment.get('LC_ALL', 'C')}"
    return msgspec.json.decode(ended.stdout, type=dict[str, Folded])


@pytest.fixture(scope="module")
def usual(log: Path) -> Found:
    return fold(log, PYTHONHASHSEED="0", LC_ALL="C", TZ="UTC")


def assert_same(found: Found, usual: Found) -> None:
    """Every state and every output; of the views, those taken at the same offset."""
    assert found.keys() == usual.keys()
    compared = 0
    for name, one in found.items():
        other = usual[name]
        for field in ("records", "outputs", "state", "outputs_hash"):
            assert getattr(one, field) == getattr(other, field), f"{field} of {name} differs"
        common = one.views.keys() & other.views.keys()
        compared += len(common)
        for offset in common:
            assert one.views[offset] == other.views[offset], f"view of {name}@{offset} differs"
    assert compared, "no view was taken at the same offset"


def test_the_log_has_something_of_everything(usual: Found) -> None:
    assert len(usual) == 5 + 1 + 4 + 5
    for name, one in usual.items():
        assert one.outputs > 50, f"{name} says next to nothing"
        assert bool(one.state) == name.startswith(("accounts", "matching"))
        assert bool(one.views) == name.startswith("matching")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "4242"},
        {"LC_ALL": "C", "TZ": "America/St_Johns", "PYTHONUTF8": "0"},
        {"PYTHONMALLOC": "debug"},
    ],
    ids=["hash seed", "plain C", "another allocator"],
)
def test_surroundings_change_nothing(log: Path, usual: Found, environment: dict[str, str]) -> None:
    assert_same(fold(log, **environment), usual)


def test_another_locale_and_half_an_hour_change_nothing(
    log: Path, usual: Found, tmp_path: Path
) -> None:
    """Turkish: a comma in its numbers, and an i whose capital is another letter than I."""
    turkish = make_locale("tr_TR", tmp_path)
    found = fold(
        log, LC_ALL=turkish, LOCPATH=str(tmp_path), PYTHONHASHSEED="random", TZ="Asia/Kolkata"
    )
    assert_same(found, usual)


@pytest.mark.parametrize("batch", [1, 10, 1_000_000])
def test_the_size_of_batches_changes_nothing(log: Path, usual: Found, batch: int) -> None:
    found = fold(log, "--batch", str(batch))
    assert_same(found, usual)
    views = {name: len(one.views) for name, one in found.items()}
    assert views != {name: len(one.views) for name, one in usual.items()}, "no batch was different"


def test_one_process_for_all_and_one_for_each_say_the_same(log: Path, usual: Found) -> None:
    alone: Found = {}
    for name in usual:
        alone |= fold(log, "--only", name, PYTHONHASHSEED=str(len(alone) + 1))
    assert_same(alone, usual)


def test_a_state_that_went_through_a_snapshot_goes_on_the_same(log: Path, usual: Found) -> None:
    """After each batch it is dumped and loaded."""
    assert_same(fold(log, "--reload", "--batch", "50"), usual)


def test_another_python_says_the_same(log: Path, usual: Found, tmp_path: Path) -> None:
    python = python_with_packages("3.12", ("msgspec", "fastavro"), tmp_path)
    assert_same(fold(log, python=str(python)), usual)


def test_a_log_with_one_changed_byte_is_told_apart(log: Path, usual: Found, tmp_path: Path) -> None:
    """What all of the above would not be worth otherwise."""
    records = msgspec.msgpack.decode(log.read_bytes(), type=list[Record])
    place, record, value = next(
        (n, record, bytearray(record.value))
        for n, record in enumerate(records)
        if record.topic == "matching" and record.value and len(record.value) > 60
    )
    value[-1] ^= 2
    records[place] = msgspec.structs.replace(record, value=bytes(value))
    changed = tmp_path / "changed.msgpack"
    changed.write_bytes(msgspec.msgpack.encode(records))
    name = f"matching/{record.partition}"
    found = fold(changed, "--only", name)[name]
    assert found.state != usual[name].state or found.outputs_hash != usual[name].outputs_hash
