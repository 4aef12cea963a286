"""The engines that a model needs, as its kind determines; each is loaded at its first use and kept."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final, Literal, TypedDict, TypeVar

from .. import catalog
from ..catalog import Model, fetch_model
from ..diffusion.options import Diffusion
from ..errors import ModelError, PlanError
from ..faces import FaceOptions
from ..validation import check_arguments, check_whole
from ..vulkan import is_vulkan
from .backend import BACKENDS, choose_network, is_faster_by_torch
from .base import Engine, ImageEngine, is_image_engine
from .composite import Blended
from .resample import ResampleEngine
from .restorer import FaceRestorer, find_detector, find_restorer

log = logging.getLogger("upscaler")

Kept = TypeVar("Kept")

NETWORK: Final = "photo"
"""The model that enlarges before a generator refines, unless the catalog names another."""

CLEANER: Final = "clean"
"""The model that takes out noise and compression before another one enlarges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Options for how a model is computed. Raises PlanError for a number out of its range."""

    device: str | None = None
    """"cuda", "cuda:1", "xpu", "mps", "vulkan", "vulkan:1" or "cpu". None takes the best there is."""
    backend: str = "auto"
    """The library that computes networks: "torch" or "ncnn". "auto" is torch on the GPUs that it can use, else ncnn if
    that knows the network; large pictures are torch's on processors that multiply bfloat16 in hardware."""
    precision: str = "auto"
    """"auto", "fp32", "fp16" or "bf16". "auto" is fp32 for 16-bit pictures, and else the fastest that device and model
    support."""
    blend: float = 1.0
    """Share of the network in the result, 0..1; the rest is a plain filter's."""
    denoise: float | Literal["auto"] | None = None
    """How much noise, grain and compression is removed before the model enlarges, 0..1. "auto" removes as much as the
    picture has, place by place; see `picture.noise`. None is what the catalog says of the model: "auto" or 0; 1 for
    networks that denoise by themselves by an amount that can be chosen; and 0 if there are networks `before`."""
    before: tuple[str, ...] = ()
    """Networks that the picture goes through before the model, in this order: names, files or URLs. Each enlarges by
    its own scale, or only cleans."""
    memory: int | None = None
    """Bytes for the tiles, and for the model too if it is a diffusion model. None takes what is free."""
    diffusion: Diffusion | None = None
    """Options of a diffusion model."""
    faces: FaceOptions | None = None
    """Options of restoring the faces in the result. None restores none."""

    def __post_init__(self) -> None:
        check_arguments(self, memory=check_whole(-1, 2**60))
        if not isinstance(self.before, list | tuple) or not all(isinstance(name, str) for name in self.before):
            raise PlanError("these are no names of models.", argument="before", value=repr(self.before))
        object.__setattr__(self, "before", tuple(self.before))  # JSON has lists
        if not isinstance(self.faces, FaceOptions | None):
            raise PlanError("these are no FaceOptions.", argument="faces", value=repr(self.faces))
        check_share("blend", self.blend)
        if self.backend not in BACKENDS:
            raise PlanError(f"choose {', '.join(BACKENDS)}.", argument="backend", value=self.backend)
        if self.denoise != "auto":
            check_share("denoise", self.denoise)


def check_share(argument: str, value: float | None) -> None:
    """Raises PlanError for a number that is not within 0..1. None is allowed."""
    if value is not None and not (isinstance(value, Real) and 0 <= value <= 1):
        shown = f"{value:g}" if isinstance(value, Real) else repr(value)
        raise PlanError("the value must be between 0 and 1.", argument=argument, value=shown)


