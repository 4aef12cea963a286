"""Restores the faces of a picture: found in its source, restored by a network, and put into its result."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import catalog, faces, notices, tiling
from ..arrays import FloatArray, PixelArray
from ..catalog import Model, fetch_model
from ..errors import DeviceLost, EngineError, ModelError, PlanError
from ..faces import SIDE, Affine, FaceDetector, FaceOptions
from ..picture import Face, Picture, allocate
from ..surface import HOST
from ..tiling import Batch, Budget, Region, Size, Window
from ..vulkan import is_vulkan
from .base import Engine
from .retry import run_checked

log = logging.getLogger("upscaler")


@dataclass(frozen=True, slots=True)
class _Place:
    """A face, and where it lies."""

    face: Face
    matrix: Affine
    """Maps the source to the face's square."""
    back: Affine
    """Maps the result to it."""


class FaceRestorer:
    """Restores faces with one network on one device. May be called from several threads."""

    def __init__(self, detector: FaceDetector, engine: Engine, options: FaceOptions, memory: int | None = None) -> None:
        """Takes what finds faces, the network that restores them, and the bytes that it may take for them."""
        self._detector = detector
        self._engine = engine
        self._options = options
        plan = tiling.plan(Size(SIDE, SIDE), engine.info.needs, Budget(memory or engine.info.tile_memory), border=0)
        self._batch = plan.max_batch

    @classmethod
    def load(cls, options: FaceOptions, *, device: str | None, precision: str, memory: int | None) -> FaceRestorer:
        """Loads both networks, fetched if need be. Raises ModelError, and PlanError for device and precision."""
        detector = FaceDetector.load(fetch_model(find_detector(options.detector)))
        model = find_restorer(options.model)
        file = fetch_model(model)
        try:
            from .checkpoint import Checkpoint
            from .network import NetworkEngine
        except (ImportError, OSError) as error:
            raise ModelError(f"torch or spandrel cannot be loaded ({error}). See upscaler doctor.") from error
        weights = Checkpoint(file, of_faces=True)
        place = None if is_vulkan(device) else device
        engine = NetworkEngine.load(weights, name=model.name, device=place, precision=precision, keeps_tone=True)
        info = engine.info
        log.info("%s: restores faces on %s in %s by %s.", info.name, info.device, info.precision, info.backend)
        return cls(detector, engine, options, memory)

    def restore(
        self, source: Picture, result: Picture, window: Window | None = None, workspace: Path | None = None
    ) -> Picture:
        """Returns `result`, which was made from `source`, with restored faces; `Picture.faces` says what was done.

        `window`: which part of what the source is enlarged to the result is. None: all of it.
        Its pixels are changed where they are, unless they are the source's own. Raises DeviceLost.
        """
        found = self._detector.find(source.colour)
        window = window or Window.all(result.size)
        seen = [self._judge(face, source, window) for face in sorted(found, key=lambda face: face.side)]
        seen = [place for place in seen if faces.can_be_seen(place.back, result.size)]
        wanted = [place for place in seen if place.face.left_alone is None]
        done = [place.face for place in seen if place.face.left_alone is not None]
        if wanted and result.pixels is source.pixels:
            canvas = allocate(result.pixels.shape, result.pixels.dtype, workspace)
            np.copyto(canvas, result.pixels)
            result = replace(result, pixels=canvas)
        for first in range(0, len(wanted), self._batch):  # the larger ones later: they stand in front
            done += self._restore(wanted[first : first + self._batch], source, result)
        for face in done:
            log.info("%s %s.", face, _describe(face))
        log.info("faces: %d found, %d restored.", len(done), sum(face.left_alone is None for face in done))
        return replace(result, faces=tuple(done))

    def _judge(self, face: Face, source: Picture, window: Window) -> _Place:
        """Finds out where a face lies, and whether it is restored; the face says why it is left alone if it is."""
        matrix, misfit = faces.align(face.landmarks)
        reason = faces.reason_to_leave(face, matrix, misfit, source.colour, source.quality, self._options)
        return _Place(replace(face, left_alone=reason), matrix, faces.from_result(matrix, source.size, window))

    def _restore(self, wanted: list[_Place], source: Picture, result: Picture) -> Iterator[Face]:
        """Restores a batch of faces and puts them into the result."""
        squares = [_cut(source.colour, place.matrix) for place in wanted]
        restored = self._compute([place.face for place in wanted], squares)
        for place, before, after in zip(wanted, squares, restored, strict=True):
            face, strength, colour = place.face, self._options.strength, result.colour
            if isinstance(after, str):
                notices.warn("%s: %s is left as it was: %s.", source.name, face, after)
                yield replace(face, left_alone=after)
                continue
            square = faces.keep_tone(after, before)
            if (before == before[:, :, :1]).all():  # a grey face gets no tint
                square = np.repeat(square.mean(axis=2, keepdims=True), 3, axis=2)
            faces.paste(colour, square[:, :, : colour.shape[2]], place.back, strength)
            difference = strength * faces.measure_difference(square, before, place.matrix)
            yield replace(face, difference=difference, shift=self._shift(before, square))

    def _compute(self, wanted: list[Face], squares: list[FloatArray]) -> list[FloatArray | str]:
        """Computes faces together, or else one by one; returns in place of one that cannot be restored the reason."""
        regions = tuple(Region(round(face.x), round(face.y), SIDE, SIDE) for face in wanted)
        problem = ""
        try:
            tiles = list(run_checked(self._engine, [Batch(regions, np.stack(squares))]))
            pairs = zip(squares, (HOST.bring(tile.pixels) for tile in tiles), strict=True)
            return [after if self._is_face(before, after) else "no face came out" for before, after in pairs]
        except DeviceLost:
            raise
        except EngineError as error:
            problem = str(error).rstrip(".")
        if len(wanted) == 1:
            return [problem]
        return [one for face, square in zip(wanted, squares, strict=True) for one in self._compute([face], [square])]

    def _is_face(self, before: FloatArray, after: FloatArray) -> bool:
        """Returns whether the detector sees the face that was restored, if it saw it in its square before."""
        return bool(self._detector.locate(after)) or not self._detector.locate(before)

    def _shift(self, before: FloatArray, after: FloatArray) -> float | None:
        one, other = self._detector.locate(before), self._detector.locate(after)
        return faces.measure_shift(one[0][0], other[0][0]) if one and other else None


