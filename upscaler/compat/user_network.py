"""A network that the caller has built, with weights from files, in the form that engines take."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path

from spandrel import ImageModelDescriptor, SizeRequirements
from spandrel.architectures.ESRGAN import ESRGANArch
from torch import Tensor, nn

from ..engines.checkpoint import Checkpoint, mix_weights, read_weights
from ..errors import ModelError
from .networks import SHUFFLES


@dataclass(frozen=True, slots=True)
class UserNetwork:
    """A network and its key; it meets `engines.network.Weights`."""

    network: nn.Module
    scale: int
    key: str

    def load(self) -> ImageModelDescriptor[nn.Module]:
        """Copies the network, float32 on the CPU. The copy raises ModelError when its results have another scale."""
        network = copy.deepcopy(self.network).float().cpu()
        return ImageModelDescriptor(
            network,
            network.state_dict(),
            ESRGANArch(),  # spandrel asks for one; it is only used when files are loaded
            purpose="SR",
            tags=[],
            supports_half=True,
            supports_bfloat16=True,
            scale=self.scale,
            input_channels=3,
            output_channels=3,
            size_requirements=SizeRequirements(multiple_of=SHUFFLES.get(self.scale, 1)),
            call_fn=self._checked,
        )

    def _checked(self, network: nn.Module, pictures: Tensor) -> Tensor:
        result: Tensor = network(pictures)
        count, channels, height, width = pictures.shape
        expected = (count, channels, height * self.scale, width * self.scale)
        if tuple(result.shape) != expected:
            raise ModelError(
                f"{type(network).__name__} gives {tuple(result.shape)} instead of {expected} for scale {self.scale}. "
                "Pass the scale that it has."
            )
        return result


def load_weights(network: nn.Module, scale: int, checkpoint: Checkpoint) -> UserNetwork:
    """Loads the weights of a checkpoint into the network itself. Raises ModelError when they do not fit.

    The key holds the network's printed form, too, since other functions can have the same weights.
    """
    _put(network, checkpoint.file)
    if checkpoint.other is not None:
        state = copy.deepcopy(network.state_dict())
        _put(network, checkpoint.other)
        network.load_state_dict(mix_weights(state, network.state_dict(), checkpoint.share))
    form = hashlib.sha256(repr(network).encode()).hexdigest()
    return UserNetwork(network.eval(), scale, f"{checkpoint.key}-{form}")


def _put(network: nn.Module, file: Path) -> None:
    found, own = read_weights(file), network.state_dict()
    missing, unknown = own.keys() - found.keys(), found.keys() - own.keys()
    unlike = [name for name in own.keys() & found.keys() if own[name].shape != found[name].shape]
    if missing or unknown or unlike:
        raise ModelError(
            f"{file}: does not fit the given {type(network).__name__}: of its {len(own)} weights {len(missing)} are "
            f"missing and {len(unlike)} have another shape; the file has {len(unknown)} others. "
            "Make it with the arguments it was trained with, or leave model out."
        )
    network.load_state_dict(found)
