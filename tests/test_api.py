"""The public facade: what an Upscaler offers, and that it is the pipeline and the jobs below it."""

import dataclasses
import inspect
import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import upscaler
from tests.catalog.server import Server
from tests.networks import tiny_compact
from tests.pictures import SAMPLES
from upscaler import OutputError, PictureError, PlanError, Size, Target, Upscaler, catalog
from upscaler.errors import ModelError
from upscaler.pipeline import Pipeline, PipelineOptions


def test_an_upscaler_has_eight_public_members() -> None:
    members = {name for name in vars(Upscaler) if callable(getattr(Upscaler, name)) and not name.startswith("_")}
    assert members == {"estimate", "batch", "enlarge_file", "close"}
    assert {"__init__", "__call__", "__enter__", "__exit__"} <= vars(Upscaler).keys()
    assert not [name for name in vars(Upscaler("lanczos")) if not name.startswith("_")]


def test_an_upscaler_takes_every_field_of_the_options() -> None:
    parameters = inspect.signature(Upscaler).parameters.values()
    fields = {field.name: (field.type, field.default) for field in dataclasses.fields(PipelineOptions)}
    del fields["before"]  # a list of models
    model = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
    expected = {"model": (model, "photo"), **fields, "workspace": ("str | Path | None", None)}
    expected["faces"] = ("FaceOptions | bool | None", None)  # True: the default options
    assert {each.name: (each.annotation, each.default) for each in parameters} == expected


def test_calls_give_what_the_pipeline_gives() -> None:
    source = SAMPLES / "camera.jpg"
    right = Pipeline("lanczos").run(source, Target(scale=2)).pixels
    with Upscaler("lanczos") as enlarge:
        assert np.array_equal(enlarge(source, 2).pixels, right)
        assert np.array_equal(enlarge(source, target=Target(scale=2)).pixels, right)
        assert enlarge.estimate(source, 2).result == Size(right.shape[1], right.shape[0])
    assert np.array_equal(upscaler.upscale(source, 2, model="lanczos").pixels, right)


def test_a_folder_is_made_into_another(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes((SAMPLES / "camera.jpg").read_bytes())
    (outcome,) = Upscaler("lanczos").batch(tmp_path / "in", tmp_path / "out", scale=2)
    assert outcome.error is None
    assert (tmp_path / "out/a.jpg").is_file()


@pytest.mark.parametrize("options", [{"fidelity": 2}, {"blend": -1}, {"denoise": 1.5}])
def test_an_option_that_cannot_be_is_refused_at_once(options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(PlanError, match=f"^{name}=") as caught:
        Upscaler("lanczos", **options)  # type: ignore[arg-type]
    assert caught.value.argument == name


TENSOR = torch.rand(3, 8, 8)

PIXELS = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    "source",
    [
        PIL.Image.new("RGB", (0, 5)),
        PIL.Image.new("L", (5, 0)),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), object),
        np.zeros((8, 8), complex),
        np.array("text"),
        torch.zeros(3, 0, 8),
        TENSOR.to("meta"),
        TENSOR.to_sparse(),
        TENSOR.to(torch.complex64),
        TENSOR.to_mkldnn(),
        TENSOR.long(),
        "a\0b.png",
        Path("a\0b.png"),
        b"",
        None,
        3,
        [[1]],
    ],
)
def test_what_is_no_picture_is_an_error_of_our_own(source: Any) -> None:
    with pytest.raises(PictureError) as caught:
        Upscaler("lanczos")(source, 2)
    assert "\n" not in str(caught.value)


