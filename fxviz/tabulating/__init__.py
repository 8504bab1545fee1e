"""A table, and the forms in which it is written: for a terminal, a README, a paper, a program."""

from fxviz.tabulating.table import FORMS, PEOPLE, PROGRAMS, Column, Line, Table
from fxviz.tabulating.tabular import Tabular
from fxviz.tabulating.writing import check_form, written

__all__ = ["FORMS", "PEOPLE", "PROGRAMS", "Column", "Line", "Table", "Tabular", "check_form", "written"]