class EnginePool:
    """The engines of one model: the one that enlarges, and where it takes them those of the networks before it, one
    that cleans before all and one that refines afterwards. May be used from several threads."""

    def __init__(self, model: Model, options: EngineOptions) -> None:
        """Raises PlanError for options that do not suit the model, ModelError for an unknown one."""
        self._model = model
        self._before = [catalog.settle(catalog.find(name)) for name in options.before]
        self._options = options
        self._engines: dict[str, Any] = {}
        self._lock = threading.Lock()
        if model.facts.use == "faces":
            raise PlanError(
                f"{model.name} is for faces and does not enlarge. Enlarge by another one, with `faces`.",
                argument="model",
                value=model.name,
            )
        self._for_faces = []
        if options.faces is not None:
            self._for_faces = [find_detector(options.faces.detector), find_restorer(options.faces.model)]
        is_diffusion, diffusion = model.facts.takes_diffusion, options.diffusion
        for other in self._before:
            if other.kind != "network":
                raise PlanError(
                    "only networks can enlarge or clean a picture for another model. Name it last.",
                    argument="model",
                    value=other.name,
                )
        if options.blend != 1 and is_diffusion:
            raise PlanError(
                f"{model.name} is a diffusion model, and only networks can be blended. Use `creativity`.",
                argument="blend",
                value=f"{options.blend:g}",
            )
        if diffusion is not None and not is_diffusion:
            raise PlanError(
                f"{model.name} is a network and takes no prompt, steps or seed. Choose a diffusion model, such as "
                "sd-x4 or refine."
            )
        if is_diffusion and not model.facts.refines and diffusion is not None and diffusion.control is not None:
            raise PlanError(
                f"{model.name} enlarges by itself and takes no ControlNet. Use refine, or a generator.",
                argument="control",
                value=diffusion.control,
            )

    @property
    def models(self) -> list[Model]:
        """The models whose files are needed."""
        diffusion = self._options.diffusion
        needed = [*self._before, self._network if self.refines else self._model, self._mixed_in, self._cleaner]
        if self.refines:
            control = diffusion.control if diffusion else None
            needed += [self._generator, catalog.find(control) if control else None]
        needed += self._for_faces
        return [model for model in needed if model is not None]

    @property
    def identities(self) -> list[str]:
        """Hashes of the weights of `models`; see `catalog.fingerprint`. Fetches what is missing."""
        diffusion = self._options.diffusion
        pickles = diffusion is not None and diffusion.allow_pickle
        return [catalog.fingerprint(model, pickles) for model in self.models if model.facts.loader is not None]

    @property
    def refines(self) -> bool:
        """Whether a generator refines what a network has enlarged."""
        return self._model.facts.refines

    @property
    def denoise(self) -> float | Literal["auto"]:
        """How much is removed before the network enlarges: a share, or as much as the picture has."""
        return 0.0 if self._cleaner is None else self._wanted_denoise

    @property
    def chain(self) -> list[Model]:
        """The models that a picture goes through in turn: the networks before the model, and the model."""
        return [*self._before, self._model]

    def member(self, index: int, depth: int, pixels: int = 0) -> Engine | ImageEngine:
        """Returns the engine of a model of the chain, for pictures of `depth` bits and so many pixels."""
        if index == len(self._before):
            return self.enlarger(depth, pixels)
        model, device, precision = self._before[index], self._options.device, self._precision(depth)

        def make(backend: str) -> Engine:
            return engine_for(model, device, precision, backend=backend)

        return self._faster(f"{index}", precision, pixels, make)

    def enlarger(self, depth: int, pixels: int = 0) -> Engine | ImageEngine:
        """Returns the engine that enlarges pictures of `depth` bits and so many pixels.

        "auto" is fp32 for 16 bits: half precision has too few digits for 65,536 levels.
        """
        if self._model.facts.takes_diffusion and not self.refines:
            return self._kept("image", lambda: self._image_engine(self._model))
        if self.refines:
            self.refiner()  # first, since it stays on the device, and tiles are planned with the memory that is left
        precision = self._precision(depth)
        return self._faster("main", precision, pixels, lambda backend: self._tile_engine(precision, backend))

    def cleaner(self, depth: int, pixels: int = 0) -> Engine:
        """Returns the network that removes noise and compression from pictures of `depth` bits and so many pixels
        before they are enlarged, computed by the library that enlarges them."""
        precision, device = self._precision(depth), self._options.device
        backend = self.enlarger(depth, pixels).info.backend or self._options.backend
        engine = self._kept(
            f"{CLEANER} {precision} {backend}",
            lambda: engine_for(catalog.find(CLEANER), device, precision, backend=backend),
        )
        assert not is_image_engine(engine)
        return engine

    def refiner(self) -> ImageEngine:
        """Returns the generator as an engine; only for models that refine."""
        engine = self._kept("image", lambda: self._image_engine(self._generator))
        assert is_image_engine(engine)
        return engine

    def face_restorer(self, depth: int) -> FaceRestorer:
        """Returns what restores faces in pictures of `depth` bits; only if there are options for it."""
        options, precision = self._options, self._precision(depth)
        assert options.faces is not None
        faces = options.faces

        def load() -> FaceRestorer:
            return FaceRestorer.load(faces, device=options.device, precision=precision, memory=options.memory)

        return self._kept(f"faces {precision}", load)

    def clear(self) -> None:
        """Frees all engines."""
        with self._lock:
            self._engines.clear()
        if "torch" in sys.modules:  # the plain filter does without
            from ..device import release

            release()

    @property
    def _network(self) -> Model:
        return catalog.find(self._model.enlarge_with or NETWORK) if self.refines else self._model

    @property
    def _generator(self) -> Model:
        return catalog.find(self._model.generator) if self._model.generator else self._model

    @property
    def _mixed_in(self) -> Model | None:
        """The model whose weights are mixed with the network's, so that it denoises less."""
        if self._options.denoise in (None, "auto", 1) or self._model.denoise_with is None:
            return None
        return catalog.find(self._model.denoise_with)

    @property
    def _cleaner(self) -> Model | None:
        """The model that cleans, if it may be needed. A network that denoises by itself does not need it."""
        network = self._network
        if network.denoise_with is not None or network.name == CLEANER or self._wanted_denoise == 0:
            return None
        return catalog.find(CLEANER)

    @property
    def _wanted_denoise(self) -> float | Literal["auto"]:
        """How much shall be removed; who puts networks before the model has chosen what cleans."""
        chosen = self._options.denoise
        return chosen if chosen is not None else 0.0 if self._before else self._network.denoise

    def _precision(self, depth: int) -> str:
        chosen = self._options.precision
        return "fp32" if chosen == "auto" and depth == 16 else chosen

    def _kept(self, name: str, make: Callable[[], Kept]) -> Kept:
        with self._lock:
            if name not in self._engines:
                self._engines[name] = make()
            kept: Kept = self._engines[name]
            return kept

    def _faster(
        self, name: str, precision: str, pixels: int, make: Callable[[str], Engine | ImageEngine]
    ) -> Engine | ImageEngine:
        """Returns the engine that `make` loads of a library, by the one that takes less time for so many pixels."""
        backend = self._options.backend
        engine = self._kept(f"{name} {precision} {backend}", lambda: make(backend))
        if backend == precision == "auto" and is_faster_by_torch(engine.info, pixels):
            return self._kept(f"{name} {precision} torch", lambda: make("torch"))
        return engine

    def _tile_engine(self, precision: str, backend: str) -> Engine:
        options = self._options
        share = options.denoise if isinstance(options.denoise, float | int) and self._mixed_in else 1.0
        engine = engine_for(self._network, options.device, precision, self._mixed_in, share, backend)
        return engine if options.blend == 1 else Blended(engine, options.blend)

    def _image_engine(self, model: Model) -> ImageEngine:
        """Loads a diffusion model, one that enlarges or a generator that refines, fetched if need be.

        Raises ModelError, PlanError, OutOfMemory.
        """
        try:
            from .diffusion import DiffusionEngine, ImageToImage
        except (ImportError, OSError) as error:
            raise ModelError(f"torch or diffusers cannot be loaded ({error}). See upscaler doctor.") from error
        kind = ImageToImage if model.facts.generates else DiffusionEngine
        options = self._options
        return kind(
            model,
            options.diffusion or Diffusion(),
            device=options.device,
            precision=options.precision,
            memory=options.memory,
        )


