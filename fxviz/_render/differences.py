"""Describe a difference in words: how a row changed, and how the two models differ as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Literal, NamedTuple

from fxviz._analysis.difference import ChangeKind, Difference, compared_settings
from fxviz._graph import RESIDUAL_KINDS, SKIP_KINDS, SKIP_NOUNS, Node, SkipKind, units
from fxviz._render import wording
from fxviz._render.text_width import fit, width
from fxviz._view.view import Altered, Change, Mark, Row, View

__all__ = [
    "SIGNS",
    "Word",
    "change_text",
    "counts",
    "describe",
    "fit_names",
    "full_name",
    "note",
    "shortest_wording",
    "sign",
    "summary_line",
    "totals",
    "wordings",
]

_SKIPS: dict[str, tuple[SkipKind, ...]] = {
    "skip": RESIDUAL_KINDS,
    **{SKIP_NOUNS[kind]: (kind,) for kind in SKIP_KINDS if kind not in RESIDUAL_KINDS},
}
_AGAINST = " against "


# -------------------------------------------------------------------- names


def full_name(difference: Difference) -> str:
    """Return both names: "resnet34 against resnet18"."""
    old, new = difference.names
    return f"{new}{_AGAINST}{old}"


def fit_names(difference: Difference, room: float, size: float) -> str:
    """Return both names, shortened to fit in bold: each keeps its beginning and the place where it differs."""
    old, new = difference.names
    left = room - width(_AGAINST, size, bold=True)
    wide = {name: width(name, size, bold=True) for name in (old, new)}
    if sum(wide.values()) > left:
        rooms = {name: max(left / 2, left - wide[other]) for name, other in ((old, new), (new, old))}
        old, new = (_shorten(name, other, rooms[name], size) for name, other in ((old, new), (new, old)))
    return f"{new}{_AGAINST}{old}"


def _shorten(name: str, other: str, room: float, size: float) -> str:
    """Shorten a long name in the middle, before the place where it differs from the other one.

    >>> _shorten("a_model_of_many_words_small", "a_model_of_many_words_large", 90, 9)
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
    """Yield the new model's parameters, MACs and skips, each with its change from the old model."""
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
    """Write a total with its change, and with the ratio unless that rounds to 1.0.

    >>> _total(units.count, "parameters", 11689512, 21797672), _total(str, "skips", 8, 8), _total(str, "skips", 2, 0)
    ('21.80M parameters (+10.11M, 1.9x)', '8 skips (as before)', '0 skips (−2)')
    >>> _total(units.count, "parameters", 20218, 20230)
    '20.2k parameters (+12)'
    """
    total = f"{write(new)} {noun}".strip()
    if old == new:
        return f"{total} (as before)"
    change = ("+" if new > old else "−") + write(abs(new - old))
    ratio = f", {units.ratio(new / old)}" if old and new and f"{new / old:.1f}" != "1.0" else ""
    return f"{total} ({change}{ratio})"


# -------------------------------------------------------------------- counts


