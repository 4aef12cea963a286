"""Tells how much a picture was compressed by JPEG: from the table in its file, or from its pixels alone.

JPEG rounds each frequency of 8x8 pixels to multiples of a step. In a picture that was a JPEG file and is now another,
the values still lie near such multiples (Fan and de Queiroz, 2003, "Identification of bitmap compression history").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 8
"""Pixels of a block along a side."""

FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2), (0, 3), (3, 0), (3, 1), (1, 3))
"""Rows and columns of the frequencies that are looked at: the lowest, which few pictures lack."""
STANDARD_STEPS = np.array([11, 12, 12, 10, 14, 14, 13, 16, 16, 14, 17, 19], np.float32)
"""Their steps at quality 50 (ITU-T T.81, annex K)."""
STANDARD_MEAN = 57.625
"""The mean of all 64 steps there."""
STEPS = np.arange(4, 61, dtype=np.float32)
"""The steps that are tried. Smaller ones are lost when pixels are rounded; they belong to qualities of 80 and more."""
FEWEST_VALUES = 24
"""Values that are no smaller than a step's multiples, from which that step is believed."""
RANK, CERTAIN = 5, 9.0
"""So many frequencies, and one more, must lie near multiples by CERTAIN standard deviations of chance: 77 photographs
that never were JPEG have 8.2 at most there, at quality 75 nineteen of twenty have 13 and more."""
ENOUGH = 1500
"""Blocks from which that is decided at most."""


def jpeg_quality(table: Sequence[int]) -> int:
    """Returns the quality, 1 to 100, on libjpeg's scale, of a table that quantises brightness, in any order.

    Below 20 the answer is too high by up to 5, since steps are at most 255.
    """
    return _quality(float(np.mean(table)) / STANDARD_MEAN)


def find_jpeg_quality(windows: Sequence[NDArray[np.float32]]) -> int | None:
    """Returns the quality, 1 to 100, at which pixels were saved as JPEG at some time, or None if that does not show.

    `windows`: parts of the brightness of one picture, 0..255, (height, width), that begin at multiples of 8 pixels.
    The picture may have been cropped since, but not resized. Above 80 nothing shows.
    """
    best, steps = CERTAIN, None
    tops, lefts = _likely_offsets([window.T for window in windows]), _likely_offsets(windows)
    for top, left in dict.fromkeys([(0, 0), *((top, left) for top in tops for left in lefts)]):
        blocks = np.concatenate([cut_blocks(window[top:, left:]) for window in windows])
        blocks = blocks[(blocks.max(1) < 254) & (blocks.min(1) > 1)]
        certainty, found = _find_steps(blocks[:: -(-len(blocks) // ENOUGH) or 1])
        if np.sort(certainty)[-1 - RANK] > best:
            best = np.sort(certainty)[-1 - RANK]
            steps = np.median((found / STANDARD_STEPS)[certainty > CERTAIN])
    return None if steps is None else _quality(float(steps))


def cut_blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cuts a plane into (blocks, 64), row by row. What is left over at the right and at the bottom is left out."""
    height, width = (length // BLOCK for length in plane.shape)
    cut = plane[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK)
    return cut.transpose(0, 2, 1, 3).reshape(-1, BLOCK * BLOCK)


def _quality(ratio: float) -> int:
    """Returns the quality at which steps are `ratio` times those of quality 50, as libjpeg computes them."""
    scale = 100 * ratio
    return int(np.clip(round(100 - scale / 2 if scale <= 100 else 5000 / scale), 1, 100))


def _likely_offsets(windows: Sequence[NDArray[np.float32]]) -> list[int]:
    """Returns the two columns, 0 to 7, at which blocks most likely begin: where steps between pixels exceed those
    beside them."""
    sums = np.zeros(BLOCK)
    for window in windows:
        steps = np.abs(np.diff(window, axis=1))
        excess = np.clip(steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2, -6, 6).sum(0)
        sums += [excess[phase::BLOCK].sum() for phase in range(BLOCK)]
    return [(int(phase) + 2) % BLOCK for phase in np.argsort(-sums)[:2]]


def _find_steps(blocks: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns, for each of FREQUENCIES, the step whose multiples its values lie closest to, behind the number of
    standard deviations by which they lie closer than by chance."""
    rows, columns = zip(*FREQUENCIES, strict=True)
    basis = cv2.dct(np.eye(BLOCK, dtype=np.float32), flags=cv2.DCT_ROWS).T
    values = np.abs(basis @ blocks.reshape(-1, BLOCK, BLOCK) @ basis.T)[:, rows, columns]
    ratios = values[:, :, None] / STEPS
    counted = ratios > 0.75
    count = counted.sum(0)
    nearness = (np.cos(2 * np.pi * ratios) * counted).sum(0) / np.sqrt(np.maximum(count, 1) / 2)
    nearness[count < FEWEST_VALUES] = 0
    best = nearness.argmax(1)
    return nearness[np.arange(len(best)), best], STEPS[best]
