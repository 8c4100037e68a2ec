"""The room: which jobs it starts, what it makes of what they tell, and what it does about it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.drift.child import Ended
from services.drift.metrics import FAMILIES, METRICS
from services.drift.service import Service
from services.drift.settings import DriftSettings
from services.runtime.restore import Pacer
from services.runtime.telemetry import Telemetry
from tests.support.row_log import FakePacer

type Document = dict[str, Any]


def job(kind: str = "data", outcome: str = "ok", **more: object) -> Document:
    found: Document = {
        "kind": kind, "model": "direction_10s", "version": 3, "outcome": outcome,
        "window": {"begin_us": 600_000_000, "end_us": 1_200_000_000}, "is_alarm": False,
        "recorded": "new", "job_id": "a" * 64, "ratios": {"AAPL": 0.5}, "report": "made",
    }  # fmt: skip
    return found | more


def alarm(kind: str = "data", outcome: str = "drift", **more: object) -> Document:
    given: Document = {"ratios": {"AAPL": 3.0, "MSFT": 0.1}, "families": ["scale"]}
    return job(kind, outcome, is_alarm=True, **(given | more))


def lines(*documents: Document) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def told(*jobs: Document) -> Ended:
    whole = lines({"unfinished": []}, *({"job": one} for one in jobs), {"exit_code": 0})
    return Ended("done", whole, "", 2.5)


def came(kind: str, outcome: str) -> Ended:
    return Ended("done", json.dumps({"kind": kind, "outcome": outcome}).encode())


class Room:
    """The service with processes that answer as a test says."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.answers: dict[str, list[Ended]] = {}
        """By job or action; what has no answer tells of one window that is ok."""
        self.started: list[list[str]] = []
        self.pacer = FakePacer()
        self.telemetry = Telemetry("drift", "0", METRICS)
        given = {
            "kafka_bootstrap": "127.0.0.1:1", "registry_url": "http://127.0.0.1:1", "home": home,
            "drift_first_wait_s": 0, "drift_retry_s": 60,
        }  # fmt: skip
        self.service = Service(
            DriftSettings.model_validate(given | settings),
            self.telemetry,
            self.pacer,
            self.pacer.now_s,
            self.run_child,
        )

    def run_child(self, argv: Sequence[str], timeout_s: float, pacer: Pacer) -> Ended:
        self.started.append(list(argv))
        waiting = self.answers.get(self.name_of(argv), [])
        return waiting.pop(0) if waiting else told(job(self.name_of(argv)))

    @staticmethod
    def name_of(argv: Sequence[str]) -> str:
        return argv[argv.index("--job" if "run" in argv else "--action") + 1]

    def run_for(self, seconds: float) -> list[str]:
        """Jobs and actions that were started, in order."""
        begin, end_s = len(self.started), self.pacer.now_s() + seconds
        self.pacer.is_stopping = lambda: self.pacer.now_s() >= end_s
        self.pacer.waits.clear()
        self.service.run()
        return [self.name_of(argv) for argv in self.started[begin:]]

    def metrics(self) -> str:
        return self.telemetry.exposition().decode()


JOBS = ["data", "predictions", "labels", "performance", "parity"]


def test_each_job_is_started_one_after_the_other_and_again_at_its_time(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_interval_s=100, drift_parity_interval_s=1_000)
    assert room.run_for(1) == JOBS
    assert room.run_for(98) == []
    assert room.run_for(2) == JOBS[:4]


def test_jobs_are_told_the_settings(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_reports=False, drift_horizon_s=30)
    room.run_for(1)
    lengths = {argv[argv.index("--window-s") + 1] for argv in room.started}
    assert lengths == {"7200", "3600"}
    (rolling,) = [argv for argv in room.started if "--step-s" in argv]
    assert rolling[rolling.index("--job") + 1] == "performance"
    assert rolling[rolling.index("--step-s") + 1] == "900"
    assert all("--no-report" in argv and "30" in argv for argv in room.started)