def counts(difference: Difference) -> list[tuple[ChangeKind, str]]:
    """Return how many layers were added, removed, resized or altered; steps if no layer differs.

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
    return [
        (kind, f"{SIGNS[kind]} {count}{noun} {kind}") for (kind, count), noun in zip(found.items(), nouns, strict=True)
    ]


def note(difference: Difference) -> str:
    """Return what the counts count, or that there is no difference."""
    if difference.is_empty:
        but = " and ".join([*["names"] * difference.renames, *["dropout"] * difference.drops])
        return f"no difference but for {but}" if but else "no difference"
    counted = {"layer": "(those with parameters, norms too)", "step": "(without parameters)"}
    return counted[difference.tally.noun] if difference.tally.counts else ""


def summary_line(view: View) -> str:
    """Summarize a difference in one line: both names, the totals, and how many layers differ."""
    difference = view.difference
    assert difference is not None
    differing = ", ".join(count for _, count in counts(difference))
    differing = " ".join(filter(None, (differing, note(difference))))
    return f"{full_name(difference)}: {', '.join(totals(difference))}; {differing}"


def describe(view: View) -> str:
    """Describe a difference in a paragraph, for readers who cannot see the figure."""
    rows = [f"{wording.what(row)} {row.path}: {change_text(row)}" for row in view.rows if row.change]
    marked = f" Marked: {_first_few(rows)}." if rows else ""
    return f"{summary_line(view)}.{marked}"


def _first_few(texts: Sequence[str], most: int = 12) -> str:
    more: Iterable[str] = [f"{len(texts) - most} more"] if len(texts) > most else []
    return "; ".join([*texts[:most], *more])


SIGNS: dict[Mark, str] = {"added": "+", "removed": "−", "resized": "~", "altered": "~", "mixed": "~"}
"""The sign before a row that differs, for readers who cannot tell the colours."""

_FULL, _SHORT, _BARE = range(3)
"""The settings that are named: all; all but a single number of channels; all but numbers of channels."""


class Word(NamedTuple):
    """A few words and the kind of change that they describe, "" for words that only join others."""

    kind: Mark | Literal[""]
    text: str


def sign(row: Row) -> str:
    """Return the sign of a row that differs, "" for one that does not."""
    return SIGNS[row.change.mark] if row.change else ""


def change_text(row: Row) -> str:
    """Return how a row changed, in a few words.

    >>> from fxviz._graph import Node
    >>> conv = Node("a", "module", "Conv2d", "a", settings={"out_channels": 128, "in_channels": 3})
    >>> was = Node("b", "module", "Conv2d", "a", settings={"out_channels": 64, "in_channels": 3})
    >>> resized = Change("resized", (Altered("resized", conv, was),))
    >>> change_text(Row(0, "layer", (conv,), "a", None, 0, 0, change=resized))
    'out 64 → 128'
    >>> change_text(Row(0, "layer", (conv,), "a", None, 0, 0, change=Change("added", (Altered("added", conv),))))
    'added'
    """
    return "".join(word.text for word in next(wordings(row), ()))


def wordings(row: Row) -> Iterator[tuple[Word, ...]]:
    """Yield how a row changed in fewer and fewer words; callers take the first that fit and never cut them."""
    change = row.change
    if change is None:
        return
    if change.mark in ("added", "removed") or (change.mark != "mixed" and row.is_several):
        yield (Word(change.mark, change.mark),)
    elif row.is_several:
        yield from _tally_wordings(change)
    else:
        yield from _layer_wordings(row, change)


def shortest_wording(row: Row) -> tuple[Word, ...]:
    """Return the one word for how a row changed, for when there is no room for more."""
    mark = row.change.mark if row.change else ""
    return (Word(mark, "altered" if mark == "mixed" else mark),)


# -------------------------------------------------------------------- a row of several layers


def _tally_wordings(change: Change) -> Iterator[tuple[Word, ...]]:
    """Yield how many of a row's layers differ, or steps if no layer does: "2 of 6 added"."""
    counts: Mapping[ChangeKind, int] = change.tally.counts or Counter(part.kind for part in change.parts)
    if {"resized", "altered"} <= counts.keys():
        both = counts["resized"] + counts["altered"]
        counts = {kind: both if kind == "altered" else count for kind, count in counts.items() if kind != "resized"}
    of = f" of {change.of}" if change.tally.counts and change.of != sum(counts.values()) else ""
    if len(counts) == 1:
        ((kind, count),) = counts.items()
        yield (Word(kind, f"{count}{of} {kind}"),)
        yield (Word(kind, f"{count} {kind}"),)
        yield (Word(kind, f"{SIGNS[kind]}{count}"),)
        return
    words = list(_joined([Word(kind, f"{SIGNS[kind]}{count}") for kind, count in counts.items()], " "))
    yield (*words, Word("", of))
    yield tuple(words)


# -------------------------------------------------------------------- a row of one layer