def engine_for(
    model: Model,
    device: str | None = None,
    precision: str = "auto",
    other: Model | None = None,
    share: float = 1.0,
    backend: str = "auto",
) -> Engine:
    """Loads the engine of a network, whose file is fetched if need be, or of the plain filter, which needs no network.

    With `other`, `share` of the weights are the model's and the rest are the other's. `backend`: see `EngineOptions`.
    Raises ModelError when a file cannot be fetched or used, PlanError for a device or precision that is not available.
    """
    if model.facts.loader is None:
        return ResampleEngine()
    file = fetch_model(model)
    mixed = None if other is None else fetch_model(other)
    facts: Facts = {
        "name": model.name,
        "precision": precision,
        "reach": model.reach if mixed is None else None,
        "keeps_tone": model.keeps_tone,
    }
    if found := choose_network(backend, device, precision, file, mixed, share):
        from .ncnn import NcnnEngine

        try:
            return _say(NcnnEngine.load(found[0], device=found[1], **facts))
        except ModelError as error:
            if backend != "auto" or file.suffix.lower() == ".param" or is_vulkan(device):
                raise
            log.info("%s: torch computes it, since ncnn cannot (%s).", model.name, error)
    try:
        from .checkpoint import Checkpoint
        from .network import NetworkEngine
    except (ImportError, OSError) as error:
        raise ModelError(f"torch or spandrel cannot be loaded ({error}). See upscaler doctor.") from error
    return _say(NetworkEngine.load(Checkpoint(file, mixed, share), device=device, **facts))


def _say(engine: Engine) -> Engine:
    info = engine.info
    log.info("%s: computed on %s in %s by %s.", info.name, info.device, info.precision, info.backend)
    return engine


class Facts(TypedDict):
    """What the catalog and the options say of a network, which every engine takes."""

    name: str
    precision: str
    reach: int | None
    keeps_tone: bool | None
