"""The groups of options: each option stands once in the code, and groups become objects of the library."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.conftest import Edit, start
from tests.cli.test_completion import complete
from upscaler.cli import options
from upscaler.cli.options import (
    DiffusionOptions,
    EncodingOptions,
    FormatOptions,
    GeneratedSizeOptions,
    GenerationOptions,
    HardwareOptions,
    ModelOptions,
    ParallelOptions,
    ReadingOptions,
    SizeOptions,
    UpscaleDiffusionOptions,
)
from upscaler.errors import PlanError
from upscaler.target import Target
from upscaler.tiling import Size


def test_every_option_stands_once_in_the_code() -> None:
    helps: Counter[str] = Counter()
    for file in Path(options.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("option", "flag", "typer.Option"):
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
                words = [str(value.value) for value in values if isinstance(value, ast.Constant)]
                helps[max(words, key=len, default="")] += 1
    assert sum(helps.values()) > 60
    assert [text for text, count in helps.items() if text and count > 1] == []


def test_sizes_become_a_target() -> None:
    assert SizeOptions(scale=2).target() == Target(scale=2)
    assert SizeOptions(fit="hd").target() == Target(fit=Size(1280, 720))
    assert SizeOptions(print="a4").target().print is not None
    assert GeneratedSizeOptions(no_upscale=True).target() == Target()
    with pytest.raises(PlanError, match="--no-upscale and a size"):
        GeneratedSizeOptions(scale=2, no_upscale=True).target()


def test_formats_are_found_by_name_and_suffix() -> None:
    for name in ("jpg", ".JPG", "jpeg"):
        format = FormatOptions(format=name).encode_options().format
        assert format is not None
        assert format.name == "JPEG"
    assert EncodingOptions(quality=9).encode_options().quality == 9


def test_what_was_not_given_is_left_to_the_library() -> None:
    assert DiffusionOptions().diffusion() is None
    assert DiffusionOptions(seed=0).arguments() == {"seed": 0}
    assert UpscaleDiffusionOptions(upscale_prompt="a cat", creativity=0.5).arguments() == {
        "prompt": "a cat",
        "creativity": 0.5,
    }
    assert HardwareOptions(memory="1GB", workspace=Path()).arguments() == {"precision": "auto", "memory": 10**9}
    assert ModelOptions(model=None, blend=None).arguments() == {}
    assert GenerationOptions().parameters() == {}
    assert GenerationOptions(image="a.png", size="8x9").parameters() == {"image": "a.png", "size": Size(8, 9)}
    assert ParallelOptions().worker_options(HardwareOptions()) is None
    assert ReadingOptions(max_megapixels=2).reading()["max_pixels"] == 2 * 10**6


def test_a_base_is_changed_by_what_was_given() -> None:
    base = DiffusionOptions(prompt="a cat", seed=3).diffusion()
    changed = UpscaleDiffusionOptions(upscale_steps=5).diffusion(base)
    assert changed is not None
    assert (changed.prompt, changed.seed, changed.steps) == ("a cat", 3, 5)


def test_a_field_of_a_group_and_one_of_the_settings_add_an_option(edit: Edit) -> None:
    place = "    fidelity: float | None = "
    edit("cli/options.py", place, '    grain: float | None = option("0..1", "Add this much grain to the result.")\n')
    edit("pipeline.py", place, "    grain: float | None = None\n")
    edit("pipeline.py", '        engines.check_share("fidelity"', '        engines.check_share("grain", self.grain)\n')
    model = r"^Model:\n(?:  .*\n)*  --grain 0\.\.1 +Add this much grain to the result\.$"
    assert re.search(model, start("upscale", "--help").out.decode(), re.MULTILINE)
    assert complete("upscaler --gra") == ["--grain"]
    done = start("a.jpg", "--grain", "2")
    assert (done.code, done.err) == (2, "error: --grain 2: the value must be between 0 and 1.\n")
