"""What all tests of generation share: tiny pipelines saved once; one thread, since more only wait for each other."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline

from tests.diffusion import tiny as base
from tests.text2image import tiny
from upscaler.text2image.text_to_image import TextToImage

BUILDERS: dict[str, Callable[[], DiffusionPipeline]] = {
    "sd": base.build_sd,
    "sdxl": base.build_sdxl,
    "sd3": base.build_sd3,
    "flux": base.build_flux,
    "schnell": tiny.build_schnell,
    "klein": tiny.build_klein,
    "z-image": tiny.build_z_image,
    "sana-sprint": tiny.build_sana,
    "qwen-image": tiny.build_qwen_image,
    "objecting": lambda: tiny.build_checked(objects=True),
    "tolerant": lambda: tiny.build_checked(objects=False),
    "x4": base.build_x4,
}

Saved = Callable[[str], Path]


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """The folder of a tiny pipeline of that name; not to be written to."""
    root = tmp_path_factory.mktemp("generators")

    def save(name: str) -> Path:
        if not (root / name).exists():
            BUILDERS[name]().save_pretrained(root / name)
        return root / name

    return save


@pytest.fixture(scope="module")
def models(saved: Saved) -> Callable[[str], TextToImage]:
    """A generator of that name, loaded once."""
    known: dict[str, TextToImage] = {}

    def model(name: str) -> TextToImage:
        if name not in known:
            known[name] = TextToImage(str(saved(name)), device="cpu", precision="fp32")
        return known[name]

    return model


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
