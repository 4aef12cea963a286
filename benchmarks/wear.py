"""Counts on how many pictures `--denoise auto` takes something out: of clean ones on none, of poor ones on all.

    python benchmarks/wear.py --photos ../photos

Photographs are made four times smaller (`--reduce`), so that nothing of their own noise or compression is left, and
worn with fixed seeds. How good the results then are is left to quality.py.
"""

from __future__ import annotations

import argparse
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from worn import Random, film, rounded

from upscaler.arrays import PixelArray
from upscaler.codecs import decode
from upscaler.picture import measure_wear

ROOT = Path(__file__).resolve().parent.parent
DRAWN = ("text.png", "lineart.png", "logo.png")
"""Samples that are drawn: clean as they are, too."""

Source = PixelArray | bytes
"""Pixels, or a file."""


def noise(deviation: float, channels: int) -> Callable[[PixelArray, Random], PixelArray]:
    """Adds noise of one channel, the same in each colour, or of three."""
    return lambda clean, random: rounded(clean + random.normal(0, deviation, (*clean.shape[:2], channels)))


def photons(deviation: float) -> Callable[[PixelArray, Random], PixelArray]:
    """Adds the noise of photons, which has that deviation in a middle grey."""
    count = 128 / deviation**2
    return lambda clean, random: rounded(random.poisson(clean * count) / count)


def grain(deviation: float) -> Callable[[PixelArray, Random], PixelArray]:
    """Adds that of a film, larger than a pixel."""
    return lambda clean, random: rounded(clean + film(clean.astype(np.float32), deviation, 0.6, random))


def saved(suffix: str, quality: int) -> Callable[[PixelArray, Random], bytes]:
    """Makes a file."""

    def save(clean: PixelArray, random: Random) -> bytes:
        file = io.BytesIO()
        Image.fromarray(clean).save(file, suffix, quality=quality)
        return file.getvalue()

    return save


def kept(quality: int, offset: int = 0) -> Callable[[PixelArray, Random], PixelArray]:
    """Saves as JPEG and keeps the pixels, cropped by so many."""

    def keep(clean: PixelArray, random: Random) -> PixelArray:
        return decode(saved("JPEG", quality)(clean, random)).colour[offset:, offset:]

    return keep


KINDS: dict[str, Callable[[PixelArray, Random], Source]] = {
    "clean": lambda clean, random: clean,
    **{f"noise of each colour, {levels} levels": noise(levels, 3) for levels in (5, 10, 20)},
    **{f"grey noise, {levels} levels": noise(levels, 1) for levels in (5, 10, 20)},
    **{f"noise of photons, {levels} levels": photons(levels) for levels in (5, 10, 20)},
    **{f"film grain, {levels} levels": grain(levels) for levels in (5, 10, 20)},
    **{f"JPEG of quality {quality}": saved("JPEG", quality) for quality in (20, 40, 60)},
    **{f"JPEG of quality {quality}, saved again without loss": kept(quality) for quality in (20, 40, 60)},
    **{f"JPEG of quality {quality}, then cropped": kept(quality, 5) for quality in (20, 40, 60)},
    **{f"WebP of quality {quality}": saved("WEBP", quality) for quality in (20, 40, 60)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of .jpg and .png")
    parser.add_argument("--reduce", type=int, default=4, help="times photographs are made smaller first")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "wear.json")
    arguments = parser.parse_args()
    pictures = dict(clean_pictures(arguments.photos, arguments.reduce))
    rows = {}
    print("| source | auto is above 0 | mean share |\n|---|---|---|")
    for kind, wear in KINDS.items():
        shares = {name: share(wear(clean, seeded(name, kind))) for name, clean in pictures.items()}
        rows[kind] = shares
        found = sum(value > 0 for value in shares.values())
        print(f"| {kind} | {found} of {len(shares)} | {np.mean(list(shares.values())):.2f} |", flush=True)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(rows, indent=1))


def clean_pictures(photos: Path, times: int) -> Iterator[tuple[str, PixelArray]]:
    """Yields names and pixels, uint8 RGB."""
    for file in sorted(photos.iterdir()):
        if file.suffix in (".jpg", ".png"):
            with Image.open(file) as image:
                size = (image.width // times, image.height // times)
                yield file.name, np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    for name in DRAWN:
        with Image.open(ROOT / "samples" / name) as image:
            yield name, np.asarray(image.convert("RGB"))


def share(source: Source) -> float:
    """Returns how much `--denoise auto` would take out."""
    picture = decode(source)
    return measure_wear(picture.colour, picture.quality).strength


def seeded(name: str, kind: str) -> Random:
    return np.random.default_rng(zlib.crc32(f"{name}, {kind}".encode()))


if __name__ == "__main__":
    main()
