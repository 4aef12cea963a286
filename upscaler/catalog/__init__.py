"""Models by name: what is known of them, where their files are, and how those are fetched."""

from .download import Download, is_offline, weights_key, weights_sha256
from .model import KINDS, SAFETENSORS, Kind, Model, Package, Repository, Sampling
from .registry import SUFFIXES, find, models, normalize_name
from .store import (
    fetch_model,
    find_local,
    fingerprint,
    imported_models,
    imported_path,
    keep_download,
    models_dir,
    remove,
    write_weights,
)

__all__ = [
    "KINDS",
    "SAFETENSORS",
    "SUFFIXES",
    "Download",
    "Kind",
    "Model",
    "Package",
    "Repository",
    "Sampling",
    "fetch_model",
    "find",
    "find_local",
    "fingerprint",
    "imported_models",
    "imported_path",
    "is_offline",
    "keep_download",
    "models",
    "models_dir",
    "normalize_name",
    "remove",
    "weights_key",
    "weights_sha256",
    "write_weights",
]
