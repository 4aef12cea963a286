"""A recorder of what the command line makes: exit codes, texts, and every file that is written.

It is for changes of the program that shall change none of its results. Run it from the root of a checkout, once with
the program as it was before and once as it is after:

    python -m tests.commands record before.json
    python -m tests.commands compare before.json

The command lines are those of data/commands/all.txt and quick.txt. They are run on small pictures and tiny models that
are made for them in a temporary folder, each in a process of its own, with one thread and without a GPU or a network.

`compare` runs them again and exits with 1 if an exit code, the name of a file, a picture's pixels or a row of a report
is another one, or a single byte of a file that `upscale` has made. Bytes of generated pictures, which hold a recipe,
and all texts are compared as well, but their differences are only shown. A record is good for one machine and its
libraries: they are written in it, and `compare` says which of them are others.

    python -m tests.commands keep

makes the pictures in data/commands again, which cli/test_same_pixels.py compares with what the quick ones make.

The lists are written with the present names of options. A version from before they were renamed is recognised by its
help, and is given the names of its own.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import hashlib
import io
import json
import multiprocessing
import os
import platform
import re
import runpy
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent

DATA = ROOT / "tests" / "data" / "commands"

GENERATING = {"--blend": "--strength", "--strength": "--change", "--init-image": "--init"}

OLD_OPTIONS: dict[str, dict[str, str]] = {
    "upscale": {"--blend": "--strength"},
    "generate": GENERATING,
    "rerun": GENERATING,
}
"""For each command, the present names of options and the names that they had."""

OLD_COLUMNS = {"image": "init", "strength": "change"}
"""The same of files of prompts."""

REPORT_COLUMNS = {"departure": "lr_rmse"}
"""Of reports, the old name and the present one."""
NEW_COLUMNS = {"denoise", "faces", "restored"}
"""Columns of reports that old ones lack."""

COMMANDS = ("upscale", "generate", "rerun", "info", "doctor", "models")

GENERATORS = ("generate", "rerun")

OWN = ".upscaler"
"""The folder in which the program keeps what it has done; what is in it depends on the time."""

TIMEOUT = 300
"""Seconds after which a command is ended."""

TEXTS = (".json", ".csv")
"""Suffixes of reports."""

UNTIMED = ("seconds", "reason")
"""Columns of a report that do not count: the second is a message."""

MASKS = (
    (re.compile(r"\b\d+\.\d+ s\b"), "# s"),
    (re.compile(r"\b\d+(\.\d+)? [kMG]i?B\b"), "# GB"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x#"),
)
"""What differs from run to run, and what is written instead."""


@dataclass(frozen=True)
class Command:
    """One line of a list."""

    key: str
    """The line itself, and a number if it stands there several times."""
    arguments: tuple[str, ...]
    stdin: str | None

    @property
    def name(self) -> str:
        """Of the command; the program's name alone is short for `upscale`."""
        first = self.arguments[0]
        return first if first in COMMANDS else "upscale"

    def words(self, old: bool) -> list[str]:
        """The arguments, in the words of the old version or of the present one."""
        names = OLD_OPTIONS.get(self.name, {}) if old else {}
        return [names.get(word, word) for word in self.arguments]


