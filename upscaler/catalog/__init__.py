"""Models by name: what is known of them, where their files are, how they are had."""

from .fetch import Download, Progress, sha256_of
from .model import Model, Package, Repository, Sampling
from .places import folder, home, is_offline
from .store import adopt, identity, import_path, imported, locate, present, remove, written
from .table import SUFFIXES, find, models, plain

__all__ = [
    "SUFFIXES",
    "Download",
    "Model",
    "Package",
    "Progress",
    "Repository",
    "Sampling",
    "adopt",
    "find",
    "folder",
    "home",
    "identity",
    "import_path",
    "imported",
    "is_offline",
    "locate",
    "models",
    "plain",
    "present",
    "remove",
    "sha256_of",
    "written",
]
