"""Prompts to pictures, generated and enlarged: one that cannot be made is one reported failure, the others are made.

Which pictures, and what they are called, is `wishes`'s; what was done by an earlier run, `manifest`'s.
"""

from __future__ import annotations

import json
import time
from collections import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .. import codecs, recipe
from ..codecs import DEFAULT_OPTIONS, EncodeOptions
from ..errors import ModelError, PlanError
from ..inputs.discover import folder_for
from ..picture import Picture
from ..pipeline import Estimate
from ..progress import ProgressCallback
from ..recipe import Recipe
from ..tiling import Size
from .chain import GenerateJob, Settings, files
from .contact_sheet import sheet
from .failure import sentence
from .manifest import Manifest, Row, stamp
from .outcome import Outcome
from .prompts import Order
from .stages import prepare

Progress = Callable[[str, int, int], None]
"""Called as steps, and then tiles, are done: the picture's name, how many, of how many in all."""

WAITING = 512 * 2**20
"""Bytes of generated pictures that wait to be enlarged, at most: then the models change places."""

SWAP_MODELS_AFTER = 600.0
"""Seconds of generating after which they do so, too: more is not lost when a run is killed."""

ANY = Size(1, 1)
"""Fits into every format."""


@dataclass(frozen=True, slots=True)
class _Work:
    """One picture on its way."""

    order: Order
    row: Row
    """What the manifest shall hold of it."""
    seconds: float = 0.0
    picture: Picture | None = None
    """As it was generated, then as it is enlarged."""
    recipe: Recipe | None = None
    estimate: Estimate | None = None
    outcome: Outcome | None = None


def run(
    chain: GenerateJob,
    orders: Sequence[Order],
    *,
    folder: Path | None = None,
    grid: Path | None = None,
    options: EncodeOptions = DEFAULT_OPTIONS,
    force: bool = False,
    progress: Progress | None = None,
    workspace: Path | None = None,
) -> abc.Generator[Outcome]:
    """Makes the pictures: they are generated, as many as may wait, then enlarged, and so on. The source of an outcome
    is the prompt.

    With `folder`, the output folder, a manifest is kept there: what an earlier run has made with the same settings is
    not made again, unless `force`. `grid` is where a contact sheet of all is written in the end, with
    `options`.

    Failures are outcomes, not exceptions. Raises ModelError all the same, unless a LoRA may be at fault, since the rest
    would fail the same way; PlanError if there is but one picture, which cannot be made as it is wished; and
    OutputError when the disk is full, or the manifest cannot be kept.
    """
    manifest = None if folder is None else Manifest(folder)
    try:
        maker = _Maker(chain, chain.settings(), manifest, force, progress, workspace, len(orders) == 1)
        if grid is not None:
            maker.check(grid, options, ANY)
        made = []
        for outcome in _in_turns(maker, orders):
            if outcome.error is None:
                made.append(outcome.output)
            yield outcome
        if grid is not None and made:
            maker.sheet(made, grid, options)
    finally:
        if manifest is not None:
            manifest.close()


def _in_turns(maker: _Maker, orders: Sequence[Order]) -> Iterator[Outcome]:
    """Generates until enough is waiting, and has that enlarged."""
    waiting: list[_Work] = []
    for order in orders:
        work = maker.generate(order)
        if work.outcome is not None:
            yield work.outcome
            continue
        waiting.append(work)
        bytes = sum(work.picture.pixels.nbytes for work in waiting if work.picture is not None)
        if bytes >= WAITING or sum(work.seconds for work in waiting) >= SWAP_MODELS_AFTER:
            yield from maker.enlarge(waiting)
    yield from maker.enlarge(waiting)


