"""Room for pixels: small in memory, large on disk and gone afterwards, and a sentence when there is none."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from upscaler.errors import OutputError
from upscaler.picture import allocate, canvas


def test_small_canvas_is_in_memory(tmp_path: Path) -> None:
    pixels = allocate((20, 30, 3), np.uint8, tmp_path)
    assert not isinstance(pixels, np.memmap)
    assert pixels.shape == (20, 30, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_large_canvas_is_a_file_that_no_one_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type) -> None:
    monkeypatch.setattr(canvas, "IN_MEMORY", 20 * 30 * 3 - 1)
    pixels = allocate((20, 30, 3), dtype, tmp_path)
    assert isinstance(pixels, np.memmap)
    assert (pixels.shape, pixels.dtype) == ((20, 30, 3), dtype)
    assert os.listdir(tmp_path) == []
    pixels[:] = 7
    assert int(pixels.sum()) == 7 * 20 * 30 * 3


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_large_canvas_frees_the_disk_with_its_last_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mapped() -> bool:
        return str(tmp_path) in Path("/proc/self/maps").read_text()

    monkeypatch.setattr(canvas, "IN_MEMORY", 0)
    before = len(os.listdir("/proc/self/fd"))
    pixels = allocate((64, 64, 3), np.uint8, tmp_path)
    view = pixels[:, ::-1]
    del pixels
    assert mapped()
    del view
    gc.collect()
    assert not mapped()
    assert len(os.listdir("/proc/self/fd")) == before


def test_room_is_taken_at_once_so_that_no_write_can_fail_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing to a mapped file on a full disk kills the program; asking for too much is a sentence."""

    def full(descriptor: int, start: int, size: int) -> None:
        assert size == 5 * 2**30
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError) as caught:
        allocate((2**30, 5), np.uint8, tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: no room for 5.0 GiB of pixels in the making (No space left")
    assert "`workspace`" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "IN_MEMORY", 0)
    with pytest.raises(OutputError, match=r"nowhere: no room for .* \(No such file or directory\)"):
        allocate((4, 4, 3), np.uint8, tmp_path / "nowhere")
