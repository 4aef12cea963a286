"""Pictures from text: the TextToImage, which loads its model at the first call, and makes one picture at a time."""

from __future__ import annotations

import functools
import gc
import logging
import math
import threading
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch

from .. import catalog, codecs
from ..arrays import FloatArray
from ..catalog import Model, Sampling
from ..device import PRECISIONS, pick_device
from ..diffusion.load import Task, class_for, fetch_pipeline, load
from ..diffusion.memory import VAE_TILES, Facts, Offload, Placement, applied, facts, needed, place
from ..diffusion.prompts import unknown
from ..errors import EngineError, ModelError, OutOfMemory, PlanError
from ..picture import Picture
from ..tiling import Size
from .choice import GeneratorChoice, choose
from .lora import mix
from .painter import Painter, Progress
from .parameters import GenerationParameters, Lora
from .sizes import within

log = logging.getLogger("upscaler")

OFFLOADS: Final[tuple[Offload, ...]] = ("none", "model", "group")
"""The later, the less of the device's memory they take."""


class TextToImage:
    """Makes pictures from text with one model, loaded at the first call and kept. May be used from several threads."""

    def __init__(
        self,
        model: str | None = None,
        *,
        device: str | None = None,
        precision: str = "auto",
        memory: int | None = None,
        safety_checker: bool = True,
        allow_pickle: bool = False,
        offline: bool | None = None,
    ) -> None:
        """`model`: a name of the catalog, a repository, a folder or a file; None has one chosen for this machine.
        `device`, `precision`: as of `Upscaler`. `memory`: bytes that the model may take; None is what is free.
        `safety_checker`: whether pictures are held back to which the checker of a model, if it has one, objects.

        Raises ModelError when there is no such model, or it makes no pictures; PlanError for the device.
        """
        self._where = pick_device(device)
        choice = (
            choose(self._where, memory, offline=offline) if model is None else GeneratorChoice(catalog.find(model), "")
        )
        self.model: Model = choice.model
        self.reason = choice.reason
        """Why it is this model, if it was chosen; else empty."""
        self._named = model or self.model.name
        facts = self.model.facts
        if not (facts.takes_diffusion and facts.loader):  # a repository's index tells more once it is fetched
            raise ModelError(f"{self._named}: makes no pictures from text. Choose a generator, such as sdxl or sd15.")
        self._precision = precision
        self._memory = memory
        self._safety_checker = safety_checker
        self._allow_pickle = allow_pickle
        self._offline = offline
        self._lock = threading.RLock()
        self._painter: Painter | None = None
        self._task: Task = "text-to-image"
        self._loras: tuple[Lora, ...] = ()
        self._offload: Offload = OFFLOADS[0]
        """At least."""
        self._noted: set[str] = set()
        """Words that it was said not to know."""
        self._facts: Facts
        self._placement: Placement

    def __call__(
        self, prompt: str | GenerationParameters, /, *, progress: Progress | None = None, **parameters: Any
    ) -> Picture:
        """Generates a picture: 8-bit RGB, with the colour profile of the image it began with, if there was one.

        `prompt` is a text or `GenerationParameters`; `parameters` are fields of these, and replace those given.

        Raises PlanError for what this model cannot make, ModelError for whatever is wrong with it or with a LoRA,
        PictureError for the picture to begin with, EngineError when computing fails or the safety checker objects.
        """
        asked = (
            replace(prompt, **parameters)
            if isinstance(prompt, GenerationParameters)
            else GenerationParameters(prompt, **parameters)
        )
        with self._lock:
            image = _init(asked)
            whole = self._completed(asked, image)
            assert whole.size is not None
            self._warn_of(whole.size)
            self._note_unknown(asked.prompt)
            pixels = within(self._painted(whole, image, progress), whole.size)
        rounded = np.rint(pixels * np.float32(255)).astype(np.uint8)
        return Picture(rounded, image.profile if image else None, name=asked.prompt.strip() or "picture")

    def completed(self, parameters: GenerationParameters) -> GenerationParameters:
        """The wish with what this model makes of that which it leaves open: size, steps, guidance. Loads the model.

        Raises PlanError, ModelError and PictureError as a call does.
        """
        with self._lock:
            return self._completed(parameters, _init(parameters))

    def close(self) -> None:
        """Lets go of the model. A later call loads it again."""
        with self._lock:
            if self._painter is None:
                return
            self._painter, self._loras = None, ()
            gc.collect()  # pipelines and their hooks refer to each other
            if self._where.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.set_per_process_memory_fraction(1.0, self._where)

    def __enter__(self) -> TextToImage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @functools.cached_property
    def asked(self) -> dict[str, Any]:
        """What was asked of it, as JSON can hold it; the model by its hash. The model's files are fetched, and not
        loaded. Raises ModelError."""
        catalog.fetch_model(self.model, offline=self._offline, allow_pickle=self._allow_pickle)
        return {
            "model": self._named,
            "weights": [catalog.fingerprint(self.model, self._allow_pickle)],
            "precision": self._precision,
            "safety_checker": self._safety_checker,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What its pictures depend on beside the wish, as JSON can hold it. Loads the model."""
        with self._lock:
            pipeline = self._ready(self._task).pipeline
            precision = next(name for name, dtype in PRECISIONS.items() if dtype == self._placement.dtype)
            return {**self.asked, "scheduler": type(pipeline.scheduler).__name__, "precision": precision}

    def _completed(self, parameters: GenerationParameters, image: Picture | None) -> GenerationParameters:
        painter = self._ready("text-to-image" if image is None else "image-to-image")
        size = painter.abilities.asked(parameters, image.size if image else None)
        self._refuse_too_large(size, painter)
        return replace(
            parameters, size=size, aspect=None, steps=painter.steps(parameters), guidance=painter.guidance(parameters)
        )

    def _note_unknown(self, prompt: str) -> None:
        """Once for each word, and with those that it knows where they are few."""
        found = unknown(self._ready(self._task).pipeline, prompt.lower())
        if new := [word for word in found if word not in self._noted]:
            self._noted.update(new)
            knows = f" It knows {self.model.knows}." if self.model.knows else ""
            log.warning("%s: does not know %s, and passes over it.%s", self.model.name, ", ".join(new), knows)

    def _painted(
        self, parameters: GenerationParameters, image: Picture | None, progress: Progress | None
    ) -> FloatArray:
        """The pixels, a little larger than wished for. After failures in safer ways, which are kept to."""
        while True:
            try:
                return self._attempt(parameters, image, progress)
            except (torch.OutOfMemoryError, OutOfMemory) as error:
                self._offload = self._lighter(parameters, error)
            except FloatingPointError as error:
                self._precision = self._more_precise(error)
            self.close()

    def _attempt(
        self, parameters: GenerationParameters, image: Picture | None, progress: Progress | None
    ) -> FloatArray:
        assert parameters.size is not None
        painter = self._ready(self._task)
        self._mix(painter, parameters.loras)
        made = painter.abilities.made(parameters.size)
        pixels = painter.paint(parameters, made, image, self._placement.vae_tile, progress)
        painter.refuse_unsafe(pixels)
        return pixels

    def _lighter(self, parameters: GenerationParameters, error: Exception) -> Offload:
        """Raises OutOfMemory if nothing is."""
        where, heavier = self._where, self._placement.offload
        if heavier == OFFLOADS[-1] or where.type in ("cpu", "mps"):
            raise OutOfMemory(
                f"out of memory on {where}: {self.model.name} has no room for {parameters.size}. Make it smaller and "
                "have it enlarged, choose a smaller model, or close other programs."
            ) from error
        log.warning("out of memory on %s: going on with less of %s there, slower.", where, self.model.name)
        return OFFLOADS[OFFLOADS.index(heavier) + 1]

    def _more_precise(self, error: Exception) -> str:
        """Raises EngineError if nothing is."""
        if self._placement.dtype == torch.float32:
            raise EngineError(f"{error} Its file is damaged, or a LoRA is too strong.") from error
        log.warning("%s Going on in fp32.", error)
        return "fp32"

    def _mix(self, painter: Painter, loras: tuple[Lora, ...]) -> None:
        if loras == self._loras:
            return
        if self._loras:
            painter.pipeline.unload_lora_weights()
            self._loras = ()
        if loras:
            mix(painter.pipeline, self.model.name, loras)
            self._loras = loras

    def _ready(self, task: Task) -> Painter:
        """The model for the task, in the place that suits it."""
        if self._painter is None or task != self._task:
            self.close()
            source = fetch_pipeline(self.model, allow_pickle=self._allow_pickle, offline=self._offline)
            class_for(source, task)  # what cannot do it has configurations of other kinds, perhaps
            self._facts = facts(source)
            best = place(self._facts, self._where, self._memory, self._precision)
            self._placement = replace(best, offload=max(best.offload, self._offload, key=OFFLOADS.index))
            self._painter, self._task = self._loaded(task), task
        return self._painter

    def _loaded(self, task: Task) -> Painter:
        pipeline = load(
            self.model,
            task,
            dtype=self._placement.dtype,
            safety_checker=self._safety_checker,
            allow_pickle=self._allow_pickle,
            offline=self._offline,
        )
        painter = Painter(self.model.name, pipeline, self.model.sampling or Sampling(), self._facts.window)
        applied(pipeline, self._placement)
        return painter

    def _refuse_too_large(self, size: Size, painter: Painter) -> None:
        """By what is reckoned to be needed, unless it is what the model was trained on."""
        made, native = painter.abilities.made(size), painter.abilities.native
        if made.pixels <= native**2:
            return
        side = math.ceil(math.sqrt(made.pixels) / painter.cell)
        offload: Offload = "none" if self._where.type in ("cpu", "mps") else "group"
        least = replace(self._placement, window=side, batch=1, offload=offload, vae_tile=VAE_TILES[-1])
        budget = self._placement.budget
        if needed(self._facts, least) > budget:
            raise PlanError(
                f"--size {size}: needs about {needed(self._facts, least) / 1e9:.0f} GB on {self._where}, and "
                f"{budget / 1e9:.0f} GB may be used. Make it {native}x{native} and have it enlarged."
            )

    def _warn_of(self, size: Size) -> None:
        """That it will look odd."""
        abilities = self._ready(self._task).abilities
        if abilities.is_far_beyond(size):
            log.warning(
                "--size %s: %s was trained on %dx%d, and beyond it draws things twice. Make it smaller and have "
                "it enlarged.",
                *(size, self.model.name, abilities.native, abilities.native),
            )


def generate(
    prompt: str | GenerationParameters, /, *, model: str | None = None, device: str | None = None, **parameters: Any
) -> Picture:
    """One picture from text: `TextToImage(model, device=…)(prompt, **parameters)`, which see.

    For several pictures keep a `TextToImage`: this function loads the model at each call.
    """
    with TextToImage(model, device=device) as generator:
        return generator(prompt, **parameters)


def _init(parameters: GenerationParameters) -> Picture | None:
    return None if parameters.image is None else codecs.decode(parameters.image)
