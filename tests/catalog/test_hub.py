"""What the hub says, and what lies in its cache, is not believed. Fetching is tested in diffusion/test_load.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from upscaler.catalog import Repository, hub
from upscaler.errors import ModelError

REPOSITORY = Repository("owner/name")


@pytest.mark.parametrize(
    ("size", "sha256"), [(-1, "0" * 64), (2**60, "0" * 64), (1, "../" * 21 + "x"), (1, "0" * 63), (1, ""), (1, None)]
)
def test_sizes_and_hashes_that_cannot_be_are_one_sentence(size: int, sha256: Any) -> None:
    file: Any = SimpleNamespace(rfilename="a.safetensors", size=size, lfs=SimpleNamespace(sha256=sha256))
    with pytest.raises(
        ModelError, match=r"owner/name: what the hub says of its file 'a.safetensors' is wrong: it is not"
    ):
        hub._check_file(REPOSITORY, file)


@pytest.mark.parametrize("commit", [b"../../elsewhere", b"\xff\xfe", b"/etc", b"", b"a\nb"])
def test_a_commit_in_the_cache_that_is_a_path_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: bytes
) -> None:
    monkeypatch.setenv("HF_HOME", "")
    monkeypatch.setattr(hub, "cache", lambda: tmp_path)
    monkeypatch.setattr(hub, "_standard_cache", lambda: tmp_path)
    storage = tmp_path / "models--owner--name"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs/main").write_bytes(commit)
    for folder in (tmp_path / "elsewhere", storage / "elsewhere", storage / "snapshots"):
        folder.mkdir(exist_ok=True)
        (folder / "model_index.json").write_text('{"_class_name": "A"}')
    assert hub._snapshot(REPOSITORY) is None
    (storage / "refs/main").write_text("0123abc")
    (storage / "snapshots/0123abc").mkdir()
    (storage / "snapshots/0123abc/model_index.json").write_text('{"_class_name": "A"}')
    assert hub._snapshot(REPOSITORY) == storage / "snapshots/0123abc"
