"""Which engines a model needs, and that each is loaded once."""

from pathlib import Path

import pytest

from tests.networks import tiny_compact
from upscaler import catalog
from upscaler.diffusion.options import Diffusion
from upscaler.engines import EngineOptions, EnginePool, engine_for
from upscaler.engines.composite import Blended
from upscaler.engines.network import NetworkEngine
from upscaler.engines.pool import NETWORK
from upscaler.engines.resample import ResampleEngine
from upscaler.errors import ModelError, PlanError


def pool(model: str, **options: object) -> EnginePool:
    return EnginePool(catalog.find(model), EngineOptions(**options))  # type: ignore[arg-type]


def test_an_engine_is_loaded_once_and_again_after_it_was_cleared() -> None:
    engines = pool("lanczos")
    first = engines.enlarging(8)
    assert engines.enlarging(8) is first
    engines.clear()
    assert engines.enlarging(8) is not first


def test_pictures_of_16_bits_are_computed_in_float32_unless_another_precision_is_asked_for(tmp_path: Path) -> None:
    file = str(tiny_compact(tmp_path))
    assert pool(file, device="cpu").enlarging(16).info.precision == "fp32"
    assert pool(file, device="cpu", precision="bf16").enlarging(16).info.precision == "bf16"


def test_a_model_without_a_network_needs_no_torch() -> None:
    assert isinstance(engine_for(catalog.find("lanczos")), ResampleEngine)


def test_a_share_of_a_network_is_blended_and_all_of_it_is_not(tmp_path: Path) -> None:
    file = str(tiny_compact(tmp_path))
    assert isinstance(pool(file, device="cpu", blend=0.5).enlarging(8), Blended)
    assert isinstance(pool(file, device="cpu").enlarging(8), NetworkEngine)


def test_the_files_of_all_models_are_named_before_they_are_needed() -> None:
    assert [model.name for model in pool("photo").models] == ["photo"]
    mixed = pool("realesr-general-x4v3", denoise=0.5)
    assert [model.name for model in mixed.models] == ["realesr-general-x4v3", "realesr-general-wdn-x4v3"]
    assert [model.name for model in pool("realesr-general-x4v3", denoise=1).models] == ["realesr-general-x4v3"]
    refining, refine = pool("refine", diffusion=Diffusion(creativity=0.3)), catalog.find("refine")
    assert refining.refines
    assert [model.name for model in refining.models] == [refine.enlarge_with or NETWORK, refine.generator]


@pytest.mark.parametrize("name", ["blend", "denoise"])
def test_shares_out_of_range_name_their_argument(name: str) -> None:
    with pytest.raises(PlanError, match=rf"^{name}=2: the value must be between 0 and 1") as caught:
        EngineOptions(**{name: 2})  # type: ignore[arg-type]
    assert caught.value.argument == name


def test_an_unknown_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        engine_for(catalog.Model("gone", file=tmp_path / "gone.pth"), "cpu")
