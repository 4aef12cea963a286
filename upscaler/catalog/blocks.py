"""Reads a block of a catalog, which may be anybody's: what it may say, and within which bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..validation import (
    Check,
    check_choice,
    check_fields,
    check_flag,
    check_list,
    check_number,
    check_object,
    check_text,
    check_whole,
)
from .download import Download
from .model import KINDS, LARGEST_SCALE, Model, Package, Repository, Sampling

LINE = check_text(re.compile(r"[^\x00-\x1f\x7f]+"), "one line of text")

HASH = check_text(re.compile("[0-9a-fA-F]{64}"), "a hash of 64 hexadecimal digits")

URL = check_text(re.compile(r"https?://[^/\s]\S*", re.IGNORECASE), "an address that begins with https:// or http://")

INSIDE = check_text(
    re.compile(r"(?!.*(?:^|/)\.\.(?:/|$))[^\x00-\x1f/\\:][^\x00-\x1f\\:]*"), "a path inside of a folder"
)

BYTES = check_whole(0, 2**50)

ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)

REVISION = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*", re.ASCII)

REPOSITORY: Final[Mapping[str, Check[Any]]] = {
    "id": check_text(ID, "a repository, owner/name"),
    "revision": check_text(REVISION, "a revision"),
    "variant": check_text(re.compile(r"\w*"), "a variant"),
    "gated": check_flag,
    "size": BYTES,
}

PACKAGE: Final[Mapping[str, Check[Any]]] = {
    "module": check_text(re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"), "the name of a module"),
    **dict.fromkeys(("param", "bin"), INSIDE),
    **dict.fromkeys(("param_sha256", "bin_sha256"), HASH),
}

SAMPLING: Final[Mapping[str, Check[Any]]] = {
    "steps": check_whole(1, 10_000),
    "guidance": check_number(0, 1000),
    "side": check_whole(8, 100_000),
}


def _check_kind(value: object) -> object:
    return check_choice(*KINDS)(value)


def _check_denoise(value: object) -> object:
    return value if value == "auto" else check_number(0, 1)(value)


BLOCK: Final[Mapping[str, Check[Any]]] = {
    "kind": _check_kind,
    "scale": check_whole(1, LARGEST_SCALE),
    "reach": check_whole(0, 10_000),
    "denoise": _check_denoise,
    "memory": BYTES,
    "aliases": check_list(LINE),
    **dict.fromkeys(("commercial", "keeps_tone"), check_flag),
    **dict.fromkeys(("architecture", "purpose", "licence", "author", "home", "notes", "knows"), check_text()),
    **dict.fromkeys(("name", "denoise_with", "enlarge_with", "generator", "filename", "diffusers"), LINE),
    **{"embedded": INSIDE, "url": URL, "urls": check_list(URL), "size": BYTES, "sha256": HASH},
    "repository": check_object(Repository, REPOSITORY),
    "package": check_object(Package, PACKAGE),
    "sampling": check_object(Sampling, SAMPLING),
}
"""What each value may be. A block may hold more, which is not read."""


def read_block(block: object, folder: Path) -> Model:
    """Returns the model that a block of a catalog in `folder` describes. Raises KeyError for a missing key, and
    ValueError, which names the model, for a value that is of another type or out of bounds."""
    try:
        found = check_fields(block, BLOCK, is_whole=False)
    except ValueError as error:
        name = block.get("name") if isinstance(block, Mapping) else None
        raise ValueError(f"{name}: {error}" if isinstance(name, str) and name.isprintable() else str(error)) from error
    url, embedded = found.pop("url", None), found.pop("embedded", None)
    urls = found.pop("urls", ()) or (() if url is None else (url,))
    size, sha256, filename = (found.pop(name, None) for name in ("size", "sha256", "filename"))
    download = None
    if urls or filename:
        if sha256 is None:
            raise KeyError("sha256")
        download = Download(urls, size, sha256.lower(), filename)
    name, min_diffusers = found.pop("name", None), found.pop("diffusers", None)
    if name is None:
        raise KeyError("name")
    file = None if embedded is None else folder / embedded
    return Model(name, **found, min_diffusers=min_diffusers, file=file, download=download)
