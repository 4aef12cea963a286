"""The frames of GIF, WebP, APNG and AVIF files: read as viewers show them, and joined to an animation.

Each frame is written as a whole, or as the rectangle in which it differs from the one before, by the writer of single
pictures; `animation_writers` makes the containers. AVIF, whose frames are made of each other, is written by Pillow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..arrays import PixelArray
from ..errors import OutputError, PictureError
from ..picture import Metadata, Picture
from ..tiling import Size
from . import pillow
from .animation_writers import FOR_EVER, ONCE, WRITERS, Part, Writer
from .connections import call
from .decode import decode
from .encode import EncodeOptions, write
from .formats import Format, by_name
from .frames import Frames, ReadOptions

SIDE, LEAST = 2, 2
"""WebP counts places in steps of two pixels; nothing smaller than this is written as a frame."""

SPEED = 7
"""The speed of libavif's encoder, 0 to 10, as for single pictures."""


class Animation(Frames):
    """An animation that Pillow reads."""

    kind = "frames"

    def __init__(self, file: Path, image: Image.Image, format: Format, options: ReadOptions) -> None:
        self.format = format
        self._file, self._image, self._options = file, image, options
        self._first = int(bool(getattr(image, "default_image", False)))  # shown only where APNG is not known
        self.count = int(getattr(image, "n_frames", 1)) - self._first
        loops = image.info.get("loop", ONCE if format.name in ("GIF", "PNG") else FOR_EVER)
        self.plays = int(loops) + (format.name == "GIF" and int(loops) > 0 and "loop" in image.info)
        """How often it is shown; FOR_EVER is 0. GIF counts how often it is shown again."""

    def read(self, number: int) -> Picture:
        options = self._options
        name = f"{options.name}, frame {number + 1}"
        with pillow.reading(self.format, name, options.accept_damaged):
            self._seek(number)
            picture = pillow.load(self._image, name, options.workspace)
        if number == 0:
            picture = self._complete(replace(picture, name=options.name))
        if picture.has_alpha and picture.pixels[:, :, -1].min() == np.iinfo(picture.pixels.dtype).max:
            picture = replace(picture, pixels=picture.colour)
        return replace(picture, format=self.format.name)

    def _complete(self, picture: Picture) -> Picture:
        """Adds what Pillow does not read of a file: colours that are only named, texts and the like."""
        picture, extract = pillow.complete(picture, self._file, self.format, picture.name), self.format.extract
        if extract is None:
            return picture
        metadata = picture.metadata
        return replace(picture, metadata=call(lambda opened: extract(opened, metadata), self._file))

    def durations(self) -> list[float]:
        """Returns for how many milliseconds each frame is shown."""
        found = []
        for number in range(self.count):
            with pillow.reading(self.format, self._options.name, self._options.accept_damaged):
                self._seek(number)
                self._image.load()
                found.append(float(self._image.info.get("duration", 0)))
        return found

    def describe(self) -> str:
        plays = "for ever" if self.plays == FOR_EVER else "once" if self.plays == ONCE else f"{self.plays} times"
        return f"{sum(self.durations()) / 1000:g} s, shown {plays}"

    def check(self, format: Format, options: EncodeOptions, output: Path) -> None:
        Frames.check(self, format, options, output)
        if format.name == "AVIF" and options.lossless:
            raise OutputError(f"{output}: AVIF animations are not lossless. Choose .webp or .png.")

    def alternatives(self) -> str:
        return ".gif, .png, .webp or .avif"

    def keep_as(self, number: int, format: Format, options: EncodeOptions) -> tuple[str, EncodeOptions]:
        return ".png", EncodeOptions(format=by_name("PNG"), compression=1, overwrite=True)

    def join(self, files: Sequence[Path], output: Path, format: Format, options: EncodeOptions) -> None:
        kept = _Kept(files)
        durations = self.durations()
        if format.name == "AVIF":
            _write_avif(kept, durations, output, format, options)
            return
        crops = not (format.name == "GIF" and kept.has_alpha)  # GIF cannot make pixels transparent that were not
        with tempfile.TemporaryDirectory(prefix=".upscaler-", dir=output.parent) as folder, output.open("wb") as file:
            writer: Writer | None = None
            for number, part in enumerate(_parts(kept, format, options, Path(folder, "still"), crops)):
                writer = writer or WRITERS[format.name](file, part, self.count, self.plays)
                writer.add(part, durations[number])
            if writer is not None:
                writer.end()

    def _seek(self, number: int) -> None:
        self._image.seek(number + self._first)


