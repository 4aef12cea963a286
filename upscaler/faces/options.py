"""Options of restoring faces."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Final

from ..errors import PlanError

RESTORER: Final = "gfpgan-1.4"

DETECTOR: Final = "yunet"

ONLY_BELOW: Final = 256
"""Source pixels of the longer side of a face from which on it is left alone: a restorer draws faces about that large
itself, in its square of 512, and could only replace what is there."""


@dataclass(frozen=True, slots=True)
class FaceOptions:
    """Options of restoring faces. Raises PlanError for a number out of its range.

    Upscaler("photo", faces=FaceOptions(strength=0.7, only_below=128))
    """

    model: str = RESTORER
    """The network that restores: a name of the catalog, a file or a URL."""
    detector: str = DETECTOR
    """The network that finds faces: a name of the catalog, or an .onnx file of YuNet or CenterFace."""
    strength: float = 1.0
    """The share of the restored face in the result, 0..1; the rest is the enlarged one."""
    only_below: int = ONLY_BELOW
    """Faces whose longer side has this many source pixels, or more, are left alone."""

    def __post_init__(self) -> None:
        if not (isinstance(self.strength, Real) and 0 <= self.strength <= 1):
            raise PlanError("the value must be between 0 and 1.", argument="face_strength", value=self.strength)
        if not (isinstance(self.only_below, Integral) and 1 <= self.only_below <= 10**6):
            message = "the value must be a whole number between 1 and 1000000."
            raise PlanError(message, argument="faces_only_below", value=self.only_below)
        for name in ("model", "detector"):
            if not isinstance(getattr(self, name), str):
                raise PlanError("this names no model.", argument=f"face_{name}", value=repr(getattr(self, name)))
