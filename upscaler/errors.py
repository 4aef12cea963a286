"""The tree of exceptions; every message is a sentence a user can act on.

UpscalerError
├── PictureError        a source cannot be read as a picture
├── ModelError          a network cannot be found, read or used
├── PlanError           what was asked for cannot be done: sizes, tiles, options
├── EngineError         computing failed, and so did every safer way
│   └── OutOfMemory     there is not enough memory, even for the smallest tile
└── OutputError         a result cannot be written
"""

from __future__ import annotations


class UpscalerError(Exception):
    """Base of every error this package raises on purpose."""


class PictureError(UpscalerError):
    """A source cannot be read as a picture: missing, damaged, refused, of an unknown format."""


class ModelError(UpscalerError):
    """A model is unknown, its file is missing or broken, or it cannot do what is asked of it."""


class PlanError(UpscalerError):
    """What was asked for cannot be done: an impossible size, a tile too small for the model, options at odds."""


class EngineError(UpscalerError):
    """A tile could not be computed, in none of the safer ways either."""


class OutOfMemory(EngineError):
    """Not even the smallest tile fits into memory."""


class OutputError(UpscalerError):
    """A result cannot be written: it exists already, the disk is full, the format cannot hold it."""
