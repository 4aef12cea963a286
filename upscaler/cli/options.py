"""The options of all commands, in groups that translate them into arguments of the library.

A command takes the groups that it needs (see `groups.expand_groups`). Methods raise PlanError for invalid values. The
table is over 300 lines long, since options are found and compared more easily in one place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, PlanError
from .console import download_bar, is_terminal, set_up_logging
from .groups import Group, flag, option

if TYPE_CHECKING:
    from ..catalog import Model
    from ..codecs import EncodeOptions
    from ..comparison import Column
    from ..diffusion.options import Diffusion
    from ..jobs.outcome import SelectionRules
    from ..jobs.workers.messages import WorkerOptions
    from ..pipeline import Pipeline, Reading
    from ..target import Target
    from ..text2image.text_to_image import TextToImage
    from ..tiling import Crop


DEFAULT_MODEL = "photo"
"""The model that enlarges where none is named."""


FACE_FIELDS = {
    "face_model": "model",
    "face_strength": "strength",
    "faces_only_below": "only_below",
    "face_detector": "detector",
}
"""Options about faces, and the fields of `FaceOptions` that they set."""


def complete_models(is_wanted: Callable[[str], bool]) -> Callable[[str], list[tuple[str, str]]]:
    """Returns a completion of names of models with their purposes; `is_wanted` selects kinds. It loads no torch."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        from .. import catalog

        try:
            wanted = [model for model in catalog.models() if is_wanted(model.kind)]
        except ModelError:  # the user's own catalog is broken; a shell has no place to say so
            return []
        return [(model.name, model.purpose) for model in wanted if model.name.startswith(incomplete)]

    return complete


@dataclass(frozen=True)
class SizeOptions(Group, panel="Size"):
    scale: float | None = option(
        "TIMES",
        "Make it this many times as large, such as 2, 2.5 or 8. Default: the model's own scale, mostly 4.",
        "-s",
    )
    width: int | None = option("PIXELS", "Make it this wide; the height follows.")
    height: int | None = option("PIXELS", "Make it this high; the width follows.")
    long_edge: int | None = option("PIXELS", "Make the longer side this long.")
    megapixels: float | None = option("N", "Make it have this many million pixels.")
    fit: str | None = option("WxH", "Make it as large as fits into 3840x2160, or into hd, fullhd, 2k, 4k, 5k or 8k.")
    at_least: str | None = option(
        "WxH", "Make it just large enough to cover 3840x2160, or 4k …; a picture that is larger stays as it is."
    )
    print: str | None = option(
        "PAPER",
        "Make it as large as fits onto this paper, upright or across as the picture is: 60x90cm, 24x36in, a0 to a6, "
        "letter. Default: for 300 dots an inch; 60x90cm@200 is for 200.",
    )

    def target(self) -> Target:
        from ..target import Target, parse_paper, parse_size

        values = self.arguments()
        for name, parse in {"fit": parse_size, "at_least": parse_size, "print": parse_paper}.items():
            if name in values:
                values[name] = parse(values[name])
        return Target(**values)


@dataclass(frozen=True)
class PartOptions(Group, panel="Size"):
    crop: str | None = option(
        "X,Y,WxH",
        "Make only this part, in pixels or per cent of the source: 100,50,640x480, or 25%,25%,50%x50%. It is what it "
        "would be in the whole result, whose size the options above say.",
    )

    seamless: bool = flag("Take the picture for a texture, repeated on all sides, so that the result repeats as well.")

    def choose_part(self, target: Target) -> Target:
        """Returns the target of the part that was asked for."""
        from ..tiling import Crop

        return target if self.crop is None else replace(target, crop=Crop.parse(self.crop))


@dataclass(frozen=True)
class GeneratedSizeOptions(SizeOptions):
    no_upscale: bool = flag("Leave pictures as large as they are generated.")

    def arguments(self) -> dict[str, Any]:
        arguments = super().arguments()
        if arguments.pop("no_upscale", False) and arguments:
            raise PlanError(
                "--no-upscale and a size to enlarge to: pictures stay as they are generated. Leave out one of them."
            )
        return arguments


