"""The stack of champions, and records that are read back."""

from typing import Literal

import pytest

from services.models.changes import Change, champion_before, read_changes


def change(
    number: int,
    version: int,
    before: int | None,
    action: Literal["promote", "rollback"] = "promote",
    alias: str = "champion",
) -> Change:
    return Change(number, 0, action, alias, version, before, is_done=True)


@pytest.mark.parametrize(
    "changes,now,before",
    [
        ([], None, None),
        ([change(1, 1, None)], 1, None),
        ([change(1, 1, None), change(2, 2, 1)], 2, 1),
        ([change(1, 1, None), change(2, 2, 1), change(3, 1, 2)], 1, 2),
        # Two rollbacks go back twice, and a promotion after them goes back to where they led.
        ([change(1, 1, None), change(2, 2, 1), change(3, 3, 2), change(4, 2, 3, "rollback")], 2, 1),
        (
            [
                change(1, 1, None),
                change(2, 2, 1),
                change(3, 1, 2, "rollback"),
                change(4, 3, 1),
            ],
            3,
            1,
        ),
        # Other aliases have no part in it.
        ([change(1, 1, None), change(2, 7, None, alias="shadow"), change(3, 2, 1)], 2, 1),
        # 5 was set by MLflow's own page: seen by the change after it, or by nobody yet.
        ([change(1, 1, None), change(2, 2, 5)], 2, 5),
        ([change(1, 1, None), change(2, 2, 1)], 5, 2),
    ],
)
def test_a_rollback_goes_to_the_champion_before(
    changes: list[Change], now: int | None, before: int | None
) -> None:
    assert champion_before(changes, now) == before


def test_changes_are_read_back_by_number_and_other_tags_are_left() -> None:
    one, two = change(1, 1, None), change(2, 2, 1)
    tags = [(two.tag, _text(two)), ("owner", "me"), (one.tag, _text(one)), ("change.x", "{")]
    assert read_changes(tags) == [one, two]


def _text(of: Change) -> str:
    import msgspec

    return msgspec.json.encode(of).decode()
