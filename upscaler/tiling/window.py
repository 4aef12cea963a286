"""The part of a picture that is computed, and what of it comes of which part before a pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .geometry import Region, Size


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture. It may reach beyond the picture where that is repeated on all sides.

    Window.all(Size(640, 480))    Window(Size(640, 480), Region(100, 50, 64, 64))
    """

    whole: Size
    """Size of the picture."""
    region: Region
    """The part, in pixels of the picture."""

    @staticmethod
    def all(size: Size) -> Window:
        """Returns the whole of a picture."""
        return Window(size, Region(0, 0, size.width, size.height))

    @property
    def size(self) -> Size:
        return self.region.size

    @property
    def is_whole(self) -> bool:
        return self == Window.all(self.whole)

    def transpose(self) -> Window:
        """Returns the same part of the picture whose rows are this one's columns."""
        return Window(self.whole.transpose(), self.region.transpose())

    def scaled(self, factor: int) -> Window:
        """Returns the same part of the picture enlarged by a whole factor."""
        part = self.region
        region = Region(part.x * factor, part.y * factor, part.width * factor, part.height * factor)
        return Window(self.whole.scaled(factor), region)

    def resized(self, whole: Size) -> Window:
        """Returns the same part of the picture in another size, to whole pixels, one at least."""

        def resize(start: int, count: int, length: int, target: int) -> tuple[int, int]:
            first = min(_round(start * target / length), target - 1)
            return first, max(_round((start + count) * target / length) - first, 1)

        x, width = resize(self.region.x, self.region.width, self.whole.width, whole.width)
        y, height = resize(self.region.y, self.region.height, self.whole.height, whole.height)
        return Window(whole, Region(x, y, width, height))

    def source(
        self,
        whole: Size,
        scale: int,
        halo: int,
        *,
        support: Callable[[int, int], int],
        multiple: int = 1,
        is_repeated: bool = False,
    ) -> Window:
        """Returns what of a picture of size `whole` this part is computed from, when the picture is enlarged `scale`
        times, which looks `halo` pixels around, and then resized, which looks around by `support(source, target)`.

        It begins at a `multiple` of pixels. Only where the picture `is_repeated` may it reach beyond that.
        """

        def widen(start: int, count: int, target: int, length: int) -> tuple[int, int]:
            step = length * scale / target
            around = 0 if target == length * scale else support(length * scale, target)
            first = math.floor((start * step - around) / scale) - halo
            last = math.ceil(((start + count) * step + around) / scale) + halo
            if not is_repeated:
                first, last = max(first, 0), min(last, length)
            first -= first % multiple
            return first, last - first

        x, width = widen(self.region.x, self.region.width, self.whole.width, whole.width)
        y, height = widen(self.region.y, self.region.height, self.whole.height, whole.height)
        return Window(whole, Region(x, y, width, height))

    def inner(self, source: Window, scale: int) -> Region:
        """Returns the pixels of the part `source`, counted from its corner, of which a pass makes this part."""
        part = self.source(source.whole, scale, 0, support=lambda *_: 0).region
        return Region(part.x - source.region.x, part.y - source.region.y, part.width, part.height)


def _round(value: float) -> int:
    return math.floor(value + 0.5)
