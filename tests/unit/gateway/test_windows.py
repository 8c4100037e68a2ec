from services.gateway.windows import WindowStorage


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_count_rises_within_its_window_and_begins_anew_after_it() -> None:
    clock = Clock()
    windows = WindowStorage(clock)
    assert [windows.incr("a", 10, 2), windows.incr("a", 10), windows.get("a")] == [2, 3, 3]
    assert windows.window_of("a") == (3, 1_010.0)
    clock.now_s = 1_010.0
    assert windows.get("a") == 0
    assert windows.incr("a", 10) == 1
    assert windows.get_expiry("a") == 1_020.0


def test_who_has_not_come_for_a_window_is_forgotten() -> None:
    clock = Clock()
    windows = WindowStorage(clock)
    for number in range(1_000):
        windows.incr(str(number), 10)
    clock.now_s = 1_005.0
    windows.incr("late", 10)
    assert len(windows) == 1_001
    clock.now_s = 1_011.0
    windows.incr("later", 10)
    assert len(windows) == 2
    windows.clear("late")
    assert (windows.get("late"), windows.get("later"), windows.check()) == (0, 1, True)
    assert (windows.reset(), len(windows)) == (1, 0)
