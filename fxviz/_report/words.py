"""``fxviz info``: the words."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence

from fxviz._graph.information import Information, Published
from fxviz._report.restructured import readable
from fxviz.locating import Line
from fxviz.quoting import printable

Rows = Sequence[tuple[str, str]]

_ENDLESS = 10**9
"""Columns where no terminal says how many it has: no line is broken."""

_CODE = (">>>", "...")
"""What a line of code begins with; it is never broken."""


def words(known: Information, figure: str, width: int | None = None) -> str:
    """All that is known of a model, as a text.

    Args:
        known: of the model.
        figure: the name of a file for its figure.
        width: columns of the terminal; None where there is none.

    >>> print(words(Information("net.py:Net(2)", "net.Net", "net.py", params=12), "Net.svg"))
    net.py:Net(2)
    <BLANKLINE>
      class       net.Net
      from        net.py
      parameters  12
      figure      fxviz render 'net.py:Net(2)' -o Net.svg
    """
    columns = width or _ENDLESS
    parts = [printable(known.model), _table(_rows(known, figure), "  ", columns)]
    if known.documentation.strip():
        parts += ["Documentation", _documentation(known.documentation, columns)]
    if known.published or known.nothing_published:
        parts.append("Published weights")
    if known.nothing_published:
        parts.append(_wrapped(printable(known.nothing_published), "  ", "  ", columns))
    parts += [_weights(weights, known.params, columns) for weights in known.published]
    return "\n\n".join(parts)


def _rows(known: Information, figure: str) -> Rows:
    command = f"fxviz render {shlex.quote(known.model)} -o {shlex.quote(figure)}"
    return (
        ("class", known.cls),
        ("from", known.origin),
        ("code", str(Line(known.file, known.line)) if known.file else ""),
        ("parameters", "" if known.params is None else f"{known.params:,}"),
        *known.facts,
        ("figure", command),
    )


def _weights(weights: Published, params: int | None, columns: int) -> str:
    said = "; ".join(_states(weights))
    return f"  {printable(weights.name)} ({said})\n{_table(list(_declared(weights, params)), '    ', columns)}"


def _states(weights: Published) -> Iterator[str]:
    if weights.is_default:
        yield "DEFAULT"
    yield "on this machine" if weights.is_here else "not on this machine"


def _declared(weights: Published, params: int | None) -> Iterator[tuple[str, str]]:
    if weights.params is not None:
        yield "parameters", f"{weights.params:,} declared{_compared(weights.params, params)}"
    if weights.gmacs is not None:
        yield "operations", f"{weights.gmacs:g} GFLOPS declared, which count a multiply-add once: {weights.gmacs:g} GMACs"
    for dataset in dict.fromkeys(metric.dataset for metric in weights.metrics):
        values = [f"{metric.name} {metric.value:g}" for metric in weights.metrics if metric.dataset == dataset]
        yield dataset, ", ".join(values)
    if weights.megabytes is not None:
        yield "size", f"{weights.megabytes:g} MB"
    for label, text in weights.facts:
        yield label, readable(text)


def _compared(declared: int, counted: int | None) -> str:
    """What fxviz counts beside what is declared.

    >>> _compared(10, 10), _compared(10, 12), _compared(10, 7)
    (', as fxviz counts', '; fxviz counts 12, 2 more', '; fxviz counts 7, 3 fewer')
    """
    if counted is None:
        return ""
    if counted == declared:
        return ", as fxviz counts"
    more = "more" if counted > declared else "fewer"
    return f"; fxviz counts {counted:,}, {abs(counted - declared):,} {more}"


def _documentation(text: str, columns: int) -> str:
    """The docstring; lines that are too long are broken."""
    lines = readable(text).expandtabs(4).splitlines()
    return "\n".join(_broken(printable(line), columns) for line in lines)


def _broken(line: str, columns: int) -> str:
    indent = "  " + line[: len(line) - len(line.lstrip())]
    text = line.strip()
    if not text or text.startswith(_CODE):
        return text and indent + text
    return _wrapped(text, indent, indent, columns)


def _table(rows: Rows, indent: str, columns: int) -> str:
    """A line for each row that says something, labels aligned; long lines go on below their text."""
    said = [(printable(label), printable(" ".join(text.split()))) for label, text in rows if text]
    longest = max((len(label) for label, _ in said), default=0)
    after = " " * (len(indent) + longest + 2)
    return "\n".join(_wrapped(text, f"{indent}{label:{longest}}  ", after, columns) for label, text in said)


def _wrapped(text: str, first: str, after: str, columns: int) -> str:
    """Words are never broken: addresses and commands are copied whole."""
    return "\n".join(
        textwrap.wrap(
            text,
            max(columns, len(after) + 20),
            initial_indent=first,
            subsequent_indent=after,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
