"""Decides which part of a picture each pass computes, so that a part of the result is what it would be in the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .picture import HALO, support
from .surface import correction_reach
from .tiling import Size, TileRequirements, Window

AROUND = 4
"""Source pixels around what a network and the correction look at: for the ramp between tiles, whose place differs, and
for transparency that is only resized."""


@dataclass(frozen=True, slots=True)
class Step:
    """The facts of one pass that decide how much of its source it looks at."""

    source: Size
    """Size of the whole picture before the pass."""
    needs: TileRequirements
    fidelity: float = 0.0
    context: int = 0
    """Source pixels that the engine is shown around the part, if it looks farther than can be computed."""


def find_windows(result: Window, steps: Sequence[Step], has_alpha: bool, is_repeated: bool) -> tuple[Window, ...]:
    """Returns the part of the picture before the first pass and after each; the last is `result`.

    Where the picture `is_repeated` on all sides, parts before the last may reach beyond it.
    """
    windows = [result]
    for step in reversed(steps):
        needs = step.needs
        if not needs.can_be_tiled:
            windows.append(Window.all(step.source))
            continue
        halo = needs.reach + correction_reach(step.fidelity, needs.scale) + step.context + AROUND
        windows.append(
            windows[-1].source(
                step.source,
                needs.scale,
                halo + (HALO if has_alpha else 0),
                support=support,
                multiple=needs.multiple,
                is_repeated=is_repeated,
            )
        )
    return tuple(reversed(windows))
