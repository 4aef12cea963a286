"""Memory depends on the tile and the shorter side of the picture, not on the longer one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import json, sys, threading
from pathlib import Path
import numpy as np
import upscaler
from upscaler.picture import canvas

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

canvas.IN_MEMORY = 2**20
folder, peaks = Path(sys.argv[1]), []
up = upscaler.Upscaler("lanczos", tile=json.loads(sys.argv[2]))
for width, height in json.loads(sys.argv[3]):
    source = canvas.allocate((height, width, 3), np.uint8, folder)
    source[:] = (np.arange(width, dtype=np.uint16)[None, :, None] + np.arange(3, dtype=np.uint16)) % 251
    peak, done = anonymous(), threading.Event()
    before = peak
    def watch():
        global peak
        while not done.wait(0.01):
            peak = max(peak, anonymous())
    watcher = threading.Thread(target=watch)
    watcher.start()
    result = up(source, int(sys.argv[4]), workspace=folder)
    result.save(folder / f"{height}.png", overwrite=True)
    done.set()
    watcher.join()
    assert result.size == upscaler.Size(width, height).scaled(int(sys.argv[4]))
    peaks.append(peak - before)
    del source, result
print(json.dumps(peaks))
"""


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells anonymous memory apart")


def peaks(folder: Path, tile: int | None, sizes: list[tuple[int, int]], scale: int) -> list[float]:
    """Enlarges and saves pictures of these sizes; returns the MiB that each took at most."""
    arguments = [str(folder), json.dumps(tile), json.dumps(sizes), str(scale)]
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads(done.stdout)
    return found


def test_a_picture_eight_times_as_tall_takes_no_more_memory(tmp_path: Path) -> None:
    first, _, tall = peaks(tmp_path, 128, [(500, 1000), (500, 1000), (500, 8000)], 4)
    whole_result = 2000 * 32000 * 3 / 2**20
    assert tall < first + 40
    assert tall < whole_result / 2


def test_a_picture_as_wide_as_can_be_takes_no_more_memory_than_a_tall_one(tmp_path: Path) -> None:
    """Rows of this picture, four times as large in floats, are 2 GiB."""
    (wide,) = peaks(tmp_path, None, [(60000, 40)], 2)
    assert wide < 350
