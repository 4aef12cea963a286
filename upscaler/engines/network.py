"""Any network that spandrel loads, as an engine: tried out, brought to its device, and computed there.

The module is longer than others, because what the first try of a network shows decides how it is moved and computed.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from ..arrays import Pixels
from ..device import (
    PROCESS_SWITCHES,
    budget_for_tiles,
    dtype_name,
    no_tf32,
    own_error,
    pick_device,
    pick_precision,
    release,
    report_loss,
)
from ..errors import DeviceLost, ModelError, OutOfMemory, PlanError, UpscalerError, first_line
from ..surface import surface_for, surface_of
from ..tiling import RAMP, TileRequirements
from .base import CPU_MEMORY, Engine, EngineInfo
from .probe import (
    HALF_ERROR,
    HALF_ERROR_ANYWHERE,
    WIDE_RAMP,
    WINDOW,
    TilingProfile,
    load_or_measure,
    measure_tiling,
    sample,
    sample_face,
)
from .trial import Trial, measure_divided, try_out
from .trunk import divide

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

log = logging.getLogger("upscaler")

CPU_CACHE = 32 * 2**20
"""Bytes of working memory up to which a tile is computed fastest on a CPU (measured: a network of 64 features in bf16
takes 1.4 µs a pixel at 256x256, 3.1 at 512x512; `photo` in float32 with AVX2 8.8 at 256x256, 12.0 at 384x384)."""

GPU_BATCH = 2**20
"""Source pixels run together on a GPU: enough to fill it."""

LARGEST_TENSOR = 2**31
"""Elements of a tensor from which on kernels of GPUs may crash, or give wrong results without an error (PyTorch issues
117736 and 141831)."""

LARGEST_MPS_TENSOR = 2**32
"""Bytes of a tensor from which on Metal ends the process."""


class Weights(Protocol):
    """The source of a network's weights; see `Checkpoint`."""

    @property
    def key(self) -> str:
        """A key that identifies the weights."""
        ...

    def load(self) -> ImageModelDescriptor[torch.nn.Module]:
        """Loads the network, float32 on the CPU, each time anew."""
        ...