@dataclass
class Result:
    """What a command has done."""

    command: str
    code: int | None
    """None if it had to be ended."""
    out: str
    err: str
    written: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the name of each file that is new or changed: the hash of its bytes, and what is in it."""
    removed: list[str] = field(default_factory=list)
    recipes: bool = False
    """Whether files may hold recipes of generated pictures."""


def read(name: str) -> list[list[Command]]:
    """The paragraphs of a list."""
    seen: Counter[str] = Counter()
    chains: list[list[Command]] = [[]]
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        if not line.strip():
            chains.append([])
        elif not line.startswith("#"):
            seen[line] += 1
            words, _, stdin = line.partition(" < ")
            key = line if seen[line] == 1 else f"{line} ({seen[line]})"
            chains[-1].append(Command(key, tuple(shlex.split(words)), stdin or None))
    return [chain for chain in chains if chain]


# What the commands are given


def make_pictures(folder: Path, old: bool = False) -> None:
    """Small pictures of every kind, a tree of them, and files of prompts, which are the same every time."""
    from PIL import Image, PngImagePlugin

    folder.mkdir(parents=True)
    samples = ROOT / "samples"
    cat = np.asarray(Image.open(samples / "chelsea.png").convert("RGB"))
    photo = cat[100:136, 120:168]
    _save(folder / "photo.png", photo)
    _save(folder / "wide.png", cat[80:150, 100:200])
    _save(folder / "grey.png", photo[:20, :24, 1])
    _save(folder / "thin.png", photo[:24, :1])
    _save(folder / "line.png", photo[:1])
    _save(folder / "dot.png", photo[:1, :1])
    _save(folder / "alpha.png", np.dstack([photo, _alpha(36, 48)]))
    _save(folder / "grey-alpha.png", np.dstack([photo[:, :, :1], _alpha(36, 48)]))
    _save(folder / "deep.png", _deep(photo))
    _save(folder / "deep.tif", _deep(photo))
    _save(folder / "deep-grey.png", _deep(photo)[:, :, 1])
    _save(folder / "alpha-deep.png", np.dstack([_deep(photo), _alpha(36, 48).astype(np.uint16) * 257]))
    _save(folder / "tiny.png", photo[12:24, 16:32])
    _save(folder / "tiny-grey.png", photo[4:13, 8:20, 1])
    _save(folder / "tiny-alpha.png", np.dstack([photo[12:24, 16:32], _alpha(12, 16)]))
    _save(folder / "tiny-deep.png", _deep(photo[12:24, 16:32]))
    whole = Image.fromarray(photo)
    whole.save(folder / "photo.jpg", quality=92)
    whole.save(folder / "photo.tif", compression="tiff_lzw", dpi=(150, 150))
    whole.convert("CMYK").save(folder / "cmyk.jpg", quality=92)
    whole.convert("1", dither=Image.Dither.NONE).save(folder / "bilevel.png")
    whole.quantize(16).save(folder / "palette.png", transparency=3)
    whole.quantize(16).save(folder / "palette.gif")
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "A cat")
    texts.add_itxt("Comment", "Ears and whiskers, schön")
    whole.save(folder / "texts.png", pnginfo=texts, dpi=(300, 300))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8298] = 6, "A camera", "Somebody"
    whole.save(folder / "turned.jpg", quality=95, exif=exif, icc_profile=_profile(), dpi=(300, 300))
    damaged = Image.open(samples / "coffee.jpg").convert("RGB").resize((64, 48))
    damaged.save(folder / "damaged.jpg", quality=95)
    whole_file = (folder / "damaged.jpg").read_bytes()
    (folder / "damaged.jpg").write_bytes(whole_file[: len(whole_file) * 2 // 3])
    (folder / "notes.txt").write_text("not a picture")
    _make_tree(folder / "tree", cat)
    _make_prompts(folder, OLD_COLUMNS if old else {})


def make_models(folder: Path) -> None:
    """Tiny pipelines, and files of a network and of a LoRA."""
    import torch
    from safetensors.torch import save_file
    from transformers.utils.logging import disable_progress_bar

    from tests.diffusion import tiny as base
    from tests.text2image import tiny

    disable_progress_bar()
    builders = {
        "tiny-x4": base.build_x4,
        "tiny-x2": base.build_x2,
        "tiny-sd": base.build_sd,
        "tiny-sdxl": base.build_sdxl,
        "tiny-sd3": base.build_sd3,
        "tiny-flux": base.build_flux,
        "tiny-schnell": tiny.build_schnell,
        "tiny-klein": tiny.build_klein,
        "tiny-z-image": tiny.build_z_image,
        "tiny-sana-sprint": tiny.build_sana,
        "tiny-qwen-image": tiny.build_qwen_image,
        "objecting": lambda: tiny.build_checked(objects=True),
    }
    for name, build in builders.items():
        build().save_pretrained(folder / name)
    unet = base.build_sd().unet
    base.build_controlnet(unet).save_pretrained(folder / "tiny-control")
    torch.manual_seed(0)
    lora = {}
    for name, layer in unet.named_modules():
        if name.endswith(("to_q", "to_v")):
            lora[f"unet.{name}.lora_A.weight"] = torch.randn(2, layer.in_features)
            lora[f"unet.{name}.lora_B.weight"] = torch.randn(layer.out_features, 2)
    save_file(lora, folder / "style.safetensors")
    shutil.copy(ROOT / "models" / "photo" / "photo-x4.safetensors", folder / "photo.safetensors")


def _save(path: Path, pixels: NDArray[Any]) -> None:
    """8 or 16 bits, of one to four channels."""
    import cv2

    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels == 2:
        from PIL import Image

        Image.fromarray(np.ascontiguousarray(pixels), "LA").save(path)
        return
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    if not cv2.imwrite(str(path), np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], channels)[:, :, order])):
        raise OSError(f"{path}: cannot be written")


def _alpha(height: int, width: int) -> NDArray[np.uint8]:
    """Clear at the left, opaque at the right, and a hole."""
    y, x = np.mgrid[:height, :width]
    alpha = np.clip(x * 340 // width - 40, 0, 255)
    alpha[(y - height // 2) ** 2 + (x - 3 * width // 4) ** 2 < height] = 0
    return alpha.astype(np.uint8)


def _deep(pixels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """16 bits of which the lower ones say something, too."""
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    return (pixels.astype(np.uint16) * 256 + ((x * 37 + y * 11) % 256)[:, :, None]).astype(np.uint16)


def _profile() -> bytes:
    """Of Display P3, as libvips brings it."""
    import pyvips

    return bytes(pyvips.Operation.call("profile_load", "p3"))


def _make_tree(folder: Path, cat: NDArray[np.uint8]) -> None:
    """Pictures of four formats in three folders, and two files that are none."""
    from PIL import Image

    (folder / "sub" / "deeper").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.png", "sub/c.webp", "sub/deeper/d.tif")):
        part = cat[90 : 105 + number, 110 : 128 + 2 * number]
        Image.fromarray(part).save(folder / name, **({"lossless": True} if name.endswith("webp") else {}))
    (folder / "sub" / "notes.txt").write_text("not a picture")
    (folder / "sub" / "broken.png").write_bytes((folder / "b.png").read_bytes()[:60])


def _make_prompts(folder: Path, names: Mapping[str, str]) -> None:
    """As text, CSV and JSON Lines, with the columns' names replaced by those of `names`."""
    image, strength = (names.get(name, name) for name in ("image", "strength"))
    (folder / "prompts.txt").write_text("a red circle\n\na green tree\n")
    (folder / "wrong.csv").write_text("prompt,colour\na dog,red\n")
    (folder / "prompts.csv").write_text(
        f"prompt,seed,size,style,guidance,{image},{strength}\n"
        "a red circle,9,,,,,\n"
        "a green tree,,96x64,watercolour,3,,\n"
        '"a house, and the sea",4,,,,in/photo.png,0.5\n'
        ",5,,,,in/photo.jpg,0.3\n"
    )
    rows = [
        {"prompt": "a red circle", "seed": 3, "negative": "dark"},
        {"prompt": "a green tree", "aspect": "3:2", image: "in/wide.png", strength: 0.7},
        {"prompt": "a bird", "size": "8x8"},
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


# How they are run


class Runner:
    """The program of this checkout on inputs in a folder. Each command has a process of its own, which begins with what
    takes long to import, and imports the program itself anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {
            "PYTHONPATH": str(ROOT),
            "UPSCALER_HOME": str(folder / "home"),
            "UPSCALER_OFFLINE": "1",
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "TMPDIR": str(folder / "tmp"),
        }
        os.environ.update(environment)
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload(["tests.diffusion.tiny", "spandrel", "torchvision", "typer", "cv2"])
        said = self._started(folder, ["upscale", "--help"], None)
        self.old = b"--blend" not in said[1]
        self._call(make_pictures, folder / "in", self.old)

    def make_models(self) -> dict[str, str]:
        """The hashes of all inputs by their names: of pictures, too."""
        self._call(make_models, self.folder / "models")
        files = [path for name in ("in", "models") for path in (self.folder / name).rglob("*") if path.is_file()]
        return {path.relative_to(self.folder).as_posix(): _hash(path.read_bytes()) for path in sorted(files)}

    def run(self, chain: Sequence[Command], folder: Path) -> list[Result]:
        """A paragraph, in a folder that it gets."""
        shutil.copytree(self.folder / "in", folder / "in")
        recipes = any(command.name in GENERATORS for command in chain)
        return [self._result(command, folder, recipes) for command in chain]

    def _result(self, command: Command, folder: Path, recipes: bool) -> Result:
        before = _state(folder)
        code, out, err = self._started(folder, command.words(self.old), command.stdin)
        after = _state(folder)
        written = {name: _content(folder / name) for name, state in after.items() if before.get(name) != state}
        if _is_picture(out):
            written["standard output"] = {"sha256": _hash(out), **_pixels(out)}
            out = b""
        for content in written.values():
            if "text" in content:
                content["text"] = self._masked(content["text"])
        texts = [self._masked(text.decode("utf-8", "replace")) for text in (out, err)]
        return Result(command.key, code, *texts, written, sorted(before.keys() - after.keys()), recipes)

    def _started(self, folder: Path, words: list[str], stdin: str | None) -> tuple[int | None, bytes, bytes]:
        with tempfile.TemporaryDirectory(dir=self.folder / "tmp") as name:
            streams = (folder / stdin if stdin else os.devnull), Path(name, "out"), Path(name, "err")
            process = self._context.Process(target=_main, args=(folder, words, *map(str, streams)))
            process.start()
            process.join(TIMEOUT)
            code = process.exitcode
            if code is None:
                process.kill()
                process.join()
            return code, *(stream.read_bytes() if stream.exists() else b"" for stream in streams[1:])

    def _call(self, function: Any, *arguments: Any) -> None:
        process = self._context.Process(target=function, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit("The inputs cannot be made.")

    def _masked(self, text: str) -> str:
        for folder in {str(self.folder), os.path.realpath(self.folder)}:
            text = text.replace(folder, "FOLDER")
        for pattern, mask in MASKS:
            text = pattern.sub(mask, text)
        return text


def _main(folder: Path, words: list[str], stdin: str, stdout: str, stderr: str) -> None:
    """What `python -m upscaler` does with these arguments and streams, in this process."""
    os.chdir(folder)
    os.dup2(os.open(stdin, os.O_RDONLY), 0)
    for name, number in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["upscaler", *words]
    with (
        open(0, closefd=False, encoding="utf-8") as sys.stdin,
        open(1, "w", closefd=False, encoding="utf-8") as sys.stdout,
        open(2, "w", closefd=False, encoding="utf-8", buffering=1) as sys.stderr,
    ):
        runpy.run_module("upscaler", run_name="__main__", alter_sys=True)


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Of every file, what changes when it is written again."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and OWN not in path.parts:
            status = path.stat()
            found[path.relative_to(folder).as_posix()] = (status.st_ino, status.st_mtime_ns)
    return found


def _content(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    if path.suffix in TEXTS:
        return _rows(data.decode("utf-8"), path.suffix)
    return {"sha256": _hash(data), **_pixels(data, path.suffix)}


def _rows(text: str, suffix: str) -> dict[str, Any]:
    """A report as it is compared: its rows under the present names, and apart from them what does not count."""
    rows = json.loads(text) if suffix == ".json" else list(csv.DictReader(io.StringIO(text)))
    rows = [{name: value for name, value in row.items() if name not in NEW_COLUMNS} for row in rows]
    rows = [{REPORT_COLUMNS.get(name, name): value for name, value in row.items()} for row in rows]
    rows.sort(key=lambda row: (str(row["source"]), str(row["output"])))
    reasons = "\n".join(str(row["reason"]) for row in rows)
    names = next(csv.reader([text.splitlines()[0]]))
    columns = [REPORT_COLUMNS.get(name, name) for name in names if name not in NEW_COLUMNS]
    counted = [{name: value for name, value in row.items() if name not in UNTIMED} for row in rows]
    return {"rows": counted, "columns": columns if suffix == ".csv" else sorted(rows[0]), "text": reasons}


def _is_picture(data: bytes) -> bool:
    return data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"II*\0", b"MM\0*"))


def _pixels(data: bytes, suffix: str = "") -> dict[str, Any]:
    """What a picture's file holds, read by libvips, or by Pillow what that cannot read."""
    import pyvips

    try:
        picture = pyvips.Image.new_from_buffer(data, "")
        pixels, mode = picture.write_to_memory(), f"{picture.bands} {picture.format} {picture.interpretation}"
        return {"pixels": _hash(bytes(pixels)), "size": [picture.width, picture.height], "mode": mode}
    except pyvips.Error:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(io.BytesIO(data), formats=["TGA"] if suffix == ".tga" else None) as image:
                return {"pixels": _hash(image.tobytes()), "size": list(image.size), "mode": image.mode}
        except (UnidentifiedImageError, OSError):
            return {}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# What is done with the results


@contextmanager
def runner(kept: Path | None = None) -> Iterator[Runner]:
    """In a temporary folder, or in one that is new and stays."""
    if kept is not None:
        kept.mkdir(parents=True)
        yield Runner(kept.resolve())
        return
    with tempfile.TemporaryDirectory(prefix="upscaler-commands-", ignore_cleanup_errors=True) as name:
        yield Runner(Path(name).resolve())


def run_all(only: str = "", jobs: int = 2, kept: Path | None = None) -> dict[str, Any]:
    """The record of all paragraphs with a line that has `only` in it."""
    start = time.monotonic()
    chains = [*([command] for chain in read("quick.txt") for command in chain), *read("all.txt")]
    chains = [chain for chain in chains if any(only in command.key for command in chain)]
    with runner(kept) as there, ThreadPoolExecutor(jobs) as pool:
        inputs = there.make_models()
        folders = [there.folder / f"{number:03}" for number in range(len(chains))]
        results: list[Result] = []
        for done in pool.map(there.run, chains, folders):
            results += done
            _say(f"\r{len(results)} commands", end="")
        old = there.old
    _say(f"\r{len(results)} commands in {time.monotonic() - start:.0f} s")
    return {
        "form": 1,
        "old": old,
        "machine": _machine(),
        "inputs": inputs,
        "commands": {result.command: asdict(result) for result in results},
    }


def _machine() -> dict[str, str]:
    """What results depend on beside the program."""
    import torch

    libraries = ("torch", "diffusers", "transformers", "numpy", "pillow", "pyvips", "opencv-python-headless")
    return {
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }


@dataclass
class Differences:
    """Those that count, and those that are only shown; a line each."""

    counted: list[str] = field(default_factory=list)
    recipes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def differences(before: Mapping[str, Any], after: Mapping[str, Any], partly: bool = False) -> Differences:
    """Of two records. With `partly`, commands that the second one lacks are not missed."""
    found = Differences()
    for key, old in before["commands"].items():
        new = after["commands"].get(key)
        if new is not None:
            _compare(key, old, new, found)
        elif not partly:
            found.counted.append(f"{key}\n    is not run any more")
    return found


def _compare(key: str, old: Mapping[str, Any], new: Mapping[str, Any], found: Differences) -> None:
    def count(what: str, before: object, after: object) -> None:
        found.counted.append(f"{key}\n    {what}: {before} before, {after} now")

    if old["code"] != new["code"]:
        count("exit code", old["code"], new["code"])
    for which in ("written", "removed"):
        if set(old[which]) != set(new[which]):
            count(which, sorted(old[which]), sorted(new[which]))
    texts = [("standard output", old["out"], new["out"]), ("standard error", old["err"], new["err"])]
    for name in old["written"].keys() & new["written"].keys():
        one, other = old["written"][name], new["written"][name]
        for part in ("size", "mode", "pixels", "rows", "columns"):
            if one.get(part) != other.get(part):
                count(f"{name}, {part}", one.get(part), other.get(part))
        if one.get("sha256") != other.get("sha256"):
            same = one.get("pixels") == other.get("pixels")
            words = "other bytes of the same pixels" if same else "other bytes"
            (found.recipes if old["recipes"] else found.counted).append(f"{key}\n    {name}: {words}")
        texts.append((name, one.get("text", ""), other.get("text", "")))
    for name, one, other in texts:
        both = (sorted(text.splitlines()) for text in (one, other))  # of folders, any file may be the first
        lines = difflib.unified_diff(*both, "before", "now", n=0, lineterm="")
        shown = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
        if shown:
            found.texts.append("\n    ".join([f"{key}\n    {name}:", *shown]))


def record(file: Path, only: str, jobs: int, kept: Path | None) -> int:
    made = run_all(only, jobs, kept)
    file.write_text(json.dumps(made, indent=1, ensure_ascii=False), encoding="utf-8")
    codes = Counter(result["code"] for result in made["commands"].values())
    files = sum(len(result["written"]) for result in made["commands"].values())
    _say(f"{file}: {len(made['commands'])} commands with {files} files; exit codes {dict(codes)}")
    return 0


def compare(file: Path, only: str, jobs: int, kept: Path | None, texts: bool) -> int:
    """The exit code."""
    before = json.loads(file.read_text(encoding="utf-8"))
    after = run_all(only, jobs, kept)
    for part in ("machine", "inputs"):
        others = [name for name, value in after[part].items() if before[part].get(name) != value]
        if others:
            _say(f"The {part} differ, which alone may change results: {', '.join(others)}.")
    found = differences(before, after, bool(only))
    if texts:
        _show("Texts that differ, which does not count", found.texts)
    elif found.texts:
        _say(f"{len(found.texts)} texts differ, which does not count; --texts shows them.")
    _show("Generated files with other bytes, which does not count", found.recipes)
    _show("Differences that count", found.counted)
    new = after["commands"].keys() - before["commands"].keys()
    _show("Commands that the record does not know", sorted(new))
    same = "None of them differs" if not found.counted else f"{len(found.counted)} differences"
    _say(f"{len(after['commands'])} commands, {len(after['commands']) - len(new)} of them compared. {same}.")
    return 1 if found.counted else 0


def keep() -> int:
    """Makes the pictures of the quick commands again."""
    with runner() as there:
        for number, command in enumerate(command for chain in read("quick.txt") for command in chain):
            folder = there.folder / str(number)
            (result,) = there.run([command], folder)
            if result.code != 0:
                _say(f"{command.key}: {result.err}")
                return 1
            for name in result.written:
                shutil.copy(folder / name, DATA / name)
    return 0


def _show(title: str, lines: Iterable[str]) -> None:
    shown = list(lines)
    if shown:
        _say(f"\n{title}, {len(shown)}:\n")
        for line in shown:
            _say(line)
        _say("")


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.commands", description=(__doc__ or "").splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    for name, words in (("record", "run all and write what they make"), ("compare", "run all and compare with that")):
        action = actions.add_parser(name, help=words)
        action.add_argument("file", type=Path)
        action.add_argument("--only", default="", metavar="TEXT", help="paragraphs with this in one of their lines")
        action.add_argument("--jobs", type=int, default=2, metavar="N", help="so many at once (2)")
        action.add_argument("--keep", type=Path, metavar="FOLDER", help="leave all inputs and results in a new folder")
        if name == "compare":
            action.add_argument("--texts", action="store_true", help="show which texts differ")
    actions.add_parser("keep", help="make the pictures of the quick ones again")
    given = parser.parse_args()
    if given.action == "keep":
        return keep()
    if given.action == "record":
        return record(given.file, given.only, given.jobs, given.keep)
    return compare(given.file, given.only, given.jobs, given.keep, given.texts)


if __name__ == "__main__":
    sys.exit(main())
