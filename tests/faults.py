"""A program that lets calls that write fail, each in turn: `python -m tests.faults KIND STEP`, in an empty folder.

KIND is a suffix (one picture is written so), "png16" (the same with 16 bits), or "folder": three pictures, a manifest
and a report. Every STEP-th call of a whole run fails, in each of the ways of FAULTS; "faults.c" sees to that, which
`environment` loads. Each run is done in a forked process, then once more without faults. Prints a line for each thing
that is wrong, then how many runs there were.
"""

from __future__ import annotations

import csv
import ctypes
import errno
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from upscaler.errors import DISK_FULL

ROOT = Path(__file__).parent.parent

ONCE, FROM_THEN_ON, SHORT_THEN_ON = range(3)


SENTENCE = re.compile(r"error: [^:]+: (?!.*(fault in this program|Errno|unexpected)).+\.")
"""A file, what is wrong with it, and nothing in Python's words."""


class Fault(NamedTuple):
    """What is answered to a call, and to which of those that follow."""

    code: int
    mode: int


FAULTS = {
    "full": Fault(errno.ENOSPC, FROM_THEN_ON),
    "filled": Fault(errno.ENOSPC, SHORT_THEN_ON),
    "full once": Fault(errno.ENOSPC, ONCE),
    "broken": Fault(errno.EIO, FROM_THEN_ON),
    "broken once": Fault(errno.EIO, ONCE),
}


class Run(NamedTuple):
    """What a run has said and left."""

    code: int
    calls: int
    failed: str
    """The call that failed first; empty if none did."""
    said: str