@dataclass(frozen=True, slots=True)
class Computation:
    """A network on its device, and how it is computed there. May be called from several threads."""

    network: ImageModelDescriptor[torch.nn.Module]
    layout: torch.memory_format
    device: torch.device
    dtype: torch.dtype = torch.float32
    """The number format. Not every network works in each."""
    autocast: bool = False
    """Whether weights stay float32, and PyTorch chooses the type of each operation."""
    is_stochastic: bool = True
    """Whether the network draws random numbers, as far as is known."""
    plain: bool = False
    """Whether oneDNN's kernels are avoided."""

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Computes (tiles, channels, height, width), float32 0..1, on the CPU or the device; the result is enlarged and
        lies on the device, in the precision of the computation."""
        is_tf32 = self.device.type == "cuda" and self.dtype == torch.float32
        with (
            torch.inference_mode(),
            PROCESS_SWITCHES if self.is_stochastic or self.plain or is_tf32 else nullcontext(),
            _same_noise(self.device) if self.is_stochastic else nullcontext(),
            _plain_kernels() if self.plain else nullcontext(),
            no_tf32() if is_tf32 else nullcontext(),
            torch.autocast(self.device.type, self.dtype) if self.autocast else nullcontext(),
        ):
            dtype = torch.float32 if self.autocast else self.dtype
            # A copy, because some networks write into what they are given.
            copy = batch.to(device=self.device, dtype=dtype, memory_format=self.layout, copy=True)
            result: torch.Tensor = self.network(copy)
        return result


class NetworkEngine:
    """One network on one device in one precision. Holds no state between calls.

    engine = NetworkEngine.load(Checkpoint(file), name="photo", device="cuda")
    larger = engine.run(tiles)
    """

    def __init__(self, weights: Weights, computation: Computation, profile: TilingProfile, info: EngineInfo) -> None:
        """Keeps what `load` has found out. A fallback is loaded from `weights`, those of `computation.network`."""
        self.info = info
        self._weights = weights
        self._computation = computation
        self._profile = profile
        self._lock = threading.Lock()
        self._fallbacks: dict[torch.device, Engine] = {}

    @classmethod
    def load(
        cls,
        weights: Weights,
        *,
        name: str,
        device: str | None = None,
        precision: str = "auto",
        reach: int | None = None,
        profile: TilingProfile | None = None,
        keeps_tone: bool | None = None,
        plain: bool = False,
    ) -> NetworkEngine:
        """Loads a network, tries it out and brings it to its device.

        `reach`, in source pixels, may be given in place of `profile`; with neither, it is measured. `keeps_tone`: see
        `EngineInfo`; None asks the architecture's purpose. `plain` avoids oneDNN's kernels.

        Raises ModelError when there is no network that can be used here, PlanError for device and precision.
        """
        place = pick_device(device)
        network, is_divided = _load(weights, place)
        if (pair := (network.input_channels, network.output_channels)) not in ((1, 1), (3, 3)):
            raise ModelError(
                f"{name}: the network takes {pair[0]} channels and gives {pair[1]}; 1 to 1 and 3 to 3 are supported. "
                "Choose another one."
            )
        channels: Literal[1, 3] = 1 if network.input_channels == 1 else 3
        minimum = network.size_requirements.minimum
        is_of_faces = network.purpose == "FaceSR"
        tile = sample_face() if is_of_faces else sample(channels, minimum)
        on_cpu, trial = _try_layouts(network, name, torch.from_numpy(tile), plain)
        if is_divided:
            trial = measure_divided(trial, network.model, channels, network.scale)
        half, bfloat16 = (
            not trial.uses_grid_sample and allowed for allowed in (network.supports_half, network.supports_bfloat16)
        )
        wanted = pick_precision(precision, place, half, bfloat16)
        dtypes = [wanted, torch.float32] if precision == "auto" else [wanted]
        known = profile or (None if reach is None else TilingProfile(reach))
        if is_of_faces:  # which are never cut
            known = TilingProfile(0)
        found = known or load_or_measure(
            weights.key,
            lambda: measure_tiling(
                lambda tiles: on_cpu(torch.from_numpy(tiles)).numpy(), channels, network.scale, _multiple(network)
            ),
        )
        computation = _move_to_device(on_cpu, weights, name, place, dtypes, trial)
        info = EngineInfo(
            name=name,
            needs=_requirements(computation, found, trial),
            channels=channels,
            device=str(place),
            precision=dtype_name(computation.dtype),
            backend="torch",
            keeps_tone=network.purpose == "SR" if keeps_tone is None else keeps_tone,
            free_memory=budget_for_tiles(place, CPU_MEMORY if place.type == "cpu" else math.inf),
        )
        if profile is None and _differ_as_wholes(network, found):  # a fallback need not say it again
            is_discouraged = network.tiling.name == "DISCOURAGED"
            reason = "its makers advise against tiles" if is_discouraged else "it looks at the whole of a tile at once"
            log.warning("%s: %s; its tiles are large and widely blended.", name, reason)
        return cls(weights, computation, found, info)

    def run(self, tiles: Pixels) -> Pixels:
        """Computes tiles as `Engine.run` says, one by one if the network cannot take several."""
        problem: Exception
        try:
            with report_loss(self._computation.device):
                if self._profile.is_batchable:
                    return self._compute(tiles)
                each = [self._compute(tiles[index : index + 1]) for index in range(len(tiles))]
                return surface_of(tiles).concatenate(each)
        except Exception as error:
            problem = own_error(error, self._computation.device)
        if isinstance(problem, OutOfMemory):
            release()
        raise problem

    def fallback(self, elsewhere: bool = False) -> Engine | None:
        """Returns the network in float32 on the same device, then on the CPU, then without oneDNN."""
        here, cpu = self._computation, torch.device("cpu")
        is_exact = here.dtype == torch.float32
        if here.plain or (elsewhere and here.device == cpu):
            return None
        with self._lock:
            for device in [cpu] if is_exact or elsewhere else [here.device, cpu]:
                with suppress(OutOfMemory):  # there may be no room for two networks
                    if device not in self._fallbacks:
                        self._fallbacks[device] = NetworkEngine.load(
                            self._weights,
                            name=self.info.name,
                            device=str(device),
                            precision="fp32",
                            profile=self._profile,
                            keeps_tone=self.info.keeps_tone,
                            plain=is_exact and here.device == cpu,
                        )
                    return self._fallbacks[device]
        return None

    def _compute(self, tiles: Pixels) -> Pixels:
        if tiles.shape[0] * tiles.shape[1] * tiles.shape[2] > self.info.needs.most_pixels:
            raise OutOfMemory(f"{self.info.name}: the tensors would be larger than {self.info.device} can compute.")
        is_array = isinstance(tiles, np.ndarray)
        tensor = torch.from_numpy(tiles) if is_array else tiles
        result = self._computation(tensor.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return result.float().contiguous().cpu().numpy() if is_array else result.contiguous()


def _load(weights: Weights, device: torch.device) -> tuple[ImageModelDescriptor[torch.nn.Module], bool]:
    """Loads a network on the CPU to be computed on `device`, and returns whether it is divided into trunk and tail."""
    network = weights.load().eval()
    return network, divide(network.model, device) is not None


def _requirements(computation: Computation, profile: TilingProfile, trial: Trial) -> TileRequirements:
    """Returns what a network requires of its tiles on its device."""
    network = computation.network
    share = 1.0 if computation.autocast else computation.dtype.itemsize / 4
    is_divided = trial.fixed_bytes > 0
    memory = trial.bytes_per_pixel * share * 1.2  # tried on a small tile
    if is_divided:  # measured as large; sources are float32 and copied, and the plan counts results by themselves
        source, result = 4 * network.input_channels, 4 * network.output_channels * network.scale**2
        memory = (trial.bytes_per_pixel + source - result) * share + source
    is_on_cpu = computation.device.type == "cpu"
    as_wholes = _differ_as_wholes(network, profile)
    return TileRequirements(
        scale=network.scale,
        reach=profile.reach,
        multiple=int(np.lcm(profile.multiple, _multiple(network))),
        minimum=max(network.size_requirements.minimum, 1),
        ramp=WIDE_RAMP if as_wholes else RAMP,
        bytes_per_pixel=memory,
        fixed_bytes=trial.fixed_bytes * share,
        result_bytes=4 if is_on_cpu or computation.autocast else computation.dtype.itemsize,
        strip_values=surface_for(str(computation.device)).strip_values,
        fast_pixels=1.2 * CPU_CACHE / memory if is_on_cpu and not as_wholes and not is_divided else 2.0**62,
        batch_pixels=0 if is_on_cpu or not profile.is_batchable else GPU_BATCH,
        most_pixels=_most_pixels(computation, trial),
        can_be_tiled=network.tiling.name != "INTERNAL" and network.purpose != "FaceSR",
    )


def _most_pixels(computation: Computation, trial: Trial) -> float:
    """Returns the most source pixels with which every tensor of a network stays as small as its device needs it."""
    if computation.device.type == "cpu":
        return math.inf
    elements = LARGEST_TENSOR
    if computation.device.type == "mps":
        elements = min(elements, LARGEST_MPS_TENSOR // (4 if computation.autocast else computation.dtype.itemsize))
    return (elements - 1) // trial.elements_per_pixel


def _differ_as_wholes(network: ImageModelDescriptor[torch.nn.Module], profile: TilingProfile) -> bool:
    """Returns whether results of tiles may differ everywhere, and not only where they were cut."""
    return network.tiling.name == "DISCOURAGED" or not profile.is_local


def _multiple(network: ImageModelDescriptor[torch.nn.Module]) -> int:
    needs = network.size_requirements
    return int(np.lcm(needs.multiple_of, WINDOW if needs.minimum >= 8 else 1))


def _try_layouts(
    network: ImageModelDescriptor[torch.nn.Module], name: str, tile: torch.Tensor, plain: bool
) -> tuple[Computation, Trial]:
    """Computes one tile in float32 on the CPU, with channels last, which is fastest, or else in the plain layout.

    Raises ModelError when the network can be computed in neither.
    """
    for layout in (torch.channels_last, torch.contiguous_format):
        computation = Computation(network, layout, torch.device("cpu"), plain=plain)
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


def _move_to_device(
    computation: Computation, weights: Weights, name: str, device: torch.device, dtypes: list[torch.dtype], trial: Trial
) -> Computation:
    """Brings a network to a device, in the first of the precisions that gives the result of the trial there.

    Each is tried for all operations, then with autocast.

    Raises PlanError when the precision that was asked for does not give it, ModelError when float32 fails, too;
    OutOfMemory, DeviceLost.
    """
    network = computation.network
    modes = [(dtype, autocast) for dtype in dtypes for autocast in (False, True)]
    for dtype, autocast in (mode for mode in modes if mode != (torch.float32, True)):
        moved = replace(computation, network=network, device=device, dtype=dtype, autocast=autocast)
        mode = f"{dtype_name(dtype)}{' and autocast' if autocast else ''}"
        problem: Exception | None = None
        try:
            with report_loss(device):
                network.model.to(device, torch.float32 if autocast else dtype)
                if (device.type == "cpu" and dtype == torch.float32) or _is_close(moved, trial):
                    return moved
            log.debug("%s: is wrong if computed with %s.", name, mode)
        except Exception as error:  # as in _try_layouts
            problem = own_error(error, device)
            log.debug("%s: cannot be computed with %s (%s).", name, mode, first_line(error))
        if isinstance(problem, DeviceLost):
            raise problem
        network.model.cpu()  # callers still have it, and there may be no room for two
        if isinstance(problem, OutOfMemory):
            release()
            raise OutOfMemory(
                f"{name}: the network does not fit into the memory of {device}. Choose a smaller model."
            ) from problem
        network, _ = _load(weights, device)  # again, since the weights above were rounded
        network.model.to(memory_format=computation.layout)
    if torch.float32 in dtypes:
        raise ModelError(f"{name}: the network cannot be computed on {device}. Use another `device`, such as cpu.")
    raise PlanError(
        f"the results of {name} are wrong in this precision. Use auto or fp32.",
        argument="precision",
        value=dtype_name(dtypes[0]),
    )


def _is_close(computation: Computation, trial: Trial) -> bool:
    """Returns whether a computation gives the result of the trial, up to what half precision may change."""
    difference = (computation(trial.tile).float().cpu() - trial.result).abs()
    return bool(difference.square().mean().sqrt() < HALF_ERROR and difference.max() < HALF_ERROR_ANYWHERE)


@contextmanager
def _same_noise(device: torch.device) -> Iterator[None]:
    """Lets a network draw the same random numbers for every tile; otherwise the edges of tiles would not meet.

    Only the generators from which it can draw are set, the host's and the device's, and then set back.
    """
    generators = [torch.default_generator]
    if device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    elif device.type != "cpu":
        generators += getattr(torch, device.type).default_generators[device.index :][:1]
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(0)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Switches oneDNN off, for the whole process: other threads get slower meanwhile; their results stay right."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False):
            yield
