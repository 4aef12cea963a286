"""Several models in turn: each works on what the one before it made, and nothing else is different."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.networks import tiny_compact
from upscaler import Size, Target, Upscaler, catalog
from upscaler.arrays import PixelArray
from upscaler.errors import ModelError, PlanError
from upscaler.pipeline import CLEANS, Pipeline, PipelineOptions
from upscaler.tiling import Crop

SOURCE = np.random.default_rng(0).integers(60, 190, (30, 40, 4), np.uint8)


@pytest.fixture
def twice(tmp_path: Path) -> str:
    return str(tiny_compact(tmp_path, 2))


@pytest.fixture
def same(tmp_path: Path) -> str:
    return str(tiny_compact(tmp_path, 1, seed=1))


def enlarge(*models: str, source: PixelArray = SOURCE, target: Target | None = None, **options: Any) -> PixelArray:
    return Upscaler(list(models), device="cpu", precision="fp32", **options)(source, target=target).pixels


def difference(one: PixelArray, other: PixelArray) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_each_works_on_what_the_one_before_it_made(same: str, twice: str) -> None:
    deep = SOURCE.astype(np.uint16) * 257
    for first, second in ((same, twice), (twice, same), (twice, twice)):
        one_by_one = enlarge(second, source=enlarge(first, source=deep))
        assert difference(enlarge(first, second), np.rint(one_by_one / 257)) <= 1
        assert difference(enlarge(first, second, source=deep), one_by_one) <= 2  # of 65,535


@pytest.mark.parametrize(
    ("order", "target", "sizes"),
    [
        ("same twice", None, ["40x30", "80x60"]),
        ("twice same", None, ["80x60", "80x60"]),
        ("same same", None, ["40x30", "40x30"]),
        ("twice twice", None, ["80x60", "160x120"]),
        ("twice twice", Target(scale=3), ["80x60", "120x90"]),
        ("same twice", Target(scale=8), ["40x30", "80x60", "160x120", "320x240"]),
        ("twice same", Target(width=100), ["50x38", "100x75", "100x75"]),
        ("same twice", Target(scale=1), ["40x30", "40x30"]),
        ("same twice", Target(width=20), []),
    ],
)
def test_the_last_that_enlarges_leads_to_the_size_that_is_asked_for(
    order: str, target: Target | None, sizes: list[str], same: str, twice: str
) -> None:
    files = {"same": same, "twice": twice}
    upscaler = Upscaler([files[name] for name in order.split()], device="cpu")
    estimate = upscaler.estimate(SOURCE, target=target)
    assert [str(window.whole) for window in estimate.windows[1:]][: len(estimate.plans)] == sizes
    assert upscaler(SOURCE, target=target).size == estimate.result


def test_there_are_no_seams_and_parts_are_those_of_the_whole(same: str, twice: str) -> None:
    whole = enlarge(same, twice, same)
    assert difference(enlarge(same, twice, same, tile=28), whole) <= 1
    part = enlarge(same, twice, same, target=Target(crop=Crop.parse("11,7,20x16")))
    assert difference(part, whole[14:46, 22:62]) <= 1


def test_who_names_what_cleans_gets_nothing_else_cleaned(same: str) -> None:
    noisy = np.clip(128 + np.random.default_rng(0).normal(0, 25, (64, 64, 3)), 0, 255).astype(np.uint8)
    assert Upscaler("photo-fast", device="cpu").estimate(noisy).denoise > 0
    assert Upscaler([same, "photo-fast"], device="cpu").estimate(noisy).denoise == 0
    assert Upscaler([same, "photo-fast"], device="cpu", denoise="auto").estimate(noisy).members == (CLEANS, 0, 1)


def test_cleaning_wholly_is_the_cleaning_network_before_the_other() -> None:
    wholly = enlarge("photo-fast", source=SOURCE[:, :, :3], denoise=1)
    chain = enlarge("clean", "photo-fast", source=SOURCE[:, :, :3])
    assert np.abs(chain.astype(int) - wholly).mean() < 2  # as a model it is held to the tones of its source, too


def test_results_depend_on_all_of_them(same: str, twice: str) -> None:
    pipeline = Pipeline(twice, PipelineOptions(before=(same,)))
    assert [model.name for model in pipeline.models] == [Path(same).stem, Path(twice).stem]
    assert pipeline.settings["before"] == [same]
    assert pipeline.settings["weights"] == [catalog.fingerprint(catalog.find(file)) for file in (same, twice)]
    assert "before" not in Pipeline(twice).settings
    assert pickle.loads(pickle.dumps(pipeline)).settings == pipeline.settings


def test_scales_that_are_known_are_multiplied(twice: str) -> None:
    assert Pipeline("photo", PipelineOptions(before=("clean", "photo-fast"))).scale == 16
    assert Pipeline("photo", PipelineOptions(before=(twice,))).scale is None


def test_what_cannot_be_in_a_chain_is_refused_in_a_sentence(same: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.pth: no such file"):
        Upscaler([str(tmp_path / "nothing.pth"), same])
    for model in ("lanczos", "sd-x4", "refine"):
        with pytest.raises(PlanError, match=rf"^model={model}: only networks can enlarge or clean a picture for"):
            Upscaler([model, same])
    with pytest.raises(PlanError, match=r"^model=\[\]: name at least one\."):
        Upscaler([])
    with pytest.raises(ModelError, match=r"^4: this names no model"):
        Upscaler(4)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match=r"^before=\(4,\): these are no names of models\."):
        Upscaler([4, same])  # type: ignore[list-item]
    with pytest.raises(PlanError, match=r"^before='photo': these are no names of models\."):
        PipelineOptions(before="photo")  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="the model cleans pictures without enlarging them"):
        Upscaler([same, same])(SOURCE, 2)


def test_sizes_in_batches_of_small_pictures_are_those_of_single_ones(same: str, twice: str) -> None:
    estimate = Upscaler([same, twice], device="cpu").estimate(SOURCE)
    assert (estimate.result, estimate.max_batch) == (Size(80, 60), 1)
