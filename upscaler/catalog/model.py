"""The facts about a model that are known before any of its files is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from .download import Download

SAFETENSORS = (".safetensors", ".sft")
"""Suffixes of files of safetensors."""

PICKLES = (".pth", ".pt", ".ckpt")
"""Suffixes of pickles of weights."""

LARGEST_SCALE = 32
"""No network enlarges more."""

Kind = Literal["network", "resample", "diffusion", "generator", "refine", "control", "repository", "face", "detector"]
"""The kind of a model; KINDS holds the facts about each."""


@dataclass(frozen=True, slots=True)
class KindFacts:
    """The facts that all models of one kind share."""

    loader: Literal["spandrel", "diffusers", "opencv"] | None = None
    """The library that loads its weights; None: it has no files of its own."""
    takes_diffusion: bool = False
    """Whether it takes the options of a `Diffusion`: prompt, steps, seed and so on."""
    generates: bool = False
    """Whether it makes pictures from text."""
    refines: bool = False
    """Whether it enlarges by drawing anew what a network has enlarged."""
    use: str = ""
    """A word for its use; empty if it enlarges."""


KINDS: Final[Mapping[Kind, KindFacts]] = {
    # A network that enlarges, or only cleans.
    "network": KindFacts(loader="spandrel"),
    # The plain Lanczos filter.
    "resample": KindFacts(),
    # A diffusion model that enlarges by itself.
    "diffusion": KindFacts(loader="diffusers", takes_diffusion=True),
    # A diffusion model that makes pictures from text, or refines what the default network has enlarged.
    "generator": KindFacts(loader="diffusers", takes_diffusion=True, generates=True, refines=True, use="text"),
    # A network and a generator after it, each of which is a model of its own.
    "refine": KindFacts(takes_diffusion=True, refines=True),
    # A ControlNet, which holds a generator to a picture.
    "control": KindFacts(loader="diffusers", use="guide"),
    # A repository of the hub of which nothing is known yet; `hub.settle` finds out.
    "repository": KindFacts(loader="diffusers", takes_diffusion=True),
    # A network that restores cropped faces.
    "face": KindFacts(loader="spandrel", use="faces"),
    # A network that finds faces.
    "detector": KindFacts(loader="opencv", use="faces"),
}


@dataclass(frozen=True, slots=True)
class Package:
    """An installed Python package that carries the model in ncnn form."""

    module: str
    param: str
    """Path of the graph below the module's folder."""
    bin: str
    """Path of the weights below the module's folder."""
    param_sha256: str
    bin_sha256: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the hub, in the form of diffusers, or one file of it, which is a network."""

    id: str
    """Owner/name."""
    revision: str | None = None
    """A commit, branch or tag; None: the main branch."""
    variant: str = "fp16"
    """The variant of the weights that is taken where there are several, such as "fp16", which is half precision."""
    gated: bool = False
    """Whether its owner gives access only to those who have accepted conditions."""
    size: int | None = None
    """Bytes to fetch; None: not known."""
    file: str | None = None
    """Path in the repository of the file that is a network; None: the model is in the form of diffusers."""

    @property
    def address(self) -> str:
        """What `catalog.find` finds it by: owner/name, owner/name/file, each with @revision if there is one."""
        file = "" if self.file is None else f"/{self.file}"
        return f"{self.id}{file}" + ("" if self.revision is None else f"@{self.revision}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """The settings that a diffusion model is meant to be used with; None stands for the pipeline's own default."""

    steps: int | None = None
    guidance: float | None = None
    """How much the text counts. Values up to 1 add nothing to what the model does by itself, and halve the work."""
    side: int | None = None
    """Side in pixels of the pictures it was trained on."""


@dataclass(frozen=True, slots=True)
class Model:
    """One block of the catalog, an imported model, or a file, folder, URL or repository that a user named."""

    name: str
    kind: Kind = "network"
    file: Path | None = None
    """The file of a model that needs no fetching: embedded, imported, or the user's own. It is a folder if it is a
    diffusion model in the form of diffusers."""
    download: Download | None = None
    repository: Repository | None = None
    package: Package | None = None
    scale: int | None = None
    """How many times larger its results are unless another scale is asked for; None: the network's own scale."""
    reach: int | None = None
    """Effective receptive field, as a radius in source pixels; None: it is measured at the first use."""
    aliases: tuple[str, ...] = ()
    architecture: str = ""
    purpose: str = ""
    licence: str = ""
    commercial: bool | None = None
    """Whether the licence allows commercial use; None: not known, or it has conditions, which `notes` states."""
    author: str = ""
    home: str = ""
    notes: str = ""
    knows: str = ""
    """The words that it understands, if they are few."""
    denoise: float | Literal["auto"] = 0.0
    """How much noise is removed before it enlarges, unless that is chosen: a share, or "auto", as much as there is."""
    keeps_tone: bool | None = None
    """Whether results have the tone of their sources; None: what spandrel says of the architecture's purpose."""
    denoise_with: str | None = None
    """The name of the model whose weights are mixed with this one's to denoise less."""
    enlarge_with: str | None = None
    """The name of the network of a "refine"."""
    generator: str | None = None
    """The name of the generator of a "refine"."""
    sampling: Sampling | None = None
    memory: int | None = None
    """Bytes of GPU memory that it needs at half precision; None: not known."""
    min_diffusers: str | None = None
    """The oldest version of diffusers that knows its class; None: any that can be installed here."""

    @property
    def facts(self) -> KindFacts:
        """The facts that are the same for all models of its kind."""
        return KINDS[self.kind]
