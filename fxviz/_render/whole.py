"""How two models differ as a whole, in words: their names, their totals, how many layers became what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile

from fxviz._analysis.difference import Difference
from fxviz._graph import RESIDUAL_KINDS, SKIP_NOUNS, units
from fxviz._render import wording
from fxviz._render.rows import SIGNS, said
from fxviz._render.text_width import fit, width
from fxviz._view.view import View

_SKIPS = {"skip": RESIDUAL_KINDS, **{SKIP_NOUNS[kind]: (kind,) for kind in ("concat", "gate")}}
_AGAINST = " against "


# -------------------------------------------------------------------- names


def full_name(difference: Difference) -> str:
    """Both names: "resnet34 against resnet18"."""
    old, new = difference.names
    return f"{new}{_AGAINST}{old}"


def names_within(difference: Difference, room: float, size: float) -> str:
    """Both names in bold; where they are too long, each keeps its beginning and where it differs from the other one."""
    old, new = difference.names
    left = room - width(_AGAINST, size, bold=True)
    wide = {name: width(name, size, bold=True) for name in (old, new)}
    if sum(wide.values()) > left:
        rooms = {name: max(left / 2, left - wide[other]) for name, other in ((old, new), (new, old))}
        old, new = (_shortened(name, other, rooms[name], size) for name, other in ((old, new), (new, old)))
    return f"{new}{_AGAINST}{old}"


def _shortened(name: str, other: str, room: float, size: float) -> str:
    """A long name with an ellipsis in place of what says least: in the middle, before it differs from the other one.

    >>> _shortened("a_model_of_many_words_small", "a_model_of_many_words_large", 90, 9)
    'a_m…ords_small'
    """
    if width(name, size, bold=True) <= room:
        return name
    head = fit(name, room / 3, size, bold=True).removesuffix("…")
    end = len(name)
    while width(f"{head}…{name[end - 1 :]}", size, bold=True) <= room:
        end -= 1
    differs = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False)))
    start = min(end, differs) if differs > len(head) else end
    return fit(f"{head}…{name[start:]}", room, size, bold=True)


# -------------------------------------------------------------------- totals


def totals(difference: Difference) -> Iterator[str]:
    """Parameters, MACs and skips of the new model, each with how much more or less it is than in the old one."""
    old, new = difference.old, difference.new
    inputs = [tuple(tensor.shape for tensor in graph.trace.inputs.values()) for graph in (old, new)]
    if inputs[0] != inputs[1] and all(inputs):
        yield f"input {_shapes(inputs[0])} → {_shapes(inputs[1])}"
    yield _total(units.count, "parameters", old.traced_params, new.traced_params)
    if old.total_macs or new.total_macs:
        yield _total(units.macs, "", old.total_macs, new.total_macs)
    for noun, kinds in _SKIPS.items():
        before, now = (sum(graph.skip_counts[kind] for kind in kinds) for graph in (old, new))
        if before or now:
            yield _total(str, f"{noun}{'s' * (now != 1)}", before, now)


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    return ", ".join(map(units.shape, shapes[:2])) + (", …" if len(shapes) > 2 else "")


def _total(write: Callable[[int], str], noun: str, old: int, new: int) -> str:
    """A number, and by how much it is larger; how many times as large, unless that is next to nothing.

    >>> _total(units.count, "parameters", 11689512, 21797672), _total(str, "skips", 8, 8), _total(str, "skips", 2, 0)
    ('21.80M parameters (+10.11M, 1.9x)', '8 skips (as before)', '0 skips (−2)')
    >>> _total(units.count, "parameters", 20218, 20230)
    '20.2k parameters (+12)'
    """
    said = f"{write(new)} {noun}".strip()
    if old == new:
        return f"{said} (as before)"
    change = ("+" if new > old else "−") + write(abs(new - old))
    ratio = f", {units.ratio(new / old)}" if old and new and f"{new / old:.1f}" != "1.0" else ""
    return f"{said} ({change}{ratio})"


# -------------------------------------------------------------------- counts


def counts(difference: Difference) -> list[tuple[str, str]]:
    """What became of how many layers, or of how many steps without parameters if no layer differs, in words by kind.

    >>> from fxviz._graph import ArchGraph, ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), trace, (), (), (Scope(0, "", "Net", 0, None),), ())
    >>> counts(Difference(graph, graph, ("net", "net (2)"), {}, {}, ()))
    []
    """
    found, noun = difference.tally
    if not found and (count := len(difference.rewired)):
        return [("altered", f"{SIGNS['altered']} {count} step{'s' * (count > 1)} with other inputs")]
    nouns = [f" {noun}{'s' * (count > 1)}" if place == 0 else "" for place, count in enumerate(found.values())]
    return [(kind, f"{SIGNS[kind]} {count}{said} {kind}") for (kind, count), said in zip(found.items(), nouns, strict=True)]


def note(difference: Difference) -> str:
    """What the counts count; in place of counts, that there is nothing to count."""
    if difference.is_empty:
        but = " and ".join([*["names"] * difference.renames, *["dropout"] * difference.drops])
        return f"no difference but for {but}" if but else "no difference"
    counted = {"layer": "(those with parameters, norms too)", "step": "(without parameters)"}
    return counted[difference.tally.noun] if difference.tally.counts else ""


def told(view: View) -> str:
    """Both names, the totals, and how many layers differ, in one line."""
    difference = view.difference
    assert difference is not None
    differing = ", ".join(said for _, said in counts(difference))
    differing = " ".join(filter(None, (differing, note(difference))))
    return f"{full_name(difference)}: {', '.join(totals(difference))}; {differing}"


def described(view: View) -> str:
    """The difference in one breath, for readers who do not see the figure."""
    rows = [f"{wording.what(row)} {row.path}: {said(row)}" for row in view.rows if row.change]
    marked = f" Marked: {_few(rows)}." if rows else ""
    return f"{told(view)}.{marked}"


def _few(texts: Sequence[str], most: int = 12) -> str:
    more: Iterable[str] = [f"{len(texts) - most} more"] if len(texts) > most else []
    return "; ".join([*texts[:most], *more])
