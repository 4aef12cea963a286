"""A folder of everything that is wrong, with good pictures among it: every bad one is named, every good one is done."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from PIL import Image

from tests.bad_files import make_bad_files, make_good_files
from upscaler import codecs

MANY = 500


def test_bad_files_get_a_sentence_each_and_good_ones_beside_them_are_done(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    for folder in ("bad", "good"):
        (source / folder).mkdir(parents=True)
    bad, good = make_bad_files(source / "bad"), make_good_files(source / "good")
    (source / "bad" / "notes.txt").write_text("no picture, and no name of one")
    for index in range(MANY):
        Image.new("RGB", (8, 6), (index % 256, index // 256, 0)).save(source / f"{index:03}.png")
    command = [sys.executable, "-m", "upscaler", str(source), "-o", str(output), "-m", "lanczos", "-s", "2"]
    command += ["--report", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for file in [*bad, source / "bad" / "notes.txt"]:
        named = [line for line in lines if line.startswith((f"error: {file}: ", f"{file}: skipped"))]
        assert len(named) == 1, f"{file.name}: {named}"
        assert named[0].rstrip().endswith("."), named
    assert not list((output / "bad").glob("*")), "something was written for a bad file"
    written = list((output / "good").iterdir())
    assert len(written) == len(good)
    assert not [file.name for file in written if file.name.startswith(".")]
    for file in [*written, *output.glob("*.png")]:
        codecs.decode(file)
    assert len(list(output.glob("*.png"))) == MANY
    report = json.loads((tmp_path / "report.json").read_text())
    outcomes = Counter(row["outcome"] for row in report)
    assert outcomes["made"] == MANY + len(good)
    assert outcomes["failed"] + outcomes["skipped"] >= len(bad)
    assert all(row["reason"].endswith(".") for row in report if row["outcome"] == "failed")
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert f"{outcomes['made']} done before, {outcomes['failed']} failed" in again.stderr
