"""A program that kills jobs: `python -m tests.jobs.killing POINTS`, in a folder with pictures in `in/`.

Runs in/ into a folder of its own, in a forked process that is killed: at one of the moments at which Python touches the
system (opening, renaming, linking, removing files …), or, every other time, after some milliseconds, wherever it is
then. Runs it again to its end, and compares. The points are spread over a whole run. Prints how many of them ended in
other bytes, or left anything behind.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from upscaler import Target
from upscaler.codecs import EncodeOptions
from upscaler.inputs.discover import find_jobs
from upscaler.jobs.batch import run
from upscaler.jobs.manifest import FOLDER
from upscaler.pipeline import Pipeline


def main() -> None:
    points = int(sys.argv[1])
    start = time.perf_counter()
    total = forked(lambda: work("right"), counted=True)
    seconds = time.perf_counter() - start
    right = tree(Path("right"))
    wrong = 0
    for point in range(points):
        shutil.rmtree("out", ignore_errors=True)
        if point % 2 == 0:
            forked(lambda: work("out"), killed_at=1 + point * total // points)
        else:
            forked(lambda: work("out"), killed_after=(point + 1) * seconds / points)
        between = tree(Path("out"))
        forked(lambda: work("out"))
        left = [path for path in Path("out").rglob("*") if path.suffix == ".part"]
        if not between.items() <= right.items() or tree(Path("out")) != right or left:
            wrong += 1
    sys.stdout.write(f"{points} points of {total} moments, {len(right)} files, {wrong} wrong\n")


def work(folder: str) -> None:
    found = find_jobs(["in"], f"{folder}/", EncodeOptions(), "")
    list(run(Pipeline("lanczos"), found.jobs, Target(scale=2), folder=found.folder))


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and FOLDER not in path.parts
    }


def forked(what: Callable[[], None], *, counted: bool = False, killed_at: int = 0, killed_after: float = 0.0) -> int:
    """Does it in a process of its own; the moments there were, if they are counted."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        moments = 0

        def hook(event: str, _: object) -> None:
            nonlocal moments
            if event.startswith(("os.", "open", "sqlite3.", "shutil.", "pathlib.", "fcntl.")):
                moments += 1
                if moments == killed_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        signal.setitimer(signal.ITIMER_REAL, killed_after)  # nobody handles it: the process is gone
        what()
        if counted:
            os.write(writer, str(moments).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return int(said or 0)


if __name__ == "__main__":
    main()
