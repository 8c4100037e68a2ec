from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.door.problems import ProblemError
from services.gateway.rates import RateLimits, Rates, Standing, network_of
from services.gateway.shared_signatures import SharedSignatures
from services.gateway.signatures import MemorySignatures, SignatureLog, Signatures
from services.runtime.errors import ConfigurationError


def make_rates(address: int = 3, key: int = 2) -> Rates:
    # An hour: no test lives to see a window end.
    return Rates(RateLimits(3_600, address, key))


def test_so_many_requests_of_an_address_pass_and_no_more() -> None:
    rates = make_rates()
    standings = [rates.count_address("10.0.0.1") for _ in range(3)]
    assert [standing.remaining for standing in standings if standing] == [2, 1, 0]
    with pytest.raises(ProblemError) as refused:
        rates.count_address("10.0.0.1")
    assert (refused.value.status_code, refused.value.reason) == (429, "RATE_LIMITED")
    headers = refused.value.all_headers
    assert headers["RateLimit-Policy"] == '"address";q=3;w=3600'
    assert headers["RateLimit"] == f'"address";r=0;t={headers["Retry-After"]}'
    assert 1 <= int(headers["Retry-After"]) <= 3_600


def test_each_address_and_each_key_has_its_own_count() -> None:
    rates = make_rates(address=1, key=1)
    for name in ("a", "b"):
        assert rates.count_key(name) is not None
        assert rates.count_address(name) is not None
    for count in (rates.count_key, rates.count_address):
        with pytest.raises(ProblemError, match="at most 1 requests"):
            count("a")


def test_without_a_limit_nothing_is_counted() -> None:
    rates = make_rates(address=0, key=0)
    assert {rates.count_address("a") for _ in range(100)} == {None}
    assert rates.count_key("a") is None


def test_the_headers_are_those_of_the_draft() -> None:
    assert Standing("key", 100, 10, 7, 3).headers() == {
        "RateLimit-Policy": '"key";q=100;w=10', "RateLimit": '"key";r=7;t=3',
    }  # fmt: skip


@pytest.mark.parametrize(
    "address,network",
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("unknown", "unknown"),
        ("x" * 1_000, "x" * 64),
    ],
)
def test_an_address_counts_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


type Remember = Callable[[], Signatures]


@pytest.fixture(params=["memory", "file"])
def remember(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remember]:
    """Makes what remembers signatures; closes all of it in the end."""
    made: list[SharedSignatures] = []

    def make() -> Signatures:
        if request.param == "memory":
            return MemorySignatures()
        made.append(SharedSignatures(tmp_path / "run" / "signatures.sqlite"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_signature_is_taken_once_within_its_time_and_then_forgotten(remember: Remember) -> None:
    log = SignatureLog(100, 10, remember())
    log.take("a", 1_000)
    for now_ms in (1_000, 1_200):
        with pytest.raises(ProblemError) as refused:
            log.take("a", now_ms)
        assert refused.value.reason == "SIGNATURE_REUSED"
    log.take("a", 1_201)
    log.take("b", 5_000)
    log.take("a", 5_000)


def test_gateways_that_share_a_file_take_a_signature_once_together(tmp_path: Path) -> None:
    path = tmp_path / "signatures.sqlite"
    one, other = SharedSignatures(path), SharedSignatures(path)
    logs = [SignatureLog(10_000, 2, shared) for shared in (one, other)]
    logs[0].take("a", 1_000)
    with pytest.raises(ProblemError) as refused:
        logs[1].take("a", 1_001)
    logs[1].take("b", 1_001)
    with pytest.raises(ProblemError) as full:
        logs[0].take("c", 2_000)
    one.close()
    other.close()
    assert (refused.value.reason, full.value.reason) == ("SIGNATURE_REUSED", "OVERLOADED")


def test_nobody_passes_while_signatures_can_not_be_remembered(tmp_path: Path) -> None:
    shared = SharedSignatures(tmp_path / "signatures.sqlite")
    shared.close()
    with pytest.raises(ProblemError) as refused:
        SignatureLog(100, 10, shared).take("a", 1_000)
    assert refused.value.reason == "KEYS_UNAVAILABLE"


def test_a_file_that_is_something_else_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "signatures").write_text("a shopping list" * 100)
    with pytest.raises(ConfigurationError, match="OUTCRY_GATEWAY_SIGNATURES_FILE"):
        SharedSignatures(tmp_path / "signatures")


@pytest.mark.parametrize(
    "limit,processes,part", [(0, 4, 0), (20_000, 1, 20_000), (20_000, 3, 6_666), (2, 8, 1)]
)
def test_each_of_several_gateways_allows_its_part(limit: int, processes: int, part: int) -> None:
    shared = RateLimits(10, limit, limit).shared_by(processes)
    assert shared == RateLimits(10, part, part)


@pytest.mark.parametrize(
    "timestamp_ms,timely", [(899, False), (900, True), (1_100, True), (1_101, False)]
)
def test_a_timestamp_may_be_so_far_from_the_clock(timestamp_ms: int, *, timely: bool) -> None:
    log = SignatureLog(window_ms=100, signatures_max=10)
    try:
        log.require_timely(timestamp_ms, 1_000)
        found = True
    except ProblemError as refused:
        found = False
        assert refused.members == {"time_ms": 1_000, "window_ms": 100}  # noqa: PT017
    assert found == timely


def test_a_full_log_takes_no_further_signature_until_some_are_old(
    remember: Remember,
) -> None:
    log = SignatureLog(100, 2, remember())
    log.take("a", 0)
    log.take("b", 0)
    with pytest.raises(ProblemError) as refused:
        log.take("c", 0)
    assert refused.value.reason == "OVERLOADED"
    log.take("c", 201)
