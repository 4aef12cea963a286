"""Files that appear whole or not at all, and replace nothing but files; hashes, locks, the folder that is kept."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from upscaler.files import (
    PART,
    acquire_lock,
    atomic_write,
    cache_dir,
    clear_parts,
    make_part,
    open_own,
    place,
    sha256,
)


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


def test_part_has_a_name_of_its_own_that_is_short_enough(tmp_path: Path) -> None:
    path = tmp_path / ("写" * 80 + ".png")
    parts = {make_part(path) for _ in range(20)}
    assert len(parts) == 20
    for part in parts:
        assert (part.parent, part.suffix, part.stat().st_size) == (tmp_path, ".part", 0)
        assert PART.fullmatch(part.name)
    assert make_part(path, tmp_path / "parts").parent == tmp_path / "parts"


def test_part_is_never_made_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strangers").write_text("precious")
    monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
    (tmp_path / ".a.0000000000000000.part").symlink_to(tmp_path / "strangers")
    with pytest.raises(FileExistsError):
        make_part(tmp_path / "a")
    with pytest.raises(FileExistsError):
        atomic_write(tmp_path / "a", lambda temporary: temporary.write_text("text"))
    assert (tmp_path / "strangers").read_text() == "precious"
    assert (tmp_path / ".a.0000000000000000.part").is_symlink()


def test_only_parts_are_cleared_away(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "parts", tmp_path / "elsewhere"
    for each in (folder, elsewhere):
        make_part(Path("a.png"), each)
    clear_parts(folder)
    assert not folder.exists()
    folder.symlink_to(elsewhere)
    clear_parts(folder)
    assert len(list(elsewhere.iterdir())) == 1
    folder.unlink()
    make_part(Path("a.png"), folder)
    (folder / "notes.txt").write_text("precious")
    (folder / ".b.0123456789abcdef.part").mkdir()
    clear_parts(folder)
    assert sorted(path.name for path in folder.iterdir()) == [".b.0123456789abcdef.part", "notes.txt"]


def kinds_of_file(folder: Path) -> list[Path]:
    """What is no ordinary file: two links, a pipe and, if it can be made, a device."""
    (folder / "target").write_text("precious")
    (folder / "link").symlink_to(folder / "target")
    (folder / "dangling").symlink_to(folder / "new")
    os.mkfifo(folder / "pipe")
    found = [folder / "link", folder / "dangling", folder / "pipe"]
    if os.getuid() == 0:
        os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        found.append(folder / "null")
    return found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names")
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_but_a_file_is_replaced(tmp_path: Path, overwrite: bool) -> None:
    for path in kinds_of_file(tmp_path):
        before = os.lstat(path)
        part = make_part(path)
        with pytest.raises(OSError, match=r"this is a (link|device or a pipe)"):
            place(part, path, overwrite)
        with pytest.raises(OSError, match=r"this is a (link|device or a pipe)"):
            atomic_write(path, lambda temporary: temporary.write_text("text"))
        with pytest.raises(OSError, match=r"is a (link|device or a pipe)"):
            open_own(path)
        with pytest.raises(OSError, match=r"is a (link|device or a pipe)"):
            acquire_lock(path)
        assert os.lstat(path).st_ino == before.st_ino
        assert not part.exists()
    assert (tmp_path / "target").read_text() == "precious"
    assert not (tmp_path / "new").exists()
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        place(make_part(tmp_path / "a"), tmp_path / "folder", overwrite=True)


def test_a_file_that_exists_is_replaced_only_if_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(FileExistsError):
        place(make_part(path), path)
    assert path.read_text() == "old"
    place(make_part(path), path, overwrite=True)
    assert path.read_text() == ""
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="there are no modes")
def test_mode_and_owner_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o640)
    if os.getuid() == 0:
        os.chown(path, 12345, 54321)
    before = path.stat()
    place(make_part(path), path, overwrite=True)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


@pytest.mark.skipif(os.name == "nt", reason="there are no owners")
def test_a_mode_gives_another_group_no_more_than_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o664)
    if os.getuid() == 0:
        os.chown(path, 12345, 54321)
    else:
        pytest.skip("needs a file of another group")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    place(make_part(path), path, overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_comes_from_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool) -> None:
    part, path = make_part(Path("a"), tmp_path / "disk"), tmp_path / "out/a"
    part.write_text("text")
    path.parent.mkdir()
    if overwrite:
        path.write_text("old")
    for name in ("link", "replace"):
        real = getattr(os, name)

        def move(source: Path, target: Path, real: Any = real, **_: object) -> None:
            if Path(source).parent != Path(target).parent:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            real(source, target)

        monkeypatch.setattr(os, name, move)
    place(part, path, overwrite)
    assert path.read_text() == "text"
    assert [*tmp_path.glob("*/.*"), *tmp_path.glob("*/*")] == [path]


def test_what_an_earlier_run_has_left_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    with open_own(path) as file:
        file.write(b"begun")
    with open_own(path) as file:
        assert file.read() == b"begun"
    (tmp_path / "other").hardlink_to(path)
    with pytest.raises(OSError, match="is a hard link"):
        open_own(path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_drive_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def acquire(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    assert acquire_lock(tmp_path / "lock") is None
    assert "this drive has no locks" in caplog.text


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    lock = acquire_lock(tmp_path / "lock", timeout=0)
    assert lock is not None
    with pytest.raises(TimeoutError):
        acquire_lock(tmp_path / "lock", timeout=0)
    lock.release()
    assert acquire_lock(tmp_path / "lock", timeout=0) is not None


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
