"""Models by name: what finds them, what does not, and what the user adds."""

from pathlib import Path

import pytest

from tests.networks import tiny_compact
from upscaler import catalog
from upscaler.errors import ModelError

HASH = "0" * 63 + "f"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The user's own catalog, not yet written."""
    file = tmp_path / "home" / "catalog.toml"
    file.parent.mkdir(parents=True)
    return file


@pytest.mark.parametrize(
    "name", ["realesrgan-x4plus", "RealESRGAN_x4plus", "REALESRGAN X4PLUS", "realesrgan_x4plus", "x4plus"]
)
def test_spelling_makes_no_difference(name: str) -> None:
    assert catalog.find(name).name == "realesrgan-x4plus"


def test_every_model_is_found_by_its_name_and_each_alias() -> None:
    for model in catalog.models():
        for word in (model.name, *model.aliases):
            assert catalog.find(word) == model


@pytest.mark.parametrize(
    ("name", "nearest"), [("realesrgan-x4pls", "realesrgan-x4plus"), ("Fotto", "photo"), ("ultrashrap", "ultrasharp")]
)
def test_a_misspelt_name_suggests_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ModelError, match=rf"{name}: no model has this name.* Did you mean \S*{nearest}"):
        catalog.find(name)


def test_a_name_like_no_other_points_to_the_list() -> None:
    with pytest.raises(ModelError, match="See upscaler models list"):
        catalog.find("qqqqqqqq")


def test_a_file_is_found_by_its_path(tmp_path: Path) -> None:
    file = tiny_compact(tmp_path)
    assert catalog.find(str(file)).file == file
    with pytest.raises(ModelError, match=r"missing\.pth: no such file"):
        catalog.find("missing.pth")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "net.onnx",
            "no network is read from such a file, only from .safetensors, .*have it in another form",
        ),
        ("net.zip", "no network is read from such a file, only from .safetensors, .*rename it"),
    ],
)
def test_a_file_of_another_kind_says_which_are_read(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ModelError, match=sentence):
        catalog.find(str(tmp_path / name))


def test_a_folder_is_found_by_what_it_holds(tmp_path: Path) -> None:
    for name, kind in (("StableDiffusionUpscalePipeline", "diffusion"), ("FluxPipeline", "generator")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model_index.json").write_text(f'{{"_class_name": "{name}"}}')
        model = catalog.find(str(folder))
        assert (model.kind, model.file, model.name) == (kind, folder, name)
    with pytest.raises(ModelError, match="is a folder without a diffusion model"):
        catalog.find(str(tmp_path))


def test_a_repository_is_found_by_its_owner_and_name() -> None:
    model = catalog.find("some-owner/Some.Model_v2@refs/pr/4")
    assert (model.name, model.kind) == ("some-owner/Some.Model_v2", "repository")
    assert model.repository is not None
    assert (model.repository.id, model.repository.revision) == ("some-owner/Some.Model_v2", "refs/pr/4")


@pytest.mark.parametrize("name", ["../name", "owner/", "/name", "a/b/c", "owner/name@", "own er/name"])
def test_what_cannot_be_a_repository_is_none(name: str) -> None:
    with pytest.raises(ModelError):
        catalog.find(name)


def test_a_repository_of_the_catalog_is_that_model_in_another_revision_too() -> None:
    model = catalog.find("sdxl-turbo")
    assert model.repository is not None
    assert catalog.find(model.repository.id) == model
    other = catalog.find(f"{model.repository.id}@main")
    assert other.repository is not None
    assert (other.name, other.sampling, other.repository.revision) == ("sdxl-turbo", model.sampling, "main")


def test_a_block_of_the_user_can_be_a_repository(own: Path) -> None:
    block = '[[model]]\nname = "mine"\nkind = "generator"\n[model.repository]\nid = "me/mine"\n'
    own.write_text(f"{block}[model.sampling]\nsteps = 3\n")
    model = catalog.find("mine")
    assert model.repository == catalog.Repository("me/mine")
    assert model.sampling == catalog.Sampling(steps=3)


def test_a_url_of_the_catalog_is_that_model() -> None:
    model = catalog.find("realesrgan-x4plus")
    assert model.download is not None
    assert catalog.find(model.download.urls[0]) == model


def test_a_url_brings_its_hash_along() -> None:
    model = catalog.find(f"https://example.org/nets/My%20Net.pth?download=true#sha256={HASH.upper()}")
    assert model.name == "My Net"
    assert model.download is not None
    assert model.download.sha256 == HASH
    assert model.download.urls == ("https://example.org/nets/My%20Net.pth?download=true",)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://example.org/net.pth#sha256=123", "what follows # is not a hash"),
        ("https://example.org/net.pth#top", "what follows # is not a hash"),
        ("ftp://example.org/net.pth", "only http and https"),
        ("file:///net.pth", "only http and https"),
        ("https://example.org/net.exe", "is not the address of a file of a network"),
        ("https://example.org/", "is not the address of a file of a network"),
    ],
)
def test_a_url_that_cannot_be_one_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        catalog.find(url)


