from services.features.progress import Progress


def test_nothing_is_done_beyond_where_it_began() -> None:
    assert Progress(7).committable() == 7


def test_it_is_done_up_to_the_last_acknowledged_record_while_others_wait() -> None:
    progress = Progress(0)
    progress.fetched(9, 11)
    progress.acknowledged(3)
    assert progress.committable() == 4


def test_with_everything_acknowledged_it_is_done_up_to_the_reader_behind_markers() -> None:
    progress = Progress(0)
    progress.fetched(9, 11)
    progress.acknowledged(9)
    assert progress.committable() == 11


def test_markers_alone_are_passed_too() -> None:
    progress = Progress(5)
    progress.fetched(None, 8)
    assert progress.committable() == 8


def test_a_fetch_that_has_not_been_handed_over_is_waited_for() -> None:
    progress = Progress(0)
    progress.fetched(4, 6)
    progress.acknowledged(4)
    progress.fetched(7, 9)
    assert progress.committable() == 5
