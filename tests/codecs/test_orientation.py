"""The eight orientations of EXIF."""

from __future__ import annotations

import numpy as np
import pytest

from upscaler.codecs.orientation import turn_upright
from upscaler.picture import Metadata, Picture

CORNERS = {1: "abcd", 2: "badc", 3: "dcba", 4: "cdab", 5: "acbd", 6: "cadb", 7: "dbca", 8: "bdac"}
"""What a picture of the corners a b, c d looks like when it is upright."""


@pytest.mark.parametrize("orientation", CORNERS)
def test_stored_pixels_are_turned_as_exif_defines(orientation: int) -> None:
    stored = np.frombuffer(b"abcd", np.uint8).reshape(2, 2, 1)
    assert turn_upright(Picture(stored), orientation).pixels.tobytes().decode() == CORNERS[orientation]


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_orientation_that_is_none_changes_nothing(orientation: int) -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    picture = turn_upright(Picture(stored, metadata=Metadata(dpi=(300, 72))), orientation)
    assert picture.pixels is stored
    assert picture.metadata.dpi == (300, 72)


def test_sides_change_places_from_5_on() -> None:
    stored = np.zeros((2, 3, 1), np.uint8)
    for orientation in range(1, 9):
        picture = turn_upright(Picture(stored, metadata=Metadata(dpi=(300, 72))), orientation)
        assert (picture.pixels.shape == (3, 2, 1)) == (picture.metadata.dpi == (72, 300)) == (orientation >= 5)
        assert turn_upright(Picture(stored), orientation).metadata.dpi is None