def test_a_block_in_the_users_catalog_is_a_model(own: Path) -> None:
    own.write_text(f'[[model]]\nname = "mine"\nscale = 2\nurl = "https://example.org/mine.pth"\nsha256 = "{HASH}"\n')
    model = catalog.find("Mine")
    assert model.scale == 2
    assert model.download is not None
    assert model.download.sha256 == HASH


def test_a_block_of_the_user_cannot_take_the_name_of_another(own: Path) -> None:
    own.write_text(f'[[model]]\nname = "x4plus"\nurl = "https://example.org/mine.pth"\nsha256 = "{HASH}"\n')
    assert catalog.find("x4plus").name == "realesrgan-x4plus"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[model", "cannot be read as a catalog"),
        ("model = 3", "cannot be read as a catalog"),
        ("[[model]]\nscale = 4", "a block has no 'name'"),
        ('[[model]]\nname = "mine"\nurl = "https://example.org/mine.pth"', "a block has no 'sha256'"),
        ('[[model]]\nname = "mine"\n[model.package]\nmodul = "x"', "cannot be read as a catalog"),
        ('[[model]]\nname = "mine"\n[model.repository]\nname = "x"', "cannot be read as a catalog"),
        ('[[model]]\nname = "mine"\n[model.sampling]\nsteps_ = 3', "cannot be read as a catalog"),
        ('[[model]]\nname = "mine"\nkind = "networks"', "its kind 'networks' is not one of network, resample"),
        (
            '[[model]]\nname = "mine"\nscale = -3',
            r"catalog \(mine: its scale -3 is not a whole number from 1 to 32\)\. Correct",
        ),
        ('[[model]]\nname = "mine"\nscale = 0', "its scale 0 is not a whole number"),
        ('[[model]]\nname = "mine"\nscale = "four"', "mine: its scale 'four' is not a whole number from 1 to 32"),
        ('[[model]]\nname = "mine"\nscale = 4.0', "its scale 4.0 is not a whole number"),
        ('[[model]]\nname = "mine"\nscale = true', "its scale True is not a whole number"),
        ("[[model]]\nname = 3", "its name 3 is not one line of text"),
        ('[[model]]\nname = "a\\nb"', "is not one line of text"),
        ('[[model]]\nname = "mine"\nreach = 1_000_000', "its reach 1000000 is not a whole number from 0 to 10000"),
        ('[[model]]\nname = "mine"\ndenoise = 2', "its denoise 2 is not a number from 0 to 1"),
        ('[[model]]\nname = "mine"\ndenoise = nan', "its denoise nan is not a number from 0 to 1"),
        ('[[model]]\nname = "mine"\nmemory = -1', "its memory -1 is not a whole number"),
        ('[[model]]\nname = "mine"\ncommercial = "yes"', "its commercial 'yes' is not true or false"),
        ('[[model]]\nname = "mine"\naliases = "other"', "its aliases 'other' is not a list"),
        ('[[model]]\nname = "mine"\naliases = [3]', "its aliases holds 3, which is not one line of text"),
        (
            '[[model]]\nname = "mine"\nembedded = "../../etc/passwd"',
            "its embedded '../../etc/passwd' is not a path inside",
        ),
        ('[[model]]\nname = "mine"\nembedded = "/etc/passwd"', "its embedded '/etc/passwd' is not a path inside"),
        ('[[model]]\nname = "mine"\nurl = "file:///etc/passwd"', "is not an address that begins with https://"),
        (f'[[model]]\nname = "mine"\nurl = "https://a.b/c.pth"\nsha256 = "{"../" * 22}"', "is not a hash of 64"),
        (f'[[model]]\nname = "mine"\nurl = "https://a.b/c.pth"\nsha256 = "{HASH}"\nsize = -1', "its size -1"),
        ('[[model]]\nname = "mine"\n[model.sampling]\nsteps = 0', "its steps 0 is not a whole number from 1"),
        ('[[model]]\nname = "mine"\n[model.repository]\nid = "../x"', "its id '../x' is not a repository"),
        ('[[model]]\nname = "mine"\n[model.repository]\nrevision = "main"', "its repository lacks a field"),
        ('[[model]]\nname = "mine"\n[model.repository]\nid = "a/b"\nrevision = "../../x"', "is not a revision"),
        ('[[model]]\nname = "mine"\n[model.package]\nmodule = "os; x"', "its module 'os; x' is not the name of"),
        ("a = " + "[" * 100_000, "cannot be read as a catalog"),
        ("\x00", "cannot be read as a catalog"),
    ],
)
def test_a_broken_catalog_of_the_user_is_one_sentence(own: Path, text: str, sentence: str) -> None:
    own.write_text(text)
    with pytest.raises(ModelError, match=sentence) as caught:
        catalog.find("photo")
    assert str(own) in str(caught.value)
    assert "\n" not in str(caught.value)
