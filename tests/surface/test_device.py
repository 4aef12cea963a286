"""What torch computes on a device is what numpy, OpenCV and Pillow compute on the host, to 1e-5, in every step."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.fake_gpu import pretend
from tests.pictures import sample
from upscaler.arrays import FloatArray
from upscaler.errors import DeviceLost, OutOfMemory
from upscaler.surface import (
    HOST,
    LrRmse,
    Surface,
    Upload,
    back_project,
    blend,
    cut,
    cut_bands,
    mix_bands,
    resize_bands,
    surface_for,
    surface_of,
    within_source,
    write_bands,
)
from upscaler.surface.back_projection import _kernel
from upscaler.surface.device import Device, device_surface
from upscaler.tiling import Band, Budget, Region, Size, Tile, TileRequirements, Window, plan

BOUND = 1e-5
"""Of 0..1. Half a level of 8 bits is 2e-3, and half a one of 16 bits 8e-6."""

DEVICE = device_surface("cpu")

SIDES = st.integers(1, 150)


def noise(*shape: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).random(shape, np.float32)


def check(method: str, pixels: FloatArray, *arguments: Any) -> None:
    """Compares a method of both surfaces."""
    right, found = (getattr(surface, method)(surface.bring(pixels), *arguments) for surface in (HOST, DEVICE))
    for one, other in zip(right, found, strict=True) if isinstance(right, tuple) else [(right, found)]:
        assert tuple(other.shape) == one.shape
        assert np.abs(HOST.bring(other) - one).max() < BOUND


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, st.sampled_from([1, 3]), st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0]), st.sampled_from([1, 2, 4]))
def test_smoothing(height: int, width: int, channels: int, fidelity: float, scale: int) -> None:
    check("smooth", noise(height, width, channels), _kernel(fidelity, scale))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(1, 8))
def test_shrinking_enlarging_and_extremes(height: int, width: int, channels: int, scale: int) -> None:
    check("shrink", noise(height * scale, width * scale, channels), scale)
    check("enlarge", noise(height, width, channels), scale)
    check("extremes", noise(height, width, 1), scale)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.integers(1, 400), st.integers(1, 400), st.sampled_from([1, 3]), st.booleans())
def test_resizing(height: int, width: int, rows: int, columns: int, channels: int, is_part: bool) -> None:
    box = (0.0, height * 0.21, float(width), height * 0.83) if is_part else None
    check("resize", noise(height, width, channels), Size(columns, rows), box)


def test_resizing_far() -> None:
    """Positions beyond the digits of float32 are exact, and so is a picture shrunk to a thumbnail."""
    check("resize", noise(3, 30000, 1), Size(22222, 3))
    check("resize", noise(3000, 20, 1), Size(1, 7))


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, st.integers(1, 9), st.integers(1, 9), st.integers(0, 30))
def test_interpolating_a_grid(height: int, width: int, rows: int, columns: int, y: int) -> None:
    grid = noise(rows, columns)
    count = max(height - y, 1)
    right, found = (
        surface.interpolate(grid, Size(width, height), Region(0, y, width, count)) for surface in (HOST, DEVICE)
    )
    assert np.abs(HOST.bring(found) - right).max() < BOUND


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_whole_numbers_come_and_go_unchanged(dtype: type) -> None:
    whole = np.arange(65536).astype(dtype).reshape(64, 256, 4)
    there = DEVICE.bring(whole)
    assert there.element_size() == whole.itemsize
    assert np.abs(HOST.bring(DEVICE.to_float(there)) - HOST.to_float(whole)).max() < 1e-7
    full = int(np.iinfo(dtype).max)
    assert torch.equal(DEVICE.round(DEVICE.to_float(there), full), there)
    wild = np.linspace(-0.5, 1.5, 3000, dtype=np.float32).reshape(10, 100, 3)
    found = DEVICE.round(DEVICE.bring(wild), full).numpy().view(dtype)
    assert np.array_equal(found, HOST.round(wild, full))


def test_half_precision_is_rounded_with_all_digits() -> None:
    half = DEVICE.bring(noise(9, 9, 3)).half()
    assert np.array_equal(DEVICE.round(half, 255).numpy(), HOST.round(HOST.bring(half), 255))


@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_measured_of_tiles(precision: torch.dtype) -> None:
    sources = noise(4, 30, 21, 3)
    results = np.stack([HOST.enlarge(source, 2) for source in sources])
    results[1] = results[0]
    results[3] = 0.25
    previous = noise(30, 21, 3, seed=2), results[0]
    kept = HOST.bring(DEVICE.bring(results).to(precision))
    right = HOST.measure(sources, kept, (previous[0], kept[0]))()
    found = DEVICE.measure(
        DEVICE.bring(sources),
        DEVICE.bring(results).to(precision),
        (DEVICE.bring(previous[0]), DEVICE.bring(previous[1]).to(precision)),
    )()
    assert [each.is_stale for each in found] == [each.is_stale for each in right] == [True, True, False, False]
    assert [each.is_flat for each in found] == [each.is_flat for each in right] == [False, False, False, True]
    for one, other in zip(right, found, strict=True):
        assert np.abs(one.source - other.source).max() < BOUND
        assert np.abs(one.result - other.result).max() < (BOUND if precision == torch.float32 else 0.004)
    assert found[3].contrast == pytest.approx(right[3].contrast, abs=BOUND)
    spoilt = DEVICE.bring(results)
    spoilt[2, 59, 41, 2] = torch.nan
    is_finite = [bool(np.isfinite(each.result).all()) for each in DEVICE.measure(DEVICE.bring(sources), spoilt, None)()]
    assert is_finite == [True, True, False, True]


def test_a_surface_is_found_by_device_and_by_pixels() -> None:
    for device in ("cpu", "vulkan:0", "other"):
        assert surface_for(device) is HOST
    for device in ("cuda", "cuda:1", "xpu:0", "mps"):
        assert isinstance(surface_for(device), Device)
    assert surface_of(noise(1, 1, 1)) is HOST
    assert surface_of(torch.zeros(1)) is DEVICE


def through_all_steps(surface: Surface, picture: NDArray[Any], depth: int) -> dict[str, NDArray[Any]]:
    """A picture of three channels cut, enlarged by a filter, blended, and finished in all ways."""
    scale = 2
    size = Size(picture.shape[1], picture.shape[0])
    grid = plan(size, TileRequirements(scale, reach=6), Budget(10**9, tile=50))
    assert grid.count > 4
    dtype = np.uint16 if depth == 16 else np.uint8

    def bands() -> Iterator[Band]:
        def tiles() -> Iterator[Tile]:
            for batch in cut(Upload(picture, surface), grid):
                for region, tile in zip(batch.regions, batch.pixels, strict=True):
                    yield Tile(region, surface.resize(tile, region.size.scaled(scale)) * 0.9 + 0.06)

        return blend(tiles(), grid)

    def written(bands: Iterator[Band], shape: tuple[int, ...]) -> NDArray[Any]:
        canvas = np.zeros(shape, dtype)
        write_bands(bands, canvas)
        return canvas

    large = (size.height * scale, size.width * scale, 3)
    lr_rmse = LrRmse()
    share = noise(4, 5)
    alpha = np.ascontiguousarray(picture[:, :, :1])
    grey = (Band(band.y, band.pixels[:, :, :1]) for band in bands())
    target = Size(131, 177)
    found = {
        "plain": written(bands(), large),
        "held": written(back_project(bands(), Upload(picture, surface), scale, 0.5, lr_rmse), large),
        "resized": written(resize_bands(bands(), Window.all(size.scaled(scale)), Window.all(target)), (177, 131, 3)),
        "mixed": written(
            mix_bands(cut_bands(Upload(255 - picture, surface)), Upload(picture, surface), share, Window.all(size)),
            picture.shape,
        ),
        "alpha": written(within_source(grey, Upload(alpha, surface), scale), (*large[:2], 1)),
    }
    assert lr_rmse.levels > 1
    return found | {"departure": np.array([round(lr_rmse.levels, 3)])}


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("strip", [30000, 2**23])
def test_all_steps_differ_by_one_level_at_most_and_hardly_anywhere(
    depth: int, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "strip_values", strip)
    picture = np.rint(sample("coffee.jpg")[:200, :150] * (2**depth - 1)).astype(np.uint16 if depth == 16 else np.uint8)
    right, found = (through_all_steps(surface, picture, depth) for surface in (HOST, DEVICE))
    for name, pixels in right.items():
        difference = np.abs(pixels.astype(float) - found[name])
        assert difference.max() <= (0.002 if name == "departure" else 1), name
        allowed = {8: 1e-4, 16: 0.02}[depth]  # 1e-7 of 65,535 levels is often on the other side of a half
        assert (difference > 0).mean() <= allowed or name == "departure", name


def test_a_source_is_sent_once_in_strips_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "strip_values", 3 * 40 * 16)
    picture = np.rint(cv2.resize(sample("coffee.jpg"), (40, 400)) * 255).astype(np.uint8)
    with pretend("cuda") as gpu:
        source = Upload(picture, device_surface("cuda:0"))
        grid = plan(Size(40, 400), TileRequirements(1, reach=2), Budget(10**9, tile=30))
        tiles = (Tile(batch.regions[0], batch.pixels[0]) for batch in cut(source, grid))
        most = 0
        canvas = np.empty_like(picture)
        bands = back_project(blend(tiles, grid), source, 1, 0.5, LrRmse())

        def watched() -> Iterator[Band]:
            nonlocal most
            for band in bands:
                most = max(most, len(source._strips))
                yield band

        write_bands(watched(), canvas)
        sent = sum(size for way, dtype, size in gpu.crossings if way == "up" and dtype == torch.uint8)
        assert sent == picture.nbytes
        assert most < 12 < 400 // 16
        assert np.abs(canvas.astype(int) - picture).max() <= 1


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_errors_of_torch_are_told_apart(kind: Any) -> None:
    with pretend(kind, memory=10**6) as gpu:
        surface = device_surface(str(gpu.device))
        with pytest.raises(OutOfMemory, match="out of memory on"), surface.errors():
            surface.bring(noise(1000, 1000, 3))
        with pytest.raises(RuntimeError, match="size"), surface.errors():
            surface.bring(noise(2, 2)) + surface.bring(noise(3, 3))
        gpu.lose()
        with pytest.raises(DeviceLost), surface.errors():
            surface.bring(noise(1, 1))


def test_products_have_all_digits_where_a_program_allows_tf32() -> None:
    pixels, kernel = noise(90, 70, 3), _kernel(0.5, 4)
    right = HOST.smooth(pixels, kernel), HOST.resize(pixels, Size(50, 60))
    with pretend("cuda", tf32=True):
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = True
        surface = device_surface("cuda:0")
        there = surface.bring(pixels)
        found = surface.smooth(there, kernel), surface.resize(there, Size(50, 60))
        assert torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = before
        for one, other in zip(right, found, strict=True):
            assert np.abs(one - HOST.bring(other)).max() < BOUND


def test_no_step_of_the_host_loads_torch() -> None:
    code = (
        "import sys, numpy as np\n"
        "from upscaler import Target, Upscaler\n"
        "picture = np.arange(60 * 50 * 4, dtype=np.uint32).reshape(60, 50, 4).astype(np.uint8)\n"
        "up = Upscaler('lanczos')\n"
        "up(picture), up(picture, target=Target(width=333)), up(picture, 0.5)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr
