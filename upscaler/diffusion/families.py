"""Tells how denoisers of diffusers are called: which argument is the canvas, and how a window takes its place.

To add a family: a row in FAMILIES, and a subclass of `Family` if no present one describes its calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch

from ..errors import ModelError
from ..tiling import Size

Arguments = dict[str, Any]
"""Arguments of one call of a denoiser, by the names that its `forward` gives them."""


@dataclass(frozen=True, slots=True)
class Family:
    """Denoisers that are called alike. Their canvas is one tensor (rows, channels, height, width), in the argument
    `name`; rows are the pictures of a batch, once for each half of the guidance.

    UNets of SD, SDXL and the x4 and x2 upscalers know no positions, so their windows are like tiles of a picture.
    """

    name: str = "hidden_states"
    timestep: str = "timestep"
    """The argument that differs from step to step."""
    latents_per_cell: int = 1
    """Latents along a side of one cell of the canvas."""

    def align(self, denoiser: Any) -> int:
        """Returns the number of cells of which windows begin at multiples: UNets halve the canvas at every level but
        the last, transformers cut it into patches."""
        blocks = getattr(denoiser.config, "block_out_channels", None)
        return 2 ** (len(blocks) - 1) if blocks else int(denoiser.config.patch_size)

    def canvas(self, arguments: Arguments) -> torch.Tensor:
        """Returns the canvas of a call."""
        canvas: torch.Tensor = arguments[self.name]
        return canvas

    def replace_canvas(self, arguments: Arguments, windows: torch.Tensor, times: int) -> Arguments:
        """Returns the call with `times` windows of each row as its canvas: all of the first row, then of the second."""
        rows = len(arguments[self.name])
        return {name: repeat_rows(value, rows, times) for name, value in arguments.items()} | {self.name: windows}

    def step(self, arguments: Arguments) -> float:
        """Returns a number that differs from step to step."""
        timestep = arguments[self.timestep]
        return float(timestep.flatten()[0] if isinstance(timestep, torch.Tensor) else timestep)

    def prediction(self, output: Any, size: Size) -> torch.Tensor:
        """Returns the output for canvases or windows of this size as one tensor (rows, channels, height, width)."""
        prediction: torch.Tensor = output
        return prediction

    def output(self, canvas: torch.Tensor) -> Any:
        """Reverses `prediction`: returns a tensor in the form of the denoiser's output."""
        return canvas


@dataclass(frozen=True, slots=True)
class Tokens(Family):
    """The canvas is a sequence of tokens, each of two by two latents; their places are in `img_ids`."""

    latents_per_cell: int = 2

    def align(self, denoiser: Any) -> int:
        return 1

    def canvas(self, arguments: Arguments) -> torch.Tensor:
        """Returns the canvas of a call. Raises ModelError for other tokens than those of one canvas."""
        tokens: torch.Tensor = arguments[self.name]
        size = self._size(arguments)
        if size.pixels != tokens.shape[1]:
            raise ModelError(
                f"{tokens.shape[1]} tokens for a canvas of {size}: reference pictures cannot be computed in windows. "
                "Use the model without them."
            )
        return self.prediction(tokens, size)

    def replace_canvas(self, arguments: Arguments, windows: torch.Tensor, times: int) -> Arguments:
        size = self._size(arguments)
        places = arguments["img_ids"].unflatten(-2, (size.height, size.width))
        places = places[..., : windows.shape[-2], : windows.shape[-1], :].flatten(-3, -2)
        shared = {"img_ids": places, "txt_ids": arguments["txt_ids"]}  # no rows, if they have two dimensions
        call = Family.replace_canvas(self, arguments | {"img_ids": places}, self.output(windows), times)
        return call | {name: value for name, value in shared.items() if value.ndim == 2}

    def prediction(self, output: Any, size: Size) -> torch.Tensor:
        tokens: torch.Tensor = output
        return tokens.transpose(1, 2).reshape(len(tokens), -1, size.height, size.width)

    def output(self, canvas: torch.Tensor) -> torch.Tensor:
        return canvas.flatten(2).transpose(1, 2)

    @staticmethod
    def _size(arguments: Arguments) -> Size:
        places = arguments["img_ids"].flatten(0, -2)
        return Size(int(places[:, 2].max()) + 1, int(places[:, 1].max()) + 1)


@dataclass(frozen=True, slots=True)
class Frames(Family):
    """The canvases of a batch are a list, each (channels, 1, height, width), as are their texts."""

    name: str = "x"
    timestep: str = "t"

    def align(self, denoiser: Any) -> int:
        return int(denoiser.config.all_patch_size[0])

    def canvas(self, arguments: Arguments) -> torch.Tensor:
        return torch.cat(arguments[self.name], 1).transpose(0, 1)

    def replace_canvas(self, arguments: Arguments, windows: torch.Tensor, times: int) -> Arguments:
        texts = [text for text in arguments["cap_feats"] for _ in range(times)]
        steps = repeat_rows(arguments[self.timestep], len(arguments[self.name]), times)
        return arguments | {self.name: self.output(windows), self.timestep: steps, "cap_feats": texts}

    def prediction(self, output: Any, size: Size) -> torch.Tensor:
        return torch.cat(output, 1).transpose(0, 1)

    def output(self, canvas: torch.Tensor) -> list[torch.Tensor]:
        return list(canvas.unsqueeze(2).unbind())


FAMILIES: Final[dict[str, Family]] = {
    "UNet2DConditionModel": Family("sample"),
    "SD3Transformer2DModel": Family(),
    "PixArtTransformer2DModel": Family(),
    "SanaTransformer2DModel": Family(),
    "FluxTransformer2DModel": Tokens(),
    "Flux2Transformer2DModel": Tokens(),
    "ZImageTransformer2DModel": Frames(),
}
"""Families by the class of the denoiser. Transformers, unlike UNets, know where on its picture a patch lies:

| class | positions | in a window |
|---|---|---|
| SD3 | a table of `pos_embed_max_size` patches a side | the middle of the table, as for a picture of that size |
| PixArt | a table stretched over the picture | stretched over the window; best if that has the trained `sample_size` |
| Sana | none | as a UNet; its linear attention sees the window instead of the canvas |
| Flux, Flux2 | rotary, from `img_ids` | counted from the window's corner |
| Z-Image | rotary, counted by the model itself | counted from the window's corner |

So every window is computed as a picture of its own, within the extent the model was trained for; only the noise and the
steps belong to the canvas. The model is not told where on the canvas a window lies: Flux takes one list of places for
all of a batch, and beyond the trained extent no model has seen any.
"""


def family(denoiser: torch.nn.Module) -> Family:
    """Returns how the denoiser is called. Raises ModelError for a class that cannot be computed in windows."""
    for kind in type(denoiser).__mro__:
        if kind.__name__ in FAMILIES:
            return FAMILIES[kind.__name__]
    raise ModelError(
        f"{type(denoiser).__name__}: this kind of denoiser cannot be computed in windows. "
        f"Those that can: {', '.join(FAMILIES)}."
    )


def repeat_rows(value: Any, rows: int, times: int) -> Any:
    """Repeats each row of every tensor of `rows` rows, in lists and dictionaries too; other values stay as they are."""
    if isinstance(value, torch.Tensor):
        return value.repeat_interleave(times, 0) if value.ndim and len(value) == rows else value
    if isinstance(value, dict):
        return {name: repeat_rows(item, rows, times) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(repeat_rows(item, rows, times) for item in value)
    return value
