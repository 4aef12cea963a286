"""Faces of a picture are restored in its result, and nothing else is changed: networks for faces that change little, or
go wrong, with genuine detectors."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.faces.restorers import Toy, any_detector_file, toy_file
from tests.pictures import sample
from upscaler import FaceOptions, Picture, PlanError, Target, Upscaler
from upscaler.errors import ModelError
from upscaler.picture import Face
from upscaler.pipeline import Pipeline, PipelineOptions
from upscaler.target import Crop

Make = Callable[..., str]

__all__ = ["toy_file"]  # a fixture

FACE = slice(20, 105), slice(75, 150)
"""Where the face of samples/astronaut.jpg is, with room around it."""

WIDER = 12
"""Source pixels by which masks of detectors that see it larger reach beyond that, too faintly for 8 bits."""


def photo() -> np.ndarray:
    return np.rint(sample("astronaut.jpg") * 255).astype(np.uint8)


def options(model: str, **others: Any) -> FaceOptions:
    return FaceOptions(model=model, detector=str(any_detector_file()), **others)


def run(pixels: np.ndarray, faces: FaceOptions | None, scale: float = 2, **others: Any) -> Picture:
    return Upscaler("lanczos", device="cpu", faces=faces or False)(pixels, scale, **others)


def restored(picture: Picture) -> list[Face]:
    assert picture.faces is not None
    return [face for face in picture.faces if face.left_alone is None]


def levels(one: Picture, other: Picture) -> np.ndarray:
    full = np.iinfo(one.pixels.dtype).max
    return np.abs(one.pixels.astype(int) - other.pixels) * 255 / full


def outside(pixels: np.ndarray, scale: int = 2) -> np.ndarray:
    """All but the neighbourhood of the face, and what detectors that see it a little larger blend."""
    away = np.ones(pixels.shape[:2], bool)
    away[tuple(slice(scale * max(side.start - WIDER, 0), scale * (side.stop + WIDER)) for side in FACE)] = False
    return pixels[away]


def test_a_face_that_its_network_leaves_as_it_is_comes_back_and_the_rest_is_equal_to_the_byte(toy: Make) -> None:
    plain, result = run(photo(), None, 4), run(photo(), options(toy()), 4)
    (face,) = restored(result)
    changes = levels(result, plain)
    assert changes.max() > 0
    assert outside(changes, 4).max() == 0
    assert np.quantile(changes[changes > 0], 0.99) <= 3
    assert face.difference == pytest.approx(0, abs=0.01)
    assert face.shift == pytest.approx(0, abs=0.01)
    assert plain.faces is None


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "grey", "grey as RGB", "alpha", "grey, alpha"])
def test_pictures_keep_their_depth_greyness_and_transparency(toy: Make, kind: str) -> None:
    """The network paints all faces red, in a fine pattern that is not taken for a change of colours."""
    Toy.fault = lambda faces, result: result + 0.12 * stripes() * torch.tensor([1.0, 0, 0])[:, None, None]
    pixels = photo()
    if "grey" in kind:
        pixels = pixels[:, :, 1:2]
    if "RGB" in kind:
        pixels = np.repeat(pixels, 3, axis=2)
    if "alpha" in kind:
        alpha = np.arange(256, dtype=np.uint8)[None, :, None].repeat(256, axis=0)
        pixels = np.concatenate([pixels, alpha], axis=2)
    if kind == "16 bits":
        pixels = pixels.astype(np.uint16) * 257
    plain, result = run(pixels, None), run(pixels, options(toy()))
    changes = levels(result, plain)
    assert result.pixels.dtype == pixels.dtype
    assert result.pixels.shape == plain.pixels.shape
    assert outside(changes).max() == 0
    assert changes.max() > 8
    if "alpha" in kind:
        assert np.array_equal(result.pixels[:, :, -1], plain.pixels[:, :, -1])
    if "RGB" in kind:
        assert np.ptp(result.pixels, axis=2).max() == 0


def stripes() -> torch.Tensor:
    return (torch.arange(512) // 8 % 2 - 0.5)[None, :]


def test_a_picture_without_faces_is_what_it_is_without_the_option(toy: Make) -> None:
    pixels = np.rint(sample("coffee.jpg")[:200, :200] * 255).astype(np.uint8)
    plain, result = run(pixels, None), run(pixels, options(toy()))
    assert np.array_equal(plain.pixels, result.pixels)
    assert result.faces == ()


def test_good_faces_are_left_alone_to_the_byte(toy: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "upscaler")
    plain, result = run(photo(), None), run(photo(), options(toy(), only_below=40))
    assert np.array_equal(plain.pixels, result.pixels)
    assert result.faces is not None
    assert [face.left_alone for face in result.faces] == [f"it is large, {round(result.faces[0].side)} pixels"]
    assert "is left alone: it is large" in caplog.text


def test_a_result_that_is_its_source_is_not_written_into(toy: Make) -> None:
    pixels = photo()
    before = pixels.copy()
    result = run(pixels, options(toy(0.1, 0, 0)), target=Target(width=256), scale=None)
    assert len(restored(result)) == 1
    assert np.array_equal(pixels, before)


def test_turned_and_cropped_faces_are_restored(toy: Make) -> None:
    turned = cv2.warpAffine(
        photo(), cv2.getRotationMatrix2D((112, 60), 65, 1), (256, 256), borderMode=cv2.BORDER_REPLICATE
    )
    for pixels in turned, photo()[45:, 60:], photo()[:, 105:]:
        part = np.ascontiguousarray(pixels)
        plain, result = run(part, None), run(part, options(toy()))
        assert len(restored(result)) == 1
        assert levels(result, plain).max() < 20
        assert levels(result, plain).mean() < 0.2


def test_a_hundred_faces_are_restored(toy: Make) -> None:
    one = np.ascontiguousarray(cv2.resize(photo()[5:133, 46:174], (64, 64), interpolation=cv2.INTER_AREA))
    many = np.tile(one, (10, 10, 1))
    result, plain = run(many, options(toy()), 1), run(many, None, 1)
    assert len(restored(result)) == 100
    assert levels(result, plain).mean() < 2


def test_a_part_of_a_picture_is_what_it_is_in_the_whole(toy: Make) -> None:
    whole = run(photo(), options(toy(0.05, 0, 0)))
    part = run(photo(), options(toy(0.05, 0, 0)), None, target=Target(scale=2, crop=Crop.parse("90,10,60x80")))
    assert np.abs(part.pixels.astype(int) - whole.pixels[20:180, 180:300]).max() <= 1
    assert len(restored(part)) == 1


@pytest.mark.parametrize("fault", ["NaN", "black", "failing", "another shape", "no face"])
def test_a_face_that_goes_wrong_is_left_as_it_was_and_that_is_said(
    toy: Make, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(faces: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
        if faces.std() < 0.19:  # the drawn one that is tried first
            return result
        if fault == "failing":
            raise RuntimeError("no kernel image")
        return {
            "NaN": result * torch.nan,
            "black": result * 0,
            "another shape": result[:, :, :256],
            "no face": 0.5 + 0.3 * (result - 0.5).flip(2),
        }[fault]

    Toy.fault = spoil
    plain, result = run(photo(), None), run(photo(), options(toy()))
    assert np.array_equal(plain.pixels, result.pixels)
    assert result.faces is not None
    assert all(face.left_alone for face in result.faces)
    assert "is left as it was: " in caplog.text


def test_out_of_memory_makes_batches_smaller(toy: Make) -> None:
    def run_out(faces: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
        if len(faces) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return result

    Toy.fault = run_out
    pipeline = Pipeline("lanczos", PipelineOptions(device="cpu", faces=options(toy())))
    restorer = pipeline._engines.face_restorer(8)
    restorer._batch = 4
    row = Picture.from_array(np.concatenate([photo()] * 3, axis=1))
    result = restorer.restore(row, row)
    assert len(restored(result)) == 3
    assert {shape[0] for shape in Toy.seen} >= {1, 3}


def test_strength_is_a_share_and_settings_hold_all_that_results_depend_on(toy: Make) -> None:
    file = toy()
    settings = [
        Pipeline("lanczos", PipelineOptions(faces=faces)).settings
        for faces in (None, options(file), options(file, strength=0.5), options(file, only_below=99))
    ]
    assert len({json.dumps(each, sort_keys=True) for each in settings}) == 4
    assert "faces" not in settings[0]
    assert len(settings[1]["weights"]) == 2
    Toy.fault = lambda faces, result: result + 0.12 * stripes()
    plain, half, full = (run(photo(), options(file, strength=share)) for share in (0, 0.5, 1))
    assert np.array_equal(plain.pixels, run(photo(), None).pixels)
    assert 0.4 < levels(half, plain).sum() / levels(full, plain).sum() < 0.6
    assert restored(half)[0].difference == pytest.approx(restored(full)[0].difference / 2)


def test_models_that_do_not_fit_are_refused_in_a_sentence(toy: Make, tmp_path: Path) -> None:
    for name, sentence in (
        ("photo", "face_model=photo: this model does not restore faces"),
        ("nothing", "face_model="),
    ):
        with pytest.raises(PlanError, match=sentence):
            Upscaler("lanczos", faces=FaceOptions(model=name))
    for name in ("photo", "missing.onnx"):
        with pytest.raises(PlanError, match=f"face_detector={name}: "):
            Upscaler("lanczos", faces=FaceOptions(model=toy(), detector=name))
    with pytest.raises(PlanError, match=r"model=gfpgan-1\.4: gfpgan-1.4 is for faces and does not enlarge"):
        Upscaler("gfpgan-1.4")
    file = tmp_path / "network.safetensors"
    file.write_bytes((Path(__file__).parents[2] / "models/photo/photo-x4.safetensors").read_bytes())
    with pytest.raises(ModelError, match="the network is for whole pictures, not for cropped faces"):
        run(photo(), options(str(file)))
    with pytest.raises(ModelError, match="the network is for cropped faces, not for whole pictures"):
        Upscaler(toy())(photo())
