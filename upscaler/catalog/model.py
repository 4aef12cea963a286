"""What is known of a model before any of its files is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .fetch import Download


@dataclass(frozen=True, slots=True)
class Package:
    """An installed Python package that carries the model in ncnn form."""

    module: str
    param: str
    """Path below the module's folder, as of `bin`."""
    bin: str
    param_sha256: str
    bin_sha256: str


@dataclass(frozen=True, slots=True)
class Model:
    """One block of the catalog, an imported model, or a file or URL that a user named."""

    name: str
    kind: str = "network"
    """"network", or "resample" for the plain filter."""
    file: Path | None = None
    """Where it is, if it needs no fetching: embedded, imported, or the user's own."""
    download: Download | None = None
    package: Package | None = None
    scale: int | None = None
    """Of its results unless another is asked for; None: the network's own."""
    reach: int | None = None
    """Source pixels; None: to be measured."""
    aliases: tuple[str, ...] = ()
    architecture: str = ""
    purpose: str = ""
    licence: str = ""
    commercial: bool | None = None
    """Whether the licence allows commercial use; None: not known."""
    author: str = ""
    home: str = ""
    notes: str = ""
    denoise_with: str | None = None
    """The model whose weights, mixed with its own, denoise less."""
