"""A hub on this machine: what huggingface_hub asks of the real one, served from folders that a test made.

    with Hub() as hub:
        hub.publish("owner/name", folder)

Weights are answered with the address of a storage, as those that the real one keeps with Git LFS; a fault can be put
there. Nothing else of the environment is used meanwhile: no cache and no token of whoever runs the tests.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from huggingface_hub import constants

from tests.catalog.server import Fault, Server, Status

WEIGHTS = (".safetensors", ".bin", ".ckpt", ".msgpack", ".pth")
"""Endings of the files that are stored apart."""


@dataclass(frozen=True)
class _File:
    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def is_stored_apart(self) -> bool:
        return self.name.endswith(WEIGHTS)

    def described(self, key: str) -> dict[str, Any]:
        """As the lists of a repository's files do, in which its name has that key."""
        about = {key: self.name, "size": len(self.content), "type": "file", "oid": self.sha256[:40]}
        lfs = {"size": len(self.content), "sha256": self.sha256, "oid": self.sha256, "pointerSize": 134}
        return about | ({"lfs": lfs} if self.is_stored_apart else {})


class Hub:
    """Answers while it is open, in this process and, with `environment`, in others."""

    def __init__(self) -> None:
        self.server = Server()
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> Hub:
        self.server.__enter__()
        for name in ("no_proxy", "NO_PROXY"):
            self._patch.setenv(name, "127.0.0.1,localhost")
        for name in ("HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
            self._patch.delenv(name, raising=False)
        template = self.server.url + "/{repo_id}/resolve/{revision}/{filename}"
        self._patch.setattr(constants, "ENDPOINT", self.server.url)
        self._patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        self._patch.setattr(constants, "HF_TOKEN_PATH", "/no/token")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patch.undo()
        self.server.__exit__(kind, error, trace)

    @property
    def storage(self) -> str:
        """Its address, which has to be another host."""
        return self.server.url.replace("127.0.0.1", "localhost")

    @property
    def environment(self) -> dict[str, str]:
        """What makes another process use it."""
        return {"HF_ENDPOINT": self.server.url, "HF_TOKEN_PATH": "/no/token"}

    def publish(
        self, id: str, folder: Path, *, revision: str = "main", gated: bool = False, faults: Iterable[Fault] = ()
    ) -> str:
        """Serves a folder as a repository, whose every file of weights has those `faults`; its commit."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = [_File(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]
        commit = hashlib.sha1("".join(file.sha256 for file in files).encode()).hexdigest()
        about = {
            "id": id,
            "sha": commit,
            "private": False,
            "gated": "auto" if gated else False,
            "tags": ["diffusers", "license:mit"],
            "siblings": [file.described("rfilename") for file in files],
        }
        self._put_json(f"/api/models/{id}", about)
        for name in (revision, commit):
            self._put_json(f"/api/models/{id}/revision/{name}", about)
            self._put_json(f"/api/models/{id}/tree/{name}", [file.described("path") for file in files])
            for file in files:
                self._put_file(f"/{id}/resolve/{name}/{file.name}", file, commit, gated)
        for file in files:
            if file.is_stored_apart:
                self.server.put(f"/storage/{file.sha256}", file.content, faults)
        return commit

    def spoil(self, folder: Path) -> None:
        """Sends the weights of a published folder backwards from now on."""
        for path in folder.rglob("*"):
            if path.name.endswith(WEIGHTS):
                content = path.read_bytes()
                self.server.put(f"/storage/{hashlib.sha256(content).hexdigest()}", content[::-1])

    def refuse(self, path: str, status: int, code: str) -> None:
        """Answers so from now on, with the hub's own word for why."""
        self.server.put(path, b"", itertools.repeat(Status(status, {"X-Error-Code": code})))

    def fetched(self) -> list[str]:
        """The names of the files whose contents were sent, sorted, with those of weights by their hash."""
        requests = [request for request in self.server.requests if request.method == "GET" and request.sent]
        paths = [request.path.partition("/resolve/")[2] or request.path for request in requests]
        return sorted(path.partition("/")[2] for path in paths if not path.startswith("/api/"))

    def _put_json(self, path: str, value: object) -> None:
        self.server.put(path, json.dumps(value).encode(), headers={"Content-Type": "application/json"})

    def _put_file(self, path: str, file: _File, commit: str, gated: bool) -> None:
        headers = {"ETag": f'"{file.sha256[:40]}"', "X-Repo-Commit": commit}
        if gated:
            self.refuse(path, 401, "GatedRepo")
        elif file.is_stored_apart:
            linked = {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(len(file.content))}
            away = Status(302, headers | linked | {"Location": f"{self.storage}/storage/{file.sha256}"})
            self.server.put(path, b"", itertools.repeat(away))
        else:
            self.server.put(path, file.content, headers=headers)
