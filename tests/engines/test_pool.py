"""Which engines a model needs, and that each is loaded once."""

import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from tests.fake_gpu import pretend
from tests.networks import tiny_compact
from upscaler import Upscaler, catalog
from upscaler.arrays import FloatArray, PixelArray, to_float
from upscaler.catalog import KINDS, fetch_model
from upscaler.catalog.model import KindFacts
from upscaler.diffusion.options import Diffusion
from upscaler.engines import Engine, EngineInfo, EngineOptions, EnginePool, ImagePlan, engine_for
from upscaler.engines import pool as pool_module
from upscaler.engines.composite import Blended
from upscaler.engines.ncnn import NcnnEngine
from upscaler.engines.network import NetworkEngine
from upscaler.engines.pool import CLEANER, NETWORK
from upscaler.engines.resample import ResampleEngine
from upscaler.errors import ModelError, PlanError
from upscaler.files import cache_dir
from upscaler.tiling import Band, Budget, Size, TileRequirements


def pool(model: str, **options: object) -> EnginePool:
    return EnginePool(catalog.find(model), EngineOptions(**options))  # type: ignore[arg-type]


def test_an_engine_is_loaded_once_and_again_after_it_was_cleared() -> None:
    engines = pool("lanczos")
    first = engines.enlarger(8)
    assert engines.enlarger(8) is first
    engines.clear()
    assert engines.enlarger(8) is not first


def test_pictures_of_16_bits_are_computed_in_float32_unless_another_precision_is_asked_for(tmp_path: Path) -> None:
    file = str(tiny_compact(tmp_path))
    assert pool(file, device="cpu").enlarger(16).info.precision == "fp32"
    assert pool(file, device="cpu", precision="bf16").enlarger(16).info.precision == "bf16"


def test_a_model_without_a_network_needs_no_torch() -> None:
    assert isinstance(engine_for(catalog.find("lanczos")), ResampleEngine)


def test_a_share_of_a_network_is_blended_and_all_of_it_is_not(tmp_path: Path) -> None:
    file = str(tiny_compact(tmp_path))
    assert isinstance(pool(file, device="cpu", blend=0.5).enlarger(8), Blended)
    assert isinstance(pool(file, device="cpu").enlarger(8), NcnnEngine)
    assert isinstance(pool(file, device="cpu", backend="torch").enlarger(8), NetworkEngine)


def test_the_files_of_all_models_are_named_before_they_are_needed() -> None:
    assert [model.name for model in pool("photo").models] == ["photo", "clean"]
    assert [model.name for model in pool("photo", denoise=0).models] == ["photo"]
    mixed = pool("realesr-general-x4v3", denoise=0.5)
    assert [model.name for model in mixed.models] == ["realesr-general-x4v3", "realesr-general-wdn-x4v3"]
    assert [model.name for model in pool("realesr-general-x4v3", denoise=1).models] == ["realesr-general-x4v3"]
    refining, refine = pool("refine", diffusion=Diffusion(creativity=0.3)), catalog.find("refine")
    assert refining.refines
    assert [model.name for model in refining.models] == [refine.enlarge_with or NETWORK, CLEANER, refine.generator]


def test_a_generator_that_refines_is_on_the_device_before_tiles_are_planned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What its weights take is not free for the tiles of the network that enlarges."""
    kept: list[torch.Tensor] = []
    refining = pool("refine", diffusion=Diffusion(creativity=0.3))

    def load(self: EnginePool, model: object) -> object:
        kept.append(torch.zeros(48 * 2**20, dtype=torch.uint8, device="cuda"))
        return SimpleNamespace(plan=None)

    monkeypatch.setattr(EnginePool, "_image_engine", load)
    with pretend("cuda", memory=64 * 2**20):
        network = refining.enlarger(8, 100)
    assert kept
    assert network.info.free_memory <= 16 * 2**20


@pytest.mark.parametrize("name", ["blend", "denoise"])
def test_shares_out_of_range_name_their_argument(name: str) -> None:
    with pytest.raises(PlanError, match=rf"^{name}=2: the value must be between 0 and 1") as caught:
        EngineOptions(**{name: 2})  # type: ignore[arg-type]
    assert caught.value.argument == name


def test_an_unknown_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        engine_for(catalog.Model("gone", file=tmp_path / "gone.pth"), "cpu")


class Repeat:
    """An engine whose model is one number: what its file says is added to pixels that are repeated."""

    def __init__(self, file: Path) -> None:
        self.info = EngineInfo("repeat", TileRequirements(3, reach=0), keeps_tone=False)
        self._change = float(file.read_text())

    def run(self, tiles: FloatArray) -> FloatArray:
        return tiles.repeat(3, 1).repeat(3, 2) + np.float32(self._change)

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        return None


class RepeatAll(Repeat):
    """The same for whole pictures."""

    def plan(self, size: Size, budget: Budget) -> ImagePlan:
        return ImagePlan(size, 3, size, 1, 0, 1, 1, 1, 0)

    def run(self, pixels: PixelArray, plan: ImagePlan, progress: Callable[[int], None]) -> Iterator[Band]:  # type: ignore[override]
        yield Band(0, super().run(to_float(pixels)[None])[0])
        progress(1)


@pytest.mark.parametrize(
    ("engine", "facts", "loader"),
    [
        (Repeat, KindFacts(loader="text"), "engine_for"),  # type: ignore[arg-type]
        (RepeatAll, KindFacts(loader="text", takes_diffusion=True), "EnginePool._image_engine"),  # type: ignore[arg-type]
    ],
)
def test_a_row_and_a_branch_add_a_kind_of_model_and_its_engine(
    engine: type[Repeat], facts: KindFacts, loader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cache_dir()
    folder.mkdir(parents=True)
    (folder / "catalog.toml").write_text('[[model]]\nname = "mine"\nkind = "repeat"\nembedded = "mine.txt"\n')
    (folder / "mine.txt").write_text("0.2")
    with pytest.raises(ModelError, match="its kind 'repeat' is not one of network"):
        catalog.find("mine")
    monkeypatch.setitem(cast("dict[str, KindFacts]", KINDS), "repeat", facts)
    other = operator.attrgetter(loader)(pool_module)

    def with_branch(*arguments: Any) -> Any:
        model = next(each for each in arguments if isinstance(each, catalog.Model))
        return engine(fetch_model(model)) if model.kind == "repeat" else other(*arguments)

    monkeypatch.setattr(f"upscaler.engines.pool.{loader}", with_branch)
    source = np.random.default_rng(0).integers(0, 200, (5, 7, 3), np.uint8)
    upscaler = Upscaler("mine")
    assert upscaler.estimate(source).engine.name == "repeat"
    assert np.array_equal(upscaler(source).pixels, source.repeat(3, 0).repeat(3, 1) + 51)
