"""Measures how the result of a network changes where a picture is cut, and whether tiles can be run together.

It needs no torch: a network is a function of arrays.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeAlias

import cv2
import numpy as np

from ..arrays import FloatArray, to_float
from ..catalog import models
from ..errors import ModelError
from ..files import atomic_write, cache_dir

log = logging.getLogger("upscaler")

Function: TypeAlias = Callable[[FloatArray], FloatArray]
"""Maps tiles (tiles, channels, height, width), float32, 0..1, to their enlargements."""

CACHE = "tiling.json"
"""The file of profiles that have been measured, in the cache folder."""

HALF_A_LEVEL = 0.5 / 255

WINDOW = 16
"""Networks that need a minimum size work in windows of 8 or 16 pixels: tiles begin at multiples of this, so that the
windows of neighbours coincide."""

WIDE_RAMP = 32
"""Source pixels over which tiles are blended that may differ everywhere, not only near their edges."""

HALF_ERROR = 0.02
"""Root mean square of what half precision may change in the result of a sample: five 8-bit levels."""

HALF_ERROR_ANYWHERE = 0.25
"""The most that half precision may change at any pixel of it."""

FACE = 512
"""Pixels a side of the squares that networks for faces take."""

STRIP = 64
"""Height in source pixels of the picture on which cuts are measured."""

WIDTH = 384
"""Width in source pixels of the picture on which cuts are measured."""

GRIDS = (1, 2, 4, 8, 16, 32, 48, 64, 112, 128)
"""Distances between places to cut that are tried: strides and windows in use are 2 to 64, 12 and 7."""

PRIMES = (127, 61, 31, 17, 13, 11, 5, 3, 1)
"""A cut lies at a prime multiple of the grid that is tried, so that it does not fall on a coarser one by chance."""

LAST_CUT = 192
"""Cuts lie at most this far to the right."""

FAR = slice(-64, -16)
"""Columns from the end of the picture that are far from any cut, and not at the end itself."""


@dataclass(frozen=True, slots=True)
class TilingProfile:
    """The way in which results change where a picture is cut. Lengths are source pixels."""

    reach: int
    """The effective receptive field, as a radius: the distance from a cut over which results change by more than half
    an 8-bit level."""
    multiple: int = 1
    """Cuts must lie at multiples of this, so that windows and strides fall as they would in the whole picture."""
    is_local: bool = True
    """False if the network sees something of the whole tile at once, so that results change wherever the cut is."""
    is_batchable: bool = True
    """Whether several tiles at once give what they give one by one."""


def sample(channels: int, minimum: int) -> FloatArray:
    """Returns a tile to try a network with, which is not square: float32, 0..1, (1, channels, height, width)."""
    return _strip(max(STRIP, minimum), max(STRIP, minimum) + 32, channels)


def sample_face() -> FloatArray:
    """Returns what to try a network for faces with: a drawn square, float32, 0..1, (1, 3, 512, 512)."""
    return np.ascontiguousarray(_strip(FACE, FACE, 3))


def measure_tiling(function: Function, channels: int, scale: int, multiple: int) -> TilingProfile:
    """Cuts a drawn picture at multiples of ever coarser grids until nothing changes any more far from the cut.

    If something always changes, the network is not local. It gets the finest grid whose remaining change is close to
    the smallest, and as its reach the distance at which the change falls to that.
    """
    picture = _strip(STRIP, WIDTH, channels)
    whole = function(picture)
    if not np.isfinite(whole).all():
        raise ModelError("the network gives values that are no numbers (NaN) at its trial. Choose another `model`.")
    changes: dict[int, FloatArray] = {}
    for grid in [multiple, *(grid for grid in GRIDS if grid > multiple and grid % multiple == 0)]:
        at = _cut(grid)
        changes[grid] = _change(function(picture[..., at:]), whole[..., at * scale :], scale)
        if changes[grid][FAR].max() <= HALF_A_LEVEL / 2:
            break
    least = min(float(change[FAR].max()) for change in changes.values())
    settles = least <= HALF_A_LEVEL / 2
    grid = next(grid for grid, change in changes.items() if change[FAR].max() <= least * (1 if settles else 4))
    at, right = _cut(grid), changes[grid]
    left = _change(function(picture[..., :at]), whole[..., : at * scale], scale)[::-1]
    reach = max(_last_above(HALF_A_LEVEL, side[:at]) for side in (left, right))
    is_local = settles and reach <= at - 16
    if not is_local:
        reach = _last_above(max(HALF_A_LEVEL, 1.5 * float(right[FAR].max())), right[:at])
    tiles = picture[..., :STRIP], picture[..., -STRIP:]
    try:
        both = function(np.concatenate(tiles))
        is_batchable = all(np.abs(function(tile)[0] - both[i]).max() < HALF_A_LEVEL for i, tile in enumerate(tiles))
    except Exception:  # whatever a network raises that was written for one picture at a time
        is_batchable = False
    return TilingProfile(reach, grid, is_local, is_batchable)


def _last_above(limit: float, change: FloatArray) -> int:
    """Counts the columns up to the last one that changes by more than `limit`."""
    columns = np.flatnonzero(change > limit)
    return int(columns[-1]) + 1 if len(columns) else 0


def _cut(grid: int) -> int:
    return next(grid * prime for prime in PRIMES if grid * prime <= LAST_CUT or prime == 1)


def load_or_measure(key: str, measure: Callable[[], TilingProfile]) -> TilingProfile:
    """Returns the profile of the network of that key, which is measured once and kept in the cache folder."""
    if (known := known_profile(key)) is not None:
        return known
    log.info("measuring how the tiles of this network must overlap; this is done once.")
    profile = measure()
    text = json.dumps({name: asdict(each) for name, each in {**_read_cache(), key: profile}.items()})
    try:
        atomic_write(cache_dir() / CACHE, lambda temporary: temporary.write_text(text))
    except OSError:  # it is measured again the next time
        log.debug("%s: cannot be written.", cache_dir() / CACHE)
    return profile


def known_profile(key: str) -> TilingProfile | None:
    """Returns what the catalog records for the network of that key, or what was measured here; else None."""
    recorded = {model.download.sha256: model.reach for model in models() if model.download is not None}
    reach = recorded.get(key)
    return _read_cache().get(key) if reach is None else TilingProfile(reach)


def _change(result: FloatArray, right: FloatArray, scale: int) -> FloatArray:
    """Returns the greatest difference in each source column: float32, (width,)."""
    change: FloatArray = np.abs(result - right).max(axis=(0, 1, 2)).reshape(-1, scale).max(axis=1)
    return change


def _strip(height: int, width: int, channels: int) -> FloatArray:
    """Draws noise with the spectrum of photographs and compresses it as a JPEG file of medium quality.

    Of the pictures tried, it carries a cut farthest through Real-ESRGAN x4plus (about 100 pixels; photographs 58 to 98,
    clean noise 51 to 81).
    """
    random = np.random.default_rng(1)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]
    spectrum = np.maximum(np.hypot(rows, columns), 1 / width) ** -1.3

    def noise() -> FloatArray:
        plane = np.fft.ifft2(np.fft.fft2(random.standard_normal((height, width))) * spectrum).real
        scaled: FloatArray = (plane / plane.std()).astype(np.float32)
        return scaled

    grey = noise()
    picture = np.stack([0.5 + 0.18 * (grey + 0.15 * noise()) for _ in range(3)], axis=2)
    whole = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    encoded = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    pixels = to_float(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None, :channels])


def _read_cache() -> dict[str, TilingProfile]:
    """Reads the profiles in the cache file; none if it is missing or has another form."""
    try:
        content = json.loads((cache_dir() / CACHE).read_text())
        return {str(key): TilingProfile(**value) for key, value in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
