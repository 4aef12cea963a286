"""Measures of seams: where tiles meet, compared with everywhere else."""

from collections.abc import Iterable

import torch


def seam_score(difference: torch.Tensor, borders: Iterable[int], phase: int = 1) -> float:
    """The mean step across the columns where tiles meet, over that across all others of the same phase.

    `difference` (…, width) is what tiles changed; a border is the column right of it. About 1 without seams.
    """
    steps = difference.double().diff(dim=-1).abs().flatten(0, -2).mean(0)
    at = torch.zeros(len(steps), dtype=torch.bool)
    at[[border - 1 for border in borders]] = True
    same_phase = torch.arange(1, len(steps) + 1) % phase == 0
    return float(steps[at & same_phase].mean() / steps[~at & same_phase].mean())


def largest_step(canvas: torch.Tensor, border: int = 0) -> float:
    """Between neighbouring columns or rows, on average along them; `border` cells at the canvas's own edge left out."""
    inside = canvas[..., border : canvas.shape[-2] - border, border : canvas.shape[-1] - border].double()
    columns, rows = inside.diff(dim=-1).mean(-2), inside.diff(dim=-2).mean(-1)
    return float(max(columns.abs().max(), rows.abs().max()))
