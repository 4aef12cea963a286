"""What the library says of arguments, said of options."""

import pickle

from upscaler.cli.options_in_text import sentence, with_options
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


def test_an_argument_survives_the_way_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(PlanError("too small.", argument="tile", value=9)))
    assert (str(error), error.argument, error.value) == ("tile=9: too small.", "tile", 9)
