"""Models by name: what is known of them, where their files are, how they are had."""

from .download import Download, Progress, weights_sha256
from .model import Model, Package, Repository, Sampling
from .paths import is_offline, models_dir
from .registry import SUFFIXES, find, models, plain
from .store import adopt, fetch_model, find_local, identity, import_path, imported, remove, write_weights

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
    "identity",
    "import_path",
    "imported",
    "is_offline",
    "models",
    "models_dir",
    "plain",
    "remove",
    "weights_sha256",
    "write_weights",
]
