"""Measures the memory of large results: 5000x5000 to 20000x20000, and a result twice as tall.

Each runs in a process of its own, which reads its anonymous memory (what is not a file's pages: RssAnon of
/proc/self/status) ten times a second and reports the highest, less what it was with all libraries and the model loaded.
Linux only. Prints a table and writes JSON. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyvips

ROOT = Path(__file__).resolve().parent.parent
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["5000x5000", "5000x10000"], help="of the sources")
    parser.add_argument("--suffix", default=".png", help="of the result")
    parser.add_argument("--model", default="photo")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "memory.json")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(Path(arguments.child[0]), Path(arguments.child[1]), arguments.model)))
        return
    report = {}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.json.parent) as folder:
            source, result = Path(folder, "source.png"), Path(folder, f"result{arguments.suffix}")
            make_source(source, *(int(side) for side in size.split("x")))
            command = [sys.executable, __file__, "--model", arguments.model, "--child", str(source), str(result)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            report[size] = json.loads(done.stdout)
        print(f"{size} -> {report[size]}")
    arguments.json.write_text(json.dumps(report, indent=1))


def make_source(path: Path, width: int, height: int) -> None:
    """A sample repeated until it fills the size."""
    tile = pyvips.Image.new_from_file(str(ROOT / "samples" / "chelsea.png"))
    repeated = tile.replicate(-(-width // tile.width), -(-height // tile.height))
    repeated.crop(0, 0, width, height).pngsave(str(path), compression=1)


def measure(source: Path, result: Path, model: str) -> dict[str, float | str]:
    """One upscale in this process: MiB of anonymous memory beyond the loaded libraries and model, and seconds."""
    from upscaler import Upscaler

    upscaler = Upscaler(model)
    upscaler(np.zeros((64, 64, 3), np.uint8)).to_numpy()
    before = anonymous()
    highest = before
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.1):
            highest = max(highest, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    picture = upscaler(source, workspace=result.parent)
    computed = time.perf_counter() - start
    picture.save(result)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return {
        "result": str(picture.size),
        "MiB beyond the libraries": round((highest - before) / MIB),
        "MiB of the libraries and the model": round(before / MIB),
        "seconds": round(seconds, 1),
        "of which to compute": round(computed, 1),
    }


def anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell anonymous memory apart")


if __name__ == "__main__":
    main()
