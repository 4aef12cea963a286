"""The exact size that is asked for and the sizes of the passes that lead there; parsing of sizes and memory."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real

from .errors import PlanError
from .tiling import Crop, Size, Window

LARGEST_SCALE = 32.0

MAX_NUMBER = 10**10
"""Sizes must be below this. Larger numbers are rejected as typing errors."""

STRETCH = 1.1
"""Enlargement beyond the network's own that the plain filter may add. It is invisible, and one more pass would cost
sixteen times as much."""

NAMED_SIZES = {
    "hd": Size(1280, 720),
    "fullhd": Size(1920, 1080),
    "2k": Size(2560, 1440),
    "4k": Size(3840, 2160),
    "5k": Size(5120, 2880),
    "8k": Size(7680, 4320),
}

MILLIMETRES = {"mm": 1.0, "cm": 10.0, "in": 25.4}
"""Length of each unit that sides of paper are given in."""

FINEST = 9600
"""Most dots an inch; no printer has more."""

FILE_UNITS = {"B": 1, "KB": 1e3, "KIB": 2**10, "MB": 1e6, "MIB": 2**20, "GB": 1e9, "GIB": 2**30}

MEMORY_UNITS = {"": 1e9, "MB": 1e6, "GB": 1e9, "TB": 1e12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True, slots=True)
class Paper:
    """A sheet to print on, and how finely. Raises PlanError for a sheet that cannot exist."""

    width: float
    """Millimetres, as `height`. The sheet is turned as the picture is."""
    height: float
    dpi: int = 300
    """Pixels an inch."""

    def __post_init__(self) -> None:
        if not (0 < self.width < MAX_NUMBER and 0 < self.height < MAX_NUMBER and 0 < self.dpi <= FINEST):
            raise PlanError(
                f"not a paper size. Its sides must be more than 0, its dots an inch from 1 to {FINEST}.",
                argument="print",
                value=self,
            )

    def __str__(self) -> str:
        return f"{self.width:g}x{self.height:g}mm@{self.dpi}"

    def pixels(self, picture: Size) -> Size:
        """Returns how many pixels fit on the sheet, turned as a picture of that size is."""
        short, long = sorted(max(round(side / MILLIMETRES["in"] * self.dpi), 1) for side in (self.width, self.height))
        return Size(long, short) if picture.width > picture.height else Size(short, long)


PAPERS = {
    "a0": Paper(841, 1189),
    "a1": Paper(594, 841),
    "a2": Paper(420, 594),
    "a3": Paper(297, 420),
    "a4": Paper(210, 297),
    "a5": Paper(148, 210),
    "a6": Paper(105, 148),
    "letter": Paper(215.9, 279.4),
}

SIDES = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*[x×*]\s*(\d{1,6}(?:\.\d{1,6})?)\s*(mm|cm|in)", re.ASCII)


KINDS = {
    "scale": "a number",
    "megapixels": "a number",
    "fit": "a Size of whole numbers",
    "at_least": "a Size of whole numbers",
    "print": "a Paper",
}
"""What the fields of a Target are, if not whole numbers."""


@dataclass(frozen=True, slots=True)
class Target:
    """The size of the result, by at most one field; with none, the model's own scale decides. And which part is made.

        Target(scale=2)    Target(width=3840)    Target(fit=Size(3840, 2160))    Target(print=Paper(600, 900))
        Target(scale=2, crop=Crop("25%", "25%", "50%", "50%"))

    Proportions are kept. Raises PlanError for values that no picture can have.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None
    long_edge: int | None = None
    megapixels: float | None = None
    fit: Size | None = None
    """The largest size that fits into this frame."""
    at_least: Size | None = None
    """The smallest size that covers this frame; pictures that cover it already stay as they are."""
    print: Paper | None = None
    """The largest size that fits onto this sheet."""
    crop: Crop | None = None
    """The part of the picture that is made; its size is its share of the whole result's. None: all of it."""

    def __post_init__(self) -> None:
        if not isinstance(self.crop, Crop | None):
            raise PlanError(f"{self.crop!r} is not a Crop.", argument="crop")
        given = self._sizes()
        if len(given) > 1:
            names = " and ".join(f"`{name}`" for name in given)
            raise PlanError(f"{names}: choose one of them. For a frame to fill, use `fit` or `at_least`.")
        for name in given:
            value = getattr(self, name)
            if name == "print" and isinstance(value, Paper):
                continue
            is_frame = name in ("fit", "at_least") and isinstance(value, Size)
            numbers = (value.width, value.height) if is_frame else (value,)
            kind = Real if name in ("scale", "megapixels") else Integral
            if not all(isinstance(number, kind) and not isinstance(number, bool) for number in numbers):
                raise PlanError(f"{value!r} is not {KINDS.get(name, 'a whole number')}.", argument=name)
            if not all(0 < number < MAX_NUMBER for number in numbers):
                shown = f"{value:g}" if isinstance(value, float) else value
                raise PlanError("the value must be more than 0 and less than 10^10.", argument=name, value=shown)
        if self.scale is not None:
            object.__setattr__(self, "scale", float(self.scale))  # 2 and 2.0 are the same job
        if self.scale is not None and self.scale > LARGEST_SCALE:
            raise PlanError(
                f"more than {LARGEST_SCALE:g} is not supported. Ask for a smaller one.",
                argument="scale",
                value=f"{self.scale:g}",
            )

    @property
    def is_scale(self) -> bool:
        """Whether the result is a multiple of the source's size, not a size of its own."""
        return self._sizes() in ([], ["scale"])

    def window(self, source: Size, result: Size) -> Window:
        """Returns the part of the result that is made. Raises PlanError when it is not inside the picture."""
        crop = self.crop
        return Window.all(result) if crop is None else Window(source, crop.region(source)).resized(result)

    def size(self, source: Size, native_scale: float) -> Size:
        """Returns the result's size for a source. Raises PlanError when it is over LARGEST_SCALE times as large."""
        factor = self._factor(source, native_scale)
        if factor > LARGEST_SCALE:
            raise PlanError(
                f"{source} would become {factor:,.1f} times as large; more than {LARGEST_SCALE:g} is not supported. "
                "Ask for a smaller size."
            )
        return Size(
            self.width or max(round(source.width * factor), 1), self.height or max(round(source.height * factor), 1)
        )

    def _sizes(self) -> list[str]:
        """Returns the names of the fields that state a size."""
        return [each.name for each in fields(self) if each.name != "crop" and getattr(self, each.name) is not None]

    def _factor(self, source: Size, native_scale: float) -> float:
        if self.width:
            return self.width / source.width
        if self.height:
            return self.height / source.height
        if self.long_edge:
            return self.long_edge / max(source.width, source.height)
        if self.megapixels:
            return math.sqrt(self.megapixels * 1e6 / source.pixels)
        frame = self.fit if self.print is None else self.print.pixels(source)
        if frame:
            return min(frame.width / source.width, frame.height / source.height)
        if self.at_least:
            return max(self.at_least.width / source.width, self.at_least.height / source.height, 1.0)
        return self.scale or native_scale


