from services.tools.stack.backoff import Backoff


def test_each_early_death_doubles_the_wait_up_to_the_limit() -> None:
    backoff = Backoff(first_delay_s=1, delay_max_s=5, healthy_after_s=60)
    assert [backoff.delay_s(ready_s=0.1) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_what_was_well_is_started_at_once_and_its_next_death_waits_least() -> None:
    backoff = Backoff(first_delay_s=1, delay_max_s=5, healthy_after_s=60)
    for _ in range(4):
        backoff.delay_s(ready_s=59.9)
    assert backoff.delay_s(ready_s=60) == 0
    assert [backoff.delay_s(ready_s=1) for _ in range(2)] == [1, 2]
