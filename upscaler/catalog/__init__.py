"""Models by name: what is known of them, where their files are, and how those are fetched."""

from .download import Download, is_offline, weights_key, weights_sha256
from .hub import settle
from .model import KINDS, SAFETENSORS, Kind, Model, Package, Repository, Sampling
from .registry import SUFFIXES, all_models, find, find_by_hash, models, normalize_name, search
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
    "all_models",
    "fetch_model",
    "find",
    "find_by_hash",
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
    "search",
    "settle",
    "weights_key",
    "weights_sha256",
    "write_weights",
]