@dataclass(frozen=True)
class ComparedPartsOptions(Group, panel="Size"):
    scale: float | None = option(
        "TIMES", "Enlarge by this in every column. Default: the largest scale that a model has of itself.", "-s"
    )
    crop: list[str] | None = option(
        "X,Y,WxH",
        "Compare on this part, in pixels or per cent of the source: 100,50,128x128. May be given several times. "
        "Default: the most detailed one.",
    )
    crops: int = option("N", "Compare on this many of the most detailed parts, in different places.", min=1, default=1)

    def parts(self) -> tuple[Crop, ...]:
        """Returns the parts that were named."""
        from ..tiling import Crop

        if self.crop is not None and self.crops != 1:
            raise PlanError("--crop names the parts, and --crops has them found. Leave out one of them.")
        return tuple(map(Crop.parse, self.crop or ()))


@dataclass(frozen=True)
class SheetOptions(Group, panel="Output"):
    output: str | None = option(
        "FILE", "Write the sheet to this PNG, JPEG or WebP. Default: beside the source, as photo_compare.png.", "-o"
    )
    html: Path | None = option(
        "FILE", "Write a page with a slider between columns, in place of the sheet unless --output names one."
    )
    open: bool = flag("Show what was written in the system's viewer.")

    def sheet(self, picture: str) -> Path | None:
        """Returns the path of the sheet, or None if only a page is written."""
        if self.output is None and self.html is not None:
            return None
        return Path(self.output) if self.output else Path(f"{os.path.splitext(picture)[0]}_compare.png")


@dataclass(frozen=True)
class EncodingOptions(Group, panel="Output"):
    overwrite: bool = flag("Replace outputs that exist.")
    quality: int | None = option("N", "Set the quality of JPEG (default 95), WebP (90) or AVIF (80).", min=1, max=100)
    lossless: bool = flag("Write WebP and AVIF without any loss.")
    compression: int | None = option(
        "N", "Compress PNG (default 3) or TIFF (6) this much: 0 is fast, 9 is small.", min=0, max=9
    )
    max_size: str | None = option(
        "SIZE", "Write JPEG, WebP or AVIF in the best quality with which the file is no larger than this: 5MB, 800KB."
    )
    strip: bool = flag("Leave out EXIF, XMP, IPTC and what made a generated picture; the colour profile stays.")

    def arguments(self) -> dict[str, Any]:
        from ..target import parse_file_size

        arguments = super().arguments()
        if self.max_size is not None:
            arguments["max_size"] = parse_file_size(self.max_size)
        return arguments

    def encode_options(self) -> EncodeOptions:
        from ..codecs import EncodeOptions

        return EncodeOptions(**self.arguments())


@dataclass(frozen=True)
class FormatOptions(EncodingOptions):
    format: str | None = option(
        "NAME", "Write jpg, png, webp, tif, avif … Default: what --output says, the source's own, or png.", "-f"
    )

    def arguments(self) -> dict[str, Any]:
        from ..codecs import by_name, choices

        arguments = super().arguments()
        if self.format is not None:
            known = choices(bool(arguments.get("all_frames")))
            format = arguments["format"] = by_name(self.format.lstrip("."))
            if format not in known:
                names = ", ".join(each.suffixes[0][1:] for each in known)
                raise PlanError(f"--format {self.format}: this format cannot be written. Choose one of {names}.")
        return arguments


@dataclass(frozen=True)
class FrameOptions(FormatOptions):
    all_frames: bool = flag("Make every frame of an animation and every page of a TIFF, not the first alone.")


@dataclass(frozen=True)
class OutputOptions(Group, panel="Output"):
    output: str | None = option(
        "PATH",
        "Write to this file; or into this folder, in which an input folder is mirrored; or to -, which is "
        "standard output. Default: beside the source, as photo_4x.jpg.",
        "-o",
    )
    name: str | None = option(
        "TEMPLATE", "Name results by a template of {stem}, {suffix}, {scale}, {format} and {parent}."
    )


@dataclass(frozen=True)
class GeneratedOutputOptions(Group, panel="Output"):
    output: str | None = option(
        "PATH", "Write to this file, or into this folder. Default: the current folder, as a-red-circle_17.png.", "-o"
    )
    name: str | None = option("TEMPLATE", "Name pictures by a template of {slug}, {seed}, {number} and {suffix}.")
    grid: bool = flag("Write also a contact sheet of all, called grid.")
    keep_original: bool = flag("Write also what is generated, as NAME_original.")


