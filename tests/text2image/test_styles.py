"""Styles: found however their names are spelt, and templates of prompts."""

from upscaler.text2image.styles import find_style, styles


def test_styles_are_templates_with_names_of_their_own() -> None:
    asked = ("watercolour", "illustration", "photograph", "oil on canvas", "ink drawing", "pixel art", "3d render")
    assert {find_style(name).name for name in asked} == set(asked)
    assert len({it.name for it in styles()}) == len(styles())
    assert all(it.prompt.count("{prompt}") == 1 for it in styles())
