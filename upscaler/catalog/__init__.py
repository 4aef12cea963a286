"""Models by name: what is known of them, where their files are, how they are had."""

from .fetch import Download, Progress, sha256_of
from .model import Model, Package
from .store import adopt, folder, home, import_path, imported, is_offline, locate, present, remove, written
from .table import SUFFIXES, find, models, plain

__all__ = [
    "SUFFIXES",
    "Download",
    "Model",
    "Package",
    "Progress",
    "adopt",
    "find",
    "folder",
    "home",
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
