"""Tables that belong together, written in every form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from fxviz._report.tables.forms import written
from fxviz._report.tables.table import Table


class Tabular(ABC):
    """What is shown as tables. ``print`` shows them as text."""

    @abstractmethod
    def tables(self, form: str = "table") -> Sequence[Table]:
        """The tables that a form shows."""

    def written(self, form: str = "table", width: int | None = None, styled: bool = False) -> str:
        """The tables as text.

        Args:
            form: "table", "markdown", "csv", "json" or "latex".
            width: columns of the terminal that a "table" must fit; None: plain, as wide as it is.
            styled: whether the terminal takes bold and colours.

        Raises:
            UsageError: there is no such form.
        """
        return "\n".join(written(table, form, width, styled) for table in self.tables(form))

    def __str__(self) -> str:
        return self.written().rstrip("\n")
