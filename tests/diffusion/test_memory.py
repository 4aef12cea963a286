"""What fits into an amount of memory is what is chosen, and what is chosen fits."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.diffusion import tiny
from tests.diffusion.single_file import save_single_file
from upscaler import catalog
from upscaler.diffusion.load import ModelFiles, fetch_pipeline, load
from upscaler.diffusion.memory import Facts, Offload, Placement, memory_needed, place, put_in_place, read_facts
from upscaler.errors import PlanError

GPU = torch.device("cuda")
CPU = torch.device("cpu")

SD_X4 = Facts("sd-x4", {"unet": 473 * 10**6, "text_encoder": 340 * 10**6, "vae": 55 * 10**6}, 53 * 10**6, 17 * 256,
              7 * 128 * 16, 128, False)  # fmt: skip
SDXL = Facts("sdxl", {"unet": 2567 * 10**6, "text_encoder": 123 * 10**6, "text_encoder_2": 695 * 10**6,
                      "vae": 84 * 10**6}, 63 * 10**6, 17 * 320, 7 * 128 * 64, 128, True)  # fmt: skip
FLUX = Facts("flux", {"transformer": 11_900 * 10**6, "text_encoder": 123 * 10**6, "text_encoder_2": 4762 * 10**6,
                      "vae": 84 * 10**6}, 132 * 10**6, 23 * 3072 / 4, 7 * 128 * 64, 128, True)  # fmt: skip


def save(pipeline: DiffusionPipeline, folder: Path) -> ModelFiles:
    pipeline.save_pretrained(folder)
    return fetch_pipeline(catalog.find(str(folder)))


@pytest.mark.parametrize(
    ("build", "window"),
    [(tiny.build_x4, 128), (tiny.build_x2, 128), (tiny.build_sd, 64), (tiny.build_sdxl, 128), (tiny.build_sd3, 32),
     (tiny.build_flux, 128)],
)  # fmt: skip
def test_facts_are_those_of_the_networks(build: Callable[[], Any], window: int, tmp_path: Path) -> None:
    pipeline = build()
    found = read_facts(save(pipeline, tmp_path))
    networks = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    counted = {name: sum(weight.numel() for weight in part.state_dict().values()) for name, part in networks.items()}
    slack = 2 * tiny.T5_HIDDEN * 32_000  # weights that are one in memory may be one or two in a file
    assert found.parameters.keys() == counted.keys()
    assert all(
        abs(counted[name] - found.parameters[name]) <= (slack if "T5" in str(networks[name]) else 0) for name in counted
    )
    assert found.window == window


def test_single_file_has_the_facts_of_its_folder(tmp_path: Path) -> None:
    pipeline = tiny.build_sd()
    source = save(pipeline, tmp_path / "folder")
    save_single_file(pipeline, tmp_path / "one.safetensors")
    single = replace(source, weights=None, file=tmp_path / "one.safetensors")
    assert read_facts(single) == read_facts(source)


def test_controlnet_counts(tmp_path: Path) -> None:
    pipeline = tiny.build_sd()
    source = save(pipeline, tmp_path / "sd")
    tiny.build_controlnet(pipeline.unet).save_pretrained(tmp_path / "control")
    alone, both = read_facts(source), read_facts(source, fetch_pipeline(catalog.find(str(tmp_path / "control"))))
    assert both.parameters["controlnet"] > 0
    assert both.denoiser_numbers > alone.denoiser_numbers


@pytest.mark.parametrize("model", [SD_X4, SDXL, FLUX], ids=lambda model: model.name)
def test_more_memory_is_never_used_worse(model: Facts) -> None:
    order: list[Offload] = ["group", "model", "none"]
    chosen = []
    for budget in range(10**9, 100 * 10**9, 5 * 10**8):
        try:
            chosen.append(place(model, GPU, budget, "fp16"))
        except PlanError:
            assert not chosen
    assert all(memory_needed(model, placement) <= placement.budget for placement in chosen)
    ranks = [(it.window, order.index(it.offload), it.batch) for it in chosen]
    assert ranks == sorted(ranks)
    assert ranks[-1] == (128, 2, 16)
    for offload in order:
        tiles = [it.vae_tile for it in chosen if (it.window, it.offload) == (128, offload)]
        assert tiles == sorted(tiles)


@pytest.mark.parametrize(
    ("model", "budget", "offload"),
    [(SD_X4, 2, "model"), (SD_X4, 8, "none"), (SDXL, 8, "model"), (SDXL, 16, "none"), (FLUX, 8, "group"),
     (FLUX, 32, "model"), (FLUX, 48, "none")],
)  # fmt: skip
def test_known_models_are_placed_as_is_usual_on_cards_of_that_size(model: Facts, budget: int, offload: str) -> None:
    placement = place(model, GPU, budget * 10**9, "fp16")
    assert (placement.offload, placement.window) == (offload, 128)
    assert placement.vae_tile >= 64
    assert placement.dtype == torch.float16


def test_cpu_computes_one_window_at_a_time_and_holds_all_weights() -> None:
    placement = place(SD_X4, CPU, 64 * 10**9, "fp32")
    assert (placement.offload, placement.batch, placement.dtype) == ("none", 1, torch.float32)
    with pytest.raises(PlanError, match=r"^sd-x4: at least [4-9]\.\d GB are needed on cpu, and 3\.0 GB may be used\."):
        place(SD_X4, CPU, 3 * 10**9, "fp32")


class Peak(TorchDispatchMode):
    """The most numbers that new tensors held at once, of those made while it is open."""

    def __init__(self, network: torch.nn.Module) -> None:
        """Views of the network's own weights are not counted."""
        super().__init__()
        self.alive = {weight.untyped_storage()._cdata: 0 for weight in network.state_dict().values()}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.alive:
                    self.alive[storage._cdata] = storage.nbytes() // tensor.itemsize
                    weakref.finalize(storage, self.alive.pop, storage._cdata)
                    self.peak = max(self.peak, sum(self.alive.values()))
        return result