@contextmanager
def open_animation(file: Path, format: Format, options: ReadOptions) -> Iterator[Animation | None]:
    """Yields an animation; None if it is a single picture, or cannot be opened."""
    image = None
    try:
        with pillow.reading(format, options.name, options.accept_damaged):
            image = Image.open(file, formats=[format.name])
            found = Animation(file, image, format, options)
    except PictureError:
        found = None
    try:
        if found is None or found.count < 1 or (found.count == 1 and format.writer is not None):
            yield None
            return
        options.check(Size(*found._image.size))
        yield found
    finally:
        if image is not None:
            image.close()


class _Kept:
    """The files of finished frames, brought to the same channels."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        kinds = [call(lambda opened: opened.read(26)[25], file) for file in files]  # the colour type of each PNG
        self.has_alpha = any(kind & 4 for kind in kinds)
        self._has_colour = any(kind & 2 for kind in kinds)

    def __iter__(self) -> Iterator[Picture]:
        for number in range(len(self.files)):
            yield self[number]

    def __getitem__(self, number: int) -> Picture:
        picture = decode(self.files[number])
        colour: Any = picture.colour
        planes = [colour if colour.shape[2] == 3 or not self._has_colour else np.repeat(colour, 3, axis=2)]
        if self.has_alpha:
            opaque = np.full((*colour.shape[:2], 1), np.iinfo(colour.dtype).max, colour.dtype)
            planes.append(picture.pixels[:, :, -1:] if picture.has_alpha else opaque)
        return replace(picture, pixels=planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2))


def _parts(kept: Iterable[Picture], format: Format, options: EncodeOptions, file: Path, crops: bool) -> Iterator[Part]:
    """Writes frame after frame to `file` and yields its content. Metadata and profile are the first one's."""
    before: PixelArray | None = None
    written = replace(format, writer="vips")
    for picture in kept:
        pixels = picture.pixels
        left, top, right, bottom = (0, 0, *pixels.shape[1::-1])
        if before is not None and crops:
            left, top, right, bottom = _changed(before, pixels)
        metadata = picture.metadata if before is None else Metadata()
        part = replace(picture, pixels=pixels[top:bottom, left:right], metadata=metadata)
        write(part, file, written, options)
        yield Part(file.read_bytes(), left, top, part.size, picture.size, picture.has_alpha)
        before = pixels


def _changed(before: PixelArray, after: PixelArray) -> tuple[int, int, int, int]:
    """Returns the rectangle in which two frames differ, left, top, right and bottom, at even places."""
    differs = (before != after).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    height, width = differs.shape
    if not len(rows):
        return 0, 0, min(LEAST, width), min(LEAST, height)
    left, top = int(columns[0]) // SIDE * SIDE, int(rows[0]) // SIDE * SIDE
    return left, top, int(columns[-1]) + 1, int(rows[-1]) + 1


class _Sequence(Image.Image):
    """The frames as an image of Pillow's with several, each read when it is asked for."""

    def __init__(self, kept: _Kept) -> None:
        super().__init__()
        self._kept, self._at = kept, -1
        self.n_frames, self.is_animated = len(kept.files), True
        self.seek(0)

    def seek(self, frame: int) -> None:
        if frame >= self.n_frames:
            raise EOFError
        if frame != self._at:
            image = self._kept[frame].to_pil()
            self.im, self._mode, self._size, self._at = image.im, image.mode, image.size, frame

    def tell(self) -> int:
        return self._at


def _write_avif(kept: _Kept, durations: list[float], output: Path, format: Format, options: EncodeOptions) -> None:
    """Writes an AVIF sequence, which is shown for ever."""
    first = kept[0]
    quality = options.quality or format.quality or 0
    blocks: dict[str, Any] = {"icc_profile": first.profile}
    if not options.strip:
        metadata = first.metadata.correct(first.size)
        blocks |= {"exif": metadata.exif, "xmp": metadata.xmp}
    settings = {"quality": quality, "speed": SPEED, "subsampling": "4:4:4" if quality >= 90 else "4:2:0"}
    settings |= {name: block for name, block in blocks.items() if block}
    try:
        _Sequence(kept).save(output, "AVIF", save_all=True, duration=[round(each) for each in durations], **settings)
    except (RuntimeError, ValueError) as error:
        raise OutputError(f"cannot be written as AVIF ({error}).") from error
