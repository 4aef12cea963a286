"""The engines that one model needs: found out from its kind, each loaded at its first use and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .. import catalog
from ..catalog import Model, fetch_model
from ..diffusion.options import Diffusion
from ..errors import ModelError, PlanError
from .base import Engine, ImageEngine, is_image_engine
from .blended import Blended
from .resample import ResampleEngine

NETWORK: Final = "photo"
"""What enlarges before a generator draws anew, unless the catalog says otherwise."""


@dataclass(slots=True)
class EnginePool:
    """What enlarges, and what refines. May be used from several threads; raises PlanError for what does not suit the
    model."""

    model: Model
    device: str | None
    precision: str
    blend: float
    denoise: float | None
    memory: int | None
    diffusion: Diffusion | None
    _engines: dict[str, Engine | ImageEngine] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        name, is_diffusion = self.model.name, self.model.facts.takes_diffusion
        if self.denoise is not None and self.model.denoise_with is None:
            raise PlanError(f"--denoise: {name} leaves no choice. Use --blend, which suits every network.")
        if self.blend != 1 and is_diffusion:
            raise PlanError(f"--blend: is for networks. {name} has --creativity.")
        if self.diffusion is not None and not is_diffusion:
            raise PlanError(
                f"{name}: is a network and takes no prompt, steps or seed. Choose a diffusion model, such as sd-x4 or "
                "refine."
            )

        if is_diffusion and not self.refines and self.diffusion is not None and self.diffusion.control is not None:
            raise PlanError(f"--control: {name} enlarges by itself and takes none. Use refine, or a generator.")

    @property
    def models(self) -> list[Model]:
        """Those whose files are needed."""
        control = self.diffusion.control if self.diffusion else None
        needed = [self._network if self.refines else self.model, self._mixed()[0]]
        if self.refines:
            needed += [self._generator, catalog.find(control) if control else None]
        return [model for model in needed if model is not None]

    @property
    def identities(self) -> list[str]:
        """Of the weights of those: see `catalog.fingerprint`. What is missing is fetched."""
        pickles = self.diffusion is not None and self.diffusion.allow_pickle
        return [catalog.fingerprint(model, pickles) for model in self.models if model.facts.loader is not None]

    @property
    def refines(self) -> bool:
        """Whether what a network has enlarged is drawn anew by a generator."""
        return self.model.facts.refines

    def enlarging(self, depth: int) -> Engine | ImageEngine:
        """For pictures of 8 or 16 bits: half precision has too few digits for 65,536 levels."""
        precision = "fp32" if self.precision == "auto" and depth == 16 else self.precision
        if self.model.facts.takes_diffusion and not self.refines:
            return self._kept("canvas", lambda: self._canvas_engine(self.model))
        return self._kept(precision, lambda: self._tile_engine(precision))

    def refining(self) -> ImageEngine:
        """The generator, where the model refines."""
        engine = self._kept("canvas", lambda: self._canvas_engine(self._generator))
        assert is_image_engine(engine)
        return engine

    def on(self, device: str | None, model: Model | None = None) -> EnginePool:
        """The same for that device, with nothing loaded; or for a model that is the same, from another place."""
        options = (self.precision, self.blend, self.denoise, self.memory, self.diffusion)
        return EnginePool(model or self.model, device, *options)

    def __reduce__(self) -> tuple[object, ...]:
        """Without what is loaded: in another process it loads its own."""
        options = (self.precision, self.blend, self.denoise, self.memory, self.diffusion)
        return EnginePool, (self.model, self.device, *options)

    def clear(self) -> None:
        """Lets go of all that was loaded."""
        with self._lock:
            self._engines.clear()

    @property
    def _network(self) -> Model:
        return catalog.find(self.model.enlarge_with or NETWORK) if self.refines else self.model

    @property
    def _generator(self) -> Model:
        return catalog.find(self.model.generator) if self.model.generator else self.model

    def _mixed(self) -> tuple[Model | None, float]:
        """The model mixed into this one, and the share of this one."""
        if self.denoise is None or self.denoise == 1 or self.model.denoise_with is None:
            return None, 1.0
        return catalog.find(self.model.denoise_with), self.denoise

    def _kept(self, name: str, make: Callable[[], Engine | ImageEngine]) -> Engine | ImageEngine:
        with self._lock:
            if name not in self._engines:
                self._engines[name] = make()
            return self._engines[name]

    def _tile_engine(self, precision: str) -> Engine:
        engine = engine_for(self._network, self.device, precision, *self._mixed())
        return engine if self.blend == 1 else Blended(engine, self.blend)

    def _canvas_engine(self, model: Model) -> ImageEngine:
        return image_engine_for(model, self.diffusion or Diffusion(), self.device, self.precision, self.memory)


def engine_for(
    model: Model,
    device: str | None = None,
    precision: str = "auto",
    other: Model | None = None,
    share: float = 1.0,
) -> Engine:
    """The engine for a model, whose file is fetched if need be; loads torch only if it is a network.

    With `other`, `share` of the weights are the model's and the rest are the other's. Raises ModelError when a file
    cannot be had or used, PlanError when device or precision are not to be had.
    """
    if model.facts.loader is None:
        return ResampleEngine()
    file = fetch_model(model)
    mixed = None if other is None else fetch_model(other)
    try:
        from .checkpoint import Checkpoint
        from .network import NetworkEngine
    except (ImportError, OSError) as error:
        raise ModelError(f"torch or spandrel cannot be loaded ({error}). See upscaler doctor.") from error
    reach = model.reach if mixed is None else None
    return NetworkEngine(
        Checkpoint(file, mixed, share), name=model.name, device=device, precision=precision, reach=reach
    )


def image_engine_for(
    model: Model, options: Diffusion, device: str | None = None, precision: str = "auto", memory: int | None = None
) -> ImageEngine:
    """The engine for a diffusion model, which is fetched if need be: one that enlarges, or a generator that refines.

    `memory` in bytes; None is what is free. Raises ModelError, PlanError, OutOfMemory.
    """
    try:
        from .diffusion import DiffusionUpscaler, ImageToImage
    except (ImportError, OSError) as error:
        raise ModelError(f"torch or diffusers cannot be loaded ({error}). See upscaler doctor.") from error
    kind = ImageToImage if model.facts.generates else DiffusionUpscaler
    return kind(model, options, device=device, precision=precision, memory=memory)
