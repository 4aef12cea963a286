"""Odd files, read by us and by Pillow: the same size, the same colours when shrunk, the same transparency."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.corpus import make_corpus
from upscaler import PictureError
from upscaler.codecs import decode
from upscaler.picture import Picture

CORPUS = make_corpus()

SIDE = 8
"""Pixels a side to which both are shrunk before they are compared."""

LEVELS = 3.0

DIFFERENT = {
    "CMYK.tiff": "inks are converted by a profile, which Pillow does not do by itself",
    "CMYK.jpeg": "inks are converted by a profile, which Pillow does not do by itself",
}
"""Files that we read otherwise than Pillow, and why."""


UNREAD = ("big big endian.tiff", "big big endian of 16 bits.tiff")
"""Files that Pillow does not read: BigTIFF whose numbers begin with the high byte."""

SEEMS_WHOLE = {"P.pcx": "the palette is at the end, and grey files may have none: there is a warning"}
"""Files that cannot be told from whole ones when they are cut short, and why."""


def shrink(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(SIDE, SIDE, channels), each the mean of its part; 0..255."""
    image = values.astype(np.float32)
    planes = [
        Image.fromarray(image[:, :, channel]).resize((SIDE, SIDE), Image.Resampling.BOX)
        for channel in range(image.shape[2])
    ]
    return np.dstack([np.asarray(plane) for plane in planes]).astype(np.float64)


def by_pillow(content: bytes) -> NDArray[np.float64]:
    """Red, green, blue and transparency, 0..255, upright."""
    with Image.open(io.BytesIO(content)) as opened:
        opened.load()
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            grey = np.asarray(image, np.float64) / 257
            return np.dstack([grey, grey, grey, np.full_like(grey, 255)])
        return np.asarray(image.convert("RGBA"), np.float64)


def by_us(picture: Picture) -> NDArray[np.float64]:
    pixels = picture.pixels.astype(np.float64) * (255 / np.iinfo(picture.pixels.dtype).max)
    colour = pixels[:, :, :-1] if picture.has_alpha else pixels
    alpha = pixels[:, :, -1:] if picture.has_alpha else np.full((*pixels.shape[:2], 1), 255.0)
    return np.concatenate([np.broadcast_to(colour, (*pixels.shape[:2], 3)), alpha], axis=2)


@pytest.mark.parametrize("name", [name for name in CORPUS if name not in UNREAD])
def test_an_odd_file_looks_as_it_does_to_pillow(name: str) -> None:
    ours, theirs = by_us(decode(CORPUS[name], name=name)), by_pillow(CORPUS[name])
    assert ours.shape == theirs.shape
    seen = [values * (values[:, :, 3:] / 255) for values in (ours, theirs)]  # colour under full transparency is nothing
    difference = max(np.abs(shrink(one) - shrink(two)).max() for one, two in [(ours[:, :, 3:], theirs[:, :, 3:]), seen])
    if name in DIFFERENT:
        assert difference > LEVELS, f"no longer different: {DIFFERENT[name]}"
    else:
        assert difference <= LEVELS


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_an_odd_file_that_is_cut_short_is_refused_or_whole_enough(
    name: str, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    """What is cut off may be nothing but metadata behind the pixels."""
    content = CORPUS[name]
    with suppress(PictureError):
        picture = decode(content[: int(len(content) * share)], name=name)
        if name in SEEMS_WHOLE:
            assert "it has no palette, as where its end is missing" in caplog.text
        else:
            np.testing.assert_array_equal(picture.pixels, decode(content, name=name).pixels)
