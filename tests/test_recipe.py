"""The recipe in the picture: written, read from every format that holds it, understood by other programs' rules."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaler import Picture, PictureError, Size, catalog, codecs, recipe
from upscaler.codecs import EncodeOptions
from upscaler.picture import Metadata
from upscaler.recipe import Recipe

PROMPT = 'a "red" circle <on> blue & "grün", 猫\nsecond line'


@pytest.fixture
def made() -> Recipe:
    return Recipe(
        parameters={"prompt": PROMPT, "seed": 7, "steps": 25, "guidance": 7.5, "image": None},
        prompt=PROMPT,
        negative="blurry, dark",
        generator={"model": "models/tiny.safetensors", "weights": ["0123456789abcdef" * 4], "precision": "fp32"},
        files={},
        generated=Size(64, 48),
        upscaler={"model": "photo", "weights": ["ab"], "target": {"scale": 4.0}},
        size=Size(256, 192),
        versions={"upscaler": "1.2", "torch": "2.6"},
    )


def picture(metadata: Metadata | None = None) -> Picture:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    return Picture(pixels, metadata=metadata or Metadata())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_recipe_comes_back_from_every_format_that_holds_metadata(suffix: str, made: Recipe, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    recipe.embed(picture(), made).save(path)
    assert recipe.read(codecs.decode(path)) == made


def test_recipe_outlives_an_enlargement_of_its_picture(made: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    source = recipe.embed(picture(), made)
    replace(source, pixels=np.repeat(source.pixels, 2, 0)).save(path)
    assert recipe.read(codecs.decode(path)) == made


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_strip_leaves_nothing_of_it(suffix: str, made: Recipe, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    codecs.encode(recipe.embed(picture(), made), path, EncodeOptions(strip=True))
    assert recipe.read(codecs.decode(path)) is None
    assert b"circle" not in path.read_bytes()


def test_a_second_recipe_takes_the_place_of_the_first_and_other_xmp_stays(made: Recipe) -> None:
    other = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"/></rdf:RDF></x:xmpmeta>'
    )
    once = recipe.embed(picture(Metadata(xmp=other, comments={"Title": "kept"})), made)
    second = replace(made, size=Size(1, 2))
    twice = recipe.embed(once, second)
    assert recipe.read(replace(twice, metadata=replace(twice.metadata, comments={}))) == second
    assert (twice.metadata.xmp or b"").count(b"<upscaler:recipe>") == 1
    assert b'xmp:Rating="3"' in (twice.metadata.xmp or b"")
    assert twice.metadata.comments["Title"] == "kept"


def test_xmp_is_read_when_another_program_has_made_an_attribute_of_it(made: Recipe) -> None:
    text = made.to_json().replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    xmp = f'<rdf:Description upscaler:recipe="{text}"/>'.encode()
    assert recipe.read(picture(Metadata(xmp=xmp))) == made


def test_parameters_are_read_by_the_rules_of_automatic1111(made: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    recipe.embed(picture(), made).save(path)
    text = Image.open(path).text["parameters"]  # type: ignore[attr-defined]
    prompt, negative, line = text.split("\n")
    assert prompt == 'a "red" circle <on> blue & "grün", 猫 second line'
    assert negative == "Negative prompt: blurry, dark"
    pairs = re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', line)
    assert dict(pairs) == {
        "Steps": "25",
        "CFG scale": "7.5",
        "Seed": "7",
        "Size": "64x48",
        "Model hash": "0123456789",
        "Model": "tiny",
        "Postprocess upscale to": "256x192",
        "Postprocess upscaler": "photo",
        "Version": "upscaler 1.2",
    }


def test_parameters_are_found_by_the_rules_of_comfyui_without_a_negative_prompt(made: Recipe) -> None:
    text = replace(made, negative="", upscaler=None).infotext()
    assert 0 < text.rfind("\nNegative prompt: \n") < text.rfind("\nSteps: 25")
    assert "Postprocess" not in text


def test_parameters_quote_what_would_break_the_line(made: Recipe) -> None:
    text = replace(made, generator={"model": "owner/model: one, two", "weights": []}).infotext()
    assert 'Model: "model: one, two", ' in text


def test_a_text_of_another_program_is_no_recipe() -> None:
    assert recipe.read(picture(Metadata(comments={"upscaler": "4x-UltraSharp"}))) is None
    assert recipe.read(picture()) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"form": 2}, r"a later version, upscaler 1\.2, has written the recipe\. Update"),
        ({"size": {"width": "wide"}}, "the recipe cannot be read"),
        ({"size": {"width": float("inf"), "height": 9}}, "the recipe cannot be read"),
        ({"generator": {"model": 5}}, "the recipe cannot be read"),
        ({"generator": None}, "the recipe cannot be read"),
    ],
)
def test_a_broken_or_later_recipe_is_a_sentence(made: Recipe, change: dict[str, object], words: str) -> None:
    text = json.dumps({**json.loads(made.to_json()), **change})
    with pytest.raises(PictureError, match=f"picture: {words}"):
        recipe.read(picture(Metadata(comments={"upscaler": text})))


def test_a_recipe_nested_too_deeply_is_a_sentence() -> None:
    with pytest.raises(PictureError, match="picture: the recipe cannot be read"):
        recipe.read(picture(Metadata(comments={"upscaler": '{"a":' * 100_000})))


def test_differences_name_what_is_another(made: Recipe) -> None:
    assert recipe.differences(made, made) == []
    other = replace(
        made,
        generator={**made.generator, "weights": ["00"]},
        versions={"upscaler": "1.2", "torch": "2.7"},
    )
    assert recipe.differences(replace(made, files={"a.png": "00"}), other) == [
        "the weights of models/tiny.safetensors differ",
        "a.png is another file",
        "torch is 2.7 instead of 2.6",
    ]


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("x4plus", "realesrgan-x4plus"),
        ("sdxl", "sdxl"),
        ("someone/model@v2", "someone/model@v2"),
        ("https://localhost/a.pth#sha256=" + "0" * 64, "https://localhost/a.pth#sha256=" + "0" * 64),
    ],
)
def test_reference_is_what_finds_the_model_again(named: str, found: str) -> None:
    model = catalog.find(named)
    assert recipe.reference(model) == found
    assert catalog.find(found) == model


def test_reference_of_a_file_is_its_path(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    file.write_bytes(b"\2\0\0\0\0\0\0\0{}")
    assert recipe.reference(catalog.find(str(file))) == str(file)
