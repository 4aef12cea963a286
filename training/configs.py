"""A configuration for each embedded model, and the reason for each number."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .data import Mixture


@dataclass(frozen=True, slots=True)
class Lesson:
    """From a larger network."""

    teacher: str
    """A model of upscaler's catalog, 4x."""
    truth: float = 0.5
    """Weight of the distance from the truth: keeps colours and shapes where they are."""
    taught: float = 1.0
    """Weight of the distance from the teacher's result: its edges follow from the source, so they can be learned, while
    what the truth has beyond them can only be guessed."""
    colour: float = 1.0
    """Weight of the colours in that: the teacher takes the smudges away that JPEG makes of them, and its colours lie
    within its edges."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Against a judge."""

    features: int = 32
    """Of the judge: a step then takes thrice the time of one without it. Real-ESRGAN has 64 and a GPU."""
    alike: float = 0.1
    """Weight of the distance of the judge's features from those of the teacher's result, which takes the place of a
    perceptual network's. At the start its pull on the pixels is then two thirds of the teacher's."""
    judged: float = 0.1
    """Weight of the judge's word. Its pull is a twentieth of the teacher's at the start, when it knows nothing, and
    twice the teacher's after 400 steps; the weight is Real-ESRGAN's."""
    kept: float = 0.85
    """Share of what was learned in the weights that are written, the rest is what it began with (network interpolation,
    ESRGAN, Wang et al. 2018): speckles in hair and fur go, edges stay."""


@dataclass(frozen=True, slots=True)
class Config:
    """All that sets one model's training apart from another's."""

    name: str
    architecture: str
    """See `networks.ARCHITECTURES`."""
    features: int
    convolutions: int
    """Between the first and the last."""
    mixture: Mixture
    batch: int = 16
    """On two cores a step of these takes some 0.2 s; fewer make the gradients noisier, more make too few steps."""
    side: int = 48
    """Source pixels of a part: nearly three times the reach of 18 convolutions. Larger ones were no faster a pixel."""
    piece: int = 64
    """Source pixels of the pieces in the pool, of which the parts are cut: room for 17x17 different ones."""
    pool: int = 2048
    """Pieces at hand: 430 MB, and minutes between two visits."""
    fresh: int = 4
    """New pieces a step: each is seen four times. At 9 ms a piece they cost a tenth of the time."""
    rate: float = 1.5e-3
    """Of learning, at its highest. In four minutes from nothing 6e-4 gave 0.1 dB less for clean sources (mean)."""
    warmup: int = 100
    """Steps until the rate is reached."""
    average: float = 0.999
    """Share of the weights' average that stays at each step: it looks back a thousand steps."""
    frequencies: float = 0.04
    """Weight of the spectra: their term is as large as the other at about 0.8, and should be the lesser."""
    halo: float = 0.0
    """Weight of what overshoots. At 1 an overshoot is pulled back about twice as hard as other errors of its size, and
    `faithful` loses 0.03 dB of poor sources and 0.06 of clean ones within a hundred steps (means of LIVE1)."""
    lesson: Lesson | None = None
    """Without one the network learns from the truth alone."""
    contest: Contest | None = None
    """Only with a lesson."""


FAITHFUL = Config(
    "faithful",
    "plain",
    # 0.63 million multiply-adds a source pixel, of 0.65 allowed. The README compares.
    features=96,
    convolutions=7,
    # More than a quarter is small but good; most of the others lie around the poor sources that are measured, where a
    # network of this size gains when it sees them often; severe cases teach what noise is.
    mixture=Mixture(clean=0.28, usual=0.46, mild=0.21, severe=0.05, pages=0.1),
)

BASE = replace(
    FAITHFUL,
    name="base",
    # 0.15 million multiply-adds a source pixel, a quarter of `photo`'s.
    features=32,
    convolutions=15,
    # Two thirds of the other; they were not compared for this size.
    rate=1e-3,
    # So small a network overshoots: edges by 38 levels without it.
    halo=1.0,
    # What is sharpened too much then loses 0.2 dB, not 0.6. `faithful` pays for that with 0.02 dB of poor sources.
    mixture=Mixture(
        clean=0.42, usual=0.28, mild=0.25, severe=0.05, pages=0.1, usual_sharpened=0.1, mild_sharpened=0.25
    ),
)
"""What `photo-fast` begins with."""

PHOTO = Config(
    "photo",
    "plain",
    features=96,
    convolutions=7,
    # What is sharp already needs no judge; poor sources are what it is asked for.
    mixture=Mixture(clean=0.25, usual=0.25, mild=0.35, severe=0.15, pages=0.12),
    # A seventh of the other rate: it begins with the weights of `faithful`, and contests are lost by haste.
    rate=2e-4,
    lesson=Lesson("realesrgan-x4plus"),
    contest=Contest(),
)

PHOTO_FAST = replace(
    PHOTO,
    name="photo-fast",
    features=BASE.features,
    convolutions=BASE.convolutions,
    mixture=replace(PHOTO.mixture, usual_sharpened=0.1, mild_sharpened=0.25),
    # A judge asks for overshoots: at a weight of 1 it made dark lines as black as they can be.
    halo=10.0,
    # Twice `photo`'s, as it is smaller; others were not tried.
    rate=4e-4,
    # It labels a piece in a twentieth of the time of x4plus.
    lesson=Lesson("photo"),
    # In float32 a step of this judge takes a third of the time. `kept`: all, since its results had few speckles.
    contest=Contest(features=16, kept=1.0),
)

CONFIGS = {config.name: config for config in (FAITHFUL, BASE, PHOTO, PHOTO_FAST)}
