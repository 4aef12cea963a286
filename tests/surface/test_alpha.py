"""An alpha channel that stays within what it was."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from upscaler.arrays import FloatArray
from upscaler.surface import HOST, Surface, Upload, within_source
from upscaler.surface.device import device_surface
from upscaler.tiling import Band


def disc(size: int, radius: float) -> np.ndarray:
    """Alpha (size, size, 1), opaque in the middle."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.where(np.hypot(x, y) <= radius, 255, 0).astype(np.uint8)[:, :, None]


def bands(pixels: FloatArray, rows: int) -> Iterator[Band]:
    for y in range(0, len(pixels), rows):
        yield Band(y, pixels[y : y + rows])


@pytest.mark.parametrize("surface", [HOST, device_surface("cpu")], ids=["host", "device"])
@pytest.mark.parametrize("rows", [1, 4, 20, 64, 1000])
@pytest.mark.parametrize("scale", range(1, 9))
def test_enlarged_alpha_stays_within_its_neighbourhood(scale: int, rows: int, surface: Surface) -> None:
    """Bands begin wherever they do: at no multiple of the scale, too."""
    source = np.random.default_rng(1).integers(0, 256, (20, 15, 1), np.uint8)
    wild = np.random.default_rng(2).uniform(-1, 2, (20 * scale, 15 * scale, 1)).astype(np.float32)
    given = (Band(band.y, surface.bring(band.pixels)) for band in bands(wild, rows))
    kept = within_source(given, Upload(source, surface), scale)
    found = np.concatenate([HOST.bring(band.pixels) for band in kept])
    padded = np.pad(source[:, :, 0] / np.float32(255), 1, mode="edge")
    around = np.stack([padded[y : y + 20, x : x + 15] for y in range(3) for x in range(3)])
    low, high = (edge.repeat(scale, 0).repeat(scale, 1) for edge in (around.min(0), around.max(0)))
    np.testing.assert_allclose(found[:, :, 0], np.clip(wild[:, :, 0], low, high), atol=1e-6)


def test_opaque_stays_opaque_and_empty_stays_empty() -> None:
    source = disc(20, 6)
    ringing = (source.repeat(2, 0).repeat(2, 1) / 255 * 1.2 - 0.1).astype(np.float32)
    found = np.concatenate([band.pixels for band in within_source(bands(ringing, 8), Upload(source), 2)])
    inside, outside = disc(20, 4).repeat(2, 0).repeat(2, 1) > 0, disc(20, 8).repeat(2, 0).repeat(2, 1) == 0
    assert (found[inside] == 1).all()
    assert (found[outside] == 0).all()
