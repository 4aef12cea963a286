"""The checks for a real GPU run on the CPU in tiny sizes, so that they do not rot where there is no GPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "benchmarks" / "gpu_check.py"
DOCUMENTED = re.findall(r"^\| `(\w+)` \| [\d-]+ \|", (ROOT / "benchmarks" / "README.md").read_text(), re.MULTILINE)
"""The checks in the table of benchmarks/README.md."""

NOTHING_CARRIED = ("--carried", str(ROOT / "nothing"))


def run(report: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), "--dry", "--out", str(report), *NOTHING_CARRIED, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"})


@pytest.mark.slow
def test_every_check_runs_without_a_gpu(tmp_path: Path) -> None:
    done = run(tmp_path / "report.json", "--seconds", "800", "--only", *DOCUMENTED)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert sorted(report) == sorted(DOCUMENTED)
    skipped = [name for name, part in report.items() if part["outcome"].startswith("skipped")]
    assert set(skipped) <= {"peers"}
    assert all(part["outcome"] == "ok" and part["found"] for name, part in report.items() if name not in skipped)
    assert "== summary" in done.stdout


def test_the_readme_lists_the_checks(tmp_path: Path) -> None:
    help_text = " ".join(run(tmp_path / "report.json", "--help").stdout.split())
    found = re.search(r"--only CHECK \[CHECK \.\.\.\] some of ([\w, ]+) --seconds", help_text)
    assert found is not None, help_text
    assert sorted(found[1].split(", ")) == sorted(DOCUMENTED)


def test_what_there_is_no_time_for_is_reported(tmp_path: Path) -> None:
    done = run(tmp_path / "report.json", "--only", "facts", "--seconds", "1")
    assert done.returncode == 1
    assert json.loads((tmp_path / "report.json").read_text())["facts"]["outcome"] == "no time was left"
    assert "no time was left" in done.stdout


def test_a_check_that_takes_too_long_is_ended_and_the_rest_goes_on(tmp_path: Path) -> None:
    done = run(tmp_path / "report.json", "--only", "facts", "large", "--longest", "0.2")
    assert done.returncode == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert {name: part["outcome"] for name, part in report.items()} == {
        "facts": "it took longer than 0.2 s",
        "large": "it took longer than 0.2 s",
    }
