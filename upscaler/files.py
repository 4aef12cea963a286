"""Writes files whole or not at all, hashes them, and names the folder that is kept between runs."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path


def cache_dir() -> Path:
    """Returns the folder of files that are kept between runs: UPSCALER_HOME, or the platform's folder for caches."""
    return Path(os.environ.get("UPSCALER_HOME") or user_cache_path("upscaler", appauthor=False))


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content in lower-case hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(2**20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def temporary_sibling(path: Path, folder: Path | None = None) -> Path:
    """Returns a random name ending in .part, beside `path` or in `folder`; of `path`'s own it holds 40 characters."""
    return (folder or path.parent) / f".{path.name[:40]}.{secrets.token_hex(4)}.part"


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary file beside `path`, then renames that to `path`; makes the folder if need be.

    Whatever `write` or the file system raises leaves `path` as it was and no temporary file behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