@dataclass(frozen=True)
class ModelOptions(Group, panel="Model"):
    model: list[str] | None = option(
        "NAME",
        "Enlarge with this model: a name (see upscaler models list), a network's file, its URL, or a repository of "
        "the hub. Default: photo. Given several times, one works on what the one before it made.",
        "-m",
        autocompletion=complete_models(lambda kind: kind not in ("control", "face", "detector")),
    )
    blend: float | None = option(
        "0..1", "Let the model have this share of the result, and a plain filter the rest.", default=1.0
    )
    fidelity: float | None = option(
        "0..1",
        "Hold the result to its source: 0 not at all, 1 in everything the source shows. Default: 0.5, which keeps"
        " the colours.",
    )
    denoise: str | None = option(
        "auto|0..1",
        "Take out noise, grain and compression before enlarging: this share of them, or auto, as much as is there. "
        "Default: the model's own, mostly 0.",
    )
    shrink: str | None = option(
        "PERCENT|auto",
        "Shrink the source to this share of its width and height first, such as 50%; or auto, to the size at which it "
        "still holds its detail. For pictures that were enlarged before, or are blurred.",
    )
    backend: str | None = option(
        "NAME", "Compute networks by torch or by ncnn. Default: auto, the faster one of those that can."
    )
    faces: bool = flag("Restore the faces that are small or damaged; so does each of the next four options.")
    face_model: str | None = option(
        "NAME",
        "Restore faces with this network: a name, a file, or a URL. Default: gfpgan-1.4.",
        autocompletion=complete_models(lambda kind: kind == "face"),
    )
    face_strength: float | None = option(
        "0..1", "Let the restored face have this share of the result, and the enlarged one the rest. Default: 1."
    )
    faces_only_below: int | None = option(
        "PIXELS", "Leave faces alone whose longer side has this many pixels in the source, or more. Default: 256."
    )
    face_detector: str | None = option(
        "NAME",
        "Find faces with this network: yunet, centerface, or an .onnx file of either. Default: yunet.",
        autocompletion=complete_models(lambda kind: kind == "detector"),
    )

    def arguments(self) -> dict[str, Any]:
        """Returns the options that were given, those about faces as a dictionary of fields of `FaceOptions`."""
        arguments = super().arguments()
        given = {field: arguments.pop(name) for name, field in FACE_FIELDS.items() if name in arguments}
        return {**arguments, "faces": given} if arguments.pop("faces", False) or given else arguments

    def upscaler(
        self, hardware: HardwareOptions, fetching: FetchOptions, diffusion: Diffusion | None, **defaults: Any
    ) -> Pipeline:
        """Returns the pipeline; fetches and loads nothing yet. `defaults`: values for options that were not given."""
        from ..catalog import find, settle
        from ..diffusion.options import Diffusion
        from ..faces import FaceOptions
        from ..pipeline import Pipeline, PipelineOptions

        settings = {**defaults, **self.arguments(), **hardware.arguments()}
        named = settings.pop("model", DEFAULT_MODEL)
        *before, name = [named] if isinstance(named, str) else named
        if before:
            settings["before"] = tuple(before)
        found = []
        for other in (*before, name):
            with _blame("model", other):
                found.append(find(other))
        model = [settle(each, offline=fetching.offline or None) for each in found][-1]
        if "faces" in settings:
            settings["faces"] = replace(defaults.get("faces") or FaceOptions(), **self.arguments().get("faces", {}))
        if self.denoise is not None and self.denoise != "auto":
            settings["denoise"] = _share("denoise", self.denoise)
        if self.shrink is not None and self.shrink != "auto":
            settings["shrink"] = _share("shrink", self.shrink)
        if fetching.allow_pickle and model.facts.takes_diffusion:  # no other model has to be told
            diffusion = replace(diffusion or Diffusion(), allow_pickle=True)
        with _blame("model", name):
            return Pipeline(model, PipelineOptions(**settings, workspace=hardware.workspace, diffusion=diffusion))


