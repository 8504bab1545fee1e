"""A table, and the forms in which it is written: for a terminal, a README, a paper, a program."""

from fxviz.tabulating.table import Column, Line, Table

__all__ = ["Column", "Line", "Table"]
