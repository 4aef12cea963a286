"""What the hub says, and what lies in its cache, is not believed; a repository that holds a network is that network.
Fetching diffusion models is tested in diffusion/test_load.py."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.catalog.server import Cut
from tests.diffusion.hub import Hub
from tests.networks import tiny_compact
from upscaler import TextToImage, Upscaler, catalog, recipe
from upscaler.catalog import Model, Repository, hub
from upscaler.errors import ModelError
from upscaler.pipeline import Pipeline

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
    monkeypatch.setattr(hub, "standard_cache", lambda: tmp_path)
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


@pytest.fixture
def here() -> Iterator[Hub]:
    """A hub on this machine."""
    with Hub() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a repository of one network holds."""
    (tmp_path / "repository").mkdir()
    tiny_compact(tmp_path).rename(tmp_path / "repository/2xTiny.safetensors")
    (tmp_path / "repository/README.md").write_text("a network")
    return tmp_path / "repository"


def add_pickle(folder: Path, name: str = "2xTiny.pth") -> None:
    """Saves the network of a folder as a pickle, too."""
    (folder / name).parent.mkdir(exist_ok=True)
    torch.save(load_file(folder / "2xTiny.safetensors"), folder / name)


def refused(name: str, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        catalog.fetch_model(catalog.find(name), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_repository_that_holds_a_network_is_that_network(here: Hub, folder: Path) -> None:
    add_pickle(folder)
    here.publish("me/net", folder)
    unknown = catalog.find("me/net")
    assert (unknown.kind, catalog.find_local(unknown)) == ("repository", None)
    assert not here.server.requests
    file = catalog.fetch_model(unknown)
    assert file.name == "2xTiny.safetensors"
    assert file.read_bytes() == (folder / "2xTiny.safetensors").read_bytes()
    found, asked = catalog.find("me/net"), len(here.server.requests)
    assert found == Model("me/net", "network", repository=Repository("me/net", file="2xTiny.safetensors"))
    assert catalog.fetch_model(found, offline=True) == catalog.find_local(unknown) == file
    assert catalog.fingerprint(found) == catalog.weights_sha256(file)
    assert catalog.find(recipe.reference(found)).repository == found.repository
    assert len(here.server.requests) == asked
    assert catalog.remove(found) == [file.parent]
    assert catalog.find("me/net").kind == "repository"


def test_the_library_enlarges_with_it_at_once_and_so_do_its_workers(here: Hub, folder: Path) -> None:
    here.publish("me/net", folder)
    upscaler = Upscaler("me/net", device="cpu")
    assert str(upscaler(np.zeros((8, 9, 3), np.uint8)).size) == "18x16"
    pipeline = pickle.loads(pickle.dumps(Pipeline("me/net")))
    assert pipeline.model.kind == "network"
    assert pipeline.settings["weights"] == [catalog.weights_sha256(folder / "2xTiny.safetensors")]


def test_pickles_are_taken_where_there_are_no_safetensors(here: Hub, folder: Path) -> None:
    add_pickle(folder)
    (folder / "2xTiny.safetensors").unlink()
    here.publish("me/net", folder)
    assert str(Upscaler("me/net", device="cpu")(np.zeros((8, 8, 3), np.uint8)).size) == "16x16"
    assert catalog.fetch_model(catalog.find("me/net")).name == "2xTiny.pth"


def test_several_networks_are_listed_and_one_of_them_can_be_named(here: Hub, folder: Path) -> None:
    add_pickle(folder)
    add_pickle(folder, "more/2xOther.pth")
    commit = here.publish("me/nets", folder)
    (folder / "2xTiny.safetensors").unlink()
    here.publish("me/pickles", folder)
    assert refused("me/pickles") == (
        "me/pickles: there are several networks in it (2xTiny.pth, more/2xOther.pth). "
        "Name one, as me/pickles/2xTiny.pth."
    )
    assert refused("me/nets/2xTiny.safetensors", offline=True).endswith("from another machine.")
    for name in ("me/nets/more/2xOther.pth", f"me/nets/2xTiny.pth@{commit}"):
        model = catalog.find(name)
        assert model.kind == "network"
        assert catalog.fetch_model(model).name == Path(name.partition("@")[0]).name
        assert catalog.find(recipe.reference(model)) == model
        assert catalog.find_local(catalog.find(name)) is not None
    assert "it has no file 2xNone.pth. Look" in refused("me/nets/2xNone.pth")


def test_a_path_of_a_folder_that_is_here_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    with pytest.raises(ModelError, match=r"nets/mine/a\.pth: no such file"):
        catalog.find("nets/mine/a.pth")


def test_weights_of_something_else_are_no_network(here: Hub, folder: Path) -> None:
    (folder / "2xTiny.safetensors").rename(folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    here.publish("me/words", folder)
    assert "there is no model in diffusers' form in it (no model_index.json), and no network" in refused("me/words")
    with pytest.raises(ModelError, match="and no network"):
        Upscaler("me/words")


def test_wrong_bytes_are_not_used_and_broken_downloads_gone_on_with(
    here: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upscaler.catalog.download.PAUSES", (0.0,))
    here.publish("me/net", folder, faults=[Cut(1000)])
    here.spoil(folder)
    assert "it sends another file" in refused("me/net")
    assert catalog.find_local(catalog.find("me/net")) is None
    here.publish("me/net", folder, faults=[Cut(1000)])
    assert catalog.fetch_model(catalog.find("me/net")).is_file()


def test_offline_nothing_is_asked(here: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here.publish("me/net", folder)
    monkeypatch.setenv("UPSCALER_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"^me/net: it is not on this machine, and fetching is forbidden\."):
        Upscaler("me/net")
    assert not here.server.requests


def test_a_network_makes_no_pictures_from_text(here: Hub, folder: Path) -> None:
    here.publish("me/net", folder)
    with pytest.raises(ModelError, match="this is not a diffusion model"):
        TextToImage("me/net", device="cpu")("a cat")
    catalog.fetch_model(catalog.find("me/net"))
    with pytest.raises(ModelError, match="makes no pictures from text"):
        TextToImage("me/net", device="cpu")
