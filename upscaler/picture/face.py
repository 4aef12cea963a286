"""A face that was found in a picture, and what was done with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Face:
    """A face in the source of a picture. Lengths and places are source pixels; 0, 0 is the corner of the picture."""

    x: float
    y: float
    width: float
    height: float
    """The box around the face, from brow to chin; it may reach over the picture's border."""
    landmarks: tuple[tuple[float, float], ...]
    """Five places: the eye, then the other eye, the nose's tip, and both corners of the mouth; left in the picture
    first, if the face is upright."""
    score: float
    """How sure the detector is, 0..1."""
    left_alone: str | None = None
    """Why the face was not restored, as part of a sentence; None: it was."""
    difference: float | None = None
    """How far the restored face is from its source: the RMSE in 8-bit levels of both within the mask, at the size of
    the source or of the restorer, whichever is smaller. None if it was not restored."""
    shift: float | None = None
    """How far eyes, nose and mouth have moved, as the mean distance in hundredths of that between the eyes. None if it
    was not restored, or the detector does not see it any more."""

    @property
    def side(self) -> float:
        """The longer side of the box."""
        return max(self.width, self.height)

    def __str__(self) -> str:
        return f"the face of {round(self.width)}x{round(self.height)} pixels at {round(self.x)},{round(self.y)}"