def _layer_wordings(row: Row, change: Change) -> Iterator[tuple[Word, ...]]:
    """Yield the settings and parts that differ: in full, with fewer names, then fewer and fewer of them.

    A single number of channels needs no name; two of them are told apart by their names.
    """
    found = [_words(row, change, named) for named in (_FULL, _SHORT, _BARE)]
    for many in range(len(found[0]), 0, -1):
        for words in found if many == 1 else found[:2]:
            *some, last = words[:many]
            yield tuple(_joined([*some, last._replace(text=f"{last.text} …") if many < len(words) else last], " · "))


def _words(row: Row, change: Change, named: int) -> list[Word]:
    """Return the changes, most important first: one setting of the layer, its parts, its other settings.

    Resized parts are mentioned only if nothing else differs: a norm is always as wide as its layer.
    """
    own = [part for part in change.parts if part.node.id == row.heads[0].id]
    others = [part for part in change.parts if part.kind != "resized" and part not in own]
    own_words = [word for part in own for word in _settings(part, named)]
    parts = [word for part in others or ([] if own else change.parts) for word in _part(part, named)]
    counted = Counter([*own_words[:1], *parts, *own_words[1:]])
    return [Word(word.kind, f"{word.text} ×{count}" if count > 1 else word.text) for word, count in counted.items()]


def _joined(words: Sequence[Word], by: str) -> Iterator[Word]:
    for place, word in enumerate(words):
        yield from [Word("", by)] if place else []
        yield word


def _part(part: Altered, named: int) -> list[Word]:
    """Describe a norm or activation that was added to a layer, removed from it, or replaced."""
    tag = wording.tag(part.node)
    if part.kind in ("added", "removed"):
        return [Word(part.kind, f"{SIGNS[part.kind]} {tag}")]
    return [Word(part.kind, f"{tag} {word.text}") for word in _settings(part, named)]


def _settings(part: Altered, named: int) -> list[Word]:
    """Return a word for each setting that differs, with or without its name.

    >>> from fxviz._graph import Node
    >>> was, now = (Node("a", "module", "Linear", "a", settings={"in_features": size}) for size in (1024, 2208))
    >>> [word.text for named in (_FULL, _SHORT) for word in _settings(Altered("resized", now, was), named)]
    ['in 1024 → 2208', '1024→2208']
    """
    found = settings(part) if part.kind != "added" else []
    if named != _FULL:
        leave_out = named == _BARE or sum(name in CHANNELS for name, _ in found) == 1
        found = [("" if leave_out and name in CHANNELS else name, values.replace(" → ", "→")) for name, values in found]
    return [Word(part.kind, f"{name} {values}".strip()) for name, values in found] or [Word(part.kind, part.kind)]


_SETTING_ORDER = (
    "groups",
    "out_channels",
    "out_features",
    "num_features",
    "embedding_dim",
    "embed_dim",
    "in_channels",
    "in_features",
    "num_heads",
    "kernel_size",
    "stride",
)
"""The most important settings, in the order in which they are shown."""

_SETTING_NAMES = {
    **dict.fromkeys(("out_channels", "out_features"), "out"),
    **dict.fromkeys(("in_channels", "in_features"), "in"),
    **dict.fromkeys(("num_features", "normalized_shape", "embed_dim", "embedding_dim"), ""),
    "kernel_size": "kernel",
    "num_heads": "heads",
}

CHANNELS = ("", "in", "out", "in, out")
"""Names that may be left out if there is little room: a number of channels is recognized without one."""


def settings(part: Altered) -> list[tuple[str, str]]:
    """Return the names and values of the settings that differ, most important first; of a parameter, the sizes.

    >>> conv = Node("a", "module", "Conv2d", "a", uses=("a.weight",), settings={"padding": (1, 1), "stride": (2, 2)})
    >>> old = {"padding": (0, 0), "stride": (1, 1)}
    >>> was = Node("a", "module", "Conv2d", "a", uses=("a.weight", "a.bias"), settings=old)
    >>> settings(Altered("altered", conv, was))
    [('stride', '1 → 2'), ('padding', '0 → 1'), ('bias', 'yes → no')]
    """
    if part.before is None:
        return []
    new, old = compared_settings(part.node), compared_settings(part.before)
    differing = sorted((name for name in {**new, **old} if new.get(name) != old.get(name)), key=_rank)
    if "kernel_size" in differing and _keeps_size(new) and _keeps_size(old):
        differing = [name for name in differing if name != "padding"]
    found = [*_setting_changes(differing, old, new), *_parameters(part.before, part.node)]
    if not found and part.node.kind == "parameter" and part.node.outputs and part.before.outputs:
        shapes = part.before.outputs[0].shape, part.node.outputs[0].shape
        return [("", _arrow(*_differing_sizes(*shapes)))]
    return found


