"""The networks of OpenModelDB: the table that is shipped, what makes it, and how its models are found and searched."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.networks import tiny_compact
from tests.openmodeldb import DIRECT, FILE, write_table
from upscaler import catalog
from upscaler.catalog import openmodeldb
from upscaler.engines.model_import import import_model
from upscaler.errors import ModelError


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of the test's own, empty yet, in place of the one that is shipped."""
    file = tmp_path / "openmodeldb.csv"
    shipped = catalog.store.shipped_path
    monkeypatch.setattr(catalog.store, "shipped_path", lambda name: file if name == file.name else shipped(name))
    _forget(monkeypatch)
    return file


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the table be read anew, now and after the test."""
    monkeypatch.setattr(openmodeldb, "models", openmodeldb.models.__wrapped__)
    monkeypatch.setattr(openmodeldb, "_by_word", openmodeldb._by_word.__wrapped__)


def write_rows(table: Path, *rows: dict[str, Any]) -> None:
    """Writes rows, each with values of its own in place of those of a model that could be."""
    usual = {"id": "4x-Net", "name": "Net", "scale": 4, "architecture": "ESRGAN", "tags": "photo deblur"}
    usual |= {"licence": "MIT", "author": "me", "size": 9, "sha256": "0" * 64, "suffix": ".pth", "urls": ""}
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, openmodeldb.COLUMNS)
        writer.writeheader()
        writer.writerows([usual | row for row in rows])


def test_the_table_holds_what_can_be_used() -> None:
    models = openmodeldb.models()
    assert len(models) > 600
    names = Counter(model.download.filename.lower() for model in catalog.all_models() if model.download)
    assert [name for name, count in names.items() if count > 1] == []
    assert len({openmodeldb.letters(model.name) for model in models}) == len(models)
    for model in models:
        assert model.download is not None
        assert re.fullmatch("[0-9a-f]{64}", model.download.sha256 or "")
        assert re.fullmatch(r"[\w.-]+\.(pth|safetensors)", model.download.filename, re.ASCII)
        assert all(DIRECT.fullmatch(urlsplit(url).netloc) for url in model.download.urls)


def test_the_table_lies_in_the_folder_that_the_wheel_takes_along() -> None:
    project = (FILE.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'[tool.hatch.build.targets.wheel.force-include]\n{FILE.parent.name} = "upscaler/models"\n' in project
    assert catalog.store.shipped_path(FILE.name) == FILE


def test_the_table_is_made_of_facts_alone(tmp_path: Path) -> None:
    about = {"name": "Net é", "author": ["a", "b"], "license": None, "tags": ["photo", "jpeg"], "scale": 2}
    about |= {"architecture": "esrgan", "description": "a, b\nc"}
    file = {"platform": "pytorch", "type": "pth", "size": 9, "sha256": "1" * 64, "urls": []}
    urls = ["https://drive.google.com/a.pth", "https://huggingface.co/a/b/resolve/main/c d.safetensors?download=true"]
    urls += ["https://github.com/a/b/blob/main/c.safetensors", "https://github.com/a/b/releases/tag/c"]
    better = file | {"type": "safetensors", "sha256": "2" * 64, "urls": urls}
    (tmp_path / "models").mkdir()
    (tmp_path / "users.json").write_text('{"a": {"name": "A"}, "b": {"name": "B"}}')
    (tmp_path / "architectures.json").write_text('{"esrgan": {"name": "ESRGAN"}}')
    (tmp_path / "models/2x-Net.json").write_text(json.dumps(about | {"resources": [file, better]}))
    (tmp_path / "models/2x-Other.json").write_text(json.dumps(about | {"resources": [file | {"platform": "onnx"}]}))
    text = io.StringIO()
    write_table(tmp_path, text)
    heading, *rows = csv.reader(io.StringIO(text.getvalue()))
    assert tuple(heading) == openmodeldb.COLUMNS
    address = "https://huggingface.co/a/b/resolve/main/c%20d.safetensors"
    first = ["2x-Net", "Net é", "2", "ESRGAN", "photo jpeg", "", "A, B", "9", "2" * 64, ".safetensors", address]
    assert rows == [first]


@pytest.mark.parametrize("name", ["4x-Nomos8kSC", "4xNomos8kSC", "4x_nomos8ksc", "4X NOMOS8K.SC", "Nomos8kSC"])
def test_case_and_punctuation_make_no_difference(name: str) -> None:
    model = catalog.find(name)
    assert (model.name, model.scale, model.architecture) == ("4x-Nomos8kSC", 4, "ESRGAN")
    assert (model.home, model.purpose) == (
        "https://openmodeldb.info/models/4x-Nomos8kSC",
        "compression-removal, jpeg, photo, restoration",
    )
    assert (model.licence, model.commercial, model.author) == ("CC-BY-4.0", True, "Helaman")


def test_what_the_catalog_has_too_is_the_catalogs() -> None:
    assert catalog.find("4x-Ultra.Sharp").name == "ultrasharp"
    hashes = Counter(model.download.sha256 for model in catalog.all_models() if model.download)
    assert max(hashes.values()) == 1


def test_a_path_is_no_name(tmp_path: Path) -> None:
    for name in ("x/4x-Nomos8kSC/y", "../4x-Nomos8kSC"):
        with pytest.raises(ModelError, match="no model has this name"):
            catalog.find(name)
    assert catalog.find("4x/Nomos8kSC").repository is not None


def test_a_name_of_several_models_lists_them(table: Path) -> None:
    write_rows(table, {"id": "2x-Net"}, {"id": "4x-Net"})
    with pytest.raises(ModelError, match=r"^net: several models have this name\. Choose one: 2x-Net, 4x-Net\.$"):
        catalog.find("net")


@pytest.mark.parametrize(
    ("licence", "commercial"), [("CC-BY-NC-SA-4.0", False), ("", None), ("WTFPL", True), ("GPL-3.0-only", True)]
)
def test_the_licence_says_whether_commercial_use_is_allowed(table: Path, licence: str, commercial: bool | None) -> None:
    write_rows(table, {"licence": licence})
    assert catalog.find("4x-Net").commercial is commercial


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"scale": 99}, "its scale 99 is not a whole number"),
        ({"scale": "four"}, "invalid literal"),
        ({"sha256": "../../etc"}, "is not a hash"),
        ({"urls": "file:///etc/passwd"}, "is not an address"),
        ({"size": -1}, "its size -1"),
        ({"id": "a\nb"}, "is not one line"),
    ],
)
def test_a_table_that_cannot_be_is_one_sentence(table: Path, row: dict[str, Any], reason: str) -> None:
    write_rows(table, row)
    with pytest.raises(ModelError, match=rf"cannot be read as a table \(.*{reason}.*\)\. Install it again") as caught:
        catalog.find("4x-Net")
    assert "\n" not in str(caught.value)


def test_what_has_only_a_page_says_what_to_do_and_then_works(table: Path, tmp_path: Path) -> None:
    content = tiny_compact(tmp_path).read_bytes()
    write_rows(table, {"sha256": hashlib.sha256(content).hexdigest(), "suffix": ".safetensors"})
    model = catalog.find("4xnet")
    advice = r"^4x-Net: Get 4x-Net\.safetensors from https://openmodeldb\.info/models/4x-Net and put it into .*/models "
    with pytest.raises(ModelError, match=advice):
        catalog.fetch_model(model)
    catalog.models_dir().mkdir(parents=True)
    place = catalog.models_dir() / "4x-Net.safetensors"
    place.write_bytes(content)
    assert catalog.fetch_model(model) == place


def test_an_imported_file_that_it_knows_becomes_that_model(table: Path, tmp_path: Path) -> None:
    file = tiny_compact(tmp_path)
    write_rows(table, {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "suffix": ".safetensors"})
    assert import_model(file).name == "4x-Net"
    assert catalog.fetch_model(catalog.find("4x-Net"), offline=True).read_bytes() == file.read_bytes()
    assert import_model(file, "mine").name == "mine"


def test_a_misspelt_id_suggests_the_nearest() -> None:
    with pytest.raises(ModelError, match="Did you mean 4x-Nomos8kSC"):
        catalog.find("4x-Nomos8kSCC")


def test_search_needs_all_words_and_has_no_doubles() -> None:
    found = catalog.search(["nomos", "PHOTO", "cc_by"], 4)
    assert "4x-Nomos8kSC" in [model.name for model in found]
    assert len({model.name for model in found}) == len(found) > 3
    assert all(model.scale == 4 and "nomos" in model.name.lower() for model in found)
    assert "ultrasharp" in [model.name for model in catalog.search(["ultrasharp"])]
    assert all(model.commercial for model in catalog.search([], commercial=True))
    assert catalog.search(["no such", "model"]) == []


def test_a_name_of_the_catalog_does_not_read_the_table() -> None:
    code = (
        "from upscaler import catalog; from upscaler.catalog import openmodeldb\n"
        "catalog.find('photo'), catalog.models()\nprint(openmodeldb.models.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