def find_restorer(name: str) -> Model:
    """Finds a network for faces: of the catalog, or in a file or at a URL. Raises PlanError for any other model."""
    try:
        model = catalog.find(name)
    except ModelError as error:
        raise PlanError(str(error).removeprefix(f"{name}: "), argument="face_model", value=name) from error
    if model.kind == "face" or (model.kind == "network" and not model.architecture):
        return model
    raise PlanError("this model does not restore faces. Use gfpgan-1.4.", argument="face_model", value=name)


def find_detector(name: str) -> Model:
    """Finds a detector of faces: of the catalog, or an .onnx file. Raises PlanError for any other model."""
    path = Path(name)
    if path.suffix.lower() == ".onnx":
        if path.is_file():
            return Model(path.stem, "detector", file=path)
        raise PlanError("no such file.", argument="face_detector", value=name)
    try:
        model = catalog.find(name)
    except ModelError as error:
        raise PlanError(str(error).removeprefix(f"{name}: "), argument="face_detector", value=name) from error
    if model.kind != "detector":
        raise PlanError("this model does not find faces. Use yunet.", argument="face_detector", value=name)
    return model


def _cut(colour: PixelArray, matrix: Affine) -> FloatArray:
    """Cuts out a face: (SIDE, SIDE, 3), 0..1, also from a grey picture."""
    square = faces.cut(colour, matrix)
    return np.repeat(square, 3, axis=2) if square.shape[2] == 1 else square


def _describe(face: Face) -> str:
    if face.left_alone is not None:
        return f"is left alone: {face.left_alone}"
    moved = "" if face.shift is None else f", its landmarks by {face.shift:.0f} % of the distance between the eyes"
    return f"is restored: it differs from its source by {face.difference:.2f} of 255 levels{moved}"
