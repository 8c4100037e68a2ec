"""The short form of `make chaos`: rooms killed, frozen and doubled under load, every promise kept.

One deployment and one run for the module: each test goes on where the one before it stopped, and
everything since the beginning is judged after each.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.domain.genesis import default_genesis
from services.tools.operate.steps import begin
from services.tools.proof.chaos.freeze import freeze_inside_transaction
from services.tools.proof.chaos.run import Run, open_run
from services.tools.proof.chaos.scenarios import (
    kill_everything,
    kill_rooms,
    postgres_away,
    registry_away,
)
from services.tools.proof.chaos.site import Site
from services.tools.proof.chaos.timeline import events_since, mark
from services.tools.proof.chaos.twins import OTHER, SAME, twin_rooms
from services.tools.stack.deployment import create_topics, migrate_database, register_schemas
from services.tools.stack.rooms import TRADING_ROOMS
from services.tools.stack.stack import RoomSet
from tests.support.stack_fixture import StackInfra

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

SEED = 3
PREFIX = "chaos."
FROZEN_TIMEOUT_S = 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chaos")


@pytest.fixture(scope="module")
def run(stack_infra: StackInfra, folder: Path) -> Iterator[Run]:
    addresses = stack_infra.addresses
    create_topics(addresses, PREFIX)
    register_schemas(addresses, PREFIX)
    migrate_database(addresses, PREFIX)
    begin(addresses, PREFIX, default_genesis("chaos"))
    settings = stack_infra.settings.model_copy(update={"frozen_timeout_s": FROZEN_TIMEOUT_S})
    with (
        RoomSet(settings, PREFIX, TRADING_ROOMS) as rooms,
        open_run(Site(rooms, stack_infra.stack), folder, SEED, lambda _line: None) as run,
    ):
        yield run


def test_every_room_killed_at_random_moments_keeps_every_promise(run: Run) -> None:
    with run.under_load("kills"):
        kill_rooms(run, 1)
    assert run.account.faults == []
    assert all(run.account.kills[room] >= 1 for room in TRADING_ROOMS)
    assert run.account.checks["confirmed"][0] > 100
    assert run.account.checks["audit"][0] > 1_000
    assert run.account.figures["accepted by REST"] > 0


@pytest.mark.long
def test_a_room_frozen_inside_a_transaction_is_restarted_and_everyone_goes_on(run: Run) -> None:
    supervisor = mark(run.site.rooms.log)
    with run.under_load("freeze"):
        freeze_inside_transaction(run, times=1, limit_s=0)  # `make chaos` holds it to its 5 s
    assert run.account.faults == []
    killed = [line for event, line in events_since(supervisor) if event == "component_killed"]
    assert any(line["component"] == "matcher" and "stood still" in line["cause"] for line in killed)


@pytest.mark.long
def test_of_two_rooms_with_one_identity_no_record_of_the_loser_is_readable(
    run: Run, folder: Path
) -> None:
    with run.under_load("twins"):
        twin_rooms(run, folder, rooms=("risk",), instances=(SAME,), fight_s=4.0)
        # And of two with different ones each writes its own share.
        twin_rooms(run, folder, rooms=("matcher",), instances=(OTHER,), fight_s=2.0)
    assert run.account.faults == []
    assert any("fenced" in event for event in run.account.events)
    assert any("a twin of another identity: took over" in event for event in run.account.events)


@pytest.mark.long
def test_outages_and_the_death_of_every_process_lose_and_repeat_nothing(run: Run) -> None:
    confirmed = run.account.figures["confirmed by Kafka"]
    with run.under_load("outages"):
        # `make chaos` holds trading to a pause of 5 s meanwhile, and takes the outages long.
        postgres_away(run, seconds=3.0, limit_s=0)
        registry_away(run, seconds=2.0, death_s=2.0, limit_s=0)
        kill_everything(run)
    assert run.account.faults == []
    assert run.account.figures["confirmed by Kafka"] > confirmed
    assert all(run.account.kills[name] for name in ("kafka", "postgres", "registry", "gateway"))
    assert any("SIGKILL matcher while the registry" in event for event in run.account.events)


def test_the_whole_log_is_sound_after_all_of_it(run: Run) -> None:
    run.settle_all()
    assert run.account.faults == []
    assert run.account.checks["whole audit"][0] > 1_000
    assert run.account.checks["recorded"][0] > 1_000
