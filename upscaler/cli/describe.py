"""Tables of what is known about models, pictures and recipes, as rows of a label and a text, empty if it is not known.

`models` and `info` print them.
"""

from __future__ import annotations

from typing import Any

from .. import catalog
from ..catalog import Model
from ..codecs.profiles import profile_name
from ..picture import Picture
from ..recipe import KEY, PARAMETERS, Recipe

COLOURS = {1: "grey", 2: "grey, transparency", 3: "RGB", 4: "RGB, transparency"}

EMPTY: tuple[object, ...] = (None, "", [], {})

OVERVIEW = ("model", "scale", "size", "here", "licence", "for")
"""The columns of lists of models."""

HASH = 12
"""Digits of a hash that are shown."""


def pieces(model: Model) -> tuple[Model, ...]:
    """Returns the network and the generator that a model consists of, or the model itself. Raises ModelError."""
    names = [name for name in (model.enlarge_with, model.generator) if name is not None]
    return tuple(catalog.find(name) for name in names) or (model,)


def is_here(model: Model) -> bool:
    """Returns whether all files of a model are on this machine."""
    return all(piece.facts.loader is None or catalog.find_local(piece) is not None for piece in pieces(model))


def overview(model: Model) -> tuple[str, ...]:
    """Returns what lists of models say of one, in the columns of OVERVIEW."""
    use = model.facts.use or (f"{model.scale}x" if model.scale else "any")
    return model.name, use, size_of(model), "yes" if is_here(model) else "", licence(model), model.purpose


def has_link(model: Model) -> bool:
    """Returns whether a model has an address that leads straight to its files."""
    return model.repository is not None or bool(model.download and model.download.urls)


def about_model(model: Model) -> list[tuple[str, str]]:
    """Returns all facts about a model, and more of them if its file is on this machine."""
    download, repo, sampling = model.download, model.repository, model.sampling
    here = catalog.find_local(model)
    known = [
        ("name", model.name),
        ("also called", ", ".join(model.aliases)),
        ("for", model.purpose),
        ("scale", f"{model.scale}x" if model.scale else ""),
        ("architecture", model.architecture),
        ("licence", licence(model)),
        ("author", model.author),
        ("page", model.home),
        ("notes", model.notes),
        ("made of", ", ".join(piece.name for piece in pieces(model) if piece != model)),
        ("denoises less", f"with {model.denoise_with}: --denoise 0..1" if model.denoise_with else ""),
        *(("address", url) for url in (download.urls if download else ())),
        ("size", size_of(model)),
        ("repository", repo.id if repo else ""),
        ("file", repo.file or "" if repo else ""),
        ("revision", repo.revision or "the newest" if repo else ""),
        ("gated", "yes: accept the conditions on its page, then hf auth login" if repo and repo.gated else ""),
        ("steps", f"{sampling.steps}" if sampling and sampling.steps else ""),
        ("guidance", f"{sampling.guidance:g}" if sampling and sampling.guidance is not None else ""),
        ("made for", f"{sampling.side} pixels" if sampling and sampling.side else ""),
        ("memory", f"{model.memory / 1e9:.0f} GB" if model.memory else ""),
        ("diffusers", f"{model.min_diffusers} or later" if model.min_diffusers else ""),
        ("SHA-256", (download.sha256 or "") if download else ""),
        ("package", f"{model.package.module} carries it" if model.package else ""),
        ("here", str(here) if here else "no"),
        ("reach", f"{model.reach} pixels" if model.reach is not None else ""),
    ]
    if model.facts.loader == "spandrel" and here is not None:
        known[-1:] = _network_facts(model)
    return known


def licence(model: Model) -> str:
    """Returns the name of the licence, with "no commercial use" if it forbids that."""
    return f"{model.licence}, no commercial use" if model.commercial is False else model.licence


