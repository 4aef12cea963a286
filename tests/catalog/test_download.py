"""Downloads end whole and right or not at all, whatever the server, the network or the user does meanwhile."""

from __future__ import annotations

import hashlib
import itertools
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.catalog.server import Cut, Pause, Server, Status
from upscaler.catalog.download import Download, fetch, weights_sha256
from upscaler.errors import ModelError

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()

FETCH = """
import sys
from pathlib import Path
from upscaler.catalog.download import Download, fetch
fetch(Download((sys.argv[1],), None, sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models/weights.pth"


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upscaler.catalog.download.PAUSES", (0.0, 0.01, 0.01))
    monkeypatch.delenv("UPSCALER_MIRROR", raising=False)


def known(*urls: str, size: int | None = len(CONTENT)) -> Download:
    return Download(urls, size, SHA256)


def typed(url: str) -> Download:
    """As of an address of which nothing is known."""
    return Download((url,), None, None)


def begun(path: Path, content: bytes) -> Path:
    """What an earlier process has left."""
    part = path.with_name(f"{path.name}.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def left(path: Path) -> list[str]:
    """All there is in the folder but the lock."""
    return sorted(file.name for file in path.parent.iterdir() if file.suffix != ".lock")


def start(url: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, url, SHA256, str(path)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_file_arrives_whole_and_as_it_is(server: Server, path: Path) -> None:
    assert fetch(known(server.put("/weights.pth", CONTENT)), path) == SHA256
    assert path.read_bytes() == CONTENT
    assert left(path) == ["weights.pth"]


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_progress_counts_resumed_bytes_and_tells_the_whole(server: Server, path: Path, size: int | None) -> None:
    told: list[tuple[int, int | None]] = []
    begun(path, CONTENT[:200_000])
    fetch(known(server.put("/weights.pth", CONTENT), size=size), path, lambda *counts: told.append(counts))
    assert told[0][0] > 200_000
    assert {whole for _, whole in told} == {300_000}
    assert told[-1][0] == 300_000


def test_progress_tells_that_the_whole_is_not_known(server: Server, path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    fetch(typed(server.put("/weights.pth", CONTENT, chunked=True)), path, lambda *counts: told.append(counts))
    assert told[-1] == (300_000, None)


@pytest.mark.parametrize("chunked", [False, True])
def test_cut_connection_is_resumed_where_it_broke(server: Server, path: Path, chunked: bool) -> None:
    fetch(known(server.put("/weights.pth", CONTENT, [Cut(100_000), Cut(0), Cut(50_000)], chunked=chunked)), path)
    assert path.read_bytes() == CONTENT
    if not chunked:
        assert server.ranges("/weights.pth") == [None, "bytes=100000-", "bytes=100000-", "bytes=150000-"]
        assert server.sent("/weights.pth") == len(CONTENT)
    assert server.sent("/weights.pth") < 1.5 * len(CONTENT)


def test_reset_connection_is_tried_again(server: Server, path: Path) -> None:
    fetch(known(server.put("/weights.pth", CONTENT, [Cut(0, reset=True), Cut(100_000, reset=True)])), path)
    assert path.read_bytes() == CONTENT


def test_stalled_connection_is_resumed(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upscaler.catalog.http.READ_TIMEOUT", 0.2)
    fetch(known(server.put("/weights.pth", CONTENT, [Pause(0), Pause(200_000)])), path)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth")[:2] == [None, None]
    assert server.ranges("/weights.pth")[2] is not None


def test_attempts_are_counted_anew_when_bytes_were_gained(server: Server, path: Path) -> None:
    fetch(known(server.put("/weights.pth", CONTENT, [Cut(20_000)] * 10)), path)
    assert path.read_bytes() == CONTENT


def test_address_that_brings_no_more_is_given_up(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, itertools.cycle([Cut(1000), Cut(500)]), ranges=False)
    with pytest.raises(ModelError, match=r"the connection (broke|ended)"):
        fetch(known(url), path)
    assert len(server.requests) == 1 + 3
    assert left(path) == ["weights.pth.part"]


def test_server_that_ignores_ranges_is_read_from_the_beginning(server: Server, path: Path) -> None:
    fetch(known(server.put("/weights.pth", CONTENT, [Cut(100_000)], ranges=False)), path)
    assert path.read_bytes() == CONTENT
    assert server.sent("/weights.pth") == 100_000 + len(CONTENT)


@pytest.mark.parametrize(
    ("left_over", "shift"), [(CONTENT + OTHER, 0), (CONTENT[:1000], 1), (CONTENT[:1000], -1)], ids=["416", "+1", "-1"]
)
def test_range_that_does_not_fit_is_read_from_the_beginning(
    server: Server, path: Path, left_over: bytes, shift: int
) -> None:
    begun(path, left_over)
    fetch(known(server.put("/weights.pth", CONTENT, range_shift=shift), size=None), path)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == [f"bytes={len(left_over)}-", None]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_busy_server_is_asked_again(server: Server, path: Path, status: int) -> None:
    fetch(known(server.put("/weights.pth", CONTENT, [Status(status)] * 3)), path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("asked", "longest", "waits"),
    [("1", 60.0, "1"), ("7000", 0.02, "0.02"), ("Fri, 31 Dec 2100 23:59:59 GMT", 60.0, "0.01")],
)
def test_retry_after_is_obeyed_if_it_is_seconds_and_not_too_many(
    server: Server,
    path: Path,
    asked: str,
    longest: float,
    waits: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("upscaler.catalog.download.PAUSES", (0.01,))
    monkeypatch.setattr("upscaler.catalog.download.LONGEST_PAUSE", longest)
    fetch(known(server.put("/weights.pth", CONTENT, [Status(503, {"Retry-After": asked})])), path)
    assert f"HTTP 503 Service Unavailable. Trying again in {waits} s." in caplog.text


def test_missing_file_is_had_from_the_next_address_at_once(server: Server, path: Path) -> None:
    fetch(known(server.url + "/gone.pth", server.put("/weights.pth", CONTENT)), path)
    assert [request.path for request in server.requests] == ["/gone.pth", "/weights.pth"]


def test_next_address_goes_on_where_the_last_one_ended(server: Server, path: Path) -> None:
    first = server.put("/a/weights.pth", CONTENT, [Cut(100_000), Status(403)])
    fetch(known(first, server.put("/b/weights.pth", CONTENT)), path)
    assert server.ranges("/b/weights.pth") == ["bytes=100000-"]


def test_file_that_is_nowhere_is_said_with_all_reasons_and_what_to_do(server: Server, path: Path) -> None:
    busy = server.put("/busy/weights.pth", CONTENT, itertools.repeat(Status(503)))
    with pytest.raises(ModelError) as caught:
        fetch(known(server.url + "/gone/weights.pth", busy), path)
    host = server.url.removeprefix("http://")
    assert str(caught.value) == (
        f"weights.pth: cannot be fetched ({host}: HTTP 404 Not Found; {host}: HTTP 503 Service Unavailable). "
        "Check the connection and the proxy, set UPSCALER_MIRROR to the address of a folder that has it, "
        f"or get {server.url}/gone/weights.pth in another way and save it as {path}."
    )
    assert left(path) == []


def test_unreachable_host_is_said(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ModelError, match=rf"127\.0\.0\.1:{port}: no connection to it"):
        fetch(known(f"http://127.0.0.1:{port}/weights.pth"), path)


def test_secrets_of_an_address_are_not_told(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_MIRROR", server.url.replace("//", "//me:hush@"))
    with pytest.raises(ModelError) as caught:
        fetch(known(server.url + "/weights.pth"), path)
    assert "hush" not in str(caught.value)


def test_wrong_content_is_not_kept_and_both_hashes_are_said(server: Server, path: Path) -> None:
    with pytest.raises(
        ModelError, match=f"SHA-256 {hashlib.sha256(OTHER).hexdigest()[:12]}… instead of {SHA256[:12]}…"
    ):
        fetch(known(server.put("/weights.pth", OTHER)), path)
    assert left(path) == []
    assert len(server.requests) == 1


def test_wrong_content_is_had_from_the_next_address(server: Server, path: Path) -> None:
    fetch(known(server.put("/a/weights.pth", OTHER), server.put("/b/weights.pth", CONTENT)), path)
    assert path.read_bytes() == CONTENT


def test_failure_leaves_the_file_that_was_there(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"of an older version")
    with pytest.raises(ModelError):
        fetch(known(server.put("/weights.pth", OTHER)), path)
    assert path.read_bytes() == b"of an older version"
    fetch(known(server.put("/weights.pth", CONTENT)), path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_wrong_beginning_is_fetched_again(server: Server, path: Path, size: int | None) -> None:
    begun(path, OTHER[:100_000])
    fetch(known(server.put("/weights.pth", CONTENT), size=size), path)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == ["bytes=100000-", None]


def test_wrong_beginning_from_another_address_is_fetched_again(server: Server, path: Path) -> None:
    first = server.put("/a/weights.pth", OTHER, [Cut(100_000), Status(403)])
    fetch(known(first, server.put("/b/weights.pth", CONTENT)), path)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/b/weights.pth") == ["bytes=100000-", None]


def test_left_over_of_full_length_is_used_if_right(server: Server, path: Path) -> None:
    begun(path, CONTENT)
    assert fetch(known(server.url + "/weights.pth"), path) == SHA256
    assert path.read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("left_over", [OTHER, OTHER + CONTENT])
def test_left_over_of_full_length_is_fetched_again_if_wrong(server: Server, path: Path, left_over: bytes) -> None:
    begun(path, left_over)
    fetch(known(server.put("/weights.pth", CONTENT)), path)
    assert server.ranges("/weights.pth") == [None]


def test_endless_content_is_cut_off(server: Server, path: Path) -> None:
    endless = bytes(64 * 2**20)
    with pytest.raises(ModelError, match="it sends more than the 300000 bytes of the file"):
        fetch(known(server.put("/weights.pth", endless, chunked=True)), path)
    assert left(path) == []
    assert server.sent("/weights.pth") < len(endless)


@pytest.mark.parametrize("length", [5, 400_000])
def test_file_of_another_length_is_refused_before_it_is_sent(server: Server, path: Path, length: int) -> None:
    begun(path, CONTENT[:200_000])
    url = server.put("/weights.pth", CONTENT, length=length, ranges=False)
    with pytest.raises(ModelError, match=f"the file there has {length} bytes instead of 300000"):
        fetch(known(url), path)
    assert left(path) == ["weights.pth.part"]


def test_content_that_ends_early_is_asked_for_again(server: Server, path: Path) -> None:
    with pytest.raises(ModelError, match="the connection ended after 200000 of 300000 bytes"):
        fetch(known(server.put("/weights.pth", CONTENT[:200_000], chunked=True, ranges=False)), path)
    assert len(server.requests) == 1 + 3


def test_page_to_log_in_does_not_cost_what_has_arrived(server: Server, path: Path) -> None:
    """As hotels send for whatever they are asked."""
    begun(path, CONTENT[:200_000])
    page = {"Content-Type": "text/html; charset=utf-8"}
    url = server.put("/weights.pth", b"<html>", headers=page, ranges=False)
    with pytest.raises(ModelError, match="it sends a web page instead of the file"):
        fetch(known(url, size=None), path)
    fetch(known(server.put("/weights.pth", CONTENT), size=None), path)
    assert server.ranges("/weights.pth")[1] == "bytes=200000-"


def test_file_of_unknown_hash_is_begun_anew(server: Server, path: Path) -> None:
    begun(path, OTHER[:1000])
    assert fetch(typed(server.put("/weights.pth", CONTENT)), path) == SHA256
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == [None]


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"Content-Type": "text/html"}])
def test_file_of_unknown_hash_is_no_web_page_and_not_packed(
    server: Server, path: Path, headers: dict[str, str]
) -> None:
    with pytest.raises(ModelError, match="it sends"):
        fetch(typed(server.put("/weights.pth", CONTENT, headers=headers)), path)
    assert left(path) == []


@pytest.mark.parametrize("headers", [{"ETag": '"1"'}, {"ETag": 'W/"1"', "Last-Modified": "Fri, 31 Dec 2021 GMT"}])
def test_file_of_unknown_hash_is_resumed_while_it_stays_the_same(
    server: Server, path: Path, headers: dict[str, str]
) -> None:
    assert fetch(typed(server.put("/weights.pth", CONTENT, [Cut(100_000)], headers=headers)), path) == SHA256
    assert server.ranges("/weights.pth") == [None, "bytes=100000-"]


def test_file_of_unknown_hash_is_begun_anew_when_it_changes(server: Server, path: Path) -> None:
    def change(*_: object) -> None:
        server.put("/weights.pth", CONTENT, headers={"ETag": '"2"'})

    fetch(typed(server.put("/weights.pth", OTHER, [Cut(100_000)], headers={"ETag": '"1"'})), path, change)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == [None, "bytes=100000-"]


def test_file_of_unknown_hash_and_version_is_begun_anew(server: Server, path: Path) -> None:
    assert fetch(typed(server.put("/weights.pth", CONTENT, [Cut(100_000)])), path) == SHA256
    assert server.ranges("/weights.pth") == [None, None]


def test_file_of_unknown_hash_leaves_nothing_that_is_not_whole(server: Server, path: Path) -> None:
    with pytest.raises(ModelError, match=r"Check the connection and the proxy, or get"):
        fetch(typed(server.put("/weights.pth", CONTENT, itertools.repeat(Cut(100_000)))), path)
    assert left(path) == []


def test_right_file_is_not_fetched(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert fetch(known(server.put("/weights.pth", CONTENT)), path) == SHA256
    assert server.requests == []
    assert [file.name for file in path.parent.iterdir()] == ["weights.pth"]


def test_redirection_is_followed_and_resumed(server: Server, path: Path) -> None:
    target = server.put("/store/1234", CONTENT, [Cut(100_000)])
    fetch(known(server.put("/weights.pth", b"", itertools.repeat(Status(302, {"Location": target})))), path)
    assert server.ranges("/store/1234") == [None, "bytes=100000-"]


@pytest.mark.parametrize(
    ("location", "reason"), [("file:///etc/hosts", "No connection adapters"), ("/weights.pth", "Exceeded 30 redirects")]
)
def test_redirection_that_leads_nowhere_is_refused(server: Server, path: Path, location: str, reason: str) -> None:
    url = server.put("/weights.pth", b"", itertools.repeat(Status(302, {"Location": location})))
    with pytest.raises(ModelError, match=reason):
        fetch(known(url), path)


def test_mirror_comes_first(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_MIRROR", server.url + "/mirror/")
    server.put("/mirror/weights.pth", CONTENT)
    fetch(known(server.put("/elsewhere/weights.pth", CONTENT)), path)
    fetch(Download((), None, SHA256, "weights.pth"), path.with_name("without_any_address.pth"))
    assert [request.path for request in server.requests] == ["/mirror/weights.pth"] * 2


def test_mirror_without_the_file_is_passed_over(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_MIRROR", server.url + "/mirror")
    fetch(known(server.put("/weights+1.pth", CONTENT)), path)
    assert [request.path for request in server.requests] == ["/mirror/weights%2B1.pth", "/weights+1.pth"]


def test_mirror_is_not_trusted_without_a_hash(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_MIRROR", server.url + "/mirror")
    fetch(typed(server.put("/weights.pth", CONTENT)), path)
    assert [request.path for request in server.requests] == ["/weights.pth"]


def test_proxy_of_the_environment_is_used(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.put("/weights.pth", CONTENT, [Cut(100_000)])
    fetch(known("http://models.invalid/weights.pth"), path)
    assert [request.through_proxy for request in server.requests] == [True, True]


def test_proxy_that_refuses_is_said(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    with pytest.raises(ModelError, match=r"models\.invalid: the proxy gives no connection to it"):
        fetch(known("https://models.invalid/weights.pth"), path)


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://models.invalid/weights.pth", "weights.pth", "https://"])
def test_address_of_another_kind_is_refused(path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"this address cannot be fetched. It must begin with https:// or http://"):
        fetch(typed(url), path)
    monkeypatch.setenv("UPSCALER_MIRROR", url)
    with pytest.raises(ModelError, match="this address cannot be fetched"):
        fetch(known("https://models.invalid/weights.pth"), path)


@pytest.mark.parametrize("url", ["http://[::1/weights.pth", "http://..invalid/weights.pth", "http://a b/weights.pth"])
def test_address_that_is_none_is_refused(path: Path, url: str) -> None:
    with pytest.raises(ModelError, match=r"weights\.pth: cannot be fetched"):
        fetch(typed(url), path)


def test_file_without_any_address_is_said(path: Path) -> None:
    with pytest.raises(ModelError, match="no address is known"):
        fetch(Download((), None, SHA256, "weights.pth"), path)


def test_interruption_keeps_what_has_arrived(server: Server, path: Path) -> None:
    def interrupt(count: int, _: int | None) -> None:
        if count > 100_000:
            raise KeyboardInterrupt

    url = server.put("/weights.pth", CONTENT)
    with pytest.raises(KeyboardInterrupt):
        fetch(known(url), path, interrupt)
    assert left(path) == ["weights.pth.part"]
    fetch(known(url), path)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == [None, "bytes=131072-"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_killed_process_leaves_no_file_and_the_next_goes_on(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, [Pause(200_000)])
    process = start(url, path)
    part = path.with_name("weights.pth.part")
    while process.poll() is None and not (part.exists() and part.stat().st_size > 100_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert left(path) == ["weights.pth.part"]
    arrived = part.stat().st_size
    fetch(known(url), path)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == [None, f"bytes={arrived}-"]


def test_two_processes_fetch_once(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, [Pause(200_000)])
    first = start(url, path)
    while first.poll() is None and not server.requests:
        time.sleep(0.01)
    second = start(url, path)
    assert second.stderr is not None
    assert second.stderr.readline() == "weights.pth: it is being fetched already; waiting.\n"
    server.go_on()
    for process in (first, second):
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_two_threads_fetch_once(server: Server, path: Path) -> None:
    download = known(server.put("/weights.pth", CONTENT, [Cut(200_000)]))
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(fetch, [download] * 4, [path] * 4)) == [SHA256] * 4
    assert server.sent("/weights.pth") == len(CONTENT)


def test_folder_that_is_none_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"weights\.pth: cannot be written \(.*\)\. Make room, or set UPSCALER_HOME"):
        fetch(known(server.put("/weights.pth", CONTENT)), tmp_path / "file/weights.pth")


def test_file_that_no_disk_has_room_for_is_not_begun(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, length=2**60)
    with pytest.raises(ModelError, match=f"there is room for .* MiB, and {2**40} are needed"):
        fetch(known(url, size=2**60), path)
    assert left(path) == []


@pytest.mark.parametrize(("name", "value"), [("RESERVE", 2**62), ("LARGEST", 100_000)])
def test_file_of_unknown_length_does_not_fill_the_disk(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(f"upscaler.catalog.http.{name}", value)
    with pytest.raises(ModelError, match="MiB have arrived of a file whose length the server does not say, and"):
        fetch(typed(server.put("/weights.pth", CONTENT, chunked=True)), path)
    assert left(path) == []
    fetch(known(server.put("/weights.pth", CONTENT)), path)


@pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
def test_what_a_stranger_has_put_there_is_not_written_to(server: Server, path: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    path.parent.mkdir()
    url = server.put("/weights.pth", CONTENT)
    for name in ("weights.pth.part", "weights.pth.lock"):
        for make in (Path.symlink_to, Path.hardlink_to):
            if (make, name) == (Path.hardlink_to, "weights.pth.lock"):
                continue  # nothing is written to it
            make(path.with_name(name), precious)
            with pytest.raises(ModelError, match=rf"cannot be written \({name} is a (hard )?link\)"):
                fetch(known(url), path)
            assert precious.read_text() == "precious"
            path.with_name(name).unlink()
            path.with_name("weights.pth.lock").unlink(missing_ok=True)
    fetch(known(url), path)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits there")
def test_disk_that_takes_no_more_is_said(server: Server, path: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(ModelError, match=r"weights\.pth: cannot be written \(File too large\)\. Make room"):
            fetch(known(server.put("/weights.pth", CONTENT)), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert left(path) == ["weights.pth.part"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://models.invalid/a/weights.pth", "weights.pth"),
        ("https://models.invalid/weights%20of%20v1+%28x4%29.pth?token=a/b#sha256=0", "weights of v1+(x4).pth"),
        ("https://models.invalid/a%2Fb%5Cc%00.pth", "a_b_c_.pth"),
        ("https://models.invalid/..%2F..%2Fweights.pth", "_.._weights.pth"),
        ("https://models.invalid/.hidden", "hidden"),
        ("https://models.invalid/größe.pth", "größe.pth"),
        ("https://models.invalid/folder/", "model"),
        ("https://models.invalid", "model"),
        ("https://models.invalid/..", "model"),
        ("http://[::1/weights.pth", "weights.pth"),
    ],
)
def test_name_is_fit_for_a_folder(url: str, name: str) -> None:
    assert typed(url).filename == name


def test_name_that_was_given_is_used() -> None:
    assert Download(("https://models.invalid/1234",), None, None, "weights.pth").filename == "weights.pth"
    assert Download((), None, None, "weights.pth").filename == "weights.pth"


def test_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(CONTENT)
    assert weights_sha256(tmp_path / "weights.pth") == SHA256
    with pytest.raises(ModelError, match=r"none\.pth: cannot be read \(No such file or directory\)"):
        weights_sha256(tmp_path / "none.pth")
