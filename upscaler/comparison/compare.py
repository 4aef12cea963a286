"""Computes parts of a picture by every column, all at one scale."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..arrays import to_float
from ..codecs.profiles import to_srgb
from ..errors import PlanError
from ..picture import Picture, Wear, find_details, resize
from ..pipeline import Estimate, Pipeline, PipelineOptions
from ..progress import ProgressCallback
from ..target import Target
from ..tiling import Crop, Region, Size
from .columns import Column

CELL = 512
"""Pixels of a side of what is shown of each part, if none is asked for."""

SMALLEST = 48
"""Pixels of the source that such a part has at least."""

WARM_UP = 3.0
"""Seconds below which a column's first run is repeated, since libraries choose their kernels in the first one."""

SOURCE = "source"
"""The label of the first column, which is enlarged by a plain filter."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One part of the picture, made by one column."""

    picture: Picture
    """sRGB, 8 or 16 bits."""
    seconds: float
    lr_rmse: float | None
    """See `Picture.lr_rmse`."""


@dataclass(frozen=True, slots=True)
class ColumnResult:
    """What a column has made."""

    label: str
    cells: tuple[Cell, ...]
    """One for each part."""
    whole_seconds: float | None
    """About how long the whole picture would take; None for the source."""

    def describe(self, index: int) -> tuple[str, ...]:
        """Returns lines about one part: its time, about that of the whole picture, and how far it departs."""
        if self.whole_seconds is None:
            return ("enlarged by a plain filter",)
        cell = self.cells[index]
        times = f"{describe_time(cell.seconds)}, whole picture about {describe_time(self.whole_seconds)}"
        return times, "" if cell.lr_rmse is None else f"departs from the source by {cell.lr_rmse:.1f} levels"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All columns of a comparison, the source first."""

    name: str
    size: Size
    """The size of the source."""
    scale: float
    parts: tuple[Region, ...]
    """In pixels of the source."""
    columns: tuple[ColumnResult, ...]
    """The first shows the source, enlarged by a plain filter."""


def compare(
    picture: Picture,
    columns: Sequence[Column],
    *,
    scale: float | None = None,
    crops: Sequence[Crop] = (),
    count: int = 1,
    workspace: Path | None = None,
    progress: ProgressCallback | None = None,
) -> Comparison:
    """Makes each part by each column, at `scale`, or the largest scale that a column has of itself.

    Without `crops` the `count` most detailed parts are taken, if there are so many. `progress` counts parts. Raises
    PlanError for parts that are not inside the picture, and whatever enlarging raises.
    """
    if not columns:
        raise PlanError("there is no model to compare. Name one.", argument="model")
    wear: Wear | None = None
    own = [column.native_scale() for column in columns]
    scale = float(scale or max(own))
    parts = [crop.region(picture.size) for crop in crops] or _choose_parts(picture, scale, count)
    results = [_show_source(picture, scale, parts)]
    if progress is not None:
        progress(0, len(columns) * len(parts))
    for done, (column, native) in enumerate(zip(columns, own, strict=True)):
        target = Target(scale=1 if native == 1 else scale)  # what only cleans is enlarged by the plain filter
        whole = column.pipeline.estimate(picture, target, wear)
        wear = wear or whole.wear
        cells, work = [], 0
        for index, part in enumerate(parts):
            estimate = column.pipeline.estimate(picture, replace(target, crop=_crop(part)), wear)
            made, seconds = _run(column, picture, estimate, workspace)
            if index == 0 and seconds < WARM_UP:
                made, seconds = min((made, seconds), _run(column, picture, estimate, workspace), key=lambda run: run[1])
            work += _work(estimate)
            cells.append(Cell(_enlarge(made, results[0].cells[index].picture.size), seconds, made.lr_rmse))
            if progress is not None:
                progress(done * len(parts) + index + 1, len(columns) * len(parts))
        column.pipeline.close()
        seconds = sum(cell.seconds for cell in cells) * _work(whole) / work
        results.append(ColumnResult(column.label, tuple(cells), seconds))
    return Comparison(Path(picture.name).name, picture.size, scale, tuple(parts), tuple(results))


def _run(column: Column, picture: Picture, estimate: Estimate, workspace: Path | None) -> tuple[Picture, float]:
    """Returns what a column makes of a part, and the seconds that took."""
    start = time.perf_counter()
    made = column.pipeline.run(picture, estimate=estimate, workspace=workspace)
    return made, time.perf_counter() - start


def describe_time(seconds: float) -> str:
    """Returns a time to two digits: 0.42 s, 3.1 s, 42 s, 12 min, 3.5 h."""
    unit, name = (1, "s") if seconds < 99.5 else (60, "min") if seconds < 5970 else (3600, "h")
    value = seconds / unit
    return f"{value:.2f} {name}" if value < 1 else f"{value:.1f} {name}" if value < 10 else f"{value:.0f} {name}"


def _choose_parts(picture: Picture, scale: float, count: int) -> list[Region]:
    """Returns the most detailed parts, which make a CELL each, from top to bottom."""
    side = max(round(CELL / scale), SMALLEST)
    found = find_details(picture.colour, Size(side, side), count)
    return sorted(found, key=lambda part: (part.y, part.x))


def _show_source(picture: Picture, scale: float, parts: Sequence[Region]) -> ColumnResult:
    """Returns the first column."""
    plain = Pipeline("lanczos", PipelineOptions(fidelity=0, denoise=0))
    made = [plain.run(picture, Target(scale=scale, crop=_crop(part))) for part in parts]
    return ColumnResult(SOURCE, tuple(Cell(_enlarge(each, each.size), 0.0, None) for each in made), None)


def _enlarge(picture: Picture, size: Size) -> Picture:
    """Returns a picture in sRGB, by a plain filter if it does not have that size."""
    if picture.profile is not None:
        picture = to_srgb(picture, None)
    if picture.size == size:
        return picture
    full = np.iinfo(picture.pixels.dtype).max
    pixels = np.rint(resize(to_float(picture.pixels), size).clip(0, 1) * full).astype(picture.pixels.dtype)
    return replace(picture, pixels=pixels)


def _crop(part: Region) -> Crop:
    return Crop(part.x, part.y, part.width, part.height)


def _work(estimate: Estimate) -> int:
    """Returns how many pixels are computed, in all passes and steps; those of the result if it is only resized."""
    return sum(plan.count * plan.tile.pixels for plan in estimate.plans) or estimate.result.pixels
