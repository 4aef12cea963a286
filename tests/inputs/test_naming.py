"""Templates for names: what they give, what is refused, which names are those of results."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaler.codecs import Format, by_name
from upscaler.errors import PlanError
from upscaler.inputs.naming import Naming


def format(name: str) -> Format:
    found = by_name(name)
    assert found is not None
    return found


def named(template: str, source: str = "in/a.b.JPG", result: str = "jpeg", scale: float | None = None) -> str:
    return Naming(template, scale).name(Path(source), format(result))


def test_fields_are_those_of_source_and_result() -> None:
    assert named("{stem}{suffix}") == "a.b.JPG"
    assert named("{stem}{suffix}", result="webp") == "a.b.webp"
    assert named("{stem}{suffix}", "in/scan.v2", "tiff") == "scan.v2.tif"
    assert named("{parent} {format}{suffix}") == "in jpeg.JPG"
    assert named("{stem}.{format}") == "a.b.jpeg"
    assert named("{stem}_{scale}x{suffix}", scale=4.0) == "a.b_4x.JPG"
    assert named("{scale}{suffix}", scale=1.25) == "1.25.JPG"
    assert named("{{{stem}}}{suffix}") == "{a.b}.JPG"
    assert named("{stem}{suffix}", "in/a\\b.JPG") == "a\\b.JPG"


def test_parent_of_a_bare_name_is_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert named("{parent}{suffix}", "a.png", "png") == f"{tmp_path.name}.png"


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{stem.x}{suffix}", "{stem.x} is not a field ({stem}, {suffix}, {scale}, {format}, {parent}). Choose"),
        ("{stem[0]}{suffix}", "{stem[0]} is not a field"),
        ("{stem.__class__}{suffix}", "{stem.__class__} is not a field"),
        ("{0}{suffix}", "{0} is not a field"),
        ("{}{suffix}", "{} is not a field"),
        ("{ stem}{suffix}", "{ stem} is not a field"),
        ("{width}{suffix}", "{width} is not a field"),
        ("{stem!r}{suffix}", "{stem!r} is not a field"),
        ("{stem:>9}{suffix}", "{stem:>9} is not a field"),
        ("{stem:{scale}}{suffix}", "{stem:{scale}} is not a field"),
        ("{stem{suffix}", "it has a brace without its other half"),
        ("stem}{suffix}", "it has a brace without its other half"),
        ("{stem!}{suffix}", "it has a brace without its other half"),
        ("{stem}_{scale}x{suffix}", "{scale} is not known, for the size asked for is not a scale"),
        ("", "'' cannot be the name of a file"),
        (".", "'.' cannot be the name of a file"),
        ("..", "'..' cannot be the name of a file"),
        ("{parent}/{stem}{suffix}", "'folder/picture.png' cannot be the name of a file"),
        ("..\\{stem}{suffix}", "'..\\\\picture.png' cannot be the name of a file"),
        ("{stem}\0{suffix}", "'picture\\x00.png' cannot be the name of a file"),
        ("{stem}_big", "it gives names without a picture's suffix. End it with {suffix}."),
        ("{suffix}", "it gives names without a picture's suffix. End it with {suffix}."),
        ("{stem}{suffix} ", "it gives names without a picture's suffix. End it with {suffix}."),
    ],
)
def test_template_that_gives_no_names_is_refused(template: str, sentence: str) -> None:
    with pytest.raises(PlanError) as error:
        Naming(template)
    assert str(error.value).startswith(f"name={template!r}: {sentence}")


def test_suffix_at_odds_with_the_format_is_refused() -> None:
    assert named("{stem}.jpe") == "a.b.jpe"
    with pytest.raises(PlanError, match=r"in/a\.png would become a\.jpg, which does not name its format, PNG\. End it"):
        named("{stem}.jpg", "in/a.png", "png")


@given(st.text(st.sampled_from("{}ab.!:[]()stem/0"), max_size=12))
def test_template_is_refused_or_gives_a_name(text: str) -> None:
    try:
        name = named(text + "{suffix}")
    except PlanError as error:
        assert str(error).startswith("name=")  # noqa: PT017
        return
    assert Path("in", name).name == name
    assert "/" not in name


LITERALS = st.text(st.sampled_from(string.ascii_letters + "_-@ .{}()*+?[]^$"), max_size=4)


@given(LITERALS, LITERALS, st.permutations(["{stem}", "{scale}", "{parent}", "{stem}"]))
def test_result_is_known_as_one_whatever_the_template(before: str, after: str, fields: list[str]) -> None:
    escaped = [text.replace("{", "{{").replace("}", "}}") for text in (before, after)]
    naming = Naming(escaped[0] + "_".join(fields) + escaped[1] + "{suffix}", 2.5)
    source = Path("in/a.png")
    result = source.with_name(naming.name(source, format("png")))
    assert Path("in/a") in naming.sources_of(result)
    assert Path("in/a") in Naming(naming.template, 4).sources_of(result)


def test_template_without_stem_knows_no_sources() -> None:
    assert Naming("{parent}{suffix}").sources_of(Path("in/in.png")) == set()
    assert Naming("{stem}{suffix}").sources_of(Path("in/a.png")) == set()
    assert Naming("x{suffix}").sources_of(Path("in/a_2x.png")) == {Path("in/a")}
