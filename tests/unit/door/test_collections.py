"""What a room has loaded is no work for later garbage collections."""

import gc

from services.door.serving import spare_collections


def test_what_is_loaded_is_collected_no_more_and_what_comes_later_is() -> None:
    before = gc.get_freeze_count()
    loaded: list[object] = [[] for _ in range(1_000)]
    try:
        spare_collections()
        assert gc.get_freeze_count() >= before + len(loaded)
        ring: list[object] = []
        ring.append(ring)
        del ring
        assert gc.collect() >= 1
    finally:
        gc.unfreeze()
