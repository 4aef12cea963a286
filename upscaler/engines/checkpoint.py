"""The weights of a network on disk: read without running anything they contain, and two of them mixed on request."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from ..catalog import weights_sha256
from ..errors import ModelError, first_line

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file, or two of one architecture whose weights are mixed.

    Deep network interpolation (Wang et al., CVPR 2019) is how Real-ESRGAN sets its strength of denoising.
    """

    file: Path
    other: Path | None = None
    share: float = 1.0
    """Share of `file` in the weights, 0..1; the rest is `other`'s."""

    @property
    def key(self) -> str:
        """A text that is the same for the same weights; measurements of a network are kept under it."""
        parts = [weights_sha256(self.file)]
        if self.other is not None:
            parts += [weights_sha256(self.other), f"{self.share:.3f}"]
        return "-".join(parts)

    def load(self) -> ImageModelDescriptor[torch.nn.Module]:
        """Loads the network, float32 on the CPU. Raises ModelError when a file holds none that can be used here."""
        network = _network(self.file, read_weights(self.file))
        if self.other is None or self.share == 1:
            return network
        other = _network(self.other, read_weights(self.other))
        state, added = network.model.state_dict(), other.model.state_dict()
        if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in added.items()}:
            raise ModelError(
                f"{self.other}: its architecture is not that of {self.file.name}, so they cannot be mixed. "
                "Choose another file."
            )
        network.model.load_state_dict(mix_weights(state, added, self.share))
        return network


def mix_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """Mixes weights of the same names and shapes: `share` of the first network, and the rest of the other."""
    return {
        name: torch.lerp(other[name], value, share) if value.is_floating_point() else value
        for name, value in one.items()
    }


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Reads the tensors in a file by name, out of whatever wrapping their trainer put around them.

    Raises ModelError when it is missing, broken, or would have to be run to be read: pickles go through PyTorch's
    unpickler for weights only, TorchScript programs are refused.
    """
    try:
        if file.suffix.lower() == ".safetensors":
            return _tensors(load_file(file))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _tensors(torch.load(file, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise ModelError(f"{file}: no such file.") from error
    except Exception as error:  # whatever a foreign file makes the loaders raise
        raise ModelError(f"{file}: {_reason(error)}") from error


def _tensors(content: Any) -> dict[str, torch.Tensor]:
    import spandrel

    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not weights by name")
    state = spandrel.canonicalize_state_dict(content)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def save(checkpoint: Checkpoint, path: Path, about: dict[str, str]) -> None:
    """Writes the weights of a checkpoint of one file as safetensors, with `about` in the header. Raises OSError."""
    plain = {name: value.contiguous().clone() for name, value in read_weights(checkpoint.file).items()}
    save_file(plain, path, about)


def _network(file: Path, state: dict[str, Any]) -> ImageModelDescriptor[torch.nn.Module]:
    import spandrel

    try:
        network = spandrel.ModelLoader(device="cpu").load_from_state_dict(state)
    except spandrel.UnsupportedModelError as error:
        raise ModelError(
            f"{file}: the file holds no network of a known architecture. See upscaler models for others."
        ) from error
    except Exception as error:
        raise ModelError(f"{file}: {_reason(error)}") from error
    if not isinstance(network, spandrel.ImageModelDescriptor):
        raise ModelError(
            f"{file}: the network is for filling masked holes, not for enlarging pictures. Choose another."
        )
    if network.purpose == "FaceSR":
        raise ModelError(f"{file}: the network is for cropped faces, not for whole pictures. Choose another.")
    if network.architecture.id == "DRUNet":  # spandrel gives its plane of noise to a single tile only
        network._call_fn = lambda model, tiles: model(torch.cat([tiles, torch.full_like(tiles[:, :1], 15 / 255)], 1))
    return network.eval()


def _reason(error: Exception) -> str:
    text = str(error)
    if "TorchScript" in text:
        return "a TorchScript program would have to be run to be read. Save its state dict as .safetensors."
    if "loading state_dict" in text:
        return "the weights do not fit the architecture they look like. Get a complete file."
    if "Weights only load failed" in text:
        if found := re.search(r"GLOBAL ([\w.]+)", text):
            return (
                f"the file contains code ({found[1]}), not only weights; nothing was run. Get a file of weights only."
            )
        return "the file cannot be read as a network: it is not a checkpoint, or more than weights; nothing was run."
    return f"the file cannot be read as a network ({first_line(error)})."
