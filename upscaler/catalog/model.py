"""What is known of a model before any of its files is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .download import Download


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
class Repository:
    """A repository of the hub, in the form of diffusers."""

    id: str
    """Owner/name."""
    revision: str | None = None
    """A commit, branch or tag; None: its main branch."""
    variant: str = "fp16"
    """Of the files of weights, the one that is taken where there are several."""
    gated: bool = False
    """Whether its owner gives it only to those who have accepted conditions."""
    size: int | None = None
    """Bytes that are fetched; None: not known."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a diffusion model is meant to be used; None where the pipeline's own default is meant."""

    steps: int | None = None
    guidance: float | None = None
    """How much the text counts: up to 1 not beyond what the model does by itself, and for half the work."""
    side: int | None = None
    """Pixels of the pictures it was trained on."""
    strength: float | None = None
    """Share of the noise at which a given picture is begun with: 0 leaves it alone, 1 forgets it."""
    noise: int | None = None
    """Noise that an upscaler adds to its source, in its own levels."""


@dataclass(frozen=True, slots=True)
class Model:
    """One block of the catalog, an imported model, or a file, folder, URL or repository that a user named."""

    name: str
    kind: str = "network"
    """"network"; "resample" for the plain filter; of diffusion models: "diffusion" enlarges, "generator" makes pictures
    from text, "refine" is a network and a generator after it, "control" holds a generator to a picture. A repository
    that is not on this machine yet is taken for "diffusion" unless the catalog has it."""
    file: Path | None = None
    """Where it is, if it needs no fetching: embedded, imported, or the user's own. A folder if it is a diffusion model
    in the form of diffusers."""
    download: Download | None = None
    repository: Repository | None = None
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
    """Whether the licence allows commercial use; None: not known, or on conditions that `notes` tells."""
    author: str = ""
    home: str = ""
    notes: str = ""
    knows: str = ""
    """The words that it understands, where they are few."""
    denoise_with: str | None = None
    """The model whose weights, mixed with its own, denoise less."""
    enlarge_with: str | None = None
    """The network of a "refine"."""
    generator: str | None = None
    """The generator of a "refine"."""
    sampling: Sampling | None = None
    memory: int | None = None
    """Bytes of a GPU's memory that it runs in at half precision; None: not known."""
    diffusers: str | None = None
    """The least version of diffusers that knows its class; None: any that can be installed here."""
