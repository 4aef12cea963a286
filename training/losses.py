"""How far a result is from the truth. Results and truths are float32, (count, 3, height, width), 0..1."""

from __future__ import annotations

import torch
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)
"""Brightness as BT.601 weighs the colours."""
ROUND = 0.05
"""Errors below a dozen 8-bit levels count by their square, as PSNR counts all of them; larger ones by their size, so
that a few strong edges do not rule."""
FLAT = 1e-3
"""Mean square, of 8 levels of 255, up to which pictures count alike: without it those that are flat would rule."""
COLOUR = 0.3
"""Weight of the three colours beside brightness, which the eye resolves far better."""


def charbonnier(result: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Computes the distance of Charbonnier et al. 1994, of brightness and, with the weight of `COLOUR`, of colours."""
    error = result - truth
    return _round(luma(error)).mean() + COLOUR * _round(error).mean()


def _round(error: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(error**2 + ROUND**2) - ROUND


def decibels(result: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Computes what PSNR counts (as in HINet, Chen et al. 2021): the logarithm of each picture's mean square error, of
    brightness and, with the weight of `COLOUR`, of colours. A flat picture matters as much as one full of edges. From
    nothing it would be infinite, so `FLAT` is added; and it is as large as `charbonnier` for errors of a usual size."""
    error = result - truth
    squares = (luma(error) ** 2).mean((1, 2, 3)) + COLOUR * (error**2).mean((1, 2, 3))
    return FLAT / ROUND * torch.log1p(squares / FLAT).mean()


def frequencies(result: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Computes the mean distance of the spectra (as in MIMO-UNet, Cho et al. 2021): strokes and textures are few large
    numbers there, and many small ones among the pixels."""
    spectrum = torch.fft.rfft2(luma(result - truth), norm="ortho")
    return torch.view_as_real(spectrum).abs().mean()


def weave(result: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Computes how far there is a pattern of four pixels, which pixel shuffles make where no other loss forbids it: the
    mean error of each of the sixteen places, over eight source pixels, beside that of all places."""
    off = functional.avg_pool2d(functional.pixel_unshuffle(result - wanted, 4), 8)
    count, _, height, width = off.shape
    places = off.reshape(count, -1, 16, height, width)
    return (places - places.mean(2, keepdim=True)).abs().mean()


def luma(picture: torch.Tensor) -> torch.Tensor:
    """Computes the brightness, (count, 1, height, width)."""
    return (picture * picture.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def psnr(result: torch.Tensor, truth: torch.Tensor, border: int = 4) -> float:
    """Computes PSNR in dB, of brightness as BT.601 codes it, of 219 of 255 levels, without the border."""
    error = luma(result.clamp(0, 1) - truth)[..., border:-border, border:-border] * (219 / 255)
    return float(-10 * torch.log10((error**2).mean()))


def bicubic(source: torch.Tensor) -> torch.Tensor:
    """Returns the source four times larger: the baseline."""
    return functional.interpolate(source, scale_factor=4, mode="bicubic", antialias=True).clamp(0, 1)
