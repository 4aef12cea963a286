"""The weights of a network on disk: read without running anything they contain, and two of them mixed on request."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from ..catalog import SAFETENSORS, weights_key
from ..errors import ModelError, first_line
from .bounds import NetworkBound, TooLarge, check_archive, check_tensors

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor


log = logging.getLogger("upscaler")

WRAPPERS = (
    *("params_ema", "params-ema", "g_ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema"),
    *("model_state_dict", "state_dict", "params", "model", "net", "netG", "net_g", "generator", "g", "weights"),
)
"""Keys under which trainers keep weights, averaged ones (EMA) first: they are what is published."""

EMA_PREFIXES = ("net_g_ema.", "ema_model.", "model_ema.", "ema.")
"""What the names of averaged weights begin with, beside those of the others."""

PREFIXES = ("module.", "_orig_mod.", "netG.", "net_g.", "generator.", "model.", "net.", "network.")
"""What names begin with: DataParallel's, torch.compile's, and those of networks inside of a trainer's module."""

DEEPEST, MOST_STATES = 5, 100
"""How many wrappings are looked into, and how many dictionaries of weights are looked at."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file, or two of one architecture whose weights are mixed.

    Deep network interpolation (Wang et al., CVPR 2019) is how Real-ESRGAN sets its strength of denoising.
    """

    file: Path
    other: Path | None = None
    share: float = 1.0
    """Share of `file` in the weights, 0..1; the rest is `other`'s."""
    of_faces: bool = False
    """Whether it must be a network that restores cropped faces; else it must be one for whole pictures."""

    @property
    def key(self) -> str:
        """A text that is the same for the same weights; measurements of a network are kept under it."""
        return weights_key(self.file, self.other, self.share)

    def load(self) -> ImageModelDescriptor[torch.nn.Module]:
        """Loads the network, float32 on the CPU. Raises ModelError when a file holds none that can be used here."""
        if self.of_faces:
            _add_face_networks()
        network = _network(self.file, read_weights(self.file), self.of_faces)
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

    Raises ModelError when it is missing, broken, would have to be run to be read, or takes more memory than a file of
    its size can need: pickles go through PyTorch's unpickler for weights only, TorchScript programs are refused.
    """
    try:
        if file.suffix.lower() in SAFETENSORS:
            content = load_file(file)
        else:
            check_archive(file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                content = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, not weights by name")
        state = _choose_state(file, content)
        check_tensors(state, file.stat().st_size)
        return state
    except FileNotFoundError as error:
        raise ModelError(f"{file}: no such file.") from error
    except Exception as error:  # whatever a foreign file makes the loaders raise
        raise ModelError(f"{file}: {_reason(error)}") from error


def _choose_state(file: Path, content: dict[Any, Any]) -> dict[str, torch.Tensor]:
    """Returns the first dictionary of weights in which a known architecture is seen, else the first of all."""
    import spandrel

    states = list(islice(_states(content), MOST_STATES)) or [((), {})]
    known = spandrel.MAIN_REGISTRY.architectures("detection")
    fits = [(path, state) for path, state in states if any(arch.detect(state) for arch in known)] or states
    path, state = fits[0]
    others = [" ".join(other) or "nothing" for other, same in fits[1:] if same.keys() == state.keys()]
    if others:
        log.info("%s: the weights under %s are taken, not those under %s.", file, " ".join(path), " or ".join(others))
    return state


def _states(content: dict[Any, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yields all dictionaries of tensors in what a trainer has saved, the likeliest first, and what leads to each."""
    if len(path) > DEEPEST:
        return
    keys = WRAPPERS if len(content) > 1 else tuple(content)
    for key in keys:
        if isinstance(inner := content.get(key), dict):
            yield from _states(inner, (*path, str(key)))
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and torch.is_tensor(value)}
    if not tensors:
        return
    for prefix in EMA_PREFIXES:
        yield from _below(prefix, tensors, path)
    yield path, tensors
    for prefix in PREFIXES:
        yield from _below(prefix, tensors, path)


def _below(
    prefix: str, tensors: dict[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    part = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return _states(part, (*path, prefix)) if part else iter(())


def save(checkpoint: Checkpoint, path: Path, about: dict[str, str]) -> None:
    """Writes the weights of a checkpoint of one file as safetensors, with `about` in the header. Raises OSError."""
    plain = {name: value.contiguous().clone() for name, value in read_weights(checkpoint.file).items()}
    save_file(plain, path, about)


def _add_face_networks() -> None:
    """Lets spandrel know CodeFormer, if the package is installed that has it; its licence allows no commercial use."""
    with suppress(ImportError):
        import spandrel_extra_arches

        spandrel_extra_arches.install(ignore_duplicates=True)


def _network(file: Path, state: dict[str, Any], of_faces: bool = False) -> ImageModelDescriptor[torch.nn.Module]:
    import spandrel

    try:
        with NetworkBound(state):
            network = spandrel.ModelLoader(device="cpu").load_from_state_dict(state)
    except spandrel.UnsupportedModelError as error:
        if of_faces and "position_emb" in state:
            raise ModelError(
                f"{file}: CodeFormer needs a package that is not installed. Run pip install spandrel_extra_arches."
            ) from error
        raise ModelError(
            f"{file}: the file holds no network of a known architecture. See upscaler models for others."
        ) from error
    except Exception as error:
        raise ModelError(f"{file}: {_reason(error)}") from error
    if not isinstance(network, spandrel.ImageModelDescriptor):
        raise ModelError(
            f"{file}: the network is for filling masked holes, not for enlarging pictures. Choose another."
        )
    if network.purpose == "FaceSR" and not of_faces:
        raise ModelError(f"{file}: the network is for cropped faces, not for whole pictures. Choose another.")
    if of_faces and network.purpose != "FaceSR":
        raise ModelError(f"{file}: the network is for whole pictures, not for cropped faces. Choose another.")
    if not all(torch.isfinite(weights).all() for weights in network.model.parameters()):
        raise ModelError(f"{file}: some of its weights are no numbers (NaN or infinite). Get it from its author.")
    if network.architecture.id == "DRUNet":  # spandrel gives its plane of noise to a single tile only
        network._call_fn = lambda model, tiles: model(torch.cat([tiles, torch.full_like(tiles[:, :1], 15 / 255)], 1))
    if network.architecture.id == "GFPGAN":  # spandrel gives it 0..1, and the noise of a new picture each time
        network._call_fn = lambda model, faces: (model(faces * 2 - 1, randomize_noise=False)[0] + 1) / 2
    if network.architecture.id == "CodeFormer":  # it, too, learned from faces in -1..1, and gives such ones
        network._call_fn = lambda model, faces: (model(faces * 2 - 1)[0] + 1) / 2
    return network.eval()


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, TooLarge):
        return f"the file is not what it seems: {text}. Get it from its author."
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
