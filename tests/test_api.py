"""The public facade: what an Upscaler offers, and that it is the pipeline and the jobs below it."""

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest

import upscaler
from tests.pictures import SAMPLES
from upscaler import PlanError, Size, Target, Upscaler
from upscaler.pipeline import Pipeline, PipelineOptions


def test_an_upscaler_has_seven_public_members() -> None:
    members = {name for name in vars(Upscaler) if callable(getattr(Upscaler, name)) and not name.startswith("_")}
    assert members == {"estimate", "batch", "close"}
    assert {"__init__", "__call__", "__enter__", "__exit__"} <= vars(Upscaler).keys()
    assert not [name for name in vars(Upscaler("lanczos")) if not name.startswith("_")]


def test_an_upscaler_takes_every_field_of_the_options() -> None:
    parameters = inspect.signature(Upscaler).parameters.values()
    fields = {field.name: (field.type, field.default) for field in dataclasses.fields(PipelineOptions)}
    expected = {"model": ("str", "photo"), **fields, "workspace": ("str | Path | None", None)}
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
