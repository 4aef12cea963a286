"""Reads the headers of ICC profiles (ICC.1:2022, 7.2), and converts colours to sRGB where a profile cannot be kept."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pyvips
from PIL import ImageCms

from ..notices import warn
from ..picture import Picture, allocate, strips
from .connections import make_image
from .deep import HEAD
from .named_colours import Colours, grey_profile

HEADER = 128


def fits(profile: bytes | None, channels: int) -> bool:
    """Returns whether a profile is for pixels of so many channels: grey ones for 1 and 2, RGB ones for 3 and 4."""
    if profile is None or len(profile) < HEADER or profile[36:40] != b"acsp":
        return False
    return profile[16:20] == (b"GRAY" if channels <= 2 else b"RGB ")


def fit(profile: bytes | None, channels: int, name: str) -> bytes | None:
    """Returns a profile if it is for pixels of so many channels. Of an RGB profile grey pixels get the curve alone.

    Warns if it is for other pixels, or none; `name` is that of the picture.
    """
    if profile is None or fits(profile, channels):
        return profile
    grey = grey_profile(profile) if channels <= 2 and fits(profile, 3) else None
    if grey is None:
        warn("%s: its colour profile is damaged, or for other pixels; they are taken for sRGB.", name)
    return grey


def find_in_jpeg_2000(file: BinaryIO) -> Colours:
    """Returns the profile in the head of a JPEG 2000 file (ISO 15444-1, I.5.3.3)."""
    head = file.read(HEAD)
    at = head.find(b"colr\x02")
    return Colours(head[at + 7 : at - 4 + int.from_bytes(head[at - 4 : at], "big")] if at >= 4 else None)


def to_srgb(picture: Picture, workspace: Path | None) -> Picture:
    """Converts colours to sRGB without a profile; alpha, depth and greyness stay. A damaged profile counts as sRGB."""
    height, width, channels = picture.pixels.shape
    colours = 1 if channels <= 2 else 3
    pixels = allocate(picture.pixels.shape, picture.pixels.dtype, workspace)
    try:
        for strip in strips(height):
            rows = picture.pixels[strip]
            image = make_image(rows[:, :, :colours])
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", picture.profile)
            converted = image.icc_transform("srgb", embedded=True, intent="relative", depth=picture.depth).numpy()
            pixels[strip] = rows
            pixels[strip, :, :colours] = converted.reshape(len(rows), width, -1)[:, :, :colours]
    except pyvips.Error:
        warn("%s: its colour profile is damaged; it is taken for sRGB.", picture.name)
        return replace(picture, profile=None)
    return replace(picture, pixels=pixels, profile=None)


def profile_name(profile: bytes) -> str:
    """Returns the description in an ICC profile, or its size if it is damaged."""
    try:
        return ImageCms.getProfileDescription(io.BytesIO(profile)).strip()
    except ImageCms.PyCMSError:
        return f"of {len(profile):,} bytes, damaged"
