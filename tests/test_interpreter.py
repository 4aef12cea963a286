"""Python started anew: with our packages, without the current folder, and within limits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from upscaler import interpreter


def run(statements: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = interpreter.command(statements, *arguments)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_nothing_of_the_current_folder_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy", "json", "upscaler"):
        (tmp_path / f"{name}.py").write_text("print('taken')\n")
    monkeypatch.syspath_prepend("")
    done = run("import numpy, upscaler; print(sys.argv[1:])", tmp_path, "a b", "c")
    assert done.stdout == "['a b', 'c']\n"


def test_memory_and_files_are_limited(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    limit = "from upscaler import interpreter; interpreter.limit(10**8, 60, 1000); "
    assert "MemoryError" in run(f"{limit} bytes(2 * 10**8)", tmp_path).stderr
    assert "File too large" in run(f"{limit} open('x', 'wb').write(bytes(20000))", tmp_path).stderr
    assert run(f"{limit} bytes(10**7)", tmp_path).stderr == ""
