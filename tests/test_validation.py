"""Checks of what comes from elsewhere: each takes what it is for, and refuses everything else in words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaler.validation import (
    Check,
    check_choice,
    check_fields,
    check_flag,
    check_list,
    check_number,
    check_object,
    check_text,
    check_whole,
    read_json,
)

CHECKS: list[tuple[Check[Any], list[object], list[object]]] = [
    (check_text(re.compile("a+"), longest=3), ["a", "aaa"], ["", "b", "aaaa", "a\n", 1, None, b"a"]),
    (check_whole(-1, 3), [-1, 0, 3], [-2, 4, 1.0, True, "1", None, 10**5000]),
    (check_number(0, 1), [0, 1, 0.5], [-0.1, 1.1, float("nan"), float("inf"), True, "1", None]),
    (check_flag, [True, False], [0, 1, "true", None]),
    (check_choice("a", "b"), ["a", "b"], ["c", "", 1, None, ["a"]]),
    (check_object(dict, {"a": check_flag}), [{}, {"a": True}], [{"a": 1}, {"b": True}, {1: True}, [], "a", None]),
]


@pytest.mark.parametrize(("check", "good", "bad"), CHECKS)
def test_a_check_takes_what_it_is_for_and_nothing_else(
    check: Check[Any], good: list[object], bad: list[object]
) -> None:
    for value in good:
        assert check(value) == value
    for value in bad:
        with pytest.raises(ValueError, match=r"^(is not|cannot be used:) .*") as caught:
            check(value)
        assert len(str(caught.value)) < 200


def test_a_list_is_no_longer_than_it_may_be() -> None:
    check = check_list(check_flag, 2)
    assert check([True, False]) == (True, False)
    for value in ([True] * 3, [1], (True,), "ab", None):
        with pytest.raises(ValueError, match="is not"):
            check(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_fields_are_found_or_named(values: object) -> None:
    checks = {"": check_flag, "a": check_number(0, 1)}
    try:
        found = check_fields(values, checks)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert found.keys() <= checks.keys()


def test_a_field_is_named_with_its_value() -> None:
    with pytest.raises(ValueError, match=r"^its scale -3 is not a whole number from 1 to 4$"):
        check_fields({"scale": -3}, {"scale": check_whole(1, 4)})
    with pytest.raises(ValueError, match=r"^it has a field 'x', which is not one of scale$"):
        check_fields({"x": -3}, {"scale": check_whole(1, 4)})
    assert check_fields({"x": -3}, {"scale": check_whole(1, 4)}, is_whole=False) == {}


@pytest.mark.parametrize("content", ["{", "[" * 10**6, '"' + "a" * 2**24 + '"', "\x00", ""])
def test_a_file_that_is_no_json_is_an_error_in_words(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"."):
        read_json(tmp_path / "a.json")