@dataclass(frozen=True)
class ColumnOptions(Group, panel="Model"):
    model: list[str] | None = option(
        "NAME",
        "Compare this model: a name, a network's file, or its URL. May be given several times. Default: the embedded "
        "networks, and those that were fetched.",
        "-m",
        autocompletion=complete_models(lambda kind: kind not in ("control", "generator")),
    )
    denoise: list[str] | None = option(
        "auto|0..1",
        "Take out this share of noise, grain and compression first. Several values are columns of their own.",
    )
    fidelity: list[float] | None = option(
        "0..1", "Hold results to the source, 0 not at all, 1 in everything. Several values are columns of their own."
    )
    blend: list[float] | None = option(
        "0..1", "Let models have this share of their results. Several values are columns of their own."
    )

    def columns(self, hardware: HardwareOptions, fetching: FetchOptions) -> list[Column]:
        """Returns the columns; fetches and loads nothing yet."""
        from .. import comparison
        from ..catalog import find, settle
        from ..diffusion.options import Diffusion
        from ..pipeline import PipelineOptions

        values = {
            "denoise": [text if text == "auto" else _share("denoise", text) for text in self.denoise or ()],
            "fidelity": self.fidelity or (),
            "blend": self.blend or (),
        }
        diffusion = Diffusion(allow_pickle=True) if fetching.allow_pickle else None
        fixed = PipelineOptions(workspace=hardware.workspace, diffusion=diffusion, **hardware.arguments())
        models = []
        for name in self.model or comparison.default_models():
            with _blame("model", name):
                models.append(settle(find(name), offline=fetching.offline or None))
        return comparison.find_columns(models, fixed, values)


@dataclass(frozen=True)
class GeneratorOptions(Group, panel="Model"):
    generator: str | None = option(
        "NAME",
        "Generate with this model: a name (see upscaler models list), a folder, a .safetensors file, or a "
        "repository of the hub. Default: the best that this machine can run.",
        "-g",
        autocompletion=complete_models(lambda kind: kind == "generator"),
    )
    no_safety_checker: bool = flag("Do without the safety checker that comes with some generators.")

    def text_to_image(self, hardware: HardwareOptions, fetching: FetchOptions, **defaults: Any) -> TextToImage:
        """Returns the generator; fetches and loads nothing yet. `defaults`: values for options that were not given."""
        from ..text2image.text_to_image import TextToImage

        before = defaults.pop("model", None)
        name = self.generator or before
        settings = {**defaults, **hardware.arguments(), "safety_checker": not self.no_safety_checker}
        with _blame("generator", name):
            return TextToImage(name, **settings, allow_pickle=fetching.allow_pickle, offline=fetching.offline or None)


@dataclass(frozen=True)
class FetchOptions(Group, panel="Model"):
    allow_pickle: bool = flag("Load diffusion models that are not safetensors, which can run programs.")
    offline: bool = flag("Fetch no model, whatever happens.")

    def download(self, models: Iterable[Model], shows_bars: bool) -> None:
        """Fetches the files that are not on this machine. Raises ModelError."""
        from .. import catalog

        for model in models:
            if model.facts.loader is not None:
                with download_bar(model.name, shows_bars) as progress:
                    catalog.fetch_model(model, progress, offline=self.offline or None, allow_pickle=self.allow_pickle)


@dataclass(frozen=True)
class RefiningOptions(Group, panel="Diffusion"):
    creativity: float | None = option(
        "0..1", "Let a diffusion model draw this much anew as it enlarges. Default: 0.25."
    )
    control: str | None = option(
        "NAME",
        "Hold the result of refine, or of a generator, to its source with this ControlNet.",
        autocompletion=complete_models(lambda kind: kind == "control"),
    )

    def diffusion(self, base: Diffusion | None = None) -> Diffusion | None:
        """Returns `base`, or the defaults, with the fields that were given; `base` if none was."""
        from ..diffusion.options import Diffusion

        changes = self.arguments()
        return replace(base or Diffusion(), **changes) if changes else base


@dataclass(frozen=True)
class DiffusionOptions(RefiningOptions):
    prompt: str | None = option("TEXT", "Tell a diffusion model what is in the picture. Default: nothing.")
    negative: str | None = option("TEXT", "Tell a diffusion model what must not be in the result.")
    steps: int | None = option("N", "Take this many steps from noise to picture. Default: the model's own number.")
    guidance: float | None = option("N", "Make the text count this much. Default: the model's own number.")
    seed: int | None = option("N", "Choose the noise that a diffusion model begins with. Default: 0.")
    compile: bool = flag("Compile the diffusion model first: minutes, worth it for many windows.")


