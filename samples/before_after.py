"""Makes before-after.jpg, the picture of the README: a part of chelsea.png, its pixels enlarged as they are, beside the
same part enlarged by the default model. Run it as `python samples/before_after.py`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import upscaler

HERE = Path(__file__).resolve().parent
LEFT, TOP, WIDTH, HEIGHT, SCALE = 38, 18, 106, 80, 4
GAP = 8


def main() -> None:
    """Writes the picture beside this file."""
    box = (LEFT, TOP, LEFT + WIDTH, TOP + HEIGHT)
    before = (
        Image.open(HERE / "chelsea.png").crop(box).resize((WIDTH * SCALE, HEIGHT * SCALE), Image.Resampling.NEAREST)
    )
    result = upscaler.upscale(HERE / "chelsea.png", SCALE).to_pil()
    after = result.crop(tuple(edge * SCALE for edge in box))
    pair = Image.new("RGB", (2 * before.width + GAP, before.height), "white")
    pair.paste(before, (0, 0))
    pair.paste(after, (before.width + GAP, 0))
    pair.save(HERE / "before-after.jpg", quality=90)


if __name__ == "__main__":
    main()