def parse_size(text: str) -> Size:
    """Reads "3840x2160", or a name such as "4k". Raises PlanError."""
    lower = text.strip().lower()
    if lower in NAMED_SIZES:
        return NAMED_SIZES[lower]
    match = re.fullmatch(r"(\d{1,9})\s*[x×*]\s*(\d{1,9})", lower)
    if match is None:
        raise PlanError(f"{text!r}: not a size. Write WIDTHxHEIGHT, such as 3840x2160, or {', '.join(NAMED_SIZES)}.")
    return Size(int(match[1]), int(match[2]))


def parse_paper(text: str) -> Paper:
    """Reads "60x90cm@300", "8.5x11in", or a name such as "a3@150"; 300 dots an inch unless the text names another
    number. Raises PlanError."""
    sheet, at, dots = (part.strip() for part in text.lower().partition("@"))
    sides, dpi = SIDES.fullmatch(sheet), re.fullmatch(r"(\d{1,6})\s*(dpi)?", dots, re.ASCII)
    if (sides is None and sheet not in PAPERS) or (at and dpi is None):
        raise PlanError(
            f"not a paper size. Write WIDTHxHEIGHT in cm, mm or in, such as 60x90cm, or {', '.join(PAPERS)}; after it, "
            "unless 300 dots an inch are meant, an @ and how many.",
            argument="print",
            value=text,
        )
    if sides is None:
        paper = PAPERS[sheet]
    else:
        unit = MILLIMETRES[sides[3]]
        paper = Paper(float(sides[1]) * unit, float(sides[2]) * unit)
    return replace(paper, dpi=int(dpi[1])) if dpi else paper


def parse_memory(text: str) -> int:
    """Returns the bytes of "8GB", "800MB", "8", which is GB, or "7.5 GiB", which counts in 1024s. Raises PlanError."""
    amount = _parse_bytes(text, MEMORY_UNITS)
    if amount is None:
        raise PlanError("not an amount of memory. Write it as 8GB, 7.5GiB or 800MB.", argument="memory", value=text)
    return amount


def parse_file_size(text: str) -> int:
    """Returns the bytes of "5MB", "800KB", "2.5 MiB", which counts in 1024s, or "90000B". Raises PlanError."""
    amount = _parse_bytes(text, FILE_UNITS)
    if amount is None:
        raise PlanError("not the size of a file. Write it as 5MB, 800KB or 2.5MiB.", argument="max_size", value=text)
    return amount


def _parse_bytes(text: str, units: Mapping[str, float]) -> int | None:
    """Returns the bytes of a number and one of the units, or None for anything else, and for none."""
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) *([A-Za-z]*)", text.strip())
    unit = units.get(found[2].upper()) if found else None
    return None if found is None or unit is None else int(float(found[1]) * unit) or None


def passes(source: Size, result: Size, scale: int, at_least_one: bool = False) -> list[Size]:
    """Returns the size after each pass of a network of that scale; the last is `result`. Empty if no network is needed.

    The last pass starts from as much as it needs to end at the result, so that nothing is computed in vain: 8x by a 4x
    network is 4x, shrunk to 2x, and 4x again. Raises PlanError when the network does not enlarge and has to.
    """
    factor = max(result.width / source.width, result.height / source.height)
    if factor <= 1 and not at_least_one:
        return []
    if scale == 1:
        if factor > STRETCH:
            raise PlanError("the model cleans pictures without enlarging them. Ask for `scale` 1, or another `model`.")
        return [result]
    count = max(math.ceil(math.log(max(factor / STRETCH, 1.0), scale) - 1e-9), 1)
    if count == 1:
        return [result]
    before_last = Size(max(-(-result.width // scale), source.width), max(-(-result.height // scale), source.height))
    shares = [(index + 1) / (count - 1) for index in range(count - 1)]
    between = [
        Size(
            round(source.width * (before_last.width / source.width) ** share),
            round(source.height * (before_last.height / source.height) ** share),
        )
        for share in shares
    ]
    return [*between, result]