def _keeps_size(settings: Mapping[str, Any]) -> bool:
    """Return whether the padding keeps the size of the input at stride 1.

    >>> [_keeps_size({"kernel_size": (kernel,), "padding": (1,), "dilation": (1,)}) for kernel in (3, 5)]
    [True, False]
    """
    sizes = [settings.get(name) for name in ("kernel_size", "padding", "dilation")]
    if not all(isinstance(size, tuple) for size in sizes):
        return False
    return all(2 * padding == dilation * (kernel - 1) for kernel, padding, dilation in zip(*sizes, strict=False))


def _parameters(old: Node, new: Node) -> Iterator[tuple[str, str]]:
    """Yield whether a layer shares its parameters, or which parameters it gained or lost."""
    if bool(old.shared) != bool(new.shared):
        yield "", "weights shared" if new.shared else "own weights"
        return
    own, was_own = _own_parameters(new), _own_parameters(old)
    for name in dict.fromkeys([*was_own, *own]):
        if (name in own) != (name in was_own):
            yield name.replace("_", " "), _arrow(name in was_own, name in own)


def _own_parameters(node: Node) -> list[str]:
    """Return the names of a layer's own parameters."""
    prefix = f"{node.path}."
    return [name.removeprefix(prefix) for name in node.uses if node.kind == "module" and name.startswith(prefix)]


def _rank(name: str) -> tuple[int, str]:
    return (_SETTING_ORDER.index(name) if name in _SETTING_ORDER else len(_SETTING_ORDER), name)


def _setting_changes(differing: list[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each setting's name in the figure, which a function's settings lack, and its values.

    Equal numbers of channels in and out are one setting, and so are as many groups.

    >>> old, new = ({"groups": size, "out_channels": size, "in_channels": size, "1": size // 2} for size in (4, 8))
    >>> list(_setting_changes([*new], old, new))
    [('in, out', '4 → 8'), ('', '2 → 4')]
    """
    values = {name: (old.get(name), new.get(name)) for name in differing}
    for name in differing:
        outer = [f"out_{name.removeprefix('in_')}"] if name.startswith("in_") else ["in_channels"] * (name == "groups")
        if any(values.get(other) == values[name] for other in outer):
            continue
        both = name.startswith("out_") and values.get(name.replace("out_", "in_")) == values[name]
        shown = "" if name.replace(".", "").isdigit() else _SETTING_NAMES.get(name, name.replace("_", " "))
        yield "in, out" if both else shown, _arrow(*values[name])


def _differing_sizes(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[Any, Any]:
    """Keep only the sizes that differ.

    >>> _differing_sizes((1, 197, 768), (1, 50, 768))
    ((197,), (50,))
    """
    if len(old) != len(new):
        return old, new
    pairs = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
    return tuple(one for one, _ in pairs), tuple(other for _, other in pairs)


def _arrow(old: Any, new: Any) -> str:
    """Write a change as "old → new"; sizes that are all equal become one number.

    >>> _arrow(64, 128), _arrow((16, 16), (32, 32)), _arrow((2, 3, 3), (1, 3, 3)), _arrow(None, 0), _arrow(False, True)
    ('64 → 128', '16 → 32', '2×3×3 → 1×3×3', 'none → 0', 'no → yes')
    """
    if all(isinstance(value, tuple) and len(set(value)) == 1 for value in (old, new)):
        old, new = old[0], new[0]
    return f"{_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return units.shape(value) if isinstance(value, tuple) else str(value)
