"""Where files of models come from: the cache, an installed package, the network; and what is never used."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.catalog.server import Server
from tests.catalog.test_ncnn import compact, compact_state
from tests.ncnn_weights import Writer
from tests.networks import tiny_compact
from upscaler import Upscaler, catalog
from upscaler.catalog import Download, Model, Package, store
from upscaler.errors import ModelError

CONTENT = b"weights " * 500
RIGHT = hashlib.sha256(CONTENT).hexdigest()


def model_at(url: str, **more: object) -> Model:
    return Model("net", download=Download((url,), len(CONTENT), RIGHT), home="https://example.org/net", **more)


def test_a_model_is_fetched_once_and_found_afterwards() -> None:
    with Server() as server:
        model = model_at(server.put("/net.pth", CONTENT))
        assert catalog.find_local(model) is None
        path = catalog.fetch_model(model)
        assert path == catalog.models_dir() / "net.pth" == catalog.find_local(model)
        assert path.read_bytes() == CONTENT
        assert catalog.fetch_model(model) == path
        assert len(server.requests) == 1


def test_a_wrong_file_in_the_cache_is_fetched_anew(caplog: pytest.LogCaptureFixture) -> None:
    with Server() as server:
        model = model_at(server.put("/net.pth", CONTENT))
        catalog.models_dir().mkdir(parents=True)
        (catalog.models_dir() / "net.pth").write_bytes(b"something else")
        assert catalog.fetch_model(model).read_bytes() == CONTENT
    assert "is not the file that belongs there" in caplog.text


def test_wrong_bytes_from_the_network_are_never_used() -> None:
    with Server() as server, pytest.raises(ModelError, match=r"net\.pth: cannot be fetched"):
        catalog.fetch_model(model_at(server.put("/net.pth", CONTENT[:-1] + b"!")))
    assert not (catalog.models_dir() / "net.pth").exists()


@pytest.mark.parametrize("by_environment", [True, False])
def test_offline_says_which_file_to_put_where(monkeypatch: pytest.MonkeyPatch, by_environment: bool) -> None:
    with Server() as server:
        url = server.put("/net.pth", CONTENT)
        if by_environment:
            monkeypatch.setenv("UPSCALER_OFFLINE", "1")
        with pytest.raises(ModelError) as caught:
            catalog.fetch_model(model_at(url), offline=None if by_environment else True)
        assert str(caught.value) == (
            f"net: it is not on this machine, and fetching is forbidden. "
            f"Get net.pth from {url} and put it into {catalog.models_dir()}."
        )
        assert not server.requests
        catalog.models_dir().mkdir(parents=True)
        (catalog.models_dir() / "net.pth").write_bytes(CONTENT)
        assert catalog.fetch_model(model_at(url), offline=True).read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_checked_too() -> None:
    catalog.models_dir().mkdir(parents=True)
    (catalog.models_dir() / "net.pth").write_bytes(b"something else")
    with pytest.raises(ModelError, match="fetching is forbidden"):
        catalog.fetch_model(model_at("https://example.org/net.pth"), offline=True)


def test_what_has_no_address_says_where_it_is_to_be_had() -> None:
    model = Model("net", download=Download((), 9, RIGHT, "net.pth"), home="https://example.org/net")
    with pytest.raises(ModelError, match=r"net: Get net\.pth from https://example\.org/net and put it into "):
        catalog.fetch_model(model)


def test_the_licence_is_said_before_anything_is_fetched(caplog: pytest.LogCaptureFixture) -> None:
    closed = {"licence": "CC-BY-NC-4.0", "commercial": False, "author": "somebody"}
    with pytest.raises(ModelError):
        catalog.fetch_model(model_at("http://127.0.0.1:1/net.pth", **closed), offline=True)
    assert not caplog.text
    with Server() as server:
        catalog.fetch_model(model_at(server.put("/net.pth", CONTENT), **closed))
    assert "net: by somebody, CC-BY-NC-4.0: commercial use is not allowed." in caplog.text


def test_a_url_without_a_hash_is_used_and_its_hash_said(caplog: pytest.LogCaptureFixture) -> None:
    with Server() as server:
        one = catalog.find(server.put("/one/net.pth", CONTENT))
        other = catalog.find(server.put("/other/net.pth", b"other"))
        assert catalog.fetch_model(one).read_bytes() == CONTENT
        assert catalog.fetch_model(other).read_bytes() == b"other"
        assert catalog.fetch_model(one).read_bytes() == CONTENT
    assert f"Add #sha256={RIGHT} to it" in caplog.text


def test_a_url_with_a_wrong_hash_is_not_used() -> None:
    with Server() as server, pytest.raises(ModelError, match=r"cannot be fetched .*SHA-256"):
        catalog.fetch_model(catalog.find(server.put("/net.pth", CONTENT) + f"#sha256={'0' * 64}"))


def test_removing_deletes_what_was_fetched_and_nothing_else(tmp_path: Path) -> None:
    with Server() as server:
        model = model_at(server.put("/net.pth", CONTENT))
        path = catalog.fetch_model(model)
        assert path in catalog.remove(model)
    assert not [file for file in catalog.models_dir().rglob("*") if file.is_file()]
    for kept in (model, catalog.find("faithful"), catalog.find(str(tiny_compact(tmp_path)))):
        with pytest.raises(ModelError, match="nothing can be removed"):
            catalog.remove(kept)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """An installed package that cannot be imported, with a tiny network in ncnn form."""
    place = tmp_path / "site" / "carrier_of_a_net"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("raise ImportError('libvulkan.so.1')")
    param = compact(compact_state(), Writer()).save(place)
    bin = param.with_suffix(".bin")
    monkeypatch.syspath_prepend(place.parent)
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (param, bin)]
    return Package(place.name, param.name, bin.name, *hashes)


def test_an_installed_package_comes_before_the_network(package: Package) -> None:
    model = model_at("http://127.0.0.1:1/net.pth", package=package)
    assert catalog.find_local(model) is not None
    path = catalog.fetch_model(model)
    assert path.suffix == ".safetensors"
    with safe_open(path, "np") as file:
        assert file.metadata()["architecture"] == "SRVGGNetCompact"
    written = path.stat().st_mtime_ns
    assert catalog.fetch_model(model) == path
    assert path.stat().st_mtime_ns == written
    assert package.module not in sys.modules


def test_a_pair_of_files_is_a_model_with_the_scale_of_its_graph(tmp_path: Path) -> None:
    """As realesr-animevideov3-x2: a network that enlarges by 4, and a reduction to a half."""
    writer = compact(compact_state(4), Writer(), 4, end="0=3 1=5.000000e-01 2=5.000000e-01")
    param = writer.save(tmp_path, "half")
    for file in (param, param.with_suffix(".bin")):
        model = catalog.find(str(file))
        assert (model.name, model.scale) == ("half", 2)
        assert str(Upscaler(str(file), device="cpu")(np.zeros((12, 16, 3), np.uint8)).size) == "32x24"
    with pytest.raises(ModelError, match=r"alone\.bin: no such file"):
        catalog.find(str(tmp_path / "alone.bin"))
    param.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"half\.bin: no such file"):
        catalog.find(str(param))


def test_another_version_of_the_package_is_not_used(package: Package, caplog: pytest.LogCaptureFixture) -> None:
    model = model_at("http://127.0.0.1:1/net.pth", package=replace(package, bin_sha256="0" * 64))
    with pytest.raises(ModelError, match="fetching is forbidden"):
        catalog.fetch_model(model, offline=True)
    assert "are not those known, and are not used" in caplog.text


def test_a_package_that_is_not_installed_is_no_error() -> None:
    package = Package("no_such_package", "net.param", "net.bin", RIGHT, RIGHT)
    assert catalog.find_local(Model("net", package=package)) is None


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path / "file"))
    with Server() as server, pytest.raises(ModelError, match=r"cannot be written .*UPSCALER_HOME"):
        catalog.fetch_model(model_at(server.put("/net.pth", CONTENT)))


@pytest.mark.parametrize("scale", ["9" * 5000, "-3", "0", "33", "2.5", "four", "²", ""])
def test_the_header_of_an_imported_file_is_not_believed(scale: str) -> None:
    path = catalog.imported_path("mine")
    path.parent.mkdir(parents=True)
    about = {"scale": scale, "source": "a\x1b[2J\nb" + "c" * 5000, "architecture": "x\ny"}
    save_file({"weight": np.zeros(1)}, path, about)
    model = catalog.find("mine")
    assert (model.scale, model.architecture) == (None, "x y")
    assert len(model.purpose) < 300
    assert "\n" not in model.purpose


def test_an_imported_file_is_opened_once_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def counted(file: Path, framework: str) -> Any:
        opened.append(file)
        return safe_open(file, framework)

    monkeypatch.setattr(store, "safe_open", counted)
    path = catalog.imported_path("mine")
    path.parent.mkdir(parents=True)
    for scale in ("2", "3"):
        save_file({"weight": np.zeros(int(scale))}, path, {"scale": scale, "architecture": "net"})
        for _ in range(3):
            assert catalog.find("mine").scale == int(scale)
            assert catalog.find("photo").scale == 4
    assert opened == [path, path]
