"""Options of a command that draws many figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fxviz._cli.options import PAIR, Draw, option
from fxviz._errors import UsageError, choice
from fxviz._render.figure import PAIRED, SUFFIXES
from fxviz.quoting import shown


def _formats(suffixes: Sequence[str]) -> list[str]:
    """
    >>> _formats((".svg", ".png"))
    ['svg', 'png']
    """
    return [suffix.removeprefix(".") for suffix in suffixes]


_FORMS = _formats(SUFFIXES)


@dataclass
class Many:
    """How many figures are drawn."""

    form: Annotated[
        str | None, option("--format", "FORMAT", f"The form of figures in a folder: {choice(_FORMS)}. Default: svg.")
    ] = None
    jobs: Annotated[
        int | None,
        option("--jobs", "N", "Draw several models in so many processes. Default: by their number and the machine's cores."),
    ] = None
    dask: Annotated[str | None, option("--dask", "ADDRESS", "Draw on the Dask cluster whose scheduler is at this address.")] = (
        None
    )

    def check(self, draw: Draw) -> None:
        """Find out before the work starts whether the options fit.

        Raises:
            UsageError: there is no such form or number, or two options do not go together.
        """
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"no --jobs {self.jobs}: give a whole number from 1 on")
        if self.jobs is not None and self.dask is not None:
            raise UsageError("--jobs counts processes of this machine, and --dask takes those of a cluster: leave one out")
        what, forms = ("format of a pair", _formats(PAIRED)) if draw.theme == PAIR else ("format", _FORMS)
        if self.form is not None and self.form not in forms:
            raise UsageError(f"no {what} '{shown(self.form)}': choose {choice(forms)}")

    @property
    def suffix(self) -> str:
        """Of each file."""
        return f".{self.form or 'svg'}"
