"""Pictures from arrays and tensors and back: what is taken, what it becomes, what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from upscaler.codecs import decode
from upscaler.errors import OutputError, PictureError
from upscaler.picture import Picture
from upscaler.tiling import Size

from ..codecs import icc
from ..tiffs import smooth


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_picture_tells_what_it_is(channels: int, depth: int) -> None:
    picture = Picture(smooth(30, 20, channels, depth))
    assert (picture.size, picture.has_alpha, picture.depth) == (Size(30, 20), channels in (2, 4), depth)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_array_comes_back_as_it_went_in(channels: int, depth: int) -> None:
    pixels = smooth(30, 20, channels, depth)
    array = pixels[:, :, 0] if channels == 1 else pixels
    back = Picture.from_array(array).to_numpy()
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
    assert not np.shares_memory(back, array)


def test_floats_become_16_bits() -> None:
    pixels = Picture.from_array(np.array([[0.0, 0.5, 1.0]])).pixels
    assert pixels.dtype == np.uint16
    assert pixels.ravel().tolist() == [0, 32768, 65535]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_of_any_length_are_taken(kind: type) -> None:
    assert Picture.from_array(np.ones((4, 6, 3), kind)).pixels.min() == 65535


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(9, np.uint8), r"shape \(9,\) is not a picture"),
        (np.zeros((2, 3, 5), np.uint8), r"shape \(2, 3, 5\) is not a picture"),
        (np.zeros((1, 2, 3, 3), np.uint8), r"shape \(1, 2, 3, 3\) is not a picture"),
        (np.zeros((0, 3), np.uint8), r"shape \(0, 3\) is not a picture"),
        (np.full((2, 3), 1.01), r"must lie within 0\.\.1\. Divide by the largest value first"),
        (np.full((2, 3), -0.01), r"must lie within 0\.\.1"),
        (np.full((2, 3), np.nan), r"must lie within 0\.\.1"),
        (np.full((2, 3), np.inf), r"must lie within 0\.\.1"),
        (np.zeros((2, 3), np.int64), "pixels of type int64 are not supported"),
        (np.zeros((2, 3), bool), "pixels of type bool are not supported"),
        (np.zeros((2, 3), complex), "pixels of type complex128 are not supported"),
        (np.array([["a"]]), "pixels of type <U1 are not supported"),
    ],
)
def test_array_that_is_no_picture_is_refused(array: Any, words: str) -> None:
    with pytest.raises(PictureError, match=rf"^mine: .*{words}"):
        Picture.from_array(array, "mine")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tensor_comes_back_as_it_went_in(channels: int) -> None:
    tensor = torch.rand(channels, 20, 30)
    back = Picture.from_tensor(tensor).to_tensor()
    assert back.dtype == torch.float32
    torch.testing.assert_close(back, tensor, atol=1 / 65535, rtol=0)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensor_of_any_kind_is_taken(kind: torch.dtype) -> None:
    picture = Picture.from_tensor(torch.ones(1, 3, 4, 6, dtype=kind, requires_grad=kind.is_floating_point))
    assert picture.size == Size(6, 4)
    assert picture.pixels.dtype == (np.uint8 if kind is torch.uint8 else np.uint16)


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 4, 6), (5, 4, 6)])
def test_tensor_that_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PictureError, match="is not a picture"):
        Picture.from_tensor(torch.zeros(shape))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pillow_image_has_the_pixels_and_the_profile(channels: int) -> None:
    profile = icc.GREY if channels <= 2 else icc.ADOBE_RGB
    image = Picture(smooth(30, 20, channels), profile).to_pil()
    assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    assert image.info["icc_profile"] == profile
    back = decode(image)
    np.testing.assert_array_equal(back.pixels, smooth(30, 20, channels))
    assert back.profile == profile


def test_pillow_image_of_16_bits_is_rounded_not_cut() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    image = np.asarray(Picture(values).to_pil())
    np.testing.assert_array_equal(image, np.rint(values[:, :, 0] / 257).astype(np.uint8))


def test_save_takes_the_options_of_output(tmp_path: Path) -> None:
    picture = Picture(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for quality in (30, 95):
        picture.save(tmp_path / f"{quality}.jpg", quality=quality)
    assert (tmp_path / "30.jpg").stat().st_size * 2 < (tmp_path / "95.jpg").stat().st_size
    with pytest.raises(OutputError, match="exists already"):
        picture.save(str(tmp_path / "30.jpg"))
    picture.save(str(tmp_path / "30.jpg"), overwrite=True)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_numpy_takes_it_without_a_copy_unless_asked(channels: int) -> None:
    pixels = np.arange(24 * channels, dtype=np.uint8).reshape(4, 6, channels)
    picture = Picture(pixels)
    array = np.asarray(picture)
    assert np.array_equal(array, picture.to_numpy())
    assert np.shares_memory(array, pixels)
    assert (array.flags.writeable, pixels.flags.writeable) == (False, True)
    assert not np.shares_memory(np.array(picture), pixels)
    assert np.array(picture).flags.writeable
    assert np.asarray(picture, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="uint8 cannot become float32 without a copy"):
        picture.__array__(np.float32, copy=False)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_notebooks_show_it_shrunk(depth: type) -> None:
    with PIL.Image.open(io.BytesIO(Picture(np.full((10, 20, 3), 7, depth))._repr_png_())) as shown:
        assert shown.size == (20, 10)
    whole = np.broadcast_to(
        np.array([200, 100, 50, 255], depth) * depth(np.iinfo(depth).max // 255), (30_000, 20_000, 4)
    )
    with PIL.Image.open(io.BytesIO(Picture(whole, b"profile")._repr_png_())) as shown:
        assert (shown.size, shown.mode, shown.info["icc_profile"]) == ((683, 1024), "RGBA", b"profile")
        assert shown.getpixel((3, 3)) == (200, 100, 50, 255)
