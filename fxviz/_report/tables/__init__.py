"""Tables, and the forms in which they are written: for a terminal, a README, a paper, a program."""

from fxviz._report.tables.forms import Tabular, check_form, written
from fxviz._report.tables.table import FORMS, PEOPLE, PROGRAMS, Column, Line, Table

__all__ = ["FORMS", "PEOPLE", "PROGRAMS", "Column", "Line", "Table", "Tabular", "check_form", "written"]
