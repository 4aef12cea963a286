"""Value types for what goes from step to step: batches of tiles, computed tiles, bands of finished rows."""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays import Pixels
from .geometry import Region


@dataclass(frozen=True, slots=True)
class Batch:
    """Tiles that are run together: float32, 0..1, (tiles, height, width, channels)."""

    regions: tuple[Region, ...]
    pixels: Pixels

    def transpose(self) -> Batch:
        """Returns the same tiles of the picture whose rows are this one's columns."""
        return Batch(tuple(region.transpose() for region in self.regions), self.pixels.swapaxes(1, 2))


@dataclass(frozen=True, slots=True)
class Tile:
    """A computed tile."""

    region: Region
    """Its region in source pixels."""
    pixels: Pixels
    """Its enlarged pixels: 0..1, (height, width, channels)."""

    def transpose(self) -> Tile:
        """Returns the same tile of the picture whose rows are this one's columns."""
        return Tile(self.region.transpose(), self.pixels.swapaxes(0, 1))


@dataclass(frozen=True, slots=True)
class Band:
    """Finished rows of the result: those from row `y` on, 0..1, (rows, full width, channels)."""

    y: int
    pixels: Pixels