PUBLISHED: dict[str, dict[str, Any]] = {
    "sd": {"block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768, "attention_head_dim": 8},
    "x4": {
        "in_channels": 7,
        "block_out_channels": (256, 512, 512, 1024),
        "cross_attention_dim": 1024,
        "attention_head_dim": 8,
        "down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
        "up_block_types": (*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
        "only_cross_attention": (True, True, True, False),
    },
}
"""What makes UNets as large as those that are used."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_hold_what_was_counted(name: str, tmp_path: Path) -> None:
    """In full size, but without numbers: only their sizes are computed."""
    source = save(tiny.build_sd(), tmp_path)
    with FakeTensorMode(), torch.no_grad():
        unet = UNet2DConditionModel(**PUBLISHED[name])
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        )
        words = torch.zeros(1, 77, PUBLISHED[name]["cross_attention_dim"])
        with Peak(unet) as denoising:
            unet(torch.zeros(1, unet.config.in_channels, 64, 64), torch.zeros(1), words)
        with Peak(vae) as decoding:
            vae.decode(torch.zeros(1, 4, 32, 32))
    unet.save_config(tmp_path / "unet")
    vae.save_config(tmp_path / "vae")
    found = read_facts(source)
    assert denoising.peak / 64**2 < found.denoiser_numbers < 1.3 * denoising.peak / 64**2
    assert decoding.peak / 32**2 < found.vae_numbers < 1.3 * decoding.peak / 32**2


def picture(pipeline: DiffusionPipeline) -> torch.Tensor:
    made: torch.Tensor = pipeline(
        "a", height=64, width=64, num_inference_steps=2, output_type="pt", generator=torch.Generator().manual_seed(0)
    ).images
    return made


@pytest.mark.parametrize("offload", ["none", "model", "group"])
def test_placement_does_not_change_the_picture(offload: Offload, tmp_path: Path) -> None:
    tiny.build_sd().save_pretrained(tmp_path)
    model = catalog.find(str(tmp_path))
    stock = load(fetch_pipeline(model), "text-to-image", dtype=torch.float32)
    placement = Placement(CPU, torch.float32, offload, 64, 1, 64, 10**9)
    placed = put_in_place(load(fetch_pipeline(model), "text-to-image", dtype=torch.float32), placement)
    assert placed.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(picture(placed), picture(stock), atol=1e-5)


CHILD = """
import json, sys, threading
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
from upscaler import catalog
from upscaler.diffusion.denoiser import tile_denoiser
from upscaler.diffusion.load import load, fetch_pipeline
from upscaler.diffusion.memory import place, put_in_place, read_facts
from upscaler.diffusion.vae import decode

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

def peak_of(work):
    before = peak = anonymous()
    done = threading.Event()
    def watch():
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, anonymous())
    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return peak - before

model = catalog.find(sys.argv[1])
window, budget = int(sys.argv[2]), int(sys.argv[3])
known = replace(read_facts(fetch_pipeline(model)), window=window)
def run(placement, side):
    pipeline = put_in_place(load(fetch_pipeline(model), "text-to-image", dtype=placement.dtype), placement)
    factor = 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
    with tile_denoiser(pipeline, tile=placement.window, overlap=8, batch=placement.batch):
        latents = pipeline("a", height=side * factor, width=side * factor, num_inference_steps=1,
                           guidance_scale=5.0, output_type="latent").images
    for band in decode(pipeline.vae, latents, tile=placement.vae_tile):
        pass

placement = place(known, torch.device("cpu"), budget, "fp32")
run(replace(placement, window=24, vae_tile=16), 32)
print(json.dumps([peak_of(lambda: run(placement, window + 32)), placement.vae_tile]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells anonymous memory apart")
@pytest.mark.parametrize(("build", "budget", "tile"), [(tiny.build_sd, 350, 64), (tiny.build_sdxl, 600, 96)])
def test_stated_budget_is_kept(build: Callable[[], Any], budget: int, tile: int, tmp_path: Path) -> None:
    build().save_pretrained(tmp_path)
    command = [sys.executable, "-c", CHILD, str(tmp_path), "64", str(budget * 10**6)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, chosen = json.loads(done.stdout)
    assert chosen == tile
    assert peak <= budget * 10**6
