"""What the library says of arguments, said of options."""

import logging
import pickle

from upscaler.cli.options_in_text import in_record, limit_options, sentence, with_options
from upscaler.errors import ModelError, PlanError


def test_an_argument_at_fault_is_an_option_at_fault() -> None:
    error = PlanError("the tile is too small. Use 16 or more, or less `overlap`.", argument="tile", value=9)
    assert str(error) == "tile=9: the tile is too small. Use 16 or more, or less `overlap`."
    assert sentence(error) == "--tile 9: the tile is too small. Use 16 or more, or less --overlap."


def test_names_with_underscores_and_options_of_another_name_are_found() -> None:
    assert sentence(PlanError("no.", argument="long_edge")) == "--long-edge: no."
    assert sentence(ModelError("a.bin holds pickles. Set `allow_pickle`.")) == (
        "a.bin holds pickles. Set --allow-pickle."
    )
    assert with_options("begin with an `image`") == "begin with an --init-image"
    assert with_options("do without it (`safety_checker`).") == "do without it (--no-safety-checker)."


def test_an_argument_survives_the_way_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(PlanError("too small.", argument="tile", value=9)))
    assert (str(error), error.argument, error.value) == ("tile=9: too small.", "tile", 9)


def test_names_of_files_are_never_changed() -> None:
    for name in ("`tile`.png", "in/`size`/a.png", "a`tile`.png", "tile=9: x.png"):
        text = f"{name}: no such file. Use a smaller `tile`."
        assert with_options(text, [name]) == f"{name}: no such file. Use a smaller --tile."
    for name in ("`tile`.png", "in/`size`/a.png", "a`tile`.png"):
        assert with_options(f"{name}: no such file.") == f"{name}: no such file."


def test_only_options_of_the_command_that_runs_are_named() -> None:
    limit_options(["--size", "--memory"])
    text = "a dog: size=8x8: too small. Change `tile`, `memory` (or `size`)."
    assert with_options(text) == "a dog: --size 8x8: too small. Change `tile`, --memory (or --size)."
    assert sentence(PlanError("too small.", argument="tile", value=9)) == "tile=9: too small."


def test_a_record_keeps_what_was_filled_in_but_not_the_words_of_an_error() -> None:
    error = PlanError("too small.", argument="tile", value=9)
    record = logging.LogRecord("upscaler", 30, "", 0, "%s: set `tile`, %s", ("`tile`", error), None)
    assert in_record(record) == "`tile`: set --tile, --tile 9: too small."
    said_by_a_worker = logging.LogRecord("upscaler", 30, "", 0, "%s", ("a.png: set `tile`.",), None)
    assert in_record(said_by_a_worker) == "a.png: set --tile."
