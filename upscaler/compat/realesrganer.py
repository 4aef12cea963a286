"""The class of Real-ESRGAN, on the engines of this package: its results to one 8-bit level, without its seams."""

from __future__ import annotations

import copy
import hashlib
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from spandrel import ImageModelDescriptor, SizeRequirements
from spandrel.architectures.ESRGAN import ESRGANArch
from torch import Tensor, nn

from .. import catalog, engines, surface, tiling
from ..arrays import FloatArray, PixelArray
from ..engines.checkpoint import Checkpoint, mix_weights, read_weights
from ..engines.network import NetworkEngine
from ..errors import ModelError, OutOfMemory, PictureError, PlanError, UpscalerError, first_line
from ..surface import HOST, Surface, surface_for
from ..tiling import Band, Budget, Plan, Size
from .networks import SHUFFLES

log = logging.getLogger("upscaler")

OVERLAPS = 2
"""Least side of a tile as a multiple of its overlap with a neighbour. If it were smaller, most pixels would be computed
more than four times."""


class RealESRGANer:
    """Enlarges arrays with one network, as the class of this name in `realesrgan` 0.3.0 does.

        upsampler = RealESRGANer(4, "RealESRGAN_x4plus.pth", tile=400)
        output, _ = upsampler.enhance(cv2.imread("photo.jpg"), outscale=2)

    Keeps nothing between calls and may be used from several threads; `tile_size`, `tile_pad` and `pre_pad` may be
    changed.
    """

    def __init__(
        self,
        scale: int,
        model_path: str | Path | Sequence[str | Path],
        dni_weight: Sequence[float] | None = None,
        model: nn.Module | None = None,
        tile: int = 0,
        tile_pad: int = 10,
        pre_pad: int = 10,
        half: bool = False,
        device: torch.device | str | None = None,
        gpu_id: int | None = None,
    ) -> None:
        """Loads the network. `scale`: its scale. `model_path`: a file, a URL or a name of the catalog; or two of them,
        whose weights are mixed in the shares `dni_weight`. `model`: the network that the weights are put into; None
        takes the one they are known to belong to. `tile`: tiles have at most tile + 2 * tile_pad source pixels a side,
        or as many as it takes to have no seams; 0: no tiles unless memory is short. `pre_pad`: source pixels by which
        the picture is extended to the right and below. `half`: float16 on a GPU, bfloat16 on a CPU that has it, else
        float32. `device`: None takes `gpu_id`, or the best there is.

        Raises ModelError when the weights cannot be fetched or do not fit the network, PlanError for the device and for
        what cannot be mixed.
        """
        for name, value in (("tile", tile), ("tile_pad", tile_pad), ("pre_pad", pre_pad)):
            if value < 0:
                raise PlanError("it must be 0 or more.", argument=name, value=value)
        self.scale = scale
        self.tile_size = tile
        self.tile_pad = tile_pad
        self.pre_pad = pre_pad
        self.half = half
        self.model = model
        if device is None and gpu_id is not None and torch.cuda.is_available():
            device = f"cuda:{gpu_id}"
        found, checkpoint = _find(model_path, dni_weight)
        try:
            self._engine = NetworkEngine.load(
                checkpoint if model is None else load_weights(model, scale, checkpoint),
                name=found.name,
                device=None if device is None else str(device),
                precision="auto" if half else "fp32",
                reach=found.reach if checkpoint.other is None else None,
            )
        except UpscalerError:
            raise
        except Exception as error:  # whatever a network made elsewhere may raise
            raise ModelError(
                f"{found.name}: the network does not run at first try ({first_line(error)}). Check model and device."
            ) from error
        own = self._engine.info.needs.scale
        if own != scale:
            raise ModelError(f"{found.name}: the network enlarges by {own}, and scale is {scale}. Pass scale={own}.")
        self.device = torch.device(self._engine.info.device)

    def enhance(
        self, img: NDArray[Any], outscale: float | None = None, alpha_upsampler: str = "realesrgan"
    ) -> tuple[PixelArray, str]:
        """Enlarges a picture `scale` times, then resizes it to `outscale` times. Returns it and "L", "RGB" or "RGBA".

        `img`: grey (height, width), BGR or BGRA (height, width, 3 or 4), as cv2.imread returns it, and so is the
        result. If any value is above 256, the range is 0..65535 and the result uint16; else 0..255, and uint8.
        `alpha_upsampler`: with "realesrgan" the network computes alpha; with any other it is resized.

        Raises PictureError for another array, PlanError for `outscale`, EngineError when a tile cannot be computed.
        """
        pixels, depth = _read(img)
        height, width, channels = pixels.shape
        size = Size(width, height).scaled(self.scale)
        target = size
        if outscale is not None and outscale != self.scale:
            target = Size(int(width * outscale), int(height * outscale))  # not rounded there either
        if min(target.width, target.height) < 1:
            raise PlanError(
                f"it would make {target} of {width}x{height}. Use a larger one.",
                argument="outscale",
                value=f"{outscale:g}",
            )
        canvas: Any = np.empty((size.height, size.width, channels), depth)
        if channels == 1:
            self._enlarge(self._grey, pixels, canvas)
        else:
            self._enlarge(self._colour, pixels[:, :, 2::-1], canvas[:, :, 2::-1])
        if channels == 4:
            alpha = pixels[:, :, 3:]
            if alpha_upsampler == "realesrgan":
                self._enlarge(self._grey, alpha, canvas[:, :, 3:])
            else:
                large = HOST.enlarge(HOST.to_float(alpha), self.scale)
                surface.write_bands([Band(0, large)], canvas[:, :, 3:])
        if channels == 1:
            canvas = canvas[:, :, 0]
        if target != size:
            canvas = cv2.resize(canvas, (target.width, target.height), interpolation=cv2.INTER_LANCZOS4)
        return canvas, {1: "L", 3: "RGB", 4: "RGBA"}[channels]

    def _enlarge(
        self,
        compute: Callable[[FloatArray | PixelArray, Surface], Iterator[Band]],
        pixels: FloatArray | PixelArray,
        canvas: PixelArray,
    ) -> None:
        """Writes what `compute` makes of pixels into a canvas, on the surface of the engine's device, or on the host if
        there is too little memory."""
        place = surface_for(self._engine.info.device)
        if place is not HOST:
            with suppress(OutOfMemory), place.errors():
                return surface.write_bands(compute(pixels, place), canvas)
            log.warning("out of memory on %s: results are joined on the CPU.", self._engine.info.device)
        return surface.write_bands(compute(pixels, HOST), canvas)

    def _grey(self, pixels: FloatArray | PixelArray, place: Surface) -> Iterator[Band]:
        """Computes (height, width, 1) as three equal channels and returns the luma of the result, on the host."""
        three: Any = np.repeat(pixels, 3, axis=2)
        for band in self._colour(three, place):
            luma: Any = cv2.cvtColor(HOST.bring(band.pixels), cv2.COLOR_RGB2GRAY)
            yield Band(band.y, luma[:, :, None])

    def _colour(self, pixels: FloatArray | PixelArray, place: Surface) -> Iterator[Band]:
        """Computes (height, width, 3), RGB, and cuts the result to `scale` times its size.

        The picture is reflected at its right and lower edge by `pre_pad`, then by what makes its sides divisible.
        """
        height, width = (side * self.scale for side in pixels.shape[:2])
        extended: Any = np.pad(pixels, ((0, self.pre_pad), (0, self.pre_pad), (0, 0)), "reflect")
        below, right = (-side % SHUFFLES.get(self.scale, 1) for side in extended.shape[:2])
        extended = np.pad(extended, ((0, below), (0, right), (0, 0)), "reflect")
        plan = self._plan(Size(extended.shape[1], extended.shape[0]))
        batches = surface.cut(surface.Upload(extended, place), plan)
        tiles = engines.run_checked(engines.adapt_channels(self._engine, 3), batches)
        for band in surface.blend(tiles, plan):
            if band.y < height:
                yield Band(band.y, band.pixels[: height - band.y, :width])

    def _plan(self, size: Size) -> Plan:
        """Plans tiles without a border: the original network sees the picture's edges, and its own zeros beyond."""
        info = self._engine.info
        needs = info.needs
        memory = info.tile_memory
        side = max(size.width, size.height, needs.minimum) + needs.multiple
        if self.tile_size > 0:
            side = max(self.tile_size + 2 * self.tile_pad, OVERLAPS * (2 * needs.reach + needs.ramp))
        with suppress(PlanError):  # when the network cannot work in tiles, or in none so small
            asked = tiling.plan(size, needs, Budget(memory, tile=side), border=0)
            if asked.memory <= memory:
                return asked
        return tiling.plan(size, needs, Budget(memory), border=0)


