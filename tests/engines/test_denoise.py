"""Cleaning before enlarging: as much as is asked for, or as the picture needs."""

from __future__ import annotations

import cv2
import numpy as np

from tests.pictures import sample
from upscaler import Target, Upscaler
from upscaler.catalog import find
from upscaler.engines import EngineOptions, EnginePool
from upscaler.pipeline import Pipeline, PipelineOptions

CLEAN = np.uint8(np.rint(255 * sample("coffee.jpg")[:160:2, :240:2]))
NOISY = np.uint8(np.clip(CLEAN + np.random.default_rng(0).normal(0, 15, CLEAN.shape), 0, 255))


def enlarged(pixels: object, **options: object) -> np.ndarray:
    return Upscaler("photo-fast", device="cpu", precision="fp32", **options)(pixels).pixels  # type: ignore[arg-type]


def test_a_clean_picture_is_left_to_the_byte() -> None:
    np.testing.assert_array_equal(enlarged(CLEAN, denoise="auto"), enlarged(CLEAN, denoise=0))


def test_noise_is_removed_in_proportion() -> None:
    truth = enlarged(CLEAN, denoise=0).astype(float)
    errors = [np.abs(enlarged(NOISY, denoise=share) - truth).mean() for share in (0, 0.5, 1)]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.62 * errors[0]
    assert np.abs(enlarged(NOISY, denoise="auto") - truth).mean() < 0.7 * errors[0]


def test_the_estimate_says_what_was_measured() -> None:
    pipeline = Pipeline("photo-fast", PipelineOptions(device="cpu", denoise="auto"))
    noisy, clean = pipeline.estimate(NOISY), pipeline.estimate(CLEAN)
    assert noisy.wear is not None
    assert noisy.denoise == noisy.wear.strength > 0
    assert (clean.denoise, len(clean.plans)) == (0, 1)
    assert [plan.scale for plan in noisy.plans] == [1, 4]


def test_nothing_is_said_to_be_removed_from_a_picture_that_is_only_shrunk() -> None:
    estimate = Pipeline("photo-fast", PipelineOptions(device="cpu", denoise=1)).estimate(NOISY, Target(scale=0.5))
    assert (estimate.plans, estimate.denoise) == ((), 0)


def test_clean_by_itself_keeps_the_size_and_takes_noise_out() -> None:
    cleaned = Upscaler("clean", device="cpu")(NOISY).pixels
    assert cleaned.shape == CLEAN.shape
    assert np.abs(cleaned.astype(float) - CLEAN).mean() < 0.7 * np.abs(NOISY.astype(float) - CLEAN).mean()


def test_what_cleans_is_among_the_files_that_are_needed() -> None:
    def names(denoise: object) -> list[str]:
        return [model.name for model in EnginePool(find("photo"), EngineOptions(denoise=denoise)).models]  # type: ignore[arg-type]

    assert names("auto") == names(0.5) == ["photo", "clean"]
    assert names(0.0) == ["photo"]


def test_only_the_noisy_part_of_a_picture_is_cleaned() -> None:
    clean = np.uint8(np.rint(255 * sample("coffee.jpg")))
    noise = np.random.default_rng(0).normal(0, 15, clean.shape)
    picture = np.concatenate([clean, np.uint8(np.clip(clean + noise, 0, 255))], 1)
    quarter = clean.shape[1] * 2  # pixels of the result up to the middle of the clean cell, from where shares rise
    seen = 40  # by which the network sees further
    auto, plain = (enlarged(picture, denoise=share, fidelity=0).astype(int) for share in ("auto", 0))
    difference = np.abs(auto - plain)[:, : quarter - seen]
    assert difference.max() <= 1  # with what is cleaned there are two passes, between which 16 bits are kept
    assert np.count_nonzero(difference) < 1e-4 * difference.size
    assert np.abs(auto - plain)[:, -quarter:].mean() > 3


def test_transparency_is_not_cleaned_before_it_is_enlarged() -> None:
    alpha = np.uint8(np.linspace(0, 255, NOISY[:, :, 0].size)).reshape(*NOISY.shape[:2], 1)
    picture = np.concatenate([NOISY, alpha], 2)
    cleaned, plain = (enlarged(picture, denoise=share)[:, :, 3] for share in (1, 0))
    np.testing.assert_array_equal(cleaned, plain)


def test_tiles_of_the_pass_that_cleans_leave_no_seams() -> None:
    picture = np.tile(NOISY, (6, 4, 1))
    whole, tiled = (
        Upscaler("photo-fast", device="cpu", precision="fp32", denoise=1, memory=size) for size in (None, 2**25)
    )
    assert [plan.count > 1 for plan in tiled.estimate(picture).plans] == [True, True]
    assert np.abs(whole(picture).pixels.astype(int) - tiled(picture).pixels).max() <= 1


def test_the_result_is_held_to_the_cleaned_source() -> None:
    cleaned = Upscaler("clean", device="cpu", precision="fp32")(NOISY)
    result = Upscaler("photo-fast", device="cpu", precision="fp32", denoise=1, fidelity=1)(NOISY)
    shrunk = cv2.resize(result.pixels, NOISY.shape[1::-1], interpolation=cv2.INTER_AREA).astype(float)
    near, far = (np.abs(shrunk - source).mean() for source in (cleaned.pixels, NOISY))
    assert far > 6 * near
