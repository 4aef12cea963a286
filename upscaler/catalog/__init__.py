"""Models by name: what is known of them, where their files are, how they are had."""

from .download import Download, Progress, sha256_of
from .model import Model, Package, Repository, Sampling
from .paths import folder, home, is_offline
from .registry import SUFFIXES, find, models, plain
from .store import adopt, fetch_model, find_local, identity, import_path, imported, remove, written

__all__ = [
    "SUFFIXES",
    "Download",
    "Model",
    "Package",
    "Progress",
    "Repository",
    "Sampling",
    "adopt",
    "fetch_model",
    "find",
    "find_local",
    "folder",
    "home",
    "identity",
    "import_path",
    "imported",
    "is_offline",
    "models",
    "plain",
    "remove",
    "sha256_of",
    "written",
]
