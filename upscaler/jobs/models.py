"""Models as things that are kept: imported into the store, and described."""

from __future__ import annotations

import re
from pathlib import Path

from .. import catalog
from ..catalog import Model
from ..errors import PlanError


def import_file(file: Path, name: str | None = None) -> Model:
    """Puts the network in a file, whatever its format, into the store as safetensors, under a name to be used with -m.

    `name` defaults to the file's own. A file that the catalog knows by its hash becomes that model's. Raises ModelError
    when the file holds no network that can be used or cannot be written, PlanError when the name is taken or cannot be
    one.
    """
    if not file.is_file():
        raise PlanError(f"{file}: is not a file. Name a file of a network; for others there is upscaler models fetch.")
    sha256 = catalog.weights_sha256(file)
    for model in catalog.models():
        if model.download is not None and model.download.sha256 == sha256:
            catalog.adopt(model, file)
            return model
    name = catalog.plain(file.stem if name is None else name)
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name):
        raise PlanError(f"--name {name}: may hold letters, digits, dots and hyphens only. Choose another name.")
    taken = [word for model in catalog.models() for word in (model.name, *model.aliases)]
    if name in map(catalog.plain, taken):
        raise PlanError(f"{name}: a model has this name already. Choose another with --name, or remove that one first.")
    source = catalog.find(str(file.absolute()))
    assert source.file is not None
    if source.kind != "network":
        raise PlanError(f"{file}: is a diffusion model, and those are used from where they are. Name the file with -m.")
    from ..engines.checkpoint import Checkpoint, save

    checkpoint = Checkpoint(source.file)
    network = checkpoint.load()
    about = {
        "scale": str(source.scale or network.scale),
        "architecture": network.architecture.name,
        "source": file.name,
        "source_sha256": sha256,
    }
    path = catalog.import_path(name)
    catalog.write_weights(path, lambda temporary: save(checkpoint, temporary, about))
    return catalog.find(name)


def pieces(model: Model) -> tuple[Model, ...]:
    """The models that it is made of: itself, unless it is a network and a generator. Raises ModelError."""
    names = [name for name in (model.enlarge_with, model.generator) if name is not None]
    return tuple(catalog.find(name) for name in names) or (model,)


def is_here(model: Model) -> bool:
    """Whether nothing of it has to be fetched."""
    return all(piece.kind == "resample" or catalog.find_local(piece) is not None for piece in pieces(model))


def facts(model: Model) -> list[tuple[str, str]]:
    """What there is to know of a model, each with its label; more when a file of it is here."""
    download = model.download
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
        *_diffusion_facts(model),
        ("SHA-256", (download.sha256 or "") if download else ""),
        ("package", f"{model.package.module} carries it too" if model.package else ""),
        ("here", str(here) if here else "no"),
        ("reach", f"{model.reach} pixels" if model.reach is not None else ""),
    ]
    if model.kind == "network" and here is not None:
        known = [fact for fact in known if fact[0] != "reach"] + _network_facts(model)
    return [(label, text) for label, text in known if text]


def licence(model: Model) -> str:
    """The licence, and whether it forbids commercial use."""
    return f"{model.licence}, no commercial use" if model.commercial is False else model.licence


def size_of(model: Model) -> str:
    """Of what is fetched, or of the file that is here."""
    if model.repository is not None:
        return f"{model.repository.size / 1e9:.1f} GB" if model.repository.size else ""
    here = catalog.find_local(model)
    size = model.download.size if model.download else here.stat().st_size if here and here.is_file() else None
    return f"{size / 2**20:.1f} MiB" if size else ""


def use(model: Model) -> str:
    """How much larger it makes pictures, or what else it does."""
    words = {"generator": "text", "control": "guide"}
    return words.get(model.kind, f"{model.scale}x" if model.scale else "any")


def _diffusion_facts(model: Model) -> list[tuple[str, str]]:
    repository, sampling = model.repository, model.sampling
    known: list[tuple[str, str]] = []
    if repository is not None:
        known += [
            ("repository", repository.id),
            ("revision", repository.revision or "the newest"),
            ("gated", "yes: accept the conditions on its page, then hf auth login" if repository.gated else ""),
        ]
    if sampling is not None:
        known += [
            ("steps", f"{sampling.steps}" if sampling.steps else ""),
            ("guidance", f"{sampling.guidance:g}" if sampling.guidance is not None else ""),
            ("made for", f"{sampling.side} pixels" if sampling.side else ""),
            ("strength", f"{sampling.strength:g}" if sampling.strength else ""),
        ]
    return [
        *known,
        ("memory", f"{model.memory / 1e9:.0f} GB" if model.memory else ""),
        ("diffusers", f"{model.diffusers} or later" if model.diffusers else ""),
    ]


def _network_facts(model: Model) -> list[tuple[str, str]]:
    """What only the file itself says."""
    from ..engines.checkpoint import Checkpoint
    from ..engines.probe import known_reach

    checkpoint = Checkpoint(catalog.fetch_model(model))
    network = checkpoint.load()
    needs = network.size_requirements
    precisions = ["fp32", *["fp16"] * network.supports_half, *["bf16"] * network.supports_bfloat16]
    reach = model.reach if model.reach is not None else known_reach(checkpoint.key)
    return [
        ("loaded as", f"{network.architecture.name}, {network.scale}x, {network.input_channels} channels"),
        ("allows", ", ".join(precisions)),
        ("tiles", {"SUPPORTED": "yes", "DISCOURAGED": "advised against", "INTERNAL": "no"}[network.tiling.name]),
        ("sides", f"at least {needs.minimum}, multiples of {needs.multiple_of}" if not needs.none else ""),
        ("reach", f"{reach} pixels" if reach is not None else "measured when it is first used"),
    ]