@dataclass(frozen=True)
class UpscaleDiffusionOptions(RefiningOptions):
    upscale_prompt: str | None = option(
        "TEXT", "Describe the picture to the diffusion model that enlarges it. Default: nothing."
    )
    upscale_steps: int | None = option(
        "N", "Let the diffusion model that enlarges take this many steps.", min=1, max=1000
    )

    def arguments(self) -> dict[str, Any]:
        return {name.removeprefix("upscale_"): value for name, value in super().arguments().items()}


@dataclass(frozen=True)
class GenerationOptions(Group, panel="Prompt"):
    seed: int | None = option(
        "N",
        "Choose the noise: the same seed gives the same picture. Default: a random one; with --prompts 0, so that"
        " the same command goes on where it was interrupted; of a picture that is made again, its own.",
    )
    negative: str | None = option("TEXT", "Say what must not be in the picture.")
    style: str | None = option(
        "NAME",
        "Draw in a style such as watercolour, illustration, photograph, oil on canvas, ink drawing or pixel art.",
    )
    size: str | None = option(
        "WxH", "Generate it this large, before it is enlarged. Default: what the model is made for."
    )
    aspect: str | None = option("W:H", "Give the proportions in place of a size, such as 16:9 or 3:4.")
    steps: int | None = option("N", "Take this many steps from noise to picture. Default: the generator's number.")
    guidance: float | None = option("N", "Make the prompt count this much. Default: the generator's number.")
    image: str | None = option("PICTURE", "Begin with this picture in place of noise.", "--init-image")
    strength: float | None = option("0..1", "Draw this much of that picture anew: 1 is all of it. Default: 0.6.")
    lora: list[str] | None = option(
        "FILE[:WEIGHT]", "Change the generator's weights by this file. May be given several times."
    )

    def parameters(self) -> dict[str, Any]:
        """Returns the fields of `GenerationParameters` that were given."""
        from ..diffusion.options import Lora
        from ..target import parse_size

        parameters = super().arguments()
        if self.size is not None:
            parameters["size"] = parse_size(self.size)
        if "lora" in parameters:
            parameters["loras"] = tuple(map(Lora.parse, parameters.pop("lora")))
        return parameters


@dataclass(frozen=True)
class PromptOptions(Group, panel="Prompt"):
    file: Path | None = option(
        "FILE",
        "Take more prompts from a file: a text with one on each line, or .csv or .jsonl with a column for each "
        "option: prompt, negative, style, size, aspect, steps, guidance, seed, image, strength, lora.",
        "--prompts",
    )
    count: int = option("N", "Make this many pictures of each prompt, each with the next seed.", "-n", min=1, default=1)


@dataclass(frozen=True)
class HardwareOptions(Group, panel="Hardware"):
    device: str | None = option(
        "NAME", "Compute on cuda, cuda:1, rocm, xpu, mps, vulkan, vulkan:1 or cpu. Default: the best.", "-d"
    )
    precision: str | None = option(
        "NAME", "Compute in fp32, fp16 or bf16; auto takes the fastest that is safe.", default="auto"
    )
    memory: str | None = option(
        "SIZE",
        "Take at most this much memory for tiles, and for diffusion models themselves: 8GB, 800MB. Default: what "
        "is free.",
    )
    workspace: Path | None = option(
        "FOLDER",
        "Keep large pictures in this folder while they are computed. Default: the output's folder.",
        exists=True,
        file_okay=False,
        writable=True,
    )

    def arguments(self) -> dict[str, Any]:
        """Returns the options that were given, except the workspace, as arguments of a pipeline or a generator."""
        from ..target import parse_memory

        arguments = super().arguments()
        arguments.pop("workspace", None)
        if self.memory is not None:
            arguments["memory"] = parse_memory(self.memory)
        return arguments


@dataclass(frozen=True)
class TilingOptions(HardwareOptions):
    tile: int | None = option(
        "PIXELS", "Cut the source into tiles with sides of at most this length. Default: chosen.", min=1
    )
    overlap: int | None = option("PIXELS", "Let tiles share this much of the source. Default: the model's need.", min=0)
    batch: int | None = option("N", "Compute this many tiles together. Default: chosen.", min=1)


