"""Makes pictures from prompts and enlarges them, and reads the models and settings out of the recipe in a picture.

`prompts` decides which pictures are made, and how they are named.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import codecs, recipe
from ..catalog import Model
from ..codecs import DEFAULT_OPTIONS, EncodeOptions
from ..diffusion.options import Diffusion
from ..errors import DeviceLost, ModelError, OutputError, PlanError
from ..faces import FaceOptions
from ..files import sha256
from ..inputs.discover import Job
from ..pipeline import Pipeline
from ..recipe import Recipe
from ..target import Paper, Target
from ..text2image.parameters import GenerationParameters
from ..text2image.text_to_image import TextToImage
from ..tiling import Crop, Size
from .batch import run_stages
from .contact_sheet import make_sheet
from .manifest import Manifest
from .outcome import Outcome, SelectionRules
from .stages import ProgressFactory, Stages, prepare
from .task import Task
from .tracker import JobTracker
from .workers.messages import WorkerOptions

if TYPE_CHECKING:
    from typing_extensions import Self

WAITING = 512 * 2**20
"""Bytes of generated pictures that wait, at most; then the upscaler replaces the generator in memory."""

SWAP_MODELS_AFTER = 600.0
"""Seconds of generating after which it is replaced at the latest, which limits what a killed run loses."""


@dataclass(frozen=True, slots=True)
class GenerateJob:
    """The models that make pictures from prompts, one of them in memory at a time, and the size that is asked for."""

    generator: TextToImage
    upscaler: Pipeline | None
    """None: pictures stay as they are generated."""
    target: Target
    keeps_original: bool = False
    """Whether what is generated is also written, as NAME_original."""

    def settings(self) -> dict[str, Any]:
        """Returns everything that is asked of both models, as JSON can hold it. Fetches their files, loads neither."""
        enlarging = None
        if self.upscaler is not None:
            model = recipe.reference(self.upscaler.model)
            enlarging = {**self.upscaler.settings, "model": model, "target": asdict(self.target)}
        return {"generator": self.generator.requested_settings, "upscaler": enlarging}

    def outputs(self, job: Job[Any]) -> tuple[Path, ...]:
        """Returns the paths of all files that a job writes, its output first."""
        return (job.output, original_of(job.output)) if self.keeps_original else (job.output,)


def run(
    request: GenerateJob,
    jobs: Sequence[Job[GenerationParameters]],
    *,
    folder: Path | None = None,
    grid: Path | None = None,
    options: EncodeOptions = DEFAULT_OPTIONS,
    force: bool = False,
    workers: WorkerOptions | None = None,
    progress: ProgressFactory | None = None,
    workspace: Path | None = None,
) -> Generator[Outcome]:
    """Generates pictures until WAITING is reached, enlarges these, and so on. Yields an outcome for each picture;
    finished ones are written meanwhile.

    With `folder`, the output folder, a manifest is kept there: what an earlier run has made with the same settings is
    not made again, unless `force`. `grid` is where a contact sheet of all is written in the end, with `options`. With
    `workers`, others do the work, each with both models, and there is no progress within pictures.

    Raises as `batch.run`; but of several pictures only one fails by a PlanError, or by a ModelError if it has LoRAs.
    """
    with ExitStack() as stack:
        manifest = None if folder is None else stack.enter_context(closing(Manifest(folder)))
        settings = request.settings()
        tracker = JobTracker(
            manifest,
            lambda job: {"parameters": job.source.asdict(), "files": hash_files(job.source), **settings},
            SelectionRules(force=force),
            request.outputs,
        )
        if grid is not None:
            tracker.check(grid, options)
        stages = GenerateStages(
            pipeline=request.upscaler,
            target=request.target,
            parts=None if manifest is None else manifest.parts,
            workspace=workspace,
            progress=progress,
            generator=request.generator,
            upscaler_settings=settings["upscaler"],
            keeps_original=request.keeps_original,
            has_one_picture=len(jobs) == 1,
        )
        made = set()
        with closing(run_stages(stages, tracker, jobs, workers)) as outcomes:
            for outcome in outcomes:
                if outcome.error is None:
                    made.add(outcome.output)
                yield outcome
        if grid is not None and made:
            picture = make_sheet([job.output for job in jobs if job.output in made])
            task = stages.guard(stages.write, Task(Job("contact sheet", grid, options), picture=picture))
            if error := tracker.finish(task).error:
                raise OutputError(error)


@dataclass(frozen=True, kw_only=True)
class GenerateStages(Stages):
    """The stages of a job whose sources are prompts: pictures are generated where others are read.

    The stage that computes does both, so that the generator leaves memory before the upscaler enters it, and back.
    """

    generator: TextToImage
    upscaler_settings: Mapping[str, Any] | None
    keeps_original: bool
    has_one_picture: bool
    _waiting: list[Task] = field(default_factory=list, init=False)
    """Tasks whose pictures are generated and not yet enlarged."""

    def compute(self, tasks: list[Task]) -> Iterator[Task]:
        for task in tasks:
            generated = self.guard(self._generate, task)
            if generated.is_over or self.pipeline is None:
                yield generated
            else:
                self._waiting.append(generated)
        size = sum(task.picture.pixels.nbytes for task in self._waiting if task.picture is not None)
        if size >= WAITING or sum(task.seconds for task in self._waiting) >= SWAP_MODELS_AFTER:
            yield from self.flush()

    def flush(self) -> Iterator[Task]:
        """Enlarges the pictures that wait. Frees the generator before that, and the upscaler afterwards."""
        if not self._waiting:
            return
        assert self.pipeline is not None
        self.generator.close()
        while self._waiting:
            yield self.guard(self._enlarge, self._waiting.pop(0))
        self.pipeline.close()

    def on(self, device: str | None, model: Model | None = None) -> Self:
        return replace(super().on(device, model), generator=self.generator.on(device))

    def is_fatal(self, problem: Exception, task: Task) -> bool:
        """Returns whether an error ends the job. Of several pictures, one may have a LoRA that the model cannot use."""
        if self.has_one_picture or isinstance(problem, DeviceLost):
            return super().is_fatal(problem, task)
        return isinstance(problem, ModelError) and not task.job.source.loras

    def _generate(self, task: Task) -> Task:
        job = task.job
        parameters = self.generator.complete(job.source)
        assert parameters.size is not None
        size = parameters.size
        if self.pipeline is not None:  # an impossible size is reported before anything is drawn
            size = self.target.size(size, self.pipeline.scale or 1)
        codecs.check(job.output, self.encode_options(job.options), size)
        picture = self.generator(parameters, progress=self.progress_of(task))
        made = recipe_of(self.generator, parameters, picture.size)
        parts = task.parts
        if self.keeps_original:
            parts += self.save(recipe.embed(picture, made), original_of(job.output), job.options)
        return replace(task, picture=picture, recipe=made, parts=parts)

    def _enlarge(self, task: Task) -> Task:
        assert self.pipeline is not None
        assert task.picture is not None
        assert task.recipe is not None
        estimate = prepare(self.pipeline, task.picture, self.target)
        codecs.check(task.job.output, self.encode_options(task.job.options), estimate.result)
        settings = {**(self.upscaler_settings or {}), "denoised": estimate.denoise}
        made = replace(task.recipe, upscaler=settings, size=estimate.result)
        return self.enlarge(replace(task, estimate=estimate, recipe=made))


def original_of(output: Path) -> Path:
    """Returns the path for the picture as it was generated, before it was enlarged: NAME_original."""
    return output.with_stem(f"{output.stem}_original")


def recipe_of(generator: TextToImage, parameters: GenerationParameters, size: Size) -> Recipe:
    """Returns the recipe of a picture that has just been generated. `parameters` must be complete."""
    return Recipe(
        parameters=parameters.asdict(),
        prompt=parameters.text,
        negative=parameters.negative_text,
        generator=generator.settings,
        files=hash_files(parameters),
        generated=size,
        upscaler=None,
        size=size,
        versions=recipe.versions(),
    )


def hash_files(parameters: GenerationParameters) -> dict[str, str]:
    """Returns the SHA-256 of each file that the parameters name. Leaves out missing files: using them will fail.

    Raises OSError for a file that cannot be read.
    """
    names = [lora.file for lora in parameters.loras]
    if isinstance(parameters.image, str | Path):
        names.append(str(parameters.image))
    return {name: sha256(Path(name)) for name in names if Path(name).is_file()}


def upscaler_options(made: Recipe, model: str | Sequence[str] | None = None) -> dict[str, Any]:
    """Returns the model and the fields of `PipelineOptions` that a recipe names; with another `model`, only those that
    suit any model; nothing if the picture was not enlarged. Raises PlanError.

    Never allows pickles, since a picture may come from anybody.
    """
    if made.upscaler is None:
        return {}
    own = ("model", "before", "shrink", "seamless", "backend", "blend", "denoise", "tile", "overlap", "memory")
    names = ("precision", "fidelity", *(own if model is None else ()))
    options = {name: made.upscaler[name] for name in names if name in made.upscaler}
    diffusion = made.upscaler.get("diffusion")
    if diffusion is not None and model is None:
        try:
            options["diffusion"] = Diffusion(**{**diffusion, "allow_pickle": False})
        except TypeError as error:
            raise _unreadable(error) from error
    if (faces := made.upscaler.get("faces")) is not None:
        try:
            options["faces"] = FaceOptions(**faces)
        except TypeError as error:
            raise _unreadable(error) from error
    return options


def target_of(made: Recipe) -> Target:
    """Returns the size that a recipe asks for. Raises PlanError when it cannot be read."""
    asked: Any = {} if made.upscaler is None else made.upscaler.get("target", {})
    kinds = {"fit": Size, "at_least": Size, "print": Paper, "crop": Crop}
    try:
        frames: dict[str, Any] = {name: kind(**asked[name]) for name, kind in kinds.items() if asked.get(name)}
        return Target(**{**asked, **frames})
    except (TypeError, AttributeError, PlanError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> PlanError:
    return PlanError(
        f"the recipe's settings of the upscaler cannot be read ({error}). Say with `model` and `scale` what you want."
    )