def environment(folder: Path) -> dict[str, str] | None:
    """The environment in which calls can be made to fail; None where there is no compiler, or no such library."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "faults.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(Path(__file__).with_suffix(".c")), "-ldl"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def main() -> None:
    kind, step = sys.argv[1], int(sys.argv[2])
    prepare(kind)
    right = run(kind)
    wrong = list(look(right, kind, {}, is_whole=True))
    assert not wrong, wrong
    files = tree(Path("out"))
    runs = 0
    for name, fault in FAULTS.items():
        for at in range(1 + runs % step, right.calls + 1, step):
            runs += 1
            wrong += [f"{name} at {at} of {right.calls}: {what}" for what in try_fault(kind, fault, at, files)]
    for size in range(1, max(path.stat().st_size for path in Path("out").rglob("*.*")), 997 * step):
        runs += 1
        wrong += [f"files of {size} bytes at most: {what}" for what in try_limit(kind, size, files)]
    for what in wrong:
        sys.stdout.write(f"{what}\n")
    sys.stdout.write(f"{runs} runs, {right.calls} calls\n")


def prepare(kind: str) -> None:
    """Makes what is read, and imports what would otherwise be imported in each run. libvips is not used: it would start
    threads, which forked processes do not have."""
    import PIL.Image

    import upscaler.cli.commands
    import upscaler.cli.files
    import upscaler.jobs.batch  # noqa: F401

    PIL.Image.init()
    Path("tmp").mkdir()
    tempfile.tempdir = str(Path("tmp").absolute())
    os.environ["UPSCALER_HOME"] = str(Path("home").absolute())
    Path("in").mkdir()
    noise = np.random.default_rng(1)
    exif = PIL.Image.Exif()
    exif[0x010F] = "maker"
    for index in range(3 if kind == "folder" else 1):
        pixels = noise.integers(0, 256, (20 + index, 30, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(f"in/{index}.png", exif=exif, dpi=(300, 300))
    if kind == "png16":
        Path("in/0.png").write_bytes(b"P6\n30 20\n65535\n" + noise.bytes(30 * 20 * 6))


def try_fault(kind: str, fault: Fault, at: int, right: dict[str, str]) -> Iterator[str]:
    """Yields what is wrong with a run in which a call fails, or with the next."""

    def arm() -> None:
        library().faults_arm(at, fault.code, fault.mode)

    clear()
    failed = run(kind, arm)
    wrong = [*look(failed, kind, right, is_full=fault.code == errno.ENOSPC), *try_again(kind, right)]
    yield from (f"({failed.failed}) {what}" for what in wrong)


def try_limit(kind: str, size: int, right: dict[str, str]) -> Iterator[str]:
    """Yields what is wrong with a run in which no file may be larger, or with the next."""
    clear()
    yield from look(
        run(kind, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))), kind, right
    )
    yield from try_again(kind, right)


def try_again(kind: str, right: dict[str, str]) -> Iterator[str]:
    """Yields what is wrong with a run without faults after one with them."""
    yield from (f"again: {what}" for what in look(run(kind), kind, right, is_whole=True))


def clear() -> None:
    for folder in ("out", "home", "tmp"):
        shutil.rmtree(folder, ignore_errors=True)
    Path("tmp").mkdir()
    for report in Path().glob("report.*"):
        report.unlink()


def run(kind: str, arm: Callable[[], None] | None = None) -> Run:
    """Runs the command in a forked process, in which `arm` is called first."""
    target = ["in", "-o", "out/", "--report", "report.csv"]
    if kind != "folder":
        target = ["in/0.png", "-o", f"out/0.{kind.removesuffix('16')}", "--overwrite"]
    sys.argv = ["upscaler", *target, "-m", "lanczos", "-s", "2"]
    said, saying = os.pipe()  # what is written there is short
    told, telling = os.pipe()
    child = os.fork()
    if child == 0:
        from upscaler.cli.app import main as command

        os.dup2(saying, 2)
        sys.stderr = os.fdopen(2, "w", 1, closefd=False)
        faults = library()
        (arm or (lambda: faults.faults_arm(0, 0, 0)))()
        code = 1
        try:
            command()
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            calls, failed = faults.faults_count(), faults.faults_failed().decode()
            faults.faults_arm(0, 0, 0)
            os.write(telling, json.dumps([code, calls, failed]).encode())
            os._exit(0)
    os.close(saying)
    os.close(telling)
    with os.fdopen(said) as text, os.fdopen(told) as numbers:
        run = Run(*(json.loads(numbers.read() or '[-1, 0, "killed"]')), text.read())
    os.waitpid(child, 0)
    return run


def look(run: Run, kind: str, right: dict[str, str], is_whole: bool = False, is_full: bool = False) -> Iterator[str]:
    """Yields what is wrong with a run and what it has left. If it `is_whole`, it must have made all."""
    files = tree(Path("out"))
    if right and not files.items() <= right.items():
        yield f"other files: {sorted(set(files.items()) - set(right.items()))}"
    errors = [line for line in run.said.splitlines() if line.startswith("error: ")]
    if run.code == 0:
        if errors:
            yield f"exit code 0, yet {errors}"
        if right and files != right:
            yield f"exit code 0, yet only {sorted(files)}"
    elif run.code != 1 or is_whole:
        yield f"exit code {run.code}: {run.said}"
    elif is_full and (len(errors) != 1 or not errors[0].endswith(DISK_FULL)):
        yield f"not said to be full: {run.said}"
    elif not all(SENTENCE.fullmatch(line) for line in errors) or len(set(errors)) < max(len(errors), 1):
        yield f"not a sentence for each: {run.said}"
    if "Traceback" in run.said or "xception ignored" in run.said:
        yield f"traceback: {run.said}"
    yield from leftovers(kind, is_whole)


def leftovers(kind: str, is_whole: bool) -> Iterator[str]:
    """Yields what must not be there: files in the making, and a report that is not whole."""
    left = [*Path("tmp").iterdir(), *(path for path in Path().rglob(".*") if path.name != ".upscaler")]
    if kind == "folder" and not is_whole:
        left = [path for path in left if path.parts[:2] != ("out", ".upscaler")]  # the next run removes them
    if left:
        yield f"left: {sorted(map(str, left))}"
    report = Path("report.csv")
    if report.exists() and any(None in row.values() for row in csv.DictReader(report.read_text().splitlines())):
        yield "the report is not whole"


def tree(folder: Path) -> dict[str, str]:
    """The hash of every file but those of the manifest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".upscaler" not in path.parts and not path.name.startswith(".")
    }


def library() -> ctypes.CDLL:
    loaded = ctypes.CDLL(None)
    loaded.faults_failed.restype = ctypes.c_char_p
    return loaded


if __name__ == "__main__":
    main()
