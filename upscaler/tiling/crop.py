"""The part of a picture that is asked for, in pixels or per cent."""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from numbers import Integral

from ..errors import PlanError
from .geometry import Region, Size

LENGTH = r"(\d{1,9}|\d{1,3}(?:\.\d{1,6})?%)"
"""Whole pixels, or a number of per cent."""

CROP = re.compile(rf"\s*{LENGTH}\s*,\s*{LENGTH}\s*,\s*{LENGTH}\s*[x×*]\s*{LENGTH}\s*", re.ASCII)

ADVICE = "Write X,Y,WIDTHxHEIGHT in pixels or per cent, such as 100,50,640x480 or 25%,25%,50%x50%."


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of the upright picture: whole pixels, or per cent as texts.

        Crop(100, 50, 640, 480)    Crop("25%", "25%", "50%", "50%")    Crop.parse("50%,50%,512x512")

    Raises PlanError for a part that no picture has.
    """

    x: int | str
    y: int | str
    width: int | str
    height: int | str

    def __post_init__(self) -> None:
        for value in astuple(self):
            is_whole = isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) < 10**9
            if not is_whole and not (isinstance(value, str) and value[-1:] == "%" and re.fullmatch(LENGTH, value)):
                raise PlanError(f"{value!r} is not a number of pixels or per cent. {ADVICE}", argument="crop")
        for start, length in ((self.x, self.width), (self.y, self.height)):
            if not (float(length[:-1]) if isinstance(length, str) else length):
                raise PlanError("this part is empty.", argument="crop", value=self)
            shares = [float(each[:-1]) for each in (start, length) if isinstance(each, str)]
            if sum(shares) > 100:
                shown = " and ".join(f"{share:g} %" for share in shares if share)
                verb = "are" if " and " in shown else "is"
                raise PlanError(
                    f"{shown} {verb} more than the whole, 100 %.",
                    argument="crop",
                    value=self,
                )

    @staticmethod
    def parse(text: str) -> Crop:
        """Reads "100,50,640x480", or "25%,25%,50%x50%". Raises PlanError."""
        found = CROP.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise PlanError(f"not a part of a picture. {ADVICE}", argument="crop", value=text)
        return Crop(*(each if each.endswith("%") else int(each) for each in found.groups()))

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width}x{self.height}"

    def region(self, size: Size) -> Region:
        """Returns the part of a picture of that size, one pixel at least. Raises PlanError when it is not inside."""
        (left, right), (top, bottom) = (
            _edges(start, length, whole)
            for start, length, whole in ((self.x, self.width, size.width), (self.y, self.height, size.height))
        )
        if right > size.width or bottom > size.height:
            raise PlanError(
                f"this part reaches to {right},{bottom}, beyond the picture, which has {size} pixels.",
                argument="crop",
                value=self,
            )
        return Region(left, top, right - left, bottom - top)


def _edges(start: int | str, length: int | str, whole: int) -> tuple[int, int]:
    """Returns where a part of a side begins and ends, in pixels."""
    shares = [float(each[:-1]) * whole / 100 if isinstance(each, str) else each for each in (start, length)]
    first = min(round(shares[0]), whole - 1) if isinstance(start, str) else int(shares[0])
    end = round(shares[0] + shares[1]) if isinstance(length, str) else first + int(shares[1])
    return first, max(end, first + 1)