def _find(
    model_path: str | Path | Sequence[str | Path], dni_weight: Sequence[float] | None
) -> tuple[catalog.Model, Checkpoint]:
    """Finds the model, or the first of two, and its weights, which are fetched if need be."""
    if isinstance(model_path, str | Path):
        model = catalog.find(str(model_path))
        return model, Checkpoint(catalog.fetch_model(model))
    shares = list(dni_weight or ())
    if len(model_path) != 2 or len(shares) != 2 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise PlanError(
            f"it does not say how to mix {len(model_path)} files. Pass two files and two shares whose sum is 1.",
            argument="dni_weight",
            value=shares,
        )
    model, other = (catalog.find(str(path)) for path in model_path)
    return model, Checkpoint(catalog.fetch_model(model), catalog.fetch_model(other), shares[0])


def _read(img: Any) -> tuple[FloatArray | PixelArray, type[np.uint8] | type[np.uint16]]:
    """Returns pixels, (height, width, channels), and the type of the result, uint8 or uint16, which the greatest value
    decides. Pixels are whole numbers if they are of that type, else float32, 0..1."""
    if img is None:
        raise PictureError("img is None. If it came from cv2.imread, the file is missing or not a picture.")
    if not isinstance(img, np.ndarray) or img.dtype.kind not in "buif":
        kind = f"an array of {img.dtype}" if isinstance(img, np.ndarray) else f"a {type(img).__name__}"
        raise PictureError(f"img is {kind}. Pass an array of numbers, such as cv2.imread returns.")
    if img.size == 0 or not (img.ndim == 2 or (img.ndim == 3 and img.shape[2] in (3, 4))):
        raise PictureError(f"img has the shape {img.shape}. Pass (height, width) or (height, width, 3 or 4).")
    depth = np.uint16 if img.max() > 256 else np.uint8
    pixels = img if img.dtype == depth else img.astype(np.float32) / np.float32(np.iinfo(depth).max)
    return pixels if pixels.ndim == 3 else pixels[:, :, None], depth


@dataclass(frozen=True, slots=True)
class UserNetwork:
    """A user's network and its key; it implements the protocol `engines.network.Weights`."""

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
