"""Networks for faces in spandrel's architectures, of random weights: loaded, tried, and computed in batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spandrel
import torch
from safetensors.torch import save_file

from tests.architectures import REFUSED
from upscaler.engines.checkpoint import Checkpoint
from upscaler.engines.network import NetworkEngine
from upscaler.errors import ModelError

FACES = np.random.default_rng(0).random((2, 512, 512, 3), np.float32)


def build(architecture: str, folder: Path) -> Path:
    """The file of a network whose results are about as bright as pictures; GFPGAN's has 350 MB."""
    torch.manual_seed(0)
    network = REFUSED[architecture][0]()
    state = {name: value.contiguous().clone() for name, value in network.state_dict().items()}
    file = folder / f"{architecture}.safetensors"
    save_file(state, file)
    return file


@pytest.mark.parametrize(
    "architecture",
    [pytest.param("GFPGAN", marks=pytest.mark.slow), pytest.param("RestoreFormer", marks=pytest.mark.slow)],
)
def test_a_network_for_faces_gives_each_face_the_same_alone_and_with_others(architecture: str, tmp_path: Path) -> None:
    file = build(architecture, tmp_path)
    engine = NetworkEngine.load(Checkpoint(file, of_faces=True), name=architecture, device="cpu", precision="fp32")
    needs = engine.info.needs
    assert (needs.scale, needs.can_be_tiled, engine.info.channels) == (1, False, 3)
    both = engine.run(FACES)
    assert both.shape == FACES.shape
    assert np.isfinite(both).all()
    alone = np.concatenate([engine.run(FACES[:1]), engine.run(FACES[1:])])
    assert np.abs(both - alone).max() < 1e-3


@pytest.mark.slow
def test_gfpgan_is_given_and_gives_what_it_learned_from(tmp_path: Path) -> None:
    """Pixels in -1..1, as gfpgan/utils.py of GFPGAN has it, and the noise that is stored with its weights."""
    file = build("GFPGAN", tmp_path)
    network = Checkpoint(file, of_faces=True).load()
    bare = spandrel.ModelLoader().load_from_file(file).eval().model
    pixels = torch.from_numpy(FACES[:1]).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        expected = (bare(pixels * 2 - 1, randomize_noise=False)[0] + 1) / 2
        result = network(pixels)
    assert torch.allclose(result, expected.clamp(0, 1), atol=1e-5)


def test_codeformer_names_the_package_that_it_needs(tmp_path: Path) -> None:
    if "CodeFormer" in {support.architecture.id for support in spandrel.MAIN_REGISTRY}:
        pytest.skip("spandrel_extra_arches is installed")
    file = tmp_path / "codeformer.pth"
    torch.save({"params_ema": {"position_emb": torch.zeros(256, 512)}}, file)
    with pytest.raises(ModelError, match="CodeFormer needs a package that is not installed"):
        Checkpoint(file, of_faces=True).load()
