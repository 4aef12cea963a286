"""The lock: what comes back when the result is shrunk, with every fidelity and however the bands are cut."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.networks import tiny_compact
from tests.pictures import sample
from upscaler import Upscaler
from upscaler.arrays import FloatArray, PixelArray
from upscaler.surface import LrRmse, Upload, back_project
from upscaler.tiling import Band


def source(height: int = 150, width: int = 90, channels: int = 3) -> PixelArray:
    """Without black or white, so that no correction is clipped."""
    picture = np.rint(51 + 153 * sample("coffee.jpg")[:height, :width, :channels])
    return np.ascontiguousarray(picture, np.uint8)


def drifted(picture: PixelArray, scale: int) -> FloatArray:
    """An enlargement that is too pale, too red and noisy."""
    height, width, channels = picture.shape
    large = cv2.resize(picture, (width * scale, height * scale), interpolation=cv2.INTER_LINEAR)
    large = large.reshape(height * scale, width * scale, channels).astype(np.float32) / 255
    noise = np.random.default_rng(0).standard_normal(large.shape, np.float32) * 0.02
    return 0.12 + 0.76 * large + noise + np.float32([0.06, 0, -0.02])[:channels]


def lock(
    large: FloatArray, picture: PixelArray, scale: int, fidelity: float, step: int = 64
) -> tuple[FloatArray, float]:
    def bands() -> Iterator[Band]:
        for y in range(0, len(large), step):
            yield Band(y, large[y : y + step])

    lr_rmse = LrRmse()
    result = list(back_project(bands(), Upload(picture), scale, fidelity, lr_rmse))
    assert [band.y for band in result] == np.cumsum([0, *(len(band.pixels) for band in result)])[:-1].tolist()
    return np.concatenate([band.pixels for band in result]), lr_rmse.levels


def shrunk(large: FloatArray, scale: int) -> FloatArray:
    height, width, channels = large.shape
    return large.reshape(height // scale, scale, width // scale, scale, channels).mean(axis=(1, 3))


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_at_full_fidelity_the_result_shrunk_back_is_the_source(scale: int, channels: int) -> None:
    picture = source(70, 60, channels)
    result, lr_rmse = lock(drifted(picture, scale), picture, scale, 1)
    difference = np.abs(shrunk(result, scale) * 255 - picture)[8:-8, 8:-8]
    assert difference.max() < 0.5
    assert lr_rmse < 0.5


def test_without_fidelity_nothing_is_changed_but_the_departure_is_known() -> None:
    picture = source()
    large = np.clip(drifted(picture, 4), 0, 1)
    result, lr_rmse = lock(large, picture, 4, 0)
    assert np.array_equal(result, large)
    assert lr_rmse == pytest.approx(np.sqrt(np.mean((shrunk(large, 4) * 255 - picture) ** 2)), rel=1e-4)


def test_departure_falls_as_fidelity_rises() -> None:
    picture = source()
    departures = [lock(drifted(picture, 4), picture, 4, fidelity)[1] for fidelity in (0, 0.05, 0.2, 0.5, 0.8, 1)]
    assert departures == sorted(departures, reverse=True)


def test_the_default_takes_away_drift_and_leaves_texture() -> None:
    """Half: a tint goes to less than a fifth; fine noise, which the source does not have, stays."""
    picture = source()
    large = drifted(picture, 4)
    result, _ = lock(large, picture, 4, 0.5)

    def tint(pixels: FloatArray) -> float:
        return float(np.abs(pixels.mean(axis=(0, 1)) * 255 - picture.mean(axis=(0, 1))).max())

    assert tint(large) > 10
    assert tint(result) < 2
    fine = [pixels - cv2.GaussianBlur(pixels, (0, 0), 2) for pixels in (large, result)]
    assert np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] > 0.99


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 120),
    width=st.integers(1, 12),
    scale=st.integers(1, 4),
    step=st.integers(1, 200),
    fidelity=st.sampled_from([0.02, 0.3, 0.5, 0.9, 1.0]),
)
def test_bands_of_any_height_give_the_same(height: int, width: int, scale: int, step: int, fidelity: float) -> None:
    picture = source(height, width)
    large = drifted(picture, scale)
    result, lr_rmse = lock(large, picture, scale, fidelity, step)
    whole, same = lock(large, picture, scale, fidelity, len(large))
    assert np.array_equal(result, whole)
    assert lr_rmse == same


def test_the_height_of_a_block_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = source()
    large = drifted(picture, 3)
    result, _ = lock(large, picture, 3, 0.5)
    monkeypatch.setattr("upscaler.surface.back_projection.STRIP_ROWS", 1000)
    whole, _ = lock(large, picture, 3, 0.5)
    assert np.abs(result - whole).max() < 1e-5


def test_result_of_a_model_says_how_far_it_departs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture = source(40, 50)
    file = str(tiny_compact(tmp_path))
    free, held = (Upscaler(file, fidelity=fidelity, device="cpu")(picture).lr_rmse for fidelity in (0, 1))
    assert free is not None
    assert held is not None
    assert free > held
    with caplog.at_level("INFO", "upscaler"):
        result = Upscaler(file, device="cpu")(picture)
    assert f"differs from its source by {result.lr_rmse:.2f} of 255 levels" in caplog.text
    assert Upscaler("lanczos")(picture, 0.5).lr_rmse is None
