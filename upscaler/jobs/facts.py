"""What there is to know of a picture: what it is, and what made it."""

from __future__ import annotations

import io
from typing import Any

from PIL import ImageCms

from ..picture import Picture
from ..recipe import KEY, PARAMETERS, Recipe

COLOURS = {1: "grey", 2: "grey, transparency", 3: "RGB", 4: "RGB, transparency"}

EMPTY: tuple[object, ...] = (None, "", [], {})

HASH = 12
"""Digits of a hash that are shown."""


def about_picture(picture: Picture) -> list[tuple[str, str]]:
    """Each with its label; but not a recipe, nor the same in AUTOMATIC1111's form."""
    metadata, size = picture.metadata, picture.size
    blocks = {"EXIF": metadata.exif, "XMP": metadata.xmp, "IPTC": metadata.iptc}
    own = (KEY, PARAMETERS) if KEY in metadata.comments else ()
    texts = {key: text for key, text in metadata.comments.items() if key not in own}
    known = [
        ("picture", picture.name),
        ("format", picture.format or ""),
        ("size", f"{size}, {size.pixels / 1e6:.2f} megapixels"),
        ("channels", f"{COLOURS[picture.pixels.shape[2]]}; {picture.depth} bits each"),
        ("profile", "none, which means sRGB" if picture.profile is None else _name_of(picture.profile)),
        ("resolution", "" if metadata.dpi is None else f"{metadata.dpi[0]:g} x {metadata.dpi[1]:g} dpi"),
        ("metadata", ", ".join(f"{name} of {len(block):,} bytes" for name, block in blocks.items() if block)),
        *((key, line) for key, text in texts.items() for line in text.splitlines()),
    ]
    return [(label, text) for label, text in known if text]


def about_recipe(made: Recipe) -> list[tuple[str, str]]:
    """Each with its label. What was wished for first, then the models, then the versions of what ran them."""
    told = ("prompt", "negative", "size", "image" if made.parameters.get("image") else "strength")
    parameters = {name: value for name, value in made.parameters.items() if name not in told}
    enlarged: dict[str, Any] = {} if made.upscaler is None else {"enlarged to": str(made.size), **made.upscaler}
    known: list[tuple[str, Any]] = [
        ("prompt", made.prompt),
        ("negative", made.negative),
        *parameters.items(),
        ("began with", made.parameters.get("image")),
        ("generated", str(made.generated)),
        *(("by" if name == "model" else name, value) for name, value in made.generator.items()),
        *(("by" if name == "model" else name, value) for name, value in enlarged.items()),
        *((f"{name} version", number) for name, number in made.versions.items()),
    ]
    return [(label, _shown(value)) for label, value in known if value not in EMPTY]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items() if part not in EMPTY)
    if isinstance(value, list):
        return ", ".join(str(part)[:HASH] if isinstance(part, str) else _shown(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name_of(profile: bytes) -> str:
    try:
        return ImageCms.getProfileDescription(io.BytesIO(profile)).strip()
    except ImageCms.PyCMSError:
        return f"of {len(profile):,} bytes, damaged"
