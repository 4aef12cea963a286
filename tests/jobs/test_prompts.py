"""From prompts to orders: files of prompts, variations, names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from upscaler import PlanError, Size
from upscaler.codecs import EncodeOptions, by_name
from upscaler.diffusion.options import Lora
from upscaler.jobs.prompts import LONGEST_SLUG, expand_prompts, read, slug

WRITING = EncodeOptions()


def prompts(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_text_has_a_prompt_a_line(tmp_path: Path) -> None:
    file = prompts(tmp_path / "prompts.txt", "\ufeffa cat, asleep\n\n  a dog  \n")
    assert read(file) == [{"prompt": "a cat, asleep"}, {"prompt": "a dog"}]


def test_csv_has_a_column_for_every_option(tmp_path: Path) -> None:
    file = prompts(
        tmp_path / "prompts.csv",
        "Prompt,negative,style,size,steps,guidance,seed,strength,lora\n"
        '"a cat, asleep",dark,watercolour,640x480,7,2.5,11,0.5,a.safetensors:0.5; b.safetensors\n'
        "a dog,,,,,,,,\n",
    )
    assert read(file) == [
        {
            "prompt": "a cat, asleep",
            "negative": "dark",
            "style": "watercolour",
            "size": Size(640, 480),
            "steps": 7,
            "guidance": 2.5,
            "seed": 11,
            "strength": 0.5,
            "loras": (Lora("a.safetensors", 0.5), Lora("b.safetensors")),
        },
        {"prompt": "a dog"},
    ]


def test_a_picture_to_begin_with_needs_no_prompt(tmp_path: Path) -> None:
    file = prompts(tmp_path / "prompts.csv", "prompt,image\n,a.png\n")
    assert read(file) == [{"prompt": "", "image": "a.png"}]


def test_json_lines_have_an_object_each(tmp_path: Path) -> None:
    file = prompts(
        tmp_path / "prompts.jsonl",
        '{"prompt": "a cat", "seed": 3, "aspect": "16:9", "negative": null}\n\n{"prompt": "b", "lora": ["x", "y:2"]}\n',
    )
    assert read(file) == [
        {"prompt": "a cat", "seed": 3, "aspect": "16:9"},
        {"prompt": "b", "loras": (Lora("x"), Lora("y", 2.0))},
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "\n\n", "there is no prompt in the file. Write one a line."),
        ("a.csv", "prompt,seed\na cat,many\n", "a.csv, line 2, column seed: 'many' is not a whole number."),
        ("a.csv", "prompt,guidance\na cat,much\n", "a.csv, line 2, column guidance: 'much' is not a number."),
        ("a.csv", "prompt,seed\na cat,-1\n", "a.csv, line 2, column seed: -1: the value must be between 0"),
        ("a.csv", "prompt,size\na cat,big\n", "a.csv, line 2, column size: 'big': not a size."),
        (
            "a.csv",
            "prompt,colour\na cat,red\n",
            "a.csv, line 2: there is no column 'colour'. There are prompt,",
        ),
        ("a.csv", "prompt,seed\na cat, asleep, 3\n", "a.csv, line 2: it has more cells than the first line."),
        ("a.csv", "seed\n3\n", "a.csv, line 2: it has no prompt."),
        ("a.csv", f"prompt\n{'a' * 200_000}\n", "a.csv: the file is not a table (field larger than field limit"),
        ("a.csv", "prompt,seed\n,\n ,\n", "there is no prompt in the file."),
        ("a.csv", f"prompt,seed\na,{'9' * 5000}\n", "a.csv, line 2, column seed: '99999"),
        ("a.jsonl", "[" * 100_000, "a.jsonl, line 1: it is not JSON"),
        ("a.jsonl", '{"prompt": ' + '{"a":' * 100_000, "a.jsonl, line 1: it is not JSON"),
        ("a.jsonl", f'{{"prompt": "a", "seed": {"9" * 5000}}}', "a.jsonl, line 1: it is not JSON"),
        ("a.jsonl", '{"prompt": {"a": 1}}', 'a.jsonl, line 1, column prompt: {"a": 1} is not a text or a number.'),
        ("a.jsonl", '{"prompt": ["a"]}', 'a.jsonl, line 1, column prompt: ["a"] is not a text or a number.'),
        ("a.jsonl", '{"prompt": "a", "seed": true}', "a.jsonl, line 1, column seed: true is not a text or a number."),
        ("a.jsonl", '{"prompt": "a", "guidance": NaN}', "a.jsonl, line 1, column guidance"),
        ("a.jsonl", '{"prompt": "\\ud800"}', "a.jsonl, line 1, column prompt: the text is not Unicode."),
        ("a.jsonl", '{"prompt": "a"}\n{"prompt": \n', "a.jsonl, line 2: it is not JSON"),
        ("a.jsonl", '"a cat"\n', "a.jsonl, line 1: it is not an object."),
        ("a.jsonl", '{"prompt": "a", "steps": 2.5}\n', "a.jsonl, line 1, column steps: '2.5' is not a whole number."),
        (
            "a.jsonl",
            '{"prompt": "a", "style": "woodcarving"}\n',
            "a.jsonl, line 1, column style: woodcarving: no style",
        ),
    ],
)
def test_what_a_file_of_prompts_cannot_mean_is_a_sentence(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(PlanError, match=re.escape(words)):
        read(prompts(tmp_path / name, text))


def test_rows_of_empty_cells_are_left_out(tmp_path: Path) -> None:
    assert read(prompts(tmp_path / "a.csv", "prompt,seed\na,1\n,\n ,\nb,2\n")) == [
        {"prompt": "a", "seed": 1},
        {"prompt": "b", "seed": 2},
    ]


def test_a_file_of_prompts_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\0")
    with pytest.raises(PlanError, match="the file is not text in UTF-8"):
        read(tmp_path / "a.txt")
    with pytest.raises(PlanError, match=r"missing\.txt: the file cannot be read"):
        read(tmp_path / "missing.txt")


def test_variations_have_seeds_in_a_row_and_names_tell_them_apart(tmp_path: Path) -> None:
    found = expand_prompts(
        [{"prompt": "A Cat!"}, {"prompt": "a dog", "seed": 7}], {"seed": 3}, 2, f"{tmp_path}/", WRITING
    )
    assert found.folder == tmp_path
    assert [(job.source.prompt, job.source.seed, job.output.name) for job in found.jobs] == [
        ("A Cat!", 3, "a-cat_3.png"),
        ("A Cat!", 4, "a-cat_4.png"),
        ("a dog", 7, "a-dog_7.png"),
        ("a dog", 8, "a-dog_8.png"),
    ]


def test_the_shape_of_one_picture_takes_the_place_of_the_shape_of_all() -> None:
    wishes = [{"prompt": "a"}, {"prompt": "b", "aspect": "16:9"}, {"prompt": "c", "size": Size(64, 96)}]
    for common in ({"size": Size(80, 64)}, {"aspect": "4:3"}):
        plain, wide, high = (job.source for job in expand_prompts(wishes, common, 1, None, WRITING).jobs)
        assert (plain.size, plain.aspect) == (common.get("size"), common.get("aspect"))
        assert (wide.size, wide.aspect) == (None, "16:9")
        assert (high.size, high.aspect) == (Size(64, 96), None)


def test_a_seed_that_is_left_open_is_another_each_time_but_one_for_a_run() -> None:
    seeds = [
        {job.source.seed for job in expand_prompts([{"prompt": "a"}, {"prompt": "b"}], {}, 1, None, WRITING).jobs}
        for _ in range(3)
    ]
    assert [len(each) for each in seeds] == [1, 1, 1]
    assert len(set.union(*seeds)) == 3


def test_what_is_wished_twice_is_made_once() -> None:
    found = expand_prompts(
        [{"prompt": "a"}, {"prompt": "a"}, {"prompt": "a", "seed": 6}], {"seed": 5}, 2, None, WRITING
    )
    assert [job.source.seed for job in found.jobs] == [5, 6, 7]


def test_one_picture_may_be_given_its_name(tmp_path: Path) -> None:
    found = expand_prompts([{"prompt": "a"}], {"seed": 1}, 1, str(tmp_path / "poster.jpg"), WRITING)
    assert (found.jobs[0].output, found.folder) == (tmp_path / "poster.jpg", None)


def test_names_follow_template_and_format() -> None:
    writing = EncodeOptions(format=by_name("jpg"))
    found = expand_prompts(
        [{"prompt": "a b"}, {"prompt": "c"}], {"seed": 1}, 1, None, writing, "{number}-{slug}{suffix}"
    )
    assert [job.output.name for job in found.jobs] == ["1-a-b.jpg", "2-c.jpg"]
    found = expand_prompts([{"prompt": "a"}], {"seed": 1}, 2, None, writing, "{number:03}-{{{slug}}}{suffix}")
    assert [job.output.name for job in found.jobs] == ["001-{a}.jpg", "002-{a}.jpg"]


@pytest.mark.parametrize(
    ("output", "name", "words"),
    [
        (None, "{seed}{suffix}", "pictures 1 and 2 would both get this name. Give them other seeds, or put {number}"),
        (None, "{slug.__class__}{suffix}", "{slug.__class__} is not a field ({slug}, {seed}, {number}, {suffix})"),
        (None, "{slug.__class__.__mro__[1]}{suffix}", "is not a field"),
        (None, "{seed:99999999999}{suffix}", "{seed:99999999999} is not a field"),
        (None, "{number:>9}{suffix}", "{number:>9} is not a field"),
        (None, "{slug:03}{suffix}", "{slug:03} is not a field"),
        (None, "{seed!r}{suffix}", "{seed!r} is not a field"),
        (None, "{}{suffix}", "{} is not a field"),
        (None, "{slug}", "which cannot be the name of a picture in this format. End it with {suffix}"),
        (None, "a/{slug}{suffix}", "Choose a name without / and"),
        (None, "{stem}{suffix}", "{stem} is not a field ({slug}, {seed}, {number}, {suffix}). Choose one of these"),
        (None, "{slug}{suffix}{", "it has a brace without its other half"),
        ("poster.png", None, "poster.png: it is one file, where a folder is needed for 2 pictures."),
        ("s3://bucket/folder", None, "generated pictures go to files of this machine."),
        ("", None, "generated pictures go to files of this machine."),
    ],
)
def test_what_pictures_cannot_be_called_is_a_sentence(output: str | None, name: str | None, words: str) -> None:
    with pytest.raises(PlanError, match=re.escape(words)):
        expand_prompts([{"prompt": "a"}, {"prompt": "b"}], {"seed": 1}, 1, output, WRITING, name)


def test_slugs_are_short_and_of_any_script() -> None:
    assert slug("Ein Leuchtturm, bei Nacht — (grün:1.2)") == "ein-leuchtturm-bei-nacht-grün-1-2"
    assert slug("猫と犬") == "猫と犬"
    assert slug("!?") == "picture"
    assert slug("../../etc/passwd") == "etc-passwd"
    long = slug("猫" * 100)
    assert len(long.encode()) <= LONGEST_SLUG
    assert long != slug("猫" * 101)