def test_what_a_job_found_is_in_the_metrics(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.answers["data"] = [told(alarm(), job("quality", "constant_column", ratios={}))]
    room.answers["parity"] = [
        told(
            alarm("parity", "mismatch", counts={"matched": 9, "mismatched": 2}, families=["parity"])
        )
    ]
    room.run_for(1)
    shown = room.metrics()
    for line in (
        'outcry_drift_windows_total{job="data",outcome="drift"} 1.0',
        'outcry_drift_alarms_total{family="scale",job="data"} 1.0',
        'outcry_drift_alarms_total{family="parity",job="parity"} 1.0',
        'outcry_drift_alarming{job="data",version="3"} 1.0',
        'outcry_drift_judged{job="quality"} 0.0',
        'outcry_drift_ratio{job="data",ticker="AAPL"} 3.0',
        'outcry_drift_run_seconds{job="data"} 2.5',
        'outcry_drift_window_begin_timestamp_seconds{job="data"} 600.0',
        'outcry_drift_window_end_timestamp_seconds{job="data"} 1200.0',
        "outcry_drift_parity_mismatches 2.0",
    ):
        assert line in shown, line


def test_a_result_that_was_there_before_is_not_counted_again(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_interval_s=100)
    room.answers["data"] = [told(alarm()), told(alarm(recorded="kept"))]
    room.run_for(1)
    room.run_for(100)
    assert 'outcry_drift_alarms_total{family="scale",job="data"} 1.0' in room.metrics()


def test_alarms_stand_at_0_by_family_before_the_first_so_that_no_scrape_misses_a_rise(
    tmp_path: Path,
) -> None:
    room = Room(tmp_path)
    zeros = room.metrics()
    for job_name, families in FAMILIES.items():
        for family in families:
            line = f'outcry_drift_alarms_total{{family="{family}",job="{job_name}"}} 0.0'
            assert line in zeros, line
    # Two windows in one run: of the older one no gauge is left, and yet it is counted.
    room.answers["data"] = [told(alarm(families=["scale", "shape"]), job(job_id="b" * 64))]
    room.answers["performance"] = [told(alarm("performance", "damaged_predictions", families=[]))]
    room.answers["labels"] = [told(alarm("labels", families=["unheard-of"]))]
    room.run_for(1)
    shown = room.metrics()
    for line in (
        'outcry_drift_alarms_total{family="scale",job="data"} 1.0',
        'outcry_drift_alarms_total{family="shape",job="data"} 1.0',
        'outcry_drift_alarms_total{family="other",job="performance"} 1.0',
        'outcry_drift_alarms_total{family="other",job="labels"} 1.0',
        'outcry_drift_alarming{job="data",version="3"} 0.0',
    ):
        assert line in shown, line


def test_a_clock_that_is_ahead_does_not_hide_an_alarm(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_interval_s=100)
    ahead = job("quality", "clock_jump", window=None, job_id="", recorded="none", ratios={})
    room.answers["data"] = [told(job(), alarm("quality"), ahead), told(job(), ahead)]
    room.run_for(1)
    shown = room.metrics()
    for line in (
        'outcry_drift_alarming{job="quality",version="3"} 1.0',
        'outcry_drift_ratio{job="quality",ticker="AAPL"} 3.0',
        'outcry_drift_judged{job="quality"} 0.0',
    ):
        assert line in shown, line
    room.run_for(100)
    assert 'outcry_drift_alarming{job="quality",version="3"} 0.0' in room.metrics()


def test_only_the_newest_windows_version_is_shown(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_interval_s=100)
    room.answers["data"] = [told(alarm()), told(job(version=4))]
    room.run_for(1)
    room.run_for(100)
    shown = room.metrics()
    assert 'outcry_drift_alarming{job="data",version="4"} 0.0' in shown
    assert 'job="data",version="3"' not in shown


def test_a_ticker_without_a_ratio_is_shown_no_more(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_interval_s=100)
    room.answers["data"] = [told(alarm()), told(job())]
    room.run_for(1)
    assert 'ticker="MSFT"' in room.metrics()
    room.run_for(100)
    assert 'outcry_drift_ratio{job="data",ticker="MSFT"}' not in room.metrics()


def test_scores_are_those_of_the_newest_window_of_performance(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_interval_s=100)
    scores = {"": {"macro_f1": 0.4, "pnl_per_row": -2.5}, "AAPL": {"macro_f1": 0.3}}
    room.answers["performance"] = [
        told(job("performance", scores=scores)),
        told(job("performance", recorded="kept")),
        told(job("performance", "no_predictions", ratios={})),
    ]
    shown = []
    for _ in range(3):
        room.run_for(100)
        lines_of = room.metrics().splitlines()
        shown.append({line for line in lines_of if line.startswith("outcry_drift_score{")})
    assert (
        shown[0]
        == shown[1]
        == {
            'outcry_drift_score{score="macro_f1",ticker=""} 0.4',
            'outcry_drift_score{score="pnl_per_row",ticker=""} -2.5',
            'outcry_drift_score{score="macro_f1",ticker="AAPL"} 0.3',
        }
    )
    assert shown[2] == set()


@pytest.mark.parametrize(
    "ended,ending",
    [
        (Ended("failed", b"", "error: PostgreSQL does not answer"), "failed"),
        (Ended("crashed", b"", "killed by signal 9"), "crashed"),
        (Ended("timed_out", b""), "timed_out"),
        (Ended("done", b"no JSON"), "unreadable"),
        (Ended("done", b"[]"), "unreadable"),
    ],
)
def test_a_job_that_tells_nothing_is_named_and_tried_again_soon(
    tmp_path: Path, ended: Ended, ending: str
) -> None:
    room = Room(tmp_path, drift_interval_s=10_000, drift_parity_interval_s=10_000)
    room.answers["data"] = [ended]
    assert room.run_for(1) == JOBS
    assert f'outcry_drift_runs_total{{ending="{ending}",job="data"}} 1.0' in room.metrics()
    assert "outcry_drift_alarming" in room.metrics()
    assert room.run_for(60) == ["data"]
    assert 'outcry_drift_runs_total{ending="done",job="data"} 1.0' in room.metrics()


@pytest.mark.parametrize(
    "ending,rest",
    [
        ("failed", b""),
        ("timed_out", b'{"job":{"kind":"data","outc'),
        ("crashed", b""),
        ("done", b""),
        ("stopped", b""),
    ],
)
def test_alarms_that_a_job_told_before_it_died_are_counted(
    tmp_path: Path, ending: str, rest: bytes
) -> None:
    room = Room(tmp_path, drift_interval_s=10_000, drift_parity_interval_s=10_000)
    before = lines(
        {"unfinished": []},
        {"job": alarm(families=["shape"], job_id="b" * 64, report="")},
        {"job": alarm(families=["scale"], job_id="c" * 64, report="")},
        # Told again, once its report is drawn.
        {"job": alarm(families=["scale"], job_id="c" * 64, report="made")},
    )
    room.answers["data"] = [Ended(ending, before + rest, "error: PostgreSQL is away")]
    room.run_for(1)
    shown = room.metrics()
    for line in (
        'outcry_drift_alarms_total{family="shape",job="data"} 1.0',
        'outcry_drift_alarms_total{family="scale",job="data"} 1.0',
        'outcry_drift_windows_total{job="data",outcome="drift"} 2.0',
        'outcry_drift_alarming{job="data",version="3"} 1.0',
        # One of each job.
        'outcry_drift_reports_total{outcome="made"} 5.0',
    ):
        assert line in shown, line
    assert 'outcry_drift_runs_total{ending="done",job="data"} 0.0' in shown
    assert room.run_for(60) == ["data"]


def test_an_alarm_that_a_job_told_before_it_died_is_acted_on_until_that_ends(
    tmp_path: Path,
) -> None:
    room = Room(tmp_path, drift_retrain=True, drift_interval_s=10_000)
    before = lines({"job": alarm(job_id="b" * 64)}, {"job": job(job_id="c" * 64)})
    away = Ended("failed", b"", "error: PostgreSQL does not answer")
    room.answers["data"] = [
        Ended("failed", before, away.cause), told(job(recorded="kept", job_id="c" * 64)),
    ]  # fmt: skip
    room.answers["retrain"] = [away, came("retrain", "promoted")]
    assert room.run_for(1) == ["data", "retrain", *JOBS[1:]]
    # By now a newer window is told, and not the one that alarmed.
    assert room.run_for(60) == ["data", "retrain"]
    assert room.run_for(60) == []
    assert all("b" * 64 in argv for argv in room.started if "act" in argv)


def test_a_room_that_stops_begins_no_action(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_retrain=True)
    room.answers["data"] = [Ended("stopped", lines({"job": alarm()}))]
    assert room.run_for(1) == JOBS


def test_by_default_an_alarm_changes_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.answers["data"] = [told(alarm())]
    room.answers["performance"] = [told(alarm("performance", "fallen"))]
    assert room.run_for(1) == JOBS


def test_an_alarm_retrains_where_that_is_wanted(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_retrain=True, drift_cooldown_s=77)
    room.answers["data"] = [told(alarm(), alarm("quality"))]
    room.answers["retrain"] = [came("retrain", "promoted")]
    assert room.run_for(1) == ["data", "retrain", *JOBS[1:]]
    argv = room.started[1]
    assert "a" * 64 in argv
    assert "77.0" in argv
    assert 'outcry_drift_actions_total{action="retrain",outcome="promoted"} 1.0' in room.metrics()


def test_a_fall_rolls_back_and_trains_anew_only_if_there_is_nothing_to_go_back_to(
    tmp_path: Path,
) -> None:
    room = Room(tmp_path, drift_retrain=True, drift_rollback=True, drift_interval_s=100)
    fallen = told(alarm("performance", "fallen"))
    room.answers["performance"] = [fallen, fallen]
    room.answers["rollback"] = [came("rollback", "rolled_back"), came("rollback", "refused")]
    assert [name for name in room.run_for(1) if name not in JOBS] == ["rollback"]
    later = room.run_for(100)
    assert [name for name in later if name not in JOBS] == ["rollback", "retrain"]


@pytest.mark.parametrize("outcome", ["cooling_down", "failed", "outdated", "known"])
def test_a_rollback_that_is_left_out_or_fails_is_no_reason_to_train(
    tmp_path: Path, outcome: str
) -> None:
    room = Room(tmp_path, drift_retrain=True, drift_rollback=True)
    room.answers["performance"] = [told(alarm("performance", "fallen"))]
    room.answers["rollback"] = [came("rollback", outcome)]
    assert [name for name in room.run_for(1) if name not in JOBS] == ["rollback"]


def test_an_action_that_could_not_be_done_is_tried_again_with_its_job(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_retrain=True, drift_interval_s=10_000)
    room.answers["data"] = [told(alarm()), told(alarm(recorded="kept"))]
    room.answers["retrain"] = [
        Ended("failed", b"", "error: PostgreSQL does not answer"), came("retrain", "promoted"),
    ]  # fmt: skip
    room.run_for(1)
    assert room.run_for(60) == ["data", "retrain"]
    assert 'outcry_drift_actions_total{action="retrain",outcome="promoted"} 1.0' in room.metrics()


def begun(kind: str, job_id: str, *jobs: Document) -> Ended:
    """What a run tells that found an action which did not end."""
    left = {"kind": kind, "job_id": job_id, "model": "direction_10s", "model_version": 3}
    end = {"exit_code": 0}
    return Ended("done", lines({"unfinished": [left]}, *({"job": one} for one in jobs), end))


def test_an_action_that_was_cut_off_is_taken_up_though_newer_windows_are_told(
    tmp_path: Path,
) -> None:
    room = Room(tmp_path, drift_retrain=True)
    room.answers["data"] = [begun("retrain", "b" * 64, alarm(version=4, job_id="c" * 64))]
    room.answers["retrain"] = [came("retrain", "promoted"), came("retrain", "cooling_down")]
    assert room.run_for(1) == ["data", "retrain", "retrain", *JOBS[1:]]
    older, newer = room.started[1:3]
    assert "b" * 64 in older
    assert "c" * 64 in newer
    assert 'outcry_drift_actions_total{action="retrain",outcome="promoted"} 1.0' in room.metrics()


def test_an_action_that_is_cut_off_again_is_taken_up_again_before_a_newer_alarm(
    tmp_path: Path,
) -> None:
    room = Room(tmp_path, drift_retrain=True, drift_interval_s=10_000)
    room.answers["data"] = [
        begun("retrain", "b" * 64, alarm(job_id="c" * 64)),
        begun("retrain", "b" * 64, alarm(job_id="c" * 64, recorded="kept")),
    ]
    room.answers["retrain"] = [
        Ended("crashed", b"", "killed by signal 9"),
        came("retrain", "outdated"),
        came("retrain", "outdated"),
    ]
    assert room.run_for(1) == ["data", "retrain", *JOBS[1:]]
    assert room.run_for(60) == ["data", "retrain", "retrain"]
    assert ["b" * 64 in argv for argv in room.started[-2:]] == [True, False]


def test_an_action_of_a_kind_that_is_off_by_now_is_left_to_people(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_retrain=True)
    room.answers["data"] = [begun("rollback", "b" * 64)]
    assert room.run_for(1) == JOBS


def test_a_window_that_may_still_change_causes_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path, drift_retrain=True)
    room.answers["data"] = [told(alarm(recorded="waits")), told(alarm(job_id=""))]
    assert room.run_for(1) == JOBS
