"""Compares models on parts of one picture: what each makes of them, how long that takes, how true it is to the source.

It computes, and draws a sheet or writes a page; files are for others to write and to show.
"""

from .columns import Column, default_models, find_columns
from .compare import Cell, Comparison, compare
from .page import check_page, make_page
from .sheet import make_sheet

__all__ = [
    "Cell",
    "Column",
    "Comparison",
    "check_page",
    "compare",
    "default_models",
    "find_columns",
    "make_page",
    "make_sheet",
]
