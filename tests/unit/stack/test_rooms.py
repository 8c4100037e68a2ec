from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from services.gateway.settings import GatewaySettings
from services.runtime.telemetry import Telemetry, TelemetryServer
from services.tools.stack.assembly import components_of
from services.tools.stack.components import Component, start_layers
from services.tools.stack.errors import StackError
from services.tools.stack.plan import stack_plan
from services.tools.stack.portcheck import find_free_base
from services.tools.stack.rooms import (
    PREPARE,
    ROOM_NAMES,
    ROOMS,
    TRADING_ROOMS,
    Room,
    more_gateways,
    prepare,
    require_libraries,
    room,
    standby,
)
from services.tools.stack.settings import PORT_OFFSETS, StackSettings
from services.wire.topics import TOPICS

STREAM = "OUTCRY_INFERENCE_STREAM"


def _component(name: str, needs: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Component:
    return Component(name=name, argv=(), env={}, ready=None, needs=needs, after=after)


def test_the_stack_runs_every_room_of_the_topic_table() -> None:
    outside = {"clients", "operators", "people"}
    named = set(chain.from_iterable(topic.writers + topic.readers for topic in TOPICS)) - outside
    assert set(ROOM_NAMES) == named


def test_a_room_is_told_everything_through_its_environment(tmp_path: Path) -> None:
    plan = stack_plan(StackSettings(home=tmp_path, port_base=19000, topic_prefix="t."), ROOM_NAMES)
    env = room(plan, ROOMS[-1]).env
    assert env["OUTCRY_KAFKA_BOOTSTRAP"] == "127.0.0.1:19092"
    assert env["OUTCRY_REGISTRY_URL"] == "http://127.0.0.1:19081/apis/ccompat/v7"
    assert env["OUTCRY_PG_DSN"] == "postgresql://outcry@127.0.0.1:19054/outcry"
    assert env["OUTCRY_TOPIC_PREFIX"] == "t."
    assert env["OUTCRY_METRICS_PORT"] == str(19000 + PORT_OFFSETS["gateway-metrics"])
    assert (env["OUTCRY_GATEWAY_HOST"], env["OUTCRY_GATEWAY_PORT"]) == ("127.0.0.1", "19080")


@pytest.mark.parametrize("access", ["open", "keys"])
def test_the_gateway_is_told_whom_to_let_in_and_what_keys_are_hashed_with(
    access: Literal["open", "keys"], tmp_path: Path
) -> None:
    settings = StackSettings(home=tmp_path, port_base=19000, gateway_access=access)
    env = room(stack_plan(settings, ROOM_NAMES), ROOMS[-1]).env
    assert env["OUTCRY_GATEWAY_ACCESS"] == access
    assert env["OUTCRY_GATEWAY_KEYS_SECRET_FILE"] == str(tmp_path.resolve() / "keys.secret")
    settings = StackSettings(home=tmp_path, gateway_keys_secret_file=tmp_path / "other")
    env = room(stack_plan(settings, ROOM_NAMES), ROOMS[-1]).env
    assert env["OUTCRY_GATEWAY_KEYS_SECRET_FILE"] == str(tmp_path.resolve() / "other")


def test_inference_is_told_its_own_port_beside_that_of_its_metrics(tmp_path: Path) -> None:
    plan = stack_plan(StackSettings(home=tmp_path, port_base=19000), ROOM_NAMES)
    component = room(plan, next(row for row in ROOMS if row.name == "inference"))
    assert component.env["OUTCRY_INFERENCE_PORT"] == "19082"
    assert component.env["OUTCRY_METRICS_PORT"] == "19020"
    assert component.ports == {"inference": 19082, "inference metrics": 19020}


def test_the_stack_has_inference_predict_in_the_stream_unless_somebody_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = stack_plan(StackSettings(home=tmp_path), ROOM_NAMES)
    row = next(row for row in ROOMS if row.name == "inference")
    monkeypatch.delenv(STREAM, raising=False)
    assert room(plan, row).env[STREAM] == "1"
    monkeypatch.setenv(STREAM, "0")
    assert room(plan, row).env[STREAM] == "0"


def test_a_room_whose_libraries_are_not_installed_stops_the_start_and_names_the_extra() -> None:
    row = Room("features", "features", libraries=("aiokafka", "no_such_library"))
    with pytest.raises(
        StackError, match=r"needs no_such_library.*pip install 'outcry\[features\]'"
    ):
        require_libraries(row)
    assert next(row for row in ROOMS if row.name == "features").libraries


def test_an_external_database_is_used_and_none_is_started(tmp_path: Path) -> None:
    dsn = "postgresql://someone@elsewhere/outcry"
    plan = stack_plan(StackSettings(home=tmp_path, pg_dsn=dsn), ROOM_NAMES)
    assert plan.infra == ("kafka", "registry")
    assert room(plan, ROOMS[0]).env["OUTCRY_PG_DSN"] == dsn


def test_the_gateway_starts_after_all_that_trades_and_so_stops_before_it(tmp_path: Path) -> None:
    plan = stack_plan(StackSettings(home=tmp_path), ROOM_NAMES)
    infra = tuple(_component(name) for name in plan.infra)
    layers = start_layers((*infra, prepare(plan), *(room(plan, row) for row in ROOMS)))
    names = [[component.name for component in layer] for layer in layers]
    assert names[0] == list(plan.infra)
    assert names[1] == [PREPARE]
    assert names[-2:] == [["materializer", "gateway"], ["inference"]]
    assert "features" in names[-3]


def test_trading_goes_without_the_rooms_that_stand_behind_the_trades() -> None:
    assert set(ROOM_NAMES) - set(TRADING_ROOMS) == {
        "features", "materializer", "inference", "drift",
    }  # fmt: skip
    for row in ROOMS:
        if row.is_trading:
            assert not row.libraries
            assert set(row.after) <= set(TRADING_ROOMS)


def test_a_standby_is_the_same_room_again_with_a_port_of_its_own(tmp_path: Path) -> None:
    settings = StackSettings(home=tmp_path, port_base=19000, standby=True)
    plan = stack_plan(settings, ("ingest", "risk", "matcher"))
    row = next(row for row in ROOMS if row.name == "matcher")
    first, second = room(plan, row), standby(plan, row)
    assert second.name == "matcher-standby"
    assert second.argv == first.argv
    differing = {name for name in second.env if second.env[name] != first.env[name]}
    assert differing == {"OUTCRY_METRICS_PORT"}
    assert first.env["OUTCRY_STANDBY_LOCK"] == str(tmp_path / "run" / "matcher.lead")
    assert set(first.ports.values()).isdisjoint(second.ports.values())


def test_a_standby_is_ready_by_its_own_word(tmp_path: Path) -> None:
    base = find_free_base(range(30_000, 32_600, 100))
    settings = StackSettings(home=tmp_path, port_base=base, standby=True)
    second = standby(stack_plan(settings, ("matcher",)), next(r for r in ROOMS if r.standby_port))
    assert second.ready is not None
    telemetry = Telemetry("test")
    telemetry.ready.set()
    for port, ready in ((PORT_OFFSETS["risk"], False), (PORT_OFFSETS["risk-standby"], True)):
        server = TelemetryServer(telemetry, "127.0.0.1", base + port)
        assert second.ready(0) is ready
        server.close()


@pytest.mark.parametrize("standby_too", [True, False])
def test_risk_and_matcher_run_twice_only_where_it_is_asked_for(
    tmp_path: Path, *, standby_too: bool
) -> None:
    dsn = "postgresql://someone@elsewhere/outcry"
    settings = StackSettings(home=tmp_path, pg_dsn=dsn, standby=standby_too)
    plan = msgspec.structs.replace(stack_plan(settings, ROOM_NAMES), infra=())
    names = [component.name for component in components_of(plan)]
    twice = [name for name in names if name.endswith("-standby")]
    assert twice == (["risk-standby", "matcher-standby"] if standby_too else [])
    locked = [c.name for c in components_of(plan) if "OUTCRY_STANDBY_LOCK" in c.env]
    assert len(locked) == 2 * len(twice)


def test_layers_follow_what_is_needed_and_forget_what_is_not_there() -> None:
    parts = (_component("c", after=("b",)), _component("b", needs=("a", "absent")), _component("a"))
    assert [[part.name for part in layer] for layer in start_layers(parts)] == [["a"], ["b"], ["c"]]


def test_components_that_wait_for_each_other_are_a_bug() -> None:
    with pytest.raises(AssertionError, match="circle"):
        start_layers((_component("a", needs=("b",)), _component("b", after=("a",))))


def test_further_gateways_listen_on_the_same_port_and_share_limits_and_signatures(
    tmp_path: Path,
) -> None:
    settings = StackSettings(home=tmp_path, port_base=19000, gateways=3)
    plan = stack_plan(settings, ("gateway",))
    first, *others = [room(plan, ROOMS[-1]), *more_gateways(plan)]
    assert [one.name for one in (first, *others)] == ["gateway", "gateway-2", "gateway-3"]
    envs = [one.env for one in (first, *others)]
    for name in ("OUTCRY_GATEWAY_PORT", "OUTCRY_GATEWAY_SIGNATURES_FILE"):
        assert len({env[name] for env in envs}) == 1
    for name in ("OUTCRY_METRICS_PORT", "OUTCRY_INSTANCE"):
        assert len({env[name] for env in envs}) == 3
    assert {env["OUTCRY_GATEWAY_PROCESSES"] for env in envs} == {"3"}
    told = GatewaySettings.model_validate({
        name.removeprefix("OUTCRY_").lower(): value
        for name, value in envs[1].items()
        if name.startswith("OUTCRY_") and name != "OUTCRY_METRICS_PORT"
    })  # fmt: skip
    assert (told.gateway_port_shared, told.gateway_processes) == (True, 3)
    assert len({port for one in (first, *others) for port in one.ports.values()}) == 4


def test_one_gateway_has_its_port_for_itself(tmp_path: Path) -> None:
    plan = stack_plan(StackSettings(home=tmp_path), ("gateway",))
    assert more_gateways(plan) == ()
    assert "OUTCRY_GATEWAY_PORT_SHARED" not in room(plan, ROOMS[-1]).env
    assert more_gateways(stack_plan(StackSettings(home=tmp_path, gateways=2), ("risk",))) == ()
