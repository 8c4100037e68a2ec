"""Frames that are written past the framework are those of the protocol."""

import pytest
from websockets.frames import Frame, Opcode

from services.gateway.frames import text_frame


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_is_the_one_that_a_library_would_make(length: int) -> None:
    text = b"x" * length
    assert text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)