def size_of(model: Model) -> str:
    """Returns the size of the download or of the file on this machine, as "64.0 MiB"; empty if neither is known."""
    if model.repository is not None and model.repository.file is None:
        return f"{model.repository.size / 1e9:.1f} GB" if model.repository.size else ""
    here = catalog.find_local(model)
    size = model.download.size if model.download else here.stat().st_size if here and here.is_file() else None
    return f"{size / 2**20:.1f} MiB" if size else ""


def _network_facts(model: Model) -> list[tuple[str, str]]:
    """Loads a network and returns the facts that only its weights tell."""
    from ..engines.checkpoint import Checkpoint
    from ..engines.probe import known_profile

    checkpoint = Checkpoint(catalog.fetch_model(model), of_faces=model.kind == "face")
    network = checkpoint.load()
    needs = network.size_requirements
    precisions = ["fp32", *["fp16"] * network.supports_half, *["bf16"] * network.supports_bfloat16]
    measured = known_profile(checkpoint.key)
    reach = measured.reach if model.reach is None and measured else model.reach
    return [
        ("loaded as", f"{network.architecture.name}, {network.scale}x, {network.input_channels} channels"),
        ("allows", ", ".join(precisions)),
        ("tiles", {"SUPPORTED": "yes", "DISCOURAGED": "advised against", "INTERNAL": "no"}[network.tiling.name]),
        ("sides", f"at least {needs.minimum}, multiples of {needs.multiple_of}" if not needs.none else ""),
        ("reach", f"{reach} pixels" if reach is not None else "measured when it is first used"),
    ]


def about_picture(picture: Picture, frames: str = "") -> list[tuple[str, str]]:
    """Returns the facts about a picture, without its recipe and the copy of it in AUTOMATIC1111's form; `frames`: what
    is known of the frames or pages of its file."""
    metadata, size = picture.metadata, picture.size
    blocks = {"EXIF": metadata.exif, "XMP": metadata.xmp, "IPTC": metadata.iptc}
    own = (KEY, PARAMETERS) if KEY in metadata.comments else ()
    texts = {key: text for key, text in metadata.comments.items() if key not in own}
    return [
        ("picture", picture.name),
        ("format", picture.format or ""),
        ("holds", frames),
        ("size", f"{size}, {size.pixels / 1e6:.2f} megapixels"),
        ("channels", f"{COLOURS[picture.pixels.shape[2]]}; {picture.depth} bits each"),
        ("profile", "none, which means sRGB" if picture.profile is None else profile_name(picture.profile)),
        ("resolution", "" if metadata.dpi is None else f"{metadata.dpi[0]:g} x {metadata.dpi[1]:g} dpi"),
        ("metadata", ", ".join(f"{name} of {len(block):,} bytes" for name, block in blocks.items() if block)),
        *((key, line) for key, text in texts.items() for line in text.splitlines()),
    ]


def about_recipe(made: Recipe) -> list[tuple[str, str]]:
    """Returns the facts in a recipe: its parameters, then its models, then the versions of the libraries."""
    told = ("prompt", "negative", "size", "image" if made.parameters.get("image") else "strength")
    parameters = {name: value for name, value in made.parameters.items() if name not in told}
    enlarged: dict[str, Any] = {} if made.upscaler is None else {"enlarged to": str(made.size), **made.upscaler}
    known: list[tuple[str, Any]] = [
        ("prompt", made.prompt),
        ("negative", made.negative),
        *parameters.items(),
        ("began with", made.parameters.get("image")),
        ("generated", str(made.generated)),
        *(("by" if name == "model" else name, value) for name, value in (*made.generator.items(), *enlarged.items())),
        *((f"{name} version", number) for name, number in made.versions.items()),
    ]
    return [(label, _format_value(value)) for label, value in known if value not in EMPTY]


def _format_value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_format_value(part)}" for name, part in value.items() if part not in EMPTY)
    if isinstance(value, list):
        return ", ".join(str(part)[:HASH] if isinstance(part, str) else _format_value(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
