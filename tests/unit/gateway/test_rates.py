import pytest

from services.door.problems import ProblemError
from services.gateway.rates import RateLimits, Rates, Standing, network_of
from services.gateway.signatures import SignatureLog


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


def test_a_signature_is_taken_once_within_its_time_and_then_forgotten() -> None:
    log = SignatureLog(window_ms=100, signatures_max=10)
    log.take("a", 1_000)
    for now_ms in (1_000, 1_200):
        with pytest.raises(ProblemError) as refused:
            log.take("a", now_ms)
        assert refused.value.reason == "SIGNATURE_REUSED"
    log.take("a", 1_201)


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


def test_a_full_log_takes_no_further_signature_until_some_are_old() -> None:
    log = SignatureLog(window_ms=100, signatures_max=2)
    log.take("a", 0)
    log.take("b", 0)
    with pytest.raises(ProblemError) as refused:
        log.take("c", 0)
    assert refused.value.reason == "OVERLOADED"
    log.take("c", 201)
