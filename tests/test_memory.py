"""Memory depends on the tile and the width of the picture, not on its height."""

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
up = upscaler.Upscaler("lanczos", tile=128)
for height in (1000, 1000, 8000):
    source = canvas.allocate((height, 500, 3), np.uint8, folder)
    source[:] = np.arange(500, dtype=np.uint16)[None, :, None] % 251
    peak, done = anonymous(), threading.Event()
    before = peak
    def watch():
        global peak
        while not done.wait(0.01):
            peak = max(peak, anonymous())
    watcher = threading.Thread(target=watch)
    watcher.start()
    result = up(source, workspace=folder)
    result.save(folder / f"{height}.png", overwrite=True)
    done.set()
    watcher.join()
    assert result.size == upscaler.Size(2000, height * 4)
    peaks.append(peak - before)
    del source, result
print(json.dumps(peaks))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells anonymous memory apart")
def test_a_picture_eight_times_as_tall_takes_no_more_memory(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, _, tall = json.loads(done.stdout)
    whole_result = 2000 * 32000 * 3 / 2**20
    assert tall < first + 40
    assert tall < whole_result / 2
