"""Write what is known of a model beside its graph as text."""

from __future__ import annotations

import inspect
import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence

from fxviz._graph import ArchGraph
from fxviz._graph.errors import Line, printable
from fxviz._graph.units import shape
from fxviz._graph.values import Information, Published

__all__ = ["of_graph", "to_text"]

Rows = Sequence[tuple[str, str]]

_ENDLESS = 10**9
"""The width where there is no terminal: no line is broken."""

_CODE = (">>>", "...")
"""Prefixes of lines of code, which are never broken."""


def to_text(known: Information, figure: str, width: int | None = None) -> str:
    """Return everything that is known of a model as text.

    Args:
        known: the information about the model.
        figure: the name of a file for its figure.
        width: columns of the terminal; None where there is none.

    >>> print(to_text(Information("net.py:Net(2)", "net.Net", "net.py", params=12), "Net.svg"))
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
    states = "; ".join(_states(weights))
    return f"  {printable(weights.name)} ({states})\n{_table(list(_declared(weights, params)), '    ', columns)}"


def _states(weights: Published) -> Iterator[str]:
    if weights.is_default:
        yield "DEFAULT"
    yield "on this machine" if weights.is_here else "not on this machine"


def _declared(weights: Published, params: int | None) -> Iterator[tuple[str, str]]:
    if weights.params is not None:
        yield "parameters", f"{weights.params:,} declared{_compared(weights.params, params)}"
    if weights.gmacs is not None:
        yield (
            "operations",
            f"{weights.gmacs:g} GFLOPS declared, counting a multiply-add as one operation: {weights.gmacs:g} GMACs",
        )
    for dataset in dict.fromkeys(metric.dataset for metric in weights.metrics):
        values = [f"{metric.name} {metric.value:g}" for metric in weights.metrics if metric.dataset == dataset]
        yield dataset, ", ".join(values)
    if weights.megabytes is not None:
        yield "size", f"{weights.megabytes:g} MB"
    for label, text in weights.facts:
        yield label, readable(text)


def _compared(declared: int, counted: int | None) -> str:
    """Compare what is declared with what fxviz counts.

    >>> _compared(10, 10), _compared(10, 12), _compared(10, 7)
    ('; fxviz counts the same', '; fxviz counts 12, 2 more', '; fxviz counts 7, 3 fewer')
    """
    if counted is None:
        return ""
    if counted == declared:
        return "; fxviz counts the same"
    more = "more" if counted > declared else "fewer"
    return f"; fxviz counts {counted:,}, {abs(counted - declared):,} {more}"


def _documentation(text: str, columns: int) -> str:
    lines = readable(text).expandtabs(4).splitlines()
    return "\n".join(_broken(printable(line), columns) for line in lines)


def _broken(line: str, columns: int) -> str:
    indent = "  " + line[: len(line) - len(line.lstrip())]
    text = line.strip()
    if not text or text.startswith(_CODE):
        return text and indent + text
    return _wrapped(text, indent, indent, columns)


def _table(rows: Rows, indent: str, columns: int) -> str:
    """Return a line for each row that is not empty, with labels aligned; long texts are wrapped below themselves."""
    lines = [(printable(label), printable(" ".join(text.split()))) for label, text in rows if text]
    longest = max((len(label) for label, _ in lines), default=0)
    after = " " * (len(indent) + longest + 2)
    return "\n".join(_wrapped(text, f"{indent}{label:{longest}}  ", after, columns) for label, text in lines)


def _wrapped(text: str, first: str, after: str, columns: int) -> str:
    """Wrap a text at spaces only, so that addresses and commands can be copied whole."""
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


_ROLE = re.compile(r":(?:[\w-]+:)?[\w-]+:`(?P<text>[^`]+)`")
_LINK = re.compile(r"`(?P<text>[^`<]+?)\s*<(?P<address>[^`>]+)>`_{1,2}")
_LITERAL = re.compile(r"``(?P<text>[^`]+)``")
_PLAIN = re.compile(r"(?<![\w`])`(?P<text>[^`\n]+)`_{0,2}(?![\w`])")
_TITLED = re.compile(r"(?P<title>[^<]+?)\s*<[^>]+>")
_DIRECTIVE = re.compile(r"(?P<indent>\s*)\.\. (?P<name>[\w-]+)::\s*(?P<rest>.*)")
_DIRECTIVES = {"note": "Note:", "warning": "Warning:", "deprecated": "Deprecated:", "versionadded": "Since", "math": ""}
"""Directives of reStructuredText and the text that replaces them; all others are left out with their content."""


def readable(documentation: str) -> str:
    """Remove roles, links and directives from a docstring, keeping its lines.

    >>> text = "From `Deep Residual <https://a.org>`__, see :class:`~models.ResNet` and ``x``.\\n.. autoclass:: R"
    >>> print(readable(text))
    From Deep Residual (https://a.org), see ResNet and x.
    """
    lines = _without_directives(inspect.cleandoc(documentation).splitlines())
    text = _LINK.sub(_linked, "\n".join(lines))
    text = _PLAIN.sub(r"\g<text>", _LITERAL.sub(r"\g<text>", _ROLE.sub(_named, text)))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip("\n")


def _linked(found: re.Match[str]) -> str:
    """Return a link as plain text; it may run over the end of a line."""
    return f"{' '.join(found['text'].split())} ({found['address'].strip()})"


def _named(found: re.Match[str]) -> str:
    """Return the name in a role, as short as its author wants it: "~a.b.C" is "C".

    >>> _named(_ROLE.match(":class:`the class <a.b.C>`")), _named(_ROLE.match(":func:`~a.b`"))
    ('the class', 'b')
    """
    text = " ".join(found["text"].split())
    if titled := _TITLED.fullmatch(text):
        return titled["title"]
    return text.rpartition(".")[2] if text.startswith("~") else text


def _without_directives(lines: list[str]) -> list[str]:
    kept: list[str] = []
    left_out = -1
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if left_out >= 0 and (not line.strip() or indent > left_out):
            continue
        left_out = -1
        found = _DIRECTIVE.match(line)
        if found is None:
            kept.append(line)
        elif found["name"] in _DIRECTIVES:
            kept.append(
                " ".join(filter(None, (f"{found['indent']}{_DIRECTIVES[found['name']]}", found["rest"]))).rstrip()
            )
        else:
            left_out = indent
    return kept


def of_graph(file: str, graph: ArchGraph) -> Information:
    """Return what is known of the model of a graph that was saved as ``file``.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("Net", "net.py", "net.Net"), trace, (), (), (Scope(0, "", "Net", 0, None),), ())
    >>> of_graph("net.json", graph).origin, of_graph("net.json", graph).facts
    ('net.json, saved from net.py', (('model', 'Net'), ('traced', 'with torch 2.4.0')))
    """
    torchvision = f", torchvision {graph.trace.torchvision}" if graph.trace.torchvision else ""
    facts = [("model", graph.model.name), ("traced", f"with torch {graph.trace.torch}{torchvision}")]
    facts += [("input", f"{name}: {shape(tensor.shape)} {tensor.dtype}") for name, tensor in graph.trace.inputs.items()]
    if graph.model.weights is not None:
        facts.append(("weights", graph.model.weights.name))
    nothing = "A saved graph holds no published weights and no documentation; use the model's name instead."
    origin = f"{file}, saved from {graph.model.source}"
    return Information(
        file, graph.model.cls, origin, params=graph.total_params, facts=tuple(facts), nothing_published=nothing
    )