@dataclass(frozen=True)
class ParallelOptions(Group, panel="Hardware"):
    devices: str | None = option(
        "NAMES",
        "Compute on several devices at once, with a process for each: cuda:0,cuda:1, or all. A device that is named "
        "twice has two processes.",
    )
    cluster: str | None = option("ADDRESS", "Work on a Ray cluster: HOST:PORT, or local for one of this machine alone.")

    @property
    def option(self) -> str | None:
        """The option that was given, --devices or --cluster; None if neither was."""
        return "--devices" if self.devices is not None else "--cluster" if self.cluster is not None else None

    def worker_options(self, hardware: HardwareOptions) -> WorkerOptions | None:
        """Returns the workers that were asked for; None when this process does the work."""
        from ..jobs.workers.messages import WorkerOptions

        if self.option is None:
            return None
        names = map(str.strip, (self.devices or "").split(","))
        if hardware.device is not None:
            raise PlanError(
                f"--device {hardware.device}: this is one device, and {self.option} says who computes. "
                "Leave out one of them."
            )
        return WorkerOptions(tuple(filter(None, names)), self.cluster)


@dataclass(frozen=True)
class ReadingOptions(Group, panel="Input"):
    accept_damaged: bool = flag("Take what can be read of a broken file.")
    max_megapixels: int = option("N", "Refuse sources of more than this many million pixels.", min=1, default=512)
    untrusted: bool = flag("Read pictures of strangers: by safe decoders alone, in a process with limits.")

    def reading(self, workspace: Path | None = None) -> Reading:
        pixels = self.max_megapixels * 10**6
        return {
            "accept_damaged": self.accept_damaged,
            "max_pixels": pixels,
            "workspace": workspace,
            "untrusted": self.untrusted,
        }


@dataclass(frozen=True)
class JobOptions(Group, panel="Folders"):
    force: bool = flag("Make again what an earlier run into the same folder has made.")
    report: Path | None = option("FILE", "Write a row for every picture into a .json or .csv file.")
    watch = False  # an option of the group below


@dataclass(frozen=True)
class FolderOptions(JobOptions):
    include: list[str] | None = option("PATTERN", "Take only files like this from folders: *.tif, raw/*.")
    exclude: list[str] | None = option("PATTERN", "Leave out files and folders like this in folders.")
    skip_larger_than: str | None = option("WxH", "Leave out sources that are wider or higher than this.")
    skip_at_least: str | None = option("WxH", "Leave out sources that are at least this wide and this high.")
    retry_failed: bool = flag("Try the pictures again that an earlier run could not make.")
    watch: bool = flag("Go on with what arrives in the folders, until interrupted.")

    def selection_rules(self) -> SelectionRules:
        from ..jobs.outcome import SelectionRules
        from ..target import parse_size

        sizes = [None if text is None else parse_size(text) for text in (self.skip_larger_than, self.skip_at_least)]
        return SelectionRules(self.force, self.retry_failed, *sizes)


@dataclass(frozen=True)
class VerboseOptions(Group, panel="Messages"):
    verbose: bool = flag("Say everything that is done.", "-v")
    quiet = progress = dry_run = False  # options of the groups below

    def set_up(self) -> None:
        """Sets up messages as they were asked for. Raises PlanError for options that are opposites."""
        set_up_logging(self.quiet, self.verbose)
        if self.quiet and (self.verbose or self.progress):
            loud = "--verbose" if self.verbose else "--progress"
            raise PlanError(f"--quiet and {loud} are opposites. Choose one of them.")

    @property
    def shows_bars(self) -> bool:
        return not self.quiet and (self.progress or is_terminal(sys.stderr))


@dataclass(frozen=True)
class MessageOptions(VerboseOptions):
    quiet: bool = flag("Say nothing but errors.", "-q")
    progress: bool = flag("Show progress bars, on a terminal or not.")


@dataclass(frozen=True)
class DryRunOptions(MessageOptions):
    dry_run: bool = flag("Only say what would be done: sizes, model, device, tiles and memory.")


@contextmanager
def _blame(argument: str, name: str | None) -> Iterator[None]:
    """Turns a ModelError into a PlanError about the argument that names the model, if one was named."""
    try:
        yield
    except ModelError as error:
        if name is None:
            raise
        raise PlanError(str(error).removeprefix(f"{name}: "), argument=argument, value=name) from error


def _share(argument: str, text: str) -> float:
    """Reads "0.5" or "50%". Raises PlanError."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise PlanError("this is not a number between 0 and 1, nor auto.", argument=argument, value=text) from error
