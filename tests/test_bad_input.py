"""A folder of everything that is wrong, with good pictures among it: every bad one is named, every good one is done."""

import subprocess
import sys
from pathlib import Path

from tests.bad_files import make_bad_files, make_good_files
from upscaler import codecs


def test_bad_files_get_a_sentence_each_and_good_ones_beside_them_are_done(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    for folder in ("bad", "good"):
        (source / folder).mkdir(parents=True)
    bad, good = make_bad_files(source / "bad"), make_good_files(source / "good")
    (source / "bad" / "notes.txt").write_text("no picture, and no name of one")
    done = subprocess.run(
        [sys.executable, "-m", "upscaler", str(source), "-o", str(output), "-m", "lanczos", "-s", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
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
    for file in written:
        codecs.decode(file)
