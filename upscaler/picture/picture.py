"""The picture, which decoding returns, the pipeline passes on, encoding takes and a library user receives."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import PixelArray, to_float
from ..errors import PictureError, first_line
from ..tiling import Size
from .face import Face
from .metadata import Metadata

if TYPE_CHECKING:
    import PIL.Image
    import torch


SHOWN = 1024
"""Pixels on the longer side of what notebooks show."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Upright pixels with their colour profile and metadata.

    `pixels` is uint8 or uint16, (height, width, channels), with 1 channel (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB,
    alpha); alpha is straight, not premultiplied. Large ones are memory-mapped. Do not change them.
    """

    pixels: PixelArray
    profile: bytes | None = None
    """ICC profile of the pixel values; None means sRGB."""
    metadata: Metadata = field(default_factory=Metadata)
    format: str | None = None
    """The name of the format it was read from, such as "JPEG"; None if it was not read from a file."""
    name: str = "picture"
    """Its name in messages."""
    lr_rmse: float | None = None
    """RMSE, in 8-bit levels, between the source and the result downscaled to its size by area averaging.

    It is taken before the result is resized to its exact size, and is the largest of several passes. None for pictures
    that no model made."""
    faces: tuple[Face, ...] | None = None
    """The faces that were found in the source, and what was done with each; None if none were looked for."""
    quality: int | None = None
    """The quality, 0 to 100, with which its JPEG or WebP file was written, as its quantisation tells; None else."""

    @property
    def size(self) -> Size:
        return Size(self.pixels.shape[1], self.pixels.shape[0])

    @property
    def has_alpha(self) -> bool:
        return self.pixels.shape[2] in (2, 4)

    @property
    def colour(self) -> PixelArray:
        """The pixels without transparency: a view, (height, width, 1 or 3)."""
        return self.pixels[:, :, :-1] if self.has_alpha else self.pixels

    @property
    def depth(self) -> int:
        """Bits a sample: 8 or 16."""
        return 8 * self.pixels.itemsize

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Writes a file, whole or not at all; the suffix decides the format.

        `options` are the fields of `codecs.EncodeOptions`: format, quality, lossless, compression,
        max_size (in bytes), strip, overwrite.
        Raises OutputError when the file exists (and not `overwrite`), or cannot be written.
        """
        from ..codecs import EncodeOptions, encode

        encode(self, Path(path), EncodeOptions(**options))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Returns `pixels` for `numpy.asarray`, read-only unless copied; grey without alpha is (height, width).

        Raises ValueError when they would have to be converted and `copy` is False.
        """
        pixels = self.pixels[:, :, 0] if self.pixels.shape[2] == 1 else self.pixels
        if copy is False and dtype is not None and np.dtype(dtype) != pixels.dtype:
            raise ValueError(f"{self.name}: {pixels.dtype} cannot become {np.dtype(dtype)} without a copy.")
        if copy or (dtype is not None and np.dtype(dtype) != pixels.dtype):
            return np.array(pixels, dtype)
        view = np.asarray(pixels).view()
        view.flags.writeable = False
        return view

    def _repr_png_(self) -> bytes:
        """Returns a PNG file for notebooks, 8 bits deep, with at most SHOWN pixels on its longer side."""
        # Few of the pixels are taken, so that a huge picture is not read as a whole.
        step = max(1, max(self.size.width, self.size.height) // (2 * SHOWN))
        pixels: Any = np.ascontiguousarray(self.pixels[::step, ::step])
        image = replace(self, pixels=pixels).to_pil()
        image.thumbnail((SHOWN, SHOWN))
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    def to_numpy(self) -> PixelArray:
        """Returns a copy of `pixels`; grey without alpha is (height, width)."""
        pixels: Any = np.array(self.pixels)
        result: PixelArray = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        return result

    def to_pil(self) -> PIL.Image.Image:
        """Returns a Pillow image, L, LA, RGB or RGBA, with the profile in its info; 16-bit pixels are rounded to 8."""
        import PIL.Image

        pixels = self.pixels
        if pixels.dtype == np.uint16:
            pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        image = PIL.Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        if self.profile:
            image.info["icc_profile"] = self.profile
        return image

    def to_tensor(self) -> torch.Tensor:
        """Returns a torch tensor: float32, 0..1, (channels, height, width)."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(to_float(self.pixels).transpose(2, 0, 1)))

    @staticmethod
    def from_array(array: Any, name: str = "array") -> Picture:
        """Makes a picture from (height, width) or (height, width, 1 to 4 channels).

        Values are uint8, uint16, or floats 0..1, which become 16 bit. Raises PictureError for anything else.
        """
        array = np.asarray(array)
        pixels = array[:, :, None] if array.ndim == 2 else array
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or 0 in pixels.shape:
            raise PictureError(
                f"{name}: shape {array.shape} is not a picture. Pass (height, width) or (height, width, channels)."
            )
        if pixels.dtype.kind == "f":
            if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
                raise PictureError(
                    f"{name}: floating-point pixels must lie within 0..1. Divide by the largest value first."
                )
            pixels = np.rint(pixels.astype(np.float32) * 65535).astype(np.uint16)
        if pixels.dtype not in (np.uint8, np.uint16):
            raise PictureError(
                f"{name}: pixels of type {pixels.dtype} are not supported. Pass uint8, uint16 or floats 0..1."
            )
        return Picture(pixels, name=name)

    @staticmethod
    def from_tensor(tensor: torch.Tensor, name: str = "tensor") -> Picture:
        """Makes a picture from a torch tensor (channels, height, width) or (1, channels, height, width).

        Values are uint8 or floats 0..1. Raises PictureError as `from_array` does.
        """
        try:
            tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
            array: Any = tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
        except (NotImplementedError, RuntimeError, TypeError) as error:  # it has no values, or not one for each pixel
            raise PictureError(f"{name}: the tensor cannot be read ({first_line(error)}). Pass a dense one.") from error
        array = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
        if array.ndim != 3:
            raise PictureError(f"{name}: shape {tuple(tensor.shape)} is not a picture. Pass (channels, height, width).")
        return Picture.from_array(array.transpose(1, 2, 0), name)
