"""Renders drawings to learn from: `python -m training.drawings --svg FOLDER --out FOLDER`. See README.md.

The drawings are files of SVG with all below a folder, such as those of Debian's package openclipart-svg, which are in
the public domain.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
import pyvips

from upscaler.arrays import PixelArray

from .chance import Random

LARGEST, SMALLEST = 1280, 500
"""Pixels of the longer side of a drawing, and of its shorter side at least."""
BYTES = range(8_000, 600_000)
"""Sizes of files: smaller ones show little, larger ones are mostly photographs that were traced."""
EDGE, EDGES = 12, 0.012
"""The share EDGES of neighbouring pixels, at least, differ by more than EDGE levels: else there is little to learn."""


def main() -> None:
    """Renders drawings until there are as many as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--svg", type=Path, required=True, help="a folder of .svg, with all below it")
    parser.add_argument("--out", type=Path, default=Path("build/training/drawings"))
    parser.add_argument("--count", type=int, default=500)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    files = sorted(file for file in arguments.svg.rglob("*.svg") if file.stat().st_size in BYTES)
    np.random.default_rng(3).shuffle(files)
    made = 0
    for file in files:
        if made == arguments.count:
            break
        drawing = render(file, np.random.default_rng(zlib.crc32(file.name.encode())))
        if drawing is not None:
            name = f"{file.parent.name}-{file.stem}.png"
            pyvips.Image.new_from_array(drawing).copy(interpretation="srgb").write_to_file(arguments.out / name)
            made += 1
    print(f"{made} drawings of {len(files)} files")


def render(file: Path, random: Random) -> PixelArray | None:
    """Returns a drawing on white, or on a colour, as uint8 RGB, (height, width, 3); None if it shows too little."""
    try:
        image = pyvips.Image.thumbnail(str(file), LARGEST, height=LARGEST, size="both").colourspace("srgb")
        pixels = image.numpy()
    except pyvips.Error:  # it is no drawing, or damaged
        return None
    if min(image.width, image.height) < SMALLEST or image.bands != 4:
        return None
    paper = np.full(3, 255) if random.random() < 0.5 else random.integers(0, 256, 3)
    alpha = pixels[:, :, 3:] / 255
    drawing = np.rint(pixels[:, :, :3] * alpha + paper * (1 - alpha)).astype(np.uint8)
    differences = np.abs(np.diff(drawing.mean(2), axis=1))
    return drawing if (differences > EDGE).mean() > EDGES else None


if __name__ == "__main__":
    main()