@dataclass(frozen=True, slots=True)
class _Maker:
    """The stages of one run. Each takes a work and gives it on further done, or with its outcome."""

    chain: GenerateJob
    settings: Settings
    manifest: Manifest | None
    force: bool
    progress: Progress | None
    workspace: Path | None
    is_alone: bool
    """Whether there is but one picture."""

    def generate(self, order: Order) -> _Work:
        """As far as it goes without the upscaler: to the end, if there is none."""
        work = self._guarded(self._generate, _Work(order, _row(str(order.job.source))))
        return work if self.chain.upscaler is not None else self._written(work)

    def enlarge(self, waiting: list[_Work]) -> Iterator[Outcome]:
        """Enlarges and writes those that wait; none does afterwards. Meanwhile the generator is not in memory."""
        if self.chain.upscaler is None or not waiting:
            return
        self.chain.generator.close()
        while waiting:
            work = self._written(self._guarded(self._enlarge, waiting.pop(0)))
            assert work.outcome is not None
            yield work.outcome
        self.chain.upscaler.close()

    def check(self, output: Path, options: EncodeOptions, size: Size) -> None:
        """Raises OutputError if a picture of that size could not be written there."""
        folder_for(output)
        codecs.check(output, self._replacing(output, options), size)

    def sheet(self, files: Sequence[Path], output: Path, options: EncodeOptions) -> None:
        """A contact sheet, in place of that of an earlier run. Raises PictureError, OutputError."""
        self._place(sheet(files), output, options, _row("contact sheet"))

    def _written(self, work: _Work) -> _Work:
        """With its outcome."""
        work = self._guarded(self._write, work)
        return work if work.outcome is not None else _done(work, None)

    def _generate(self, work: _Work) -> _Work:
        order = work.order
        outputs = [order.output, _original(order.output)] if self.chain.keeps_original else [order.output]
        work = replace(work, row=replace(work.row, settings=self._row_settings(order)))
        if not self.force and all(self._is_done(output, work.row) for output in outputs):
            return _before(work, self._row(order.output))
        for output in outputs:
            self.check(output, order.options, ANY)  # that it exists already is worth knowing before the model is loaded
        parameters = self.chain.generator.complete(order.parameters)
        assert parameters.size is not None
        size = self.chain.size(parameters.size)  # that it is impossible is worth knowing before it is drawn
        for output in outputs:
            self.check(output, order.options, size)
        picture = self.chain.generator(parameters, progress=self._reporting(order))
        made = self.chain.recipe_of(parameters, picture.size)
        if self.chain.keeps_original:
            self._place(recipe.written(picture, made), _original(order.output), order.options, work.row)
        return replace(work, picture=picture, recipe=made)

    def _enlarge(self, work: _Work) -> _Work:
        upscaler, picture, output = self.chain.upscaler, work.picture, work.order.output
        assert upscaler is not None
        assert picture is not None
        assert work.recipe is not None
        estimate = prepare(upscaler, picture, self.chain.target)
        codecs.check(output, self._replacing(output, work.order.options), estimate.result)
        workspace = self.workspace or folder_for(output)
        result = upscaler.run(picture, estimate=estimate, workspace=workspace, progress=self._reporting(work.order))
        made = replace(work.recipe, upscaler=self.settings.upscaler, size=result.size)
        return replace(work, picture=result, recipe=made, estimate=estimate)

    def _write(self, work: _Work) -> _Work:
        assert work.picture is not None
        assert work.recipe is not None
        row = replace(work.row, seconds=round(work.seconds, 3))
        self._place(recipe.written(work.picture, work.recipe), work.order.output, work.order.options, row)
        return work

    def _place(self, picture: Picture, output: Path, options: EncodeOptions, row: Row) -> None:
        """Writes a picture, in place of what an earlier run has made there."""
        options = self._replacing(output, options)
        if self.manifest is None:
            codecs.encode(picture, output, options)
            return
        part = codecs.encode_part(picture, output, options, self.manifest.parts)
        row = replace(row, width=picture.size.width, height=picture.size.height, replaced_sha256=self._own_hash(output))
        self.manifest.place(part, stamp(part), output, options.overwrite, row)

    def _row(self, output: Path) -> Row | None:
        return None if self.manifest is None else self.manifest.row(output)

    def _is_done(self, output: Path, wanted: Row) -> bool:
        row = self._row(output)
        if self.manifest is None or row is None or row.settings != wanted.settings:
            return False
        return self.manifest.is_done(row, output)

    def _own_hash(self, output: Path) -> str:
        row = self._row(output)
        return "" if self.manifest is None or row is None else self.manifest.own_hash(row, output)

    def _replacing(self, output: Path, options: EncodeOptions) -> EncodeOptions:
        """What an earlier run has made may be replaced."""
        return replace(options, overwrite=options.overwrite or bool(self._own_hash(output)))

    def _reporting(self, order: Order) -> ProgressCallback | None:
        progress, name = self.progress, order.output.name
        return None if progress is None else lambda done, total: progress(name, done, total or 0)

    def _row_settings(self, order: Order) -> str:
        writing = order.options.settings(order.output)
        asked = {"parameters": order.parameters.asdict(), "files": files(order.parameters)}
        return json.dumps({**asked, **asdict(self.settings), **writing}, sort_keys=True)

    def _guarded(self, stage: Callable[[_Work], _Work], work: _Work) -> _Work:
        """A stage, unless there is an outcome, its time added; what it raises for this picture alone is an outcome."""
        if work.outcome is not None:
            return work
        start, error = time.perf_counter(), None
        try:
            work = stage(work)
        except Exception as problem:
            is_shared = (
                isinstance(problem, ModelError) and not work.order.parameters.loras
            )  # which may not suit the model
            if is_shared or (self.is_alone and isinstance(problem, ModelError | PlanError)):
                raise
            error = sentence(problem, work.order.job)
        work = replace(work, seconds=work.seconds + time.perf_counter() - start)
        return work if error is None else _done(work, error)


def _row(source: str) -> Row:
    """For the manifest, of what has no file as its source."""
    return Row("", source, "", "placing", 0, 0, "")


def _original(output: Path) -> Path:
    return output.with_stem(f"{output.stem}_original")


def _done(work: _Work, error: str | None) -> _Work:
    job, made = work.order.job, work.picture if error is None else None
    size, lr_rmse = (None, None) if made is None else (made.size, made.lr_rmse)
    estimate = None if error else work.estimate
    outcome = Outcome(job.source, job.output, error, size, work.seconds, lr_rmse, estimate=estimate)
    return replace(work, picture=None, outcome=outcome)


def _before(work: _Work, row: Row | None) -> _Work:
    assert row is not None
    job, size = work.order.job, Size(row.width, row.height)
    return replace(work, outcome=Outcome(job.source, job.output, None, size, row.seconds, was_done=True))
