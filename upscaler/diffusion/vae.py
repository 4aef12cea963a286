"""Decodes latents to pixels and encodes pixels to latents in tiles that leave no seams, for canvases of any size.

A tile could differ from the same place of the whole in its border, its statistics and its attention. So tiles have a
halo as wide as the network sees; group norms use statistics of samples of the canvas, for all tiles (after Tiled VAE,
github.com/pkuliyi2015/multidiffusion-upscaler-for-automatic1111); and the middle block, in which every cell attends to
every other, is computed at once while the canvas is small, and in overlapping windows beyond.

| VAE | in tiles |
|---|---|
| AutoencoderTiny (TAESD) | equal to the whole: it has neither norms nor attention |
| AutoencoderKL (SD, SDXL, x4, x2, Flux, SD3, Z-Image), Flux2 | the tone may differ slightly, in all tiles alike |
| the same, beyond MIDDLE x MIDDLE latents | and attention reaches no further than a window of MIDDLE latents |
| any other, beyond a tile | diffusers' own tiles: seams may show, and a warning says so |

Memory holds, of a canvas: its latents; rows of features between the parts, of MIDDLE and a tile with its halo
together, on the CPU, in the VAE's own precision; a row of tiles of the result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import torch

from ..arrays import FloatArray, PixelArray, to_float
from ..tiling import Band, Size
from .coders import Coder, CoderPart, decoder, encoder, is_divisible
from .session import Rows, Session, Stream, rows_of_tensor, take_samples
from .windows import grid

log = logging.getLogger("upscaler")

MIDDLE = 128
"""Up to this many latents a side the middle block runs on the whole canvas; larger canvases use windows of this size,
because attention costs the fourth power of the side."""


def decode(vae: Any, latents: torch.Tensor, *, tile: int) -> Iterator[Band]:
    """Decodes latents (1, channels, height, width), scaled as pipelines give them, to bands of pixels, float32, 0..1.

    `tile` is in latents, without its halo; a tile that does not fit into memory is computed in halves. A result that is
    NaN or infinity in half precision is computed in float32, with a warning. Raises OutOfMemory, and EngineError when
    float32 gives NaN or infinity too.
    """
    shift, scale = _shift_and_scale(vae.config)
    values = latents.float().cpu() / scale + shift
    y = 0
    with closing(Session(vae)) as session:
        if is_divisible(vae):
            size = Size(values.shape[-1], values.shape[-2])
            pieces = _compute(decoder(vae), rows_of_tensor(values), size, tile, session)
        else:
            fits = max(values.shape[-2:]) <= tile
            pieces = iter([_compute_whole(vae, lambda: vae.decode(session.to_device(values)).sample, session, fits)])
        for piece in pieces:
            rows = (piece[0].float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).numpy()
            yield Band(y, rows)
            y += len(rows)


def encode(vae: Any, pixels: FloatArray | PixelArray, *, tile: int) -> torch.Tensor:
    """Encodes a picture (height, width, 3), which may be a memory-mapped file, to latents (1, channels, height, width).

    They are the mode of the VAE's distribution, scaled, float32, on the CPU. The picture is extended by reflection to
    sides that the VAE can reduce. `tile` and errors are as for `decode`.
    """
    own = Size(pixels.shape[1], pixels.shape[0])
    with closing(Session(vae)) as session:
        if is_divisible(vae):
            coder = encoder(vae)
            size = own.round_up(coder.head.down)
            pieces = _compute(coder, _pixel_rows(pixels, size), size, tile, session)
        else:
            size = own.round_up(vae.spatial_compression_ratio)
            values = _pixel_rows(pixels, size)(0, size.height)
            fits = max(values.shape[-2:]) <= tile * vae.spatial_compression_ratio

            def compute() -> torch.Tensor:
                encoded = vae.encode(session.to_device(values))
                latents: torch.Tensor = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded[0]
                return latents

            pieces = iter([_compute_whole(vae, compute, session, fits)])
        shift, scale = _shift_and_scale(vae.config)
        return (torch.cat(list(pieces), -2).float() - shift) * scale


def _compute(coder: Coder, rows: Rows, size: Size, tile: int, session: Session) -> Iterator[torch.Tensor]:
    """Yields the result of an encoder or decoder for a canvas, as rows from top to bottom."""
    inner = Size(size.width // coder.head.down, size.height // coder.head.down)
    windows = grid(inner, MIDDLE, MIDDLE // 4)
    head_tile = tile * coder.head.down
    if coder.middle and coder.tail and windows.count > 1:
        samples = take_samples(rows, size, coder.head.down)
        session.learn((coder.head, coder.middle, coder.tail), samples)
    else:
        _learn(coder.head, rows, size, head_tile, session)
    pieces = session.run_in_tiles(rows, size, coder.head, head_tile)
    if coder.middle is None or coder.tail is None:
        yield from pieces
        return
    if windows.count > 1:
        features: Rows = Stream(session.run_in_windows(Stream(pieces), windows, coder.middle))
    else:
        features = rows_of_tensor(session.run(coder.middle, torch.cat(list(pieces), -2)))
        _learn(coder.tail, features, inner, tile, session)
    yield from session.run_in_tiles(features, inner, coder.tail, tile)


def _learn(part: CoderPart, rows: Rows, size: Size, tile: int, session: Session) -> None:
    """Learns statistics for the norms of a part, unless it sees the whole canvas as one tile and needs none."""
    if part.norms and max(size.width, size.height) > tile:
        session.learn((part,), take_samples(rows, size, part.down))


def _compute_whole(vae: Any, compute: Callable[[], torch.Tensor], session: Session, fits: bool) -> torch.Tensor:
    """Computes the result of a VAE that is built in another way: at once for a canvas no larger than a tile, in
    diffusers' own tiles for a larger one."""
    if fits:
        return session.run_with_fp32_retry(compute)
    name = type(vae).__name__
    log.warning("%s: this kind of VAE cannot be computed in tiles without seams. Large pictures may show them.", name)
    before = vae.use_tiling
    vae.enable_tiling()
    try:
        return session.run_with_fp32_retry(compute)
    finally:
        vae.use_tiling = before


def _pixel_rows(pixels: FloatArray | PixelArray, size: Size) -> Rows:
    """Returns the rows of a picture as networks see it, -1..1, reflected where `size` is larger."""

    def rows(first: int, last: int) -> torch.Tensor:
        part: Any = pixels[first:last]
        values: FloatArray = part if part.dtype == np.float32 else to_float(part)
        below, right = last - first - len(part), size.width - part.shape[1]
        if below or right:
            values = np.pad(values, ((0, below), (0, right), (0, 0)), "symmetric")
        return torch.from_numpy(values * np.float32(2) - np.float32(1)).permute(2, 0, 1)[None]

    return rows


def _shift_and_scale(config: Any) -> tuple[torch.Tensor | float, torch.Tensor | float]:
    """Returns what pipelines subtract from a VAE's latents, and multiply them by then: some VAEs have a mean and a
    deviation for every channel, some one shift for all channels, most only a factor, Flux.2's nothing."""
    factor = getattr(config, "scaling_factor", None) or 1.0
    mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is None or deviation is None:
        return getattr(config, "shift_factor", None) or 0.0, factor
    return torch.tensor(mean).reshape(1, -1, 1, 1), factor / torch.tensor(deviation).reshape(1, -1, 1, 1)
