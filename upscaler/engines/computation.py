"""One network computed on one device: where its weights are, in which precision, layout and with which kernels."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch

from ..device import dtype_name
from ..errors import ModelError, OutOfMemory, PlanError, UpscalerError, first_line
from .probe import Trial, try_out

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

log = logging.getLogger("upscaler")

HALF_ERROR = 0.02
"""Root mean square of what half precision may change in the result of a sample: five 8-bit levels."""

HALF_ERROR_ANYWHERE = 0.25
"""The most that half precision may change at any pixel of it."""


class Weights(Protocol):
    """Where a network comes from; see `Checkpoint`."""

    @property
    def key(self) -> str:
        """The same for the same weights."""
        ...

    def load(self) -> ImageModelDescriptor[torch.nn.Module]:
        """Loads the network, float32 on the CPU, each time anew."""
        ...


CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Computation:
    """A network on its device, and how it is computed there. May be called from several threads."""

    network: ImageModelDescriptor[torch.nn.Module]
    layout: torch.memory_format = torch.contiguous_format
    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    """The number format. Not every network works in each."""
    autocast: bool = False
    """Whether weights stay float32, and PyTorch chooses the type of each operation."""
    is_stochastic: bool = True
    """Whether the network draws random numbers, as far as is known."""
    plain: bool = False
    """Whether oneDNN's kernels are avoided."""

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Computes (tiles, channels, height, width), float32 0..1 on the CPU; the result is enlarged and stays on the
        device."""
        with (
            torch.inference_mode(),
            _same_noise(self.device) if self.is_stochastic else nullcontext(),
            _plain_kernels() if self.plain else nullcontext(),
            torch.autocast(self.device.type, self.dtype) if self.autocast else nullcontext(),
        ):
            dtype = torch.float32 if self.autocast else self.dtype
            # A copy, because some networks write into what they are given.
            copy = batch.to(device=self.device, dtype=dtype, memory_format=self.layout, copy=True)
            result: torch.Tensor = self.network(copy)
        return result


def try_layouts(
    network: ImageModelDescriptor[torch.nn.Module], name: str, tile: torch.Tensor, plain: bool
) -> tuple[Computation, Trial]:
    """Computes one tile in float32 on the CPU, in the layout that is fastest if the network can be computed in it.

    Raises ModelError when it cannot be computed in any.
    """
    for layout in (torch.channels_last, torch.contiguous_format):
        computation = Computation(network, layout, plain=plain)
        try:
            network.model.to(memory_format=layout)
            trial = try_out(computation, tile)
            return replace(computation, is_stochastic=trial.is_stochastic), trial
        except UpscalerError:
            raise
        except Exception as error:  # whatever a network raises whose author never tried this
            if layout == torch.contiguous_format:
                raise ModelError(
                    f"{name}: the network does not run at first try ({first_line(error)}). Check model and device."
                ) from error
            log.debug("%s: cannot be computed with channels last (%s).", name, error)
    raise AssertionError


def move_to_device(
    computation: Computation, weights: Weights, name: str, device: torch.device, dtypes: list[torch.dtype], trial: Trial
) -> Computation:
    """Brings a network to a device, in the first of the precisions that gives the result of the trial there.

    Each is tried for all operations, then with autocast.

    Raises PlanError when the precision that was asked for does not, ModelError when none does.
    """
    network = computation.network
    modes = [(dtype, autocast) for dtype in dtypes for autocast in (False, True)]
    for dtype, autocast in (mode for mode in modes if mode != (torch.float32, True)):
        network.model.to(device, torch.float32 if autocast else dtype)
        moved = replace(computation, network=network, device=device, dtype=dtype, autocast=autocast)
        mode = f"{dtype_name(dtype)}{' and autocast' if autocast else ''}"
        if device.type == "cpu" and dtype == torch.float32:
            return moved
        try:
            difference = (moved(trial.tile).float().cpu() - trial.result).abs()
            if difference.square().mean().sqrt() < HALF_ERROR and difference.max() < HALF_ERROR_ANYWHERE:
                return moved
            log.debug("%s: is wrong if computed with %s.", name, mode)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"{name}: the network does not fit into the memory of {device}. Choose a smaller model."
            ) from error
        except Exception as error:  # as in try_layouts
            log.debug("%s: cannot be computed with %s (%s).", name, mode, error)
        network = weights.load().eval()  # whose weights are not rounded
        network.model.to(memory_format=computation.layout)
    if torch.float32 in dtypes:
        raise ModelError(f"{name}: the network cannot be computed on {device}. Use another `device`, such as cpu.")
    raise PlanError(
        "this model cannot be computed so. Use auto or fp32.", argument="precision", value=dtype_name(dtypes[0])
    )


@contextmanager
def _same_noise(device: torch.device) -> Iterator[None]:
    """Lets a network draw the same random numbers for every tile, or the edges of tiles would not meet."""
    on_device = device.type in ("cuda", "xpu")
    with torch.random.fork_rng([device] if on_device else [], device_type=device.type if on_device else "cuda"):
        torch.manual_seed(0)
        yield


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Switches oneDNN off. The switch is one for the whole process: other threads get slower meanwhile, not wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False):
            yield
