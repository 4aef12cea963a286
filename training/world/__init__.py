"""The small world that the embedded generator knows: pictures that a program draws, and their captions."""

from .scenes import Scene, scene
from .words import WORDS

__all__ = ["WORDS", "Scene", "scene"]