def test_a_tensor_that_is_a_view_is_a_picture() -> None:
    enlarge = Upscaler("lanczos")
    right = enlarge(TENSOR, 2).pixels
    assert np.array_equal(enlarge(torch._neg_view(-TENSOR), 2).pixels, right)
    assert np.array_equal(enlarge(TENSOR.clone().requires_grad_(), 2).pixels, right)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scale": "2"}, "scale: '2' is not a number."),
        ({"scale": [2]}, r"scale: \[2\] is not a number."),
        ({"scale": 2j}, "scale: 2j is not a number."),
        ({"scale": True}, "scale: True is not a number."),
        ({"scale": float("nan")}, "scale=nan: the value must be more than 0"),
        ({"width": 16.5}, "width: 16.5 is not a whole number."),
        ({"width": "16"}, "width: '16' is not a whole number."),
        ({"megapixels": "1"}, "megapixels: '1' is not a number."),
        ({"fit": (16, 16)}, r"fit: \(16, 16\) is not a Size of whole numbers."),
        ({"fit": "4k"}, "fit: '4k' is not a Size of whole numbers."),
        ({"at_least": Size(1.5, 2)}, r"at_least: Size\(width=1.5, height=2\) is not a Size of whole numbers"),  # type: ignore[arg-type]
        ({"print": "a4"}, "print: 'a4' is not a Paper."),
    ],
)
def test_what_is_no_size_is_an_error_of_our_own(options: Any, sentence: str) -> None:
    with pytest.raises(PlanError, match=f"^{sentence}"):
        Target(**options)


def test_numbers_of_numpy_are_numbers() -> None:
    assert Target(scale=np.float32(2)) == Target(scale=2)  # type: ignore[arg-type]
    assert Upscaler("lanczos")(PIXELS, target=Target(long_edge=np.int32(16))).pixels.shape == (16, 16, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("tile", "64"), ("tile", 64.5), ("overlap", "1"), ("batch", "1"), ("memory", "8GB")],
        *[("blend", "1"), ("fidelity", "x"), ("denoise", "x")],
    ],
)
def test_an_option_of_another_type_is_refused_at_once(name: str, value: Any) -> None:
    with pytest.raises(PlanError, match=f"^{name}=.*: the value ") as caught:
        Upscaler("lanczos", **{name: value})
    assert caught.value.argument == name


@pytest.mark.parametrize("model", [3, None, b"photo", "", "a\0b", "a\0b.pth"])
def test_what_is_no_model_is_an_error_of_our_own(model: Any) -> None:
    with pytest.raises(ModelError):
        Upscaler(model)


def test_a_model_may_be_a_path(tmp_path: Path) -> None:
    assert Upscaler(tiny_compact(tmp_path))(PIXELS).pixels.shape == (16, 16, 3)


def test_what_cannot_be_written_is_an_error_of_our_own(tmp_path: Path) -> None:
    picture = Upscaler("lanczos")(PIXELS, 2)
    with pytest.raises(OutputError, match="no file has such a name"):
        picture.save("a\0.png")
    for options in ({"quality": "x"}, {"quality": 1000}, {"compression": "x"}, {"format": "png"}):
        with pytest.raises(PlanError, match=f"^{next(iter(options))}"):
            picture.save(tmp_path / "a.png", **options)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_is_an_error_of_our_own(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes((SAMPLES / "camera.jpg").read_bytes())
    for source, output in (("i\0n", "out"), ("in", "o\0ut"), ("in", ""), ("in", None), ("", "out"), (None, "out")):
        places: list[Any] = [source and tmp_path / source, output and tmp_path / output]
        with pytest.raises(PlanError):
            list(Upscaler("lanczos").batch(places[0], places[1], scale=2))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_catalog_is_listed_and_fetched_by_name() -> None:
    assert [model.name for model in upscaler.models()] == [model.name for model in catalog.models()]
    assert upscaler.fetch("photo") == catalog.find("photo").file
    with pytest.raises(ModelError, match="fetching is forbidden"):
        upscaler.fetch("ultrasharp", offline=True)


def test_sources_may_be_open_files_web_addresses_and_lists() -> None:
    file = SAMPLES / "logo.png"
    enlarge = Upscaler("lanczos")
    wanted = enlarge(file, 2).pixels
    with Server() as server, file.open("rb") as opened:
        url = server.put("/pictures/logo.png", file.read_bytes())
        made = enlarge([opened, io.BytesIO(file.read_bytes()), url, str(file)], 2)
        assert str(enlarge.estimate(url, 2).result) == str(made[2].size)
        with pytest.raises(PictureError, match=r"/none\.png: cannot be fetched \("):
            enlarge(f"{server.url}/none.png", 2)
    assert [np.array_equal(picture.pixels, wanted) for picture in made] == [True] * 4
    assert [picture.name for picture in made] == [str(file), "file", url, str(file)]
    with pytest.raises(PictureError, match="it is open as text"):
        enlarge(io.StringIO("text"), 2)  # type: ignore[call-overload]
    assert enlarge([]) == []
