"""Puts a user's own network into the store of models, converted to safetensors."""

from __future__ import annotations

import re
from pathlib import Path

from .. import catalog
from ..catalog import Model
from ..errors import ModelError, PlanError


def import_model(file: Path, name: str | None = None) -> Model:
    """Converts the network in a file of any known format to safetensors and keeps it under `name`.

    `name` defaults to the file's own. A file that the catalog knows by its hash becomes that model's, and one that
    OpenModelDB knows becomes that model's unless `name` is given. Raises ModelError when the file holds no network that
    can be used or cannot be written, PlanError when the name is taken or cannot be one.
    """
    if not file.is_file():
        raise PlanError(f"{file}: is not a file. Name a file of a network; for others there is upscaler models fetch.")
    sha256 = catalog.weights_sha256(file)
    known = catalog.find_by_hash(sha256)
    if known is not None and (name is None or known in catalog.models()):
        catalog.keep_download(known, file)
        return known
    name = catalog.normalize_name(file.stem if name is None else name)
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name):
        raise PlanError(
            "a model's name may hold letters, digits, dots and hyphens only. Choose another name.",
            argument="name",
            value=name,
        )
    taken = [word for model in catalog.models() for word in (model.name, *model.aliases)]
    if name in map(catalog.normalize_name, taken):
        raise PlanError(f"{name}: a model has this name already. Choose another `name`, or remove that one first.")
    source = catalog.find(str(file.absolute()))
    assert source.file is not None
    if source.facts.loader != "spandrel":
        raise PlanError(f"{file}: is a diffusion model, which is used from where it is. Name the file as `model`.")
    if source.file.suffix == ".param":
        raise ModelError(f"{file}: only ncnn can compute it, from where it is. Name the file as `model`.")
    from .checkpoint import Checkpoint, save

    checkpoint = Checkpoint(source.file)
    network = checkpoint.load()
    about = {
        "scale": str(source.scale or network.scale),
        "architecture": network.architecture.name,
        "source": file.name,
        "source_sha256": sha256,
    }
    path = catalog.imported_path(name)
    catalog.write_weights(path, lambda temporary: save(checkpoint, temporary, about))
    return catalog.find(name)
