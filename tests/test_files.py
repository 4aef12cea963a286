"""Files that appear whole or not at all, their hashes, and the folder that is kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from upscaler.files import atomic_write, cache_dir, sha256, temporary_sibling


def test_file_is_written_whole_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    atomic_write(path, lambda temporary: temporary.write_text("text"))
    assert path.read_text() == "text"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(error):
        atomic_write(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_name_is_free_and_short_enough_for_any_name(tmp_path: Path) -> None:
    path = tmp_path / ("写" * 80 + ".png")
    siblings = {temporary_sibling(path) for _ in range(20)}
    assert len(siblings) == 20
    for sibling in siblings:
        assert (sibling.parent, sibling.suffix) == (tmp_path, ".part")
        sibling.touch()
    assert temporary_sibling(path, tmp_path / "parts").parent == tmp_path / "parts"


def test_hash_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (2**20 + 1))
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(FileNotFoundError):
        sha256(tmp_path / "none")


def test_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("UPSCALER_HOME", "")
    assert cache_dir().name == "upscaler"
