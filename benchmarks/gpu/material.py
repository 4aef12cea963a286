"""The pictures and networks of the checks, and the one place that knows how an engine is called with tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from upscaler import catalog
from upscaler.catalog import Model
from upscaler.engines.checkpoint import Checkpoint
from upscaler.pipeline import Pipeline, PipelineOptions
from upscaler.surface import HOST, surface_for

from .run import ROOT, Run

Pixels = NDArray[np.uint8]

PHOTO_SIZE = (1632, 1224)
"""Two megapixels, as GPU.md reckons with: the result has 32."""

GENUINE = "weights/realesrgan-x4plus-fp16.safetensors"
"""Where below the carried folder the genuine weights of x4plus are, if they are carried."""

LAYERS = {
    "model.0": "conv_first",
    "model.3": "conv_up1",
    "model.6": "conv_up2",
    "model.8": "conv_hr",
    "model.10": "conv_last",
}
"""spandrel's names of the layers around the trunk of Real-ESRGAN's network, and the official ones."""


@dataclass(frozen=True)
class Network:
    """A network that is measured."""

    name: str
    model: Model
    operations: float
    """Multiplications with an addition for each source pixel."""
    rival: dict[str, Any]
    """How `rival.py` builds the same network."""

    def load(self, run: Run, dtype: torch.dtype | None = None) -> torch.nn.Module:
        """Returns the bare network on the device, float16 there unless told otherwise, with channels last."""
        network: torch.nn.Module = Checkpoint(catalog.fetch_model(self.model)).load().model
        dtype = dtype or (torch.float32 if run.dry else torch.float16)
        return network.eval().to(run.device, dtype).to(memory_format=torch.channels_last)

    def pipeline(self, run: Run, device: str | None = None, **options: Any) -> Pipeline:
        """Returns a pipeline that only enlarges: noise is not measured or removed."""
        return Pipeline(
            self.model, PipelineOptions(device=device or run.device, backend="torch", denoise=0.0, **options)
        )


def photo() -> Network:
    sizes = {"kind": "compact", "features": 96, "convolutions": 5, "scale": 4}
    return Network("photo", catalog.find("photo"), 0.63e6, sizes)


def x4v3(run: Run) -> Network:
    """Real-ESRGAN's network for all photographs, with random weights, with which it enlarges much as a filter does."""
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    file = run.work / "x4v3.safetensors"
    layers = 2 if run.dry else 32
    if not file.exists():
        torch.manual_seed(0)
        network = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=64, num_conv=layers, upscale=4, act_type="prelu")
        state = network.state_dict()
        last = max(int(name.split(".")[1]) for name in state)
        save_file({name: value * (0.05 if f".{last}." in name else 1) for name, value in state.items()}, file)
    sizes = {"kind": "compact", "features": 64, "convolutions": layers, "scale": 4}
    return Network("x4v3", _at(file, "realesr-general-x4v3", layers + 2), 1.21e6, sizes)


def x4plus(run: Run) -> Network:
    """Real-ESRGAN's large network: with its genuine weights where they are carried, otherwise with random ones, with
    which it repeats pixels. The times are the same."""
    genuine = run.carried / GENUINE
    if genuine.exists() and not run.dry:
        file, blocks = genuine, 23
    else:
        file, blocks = run.work / "x4plus.safetensors", 1 if run.dry else 23
        if not file.exists():
            save_file(_repeating(blocks), file)
    sizes = {"kind": "rrdb", "features": 64, "blocks": blocks, "scale": 4}
    return Network("x4plus", _at(file, "realesrgan-x4plus", 102), 17.93e6, sizes)


def networks(run: Run) -> list[Network]:
    return [photo(), x4v3(run), x4plus(run)]


def run_tiles(engine: Any, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Computes tiles (count, height, width, 3), 0..1, of the host by an engine, and returns its results there."""
    result: NDArray[np.float32] = HOST.bring(engine.run(surface_for(engine.info.device).bring(tiles)))
    return result


def picture(width: int, height: int, seed: int = 1) -> Pixels:
    """A sample of that size with a little noise, so that no two pixels are the same by chance."""
    sample = np.asarray(cv2.imread(str(ROOT / "samples" / "astronaut.jpg")))[:, :, ::-1]
    enlarged = cv2.resize(sample, (width, height), interpolation=cv2.INTER_AREA if width < 512 else cv2.INTER_CUBIC)
    noise = np.random.default_rng(seed).normal(0, 2, enlarged.shape)
    return (enlarged + noise).clip(0, 255).astype(np.uint8)


def photograph(run: Run) -> Pixels:
    """A picture of two megapixels, or a tiny one if the run is dry."""
    return picture(*((96, 64) if run.dry else PHOTO_SIZE))


def differences(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.int_]:
    """Returns by how many levels each value of two pictures differs."""
    return np.abs(one.astype(int) - other.astype(int))


def _at(file: Path, name: str, reach: int) -> Model:
    """The model of the catalog of that name with weights in a file of ours, whose reach is known."""
    return replace(catalog.find(name), file=file, download=None, package=None, reach=reach, denoise_with=None)


def _repeating(blocks: int) -> dict[str, torch.Tensor]:
    """Returns weights for Real-ESRGAN's large network under the official names: small random ones, and around the trunk
    those that hand on the three colours."""
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

    torch.manual_seed(0)
    state = {}
    for name, value in RRDBNet(in_nc=3, out_nc=3, num_filters=64, num_blocks=blocks, scale=4).state_dict().items():
        layer, kind = name.rsplit(".", 1)
        small = value * 0.05
        if layer in LAYERS and kind == "weight":
            small[range(3), range(3), 1, 1] += 1
        official = LAYERS.get(layer)
        if official is None and layer == f"model.1.sub.{blocks}":
            official = "conv_body"
        elif official is None:  # such as model.1.sub.0.RDB1.conv1.0
            _, _, _, block, dense, convolution, _ = layer.split(".")
            official = f"body.{block}.{dense.lower()}.{convolution}"
        state[f"{official}.{kind}"] = small.contiguous()
    return state
