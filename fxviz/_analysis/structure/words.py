"""Say what the rows of a kind are, in the words of the field, and what the kind is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from fxviz._analysis.structure.channels import Symbols, symbols_for
from fxviz._analysis.structure.rows import Draft
from fxviz._analysis.structure.steps import is_norm_word, sizes_word, stride_word
from fxviz._analysis.structure.values import Row

_CONVOLUTIONS = {"Conv": "Conv", "Conv1": "Conv", "DW": "DW", "GConv": "GConv"}
_MOST_WORDS = 4
"""The most layers that the name of a kind lists. A branch inside one, which has no other name, lists more."""

_MOST_OF_BRANCH = 6

FEED_FORWARD = ("MLP", "GLU", "MoE MLP", "MoE GLU")
"""The words for rows of two layers, which have a width between them."""

Occurring = Sequence[Sequence[Draft] | None]
"""The rows of each occurrence; None for one whose rows differ from those of the others."""


def rows_of(occurring: Occurring, entering: Sequence[int], leaving: Sequence[int]) -> tuple[tuple[Row, ...], Symbols]:
    """Return the rows of a kind, and the symbols in which their widths are written.

    Args:
        occurring: the rows of each occurrence; None for one without any.
        entering, leaving: for each occurrence the channels that enter and leave.
    """
    aligned = _aligned(occurring)
    template = next(drafts for drafts in aligned if drafts is not None)
    told = [place for place, drafts in enumerate(aligned) if drafts is not None]
    vectors = [
        [width for draft in aligned[place] or () for width in _widths(draft) if draft.word not in ("SE", "gate")]
        for place in told
    ]
    symbols = symbols_for(vectors, [entering[place] for place in told], [leaving[place] for place in told])
    rows = []
    for number, draft in enumerate(template):
        column = [drafts[number] if drafts is not None else None for drafts in aligned]
        rows.append(_row(draft, column, symbols))
    return tuple(rows), symbols


def _aligned(occurring: Occurring) -> list[Sequence[Draft] | None]:
    """Return the rows of each occurrence, None in place of those that differ from most."""
    words = [tuple(draft.word for draft in drafts) if drafts is not None else None for drafts in occurring]
    most = Counter(word for word in words if word is not None).most_common(1)[0][0]
    return [drafts if word == most else None for drafts, word in zip(occurring, words, strict=True)]


def _widths(draft: Draft) -> list[int]:
    names = ("hidden", "width") if draft.word in FEED_FORWARD else ("width",)
    return [draft.facts[name] for name in names if draft.facts.get(name)]


def _row(draft: Draft, column: Sequence[Draft | None], symbols: Symbols) -> Row:
    told = [each for each in column if each is not None]
    names = dict.fromkeys(name for each in told for name in each.facts)
    facts = {name: tuple(each.facts.get(name) if each else None for each in column) for name in names}
    if draft.parts:
        return _part(draft, column, facts)
    common = {name: value for name, values in facts.items() if (value := _common(values)) is not None}
    word, marks = _word(draft, facts, common)
    channels: tuple[str, ...] = ()
    entering = ""
    if draft.word not in ("SE", "gate", "Attention") and symbols.fits:
        widths = list(zip(*(_widths(each) for each in told), strict=False))
        channels = tuple(symbols.text(values) for values in widths)
        channels = channels if all(channels) else ()
        entering = symbols.text([each.facts.get("entering", 0) for each in told]) if channels else ""
    return Row(word, entering, channels, (*marks, *draft.marks), draft.reads, facts, draft.on_shortcut, draft.times)


def _part(draft: Draft, column: Sequence[Draft | None], facts: Mapping[str, tuple[Any, ...]]) -> Row:
    """Return the row for a block inside a block, or a branch: its name is that of a kind of its own."""
    entering = [each.facts["entering"] if each else 0 for each in column]
    leaving = [each.facts["width"] if each else 0 for each in column]
    rows, _ = rows_of([each.parts if each else None for each in column], entering, leaving)
    is_residual = any(row.word == "+" for row in rows)
    word = kind_word(rows, (), is_residual)
    if len(rows) == 2 and is_norm_word(rows[0].word):
        word = f"{rows[0].word}, {word}"
    return Row(word, reads=draft.reads, facts=facts, on_shortcut=draft.on_shortcut, parts=rows)


def _common(values: Sequence[Any]) -> Any:
    """Return the value that all who have one share, else None."""
    found = {value for value in values if value is not None}
    return found.pop() if len(found) == 1 else None


def _word(draft: Draft, facts: Mapping[str, tuple[Any, ...]], common: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the word for a row and what is said behind it."""
    base = draft.word.removeprefix("Up")
    if base in _CONVOLUTIONS:
        kernel = sizes_word(common["kernel"]) if "kernel" in common else "k×k"
        word = f"{'Up' if draft.word.startswith('Up') else ''}{_CONVOLUTIONS[base]} {kernel}"
        return word, list(_convolution_marks(facts, common))
    if draft.word == "Attention":
        return attention_words(facts, common)
    if draft.word == "SE":
        of_input, ratio = common.get("input_ratio"), common.get("ratio")
        if of_input and of_input <= 0.5 and abs(1 / of_input - round(1 / of_input)) < 0.01:
            ratio = of_input  # as papers count it, where one number serves all blocks
        return "SE", [fraction(ratio)] if ratio else []
    if "experts" in common:
        top = common.get("top")
        return draft.word, [f"{common['experts']} experts{f', top {top}' if top else ''}"]
    if draft.word in ("MaxPool", "AvgPool") and "kernel" in common:
        return f"{draft.word} {sizes_word(common['kernel'])}", [stride_word(common.get("stride", ()))]
    if any(size > 1 for size in common.get("bins", ())):
        return draft.word, [f"to {sizes_word(common['bins'])}"]
    return draft.word, []


def _convolution_marks(facts: Mapping[str, tuple[Any, ...]], common: Mapping[str, Any]) -> list[str]:
    marks = []
    if "stride" in common:
        marks.append(stride_word(common["stride"]))
    elif "stride" in facts:
        marks.append("/s")
    if any(value and max(value) > 1 for value in facts.get("dilation", ())):
        sizes = common.get("dilation")
        marks.append(f"dilation {sizes_word(tuple(dict.fromkeys(sizes)))}" if sizes else "dilation d")
    if "groups" in facts:
        marks.append(f"groups {common['groups']}" if "groups" in common else "groups g")
    return [mark for mark in marks if mark]


def attention_words(facts: Mapping[str, tuple[Any, ...]], common: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the word for an attention, and what is said behind it.

    >>> attention_words({}, {"heads": 12, "head_width": 64, "kv_heads": 12, "attention": "softmax"})
    ('Attention', ['12×64'])
    >>> attention_words({"windows": (4,), "window": ((7, 7),)}, {"window": (7, 7), "shift": (3, 3), "head_width": 32})
    ('SW-MSA 7×7', ['heads×32', 'shift 3'])
    """
    heads, width = common.get("heads"), common.get("head_width")
    marks = [f"{heads or 'heads'}×{width or 'width'}"]
    word = "Attention"
    if common.get("attention") in ("channel", "linear"):
        word = f"{str(common['attention']).capitalize()} attention"
    elif common.get("cross"):
        word = "Cross-attention"
    elif is_grouped(facts):
        word, further = _of_groups(common)
        marks += further
    elif any(heads_of_keys != heads for heads_of_keys, heads in _pairs(facts)):
        word = f"GQA {heads}/{common['kv_heads']}" if heads and "kv_heads" in common else "GQA"
        word = word.replace("GQA", "MQA") if common.get("kv_heads") == 1 else word
    elif common.get("queries") == 1 and any(keys and keys > 1 for keys in facts.get("keys", ())):
        word = "Class attention"
    reduction = [value for value in facts.get("reduction", ()) if value]
    if reduction:
        marks.append(f"keys /{reduction[0]:g}" if len(set(reduction)) == 1 else "keys /r")
    if common.get("mixed"):
        marks.append("talking heads")
    return word, marks


def is_grouped(facts: Mapping[str, tuple[Any, ...]]) -> bool:
    """Return whether attention is within groups of positions in any occurrence."""
    return any(windows and windows > 1 for windows in facts.get("windows", ()))


def _of_groups(common: Mapping[str, Any]) -> tuple[str, list[str]]:
    shift = common.get("shift")
    shifted = isinstance(shift, tuple) and any(shift)
    for fact, plain, moved in (("grid", "Grid-MSA", "Grid-MSA"), ("window", "W-MSA", "SW-MSA")):
        if fact in common:
            sizes = common[fact]
            if len(sizes) == 1:
                return "Attention", [f"groups of {sizes[0]}"]
            marks = [f"shift {_shift_word(shift)}"] if shifted and isinstance(shift, tuple) else []
            return f"{moved if shifted else plain} {sizes_word(sizes)}", marks
    return "W-MSA", []


def _shift_word(shift: Sequence[int]) -> str:
    """
    >>> _shift_word((3, 3)), _shift_word((0, 3, 3))
    ('3', '0×3×3')
    """
    return str(shift[0]) if len(set(shift)) == 1 else sizes_word(shift)


def _pairs(facts: Mapping[str, tuple[Any, ...]]) -> list[tuple[Any, Any]]:
    return [
        (one, other) for one, other in zip(facts.get("kv_heads", ()), facts.get("heads", ()), strict=False) if other
    ]


def fraction(value: float) -> str:
    """Write a ratio as papers do.

    >>> fraction(0.25), fraction(1 / 16), fraction(0.2632)
    ('¼', '1/16', '0.26')
    """
    exact = Fraction(value).limit_denominator(64)
    if abs(float(exact) - value) > 0.002 or (exact.numerator > 1 and exact.denominator > 8):
        return f"{value:.2g}"
    return {Fraction(1, 4): "¼", Fraction(1, 2): "½", Fraction(3, 4): "¾"}.get(exact, str(exact))


# -------------------------------------------------------------------- the kind


def kind_word(rows: Sequence[Row], members: Sequence[str], residual: bool) -> str:
    """Return the name of a kind in the words of the field; the class's name if there are none."""
    layers = [
        row
        for row in rows
        if (row.channels or "width" in row.facts or "heads" in row.facts or row.word == "scan") and not row.on_shortcut
    ]
    attention = [row for row in layers if "heads" in row.facts]
    if attention:
        others = [row.word for row in layers if row.word in FEED_FORWARD][:1]
        return ", ".join(dict.fromkeys([*(_with_heads(row) for row in attention), *others]))
    branches = any(row.word == "concat" for row in rows)
    inverted = "" if branches else inverted_residual(layers, [row for row in rows if row.word == "SE"], residual)
    if inverted:
        return inverted
    names = [row.word for row in layers]
    if not members:  # of a branch, also what it pools
        names = [" ".join((row.word, *row.marks)) if "Pool" in row.word else row.word for row in rows
                 if row in layers or "Pool" in row.word]  # fmt: skip
    count = sum(name.count(",") + 1 for name in names)
    if not 0 < count <= (_MOST_WORDS if members else _MOST_OF_BRANCH):
        return members[0] if members else _counted(names) or f"{count} layers"
    short = [names[0], *(_without(name, before) for before, name in pairwise(names))]
    return ", ".join(short)


def _with_heads(row: Row) -> str:
    word = row.parts[-1].word if len(row.parts) == 2 else row.word
    return f"{word} {row.marks[0]}" if row.word == "Attention" else word


def _without(name: str, before: str) -> str:
    """
    >>> _without("Conv 3×3", "Conv 1×1"), _without("DW 3×3", "Conv 1×1")
    ('3×3', 'DW 3×3')
    """
    first, _, rest = name.partition(" ")
    return rest if rest and before.partition(" ")[0] == first else name


def inverted_residual(layers: Sequence[Row], gates: Sequence[Row], residual: bool) -> str:
    """Return the name of an inverted residual (arXiv:1801.04381), or of a fused one; "" for another block."""
    words = [row.word for row in layers if row.word != "SE"]
    marks = ["SE" + "".join(gates[0].marks[:1])] if gates else []
    if len(words) == 3 and words[0] == words[2] == "Conv 1×1" and words[1].startswith("DW "):
        return " ".join((words[1].replace("DW", "MBConv"), *_expansion(layers[0]), *marks))
    if len(words) == 2 and words[0].startswith("DW ") and words[1] == "Conv 1×1" and (gates or residual):
        return " ".join((words[0].replace("DW", "MBConv"), "t1", *marks))
    if len(words) == 2 and words[0].startswith("Conv ") and words[0] != "Conv 1×1" and words[1] == "Conv 1×1":
        expansion = _expansion(layers[0])
        if expansion and expansion != ["t1"]:
            return " ".join((words[0].replace("Conv", "Fused-MBConv"), *expansion, *marks))
    return ""


def _expansion(row: Row) -> list[str]:
    """Return how many times wider a layer is than what enters it, if all occurrences agree."""
    pairs = zip(row.facts.get("width", ()), row.facts.get("entering", ()), strict=False)
    found = {round(width / entering, 1) for width, entering in pairs if width and entering}
    return [f"t{found.pop():g}"] if len(found) == 1 else ["t"] if found else []


def lone_words(drafts: Sequence[Draft], members: Sequence[str]) -> str:
    """Return the words for a layer that is no block, or for a block that stands once: "Conv 7×7 3→64 /2"."""
    rows, _ = rows_of([drafts], [0], [0])
    rows = tuple(part for row in rows for part in row.parts or (row,))
    shown = [row for row in rows if row.channels or "width" in row.facts or "heads" in row.facts]
    if len(shown) > _MOST_ALONE:
        return _counted([row.word for row in shown]) or (members[0] if members else f"{len(shown)} layers")
    if not shown:
        shown = [row for row in rows if row.word in ("resize", "mean") or "Pool" in row.word]
        shown = shown or [row for row in rows[:1] if row.word not in ("+", "−", "×")]
        return ", ".join(dict.fromkeys(map(_without_norms, shown)))
    return ", ".join(map(_without_norms, shown))


def _counted(names: Sequence[str]) -> str:
    """Return names of layers, each once with the number of times; "" if they differ too much.

    >>> _counted(["Conv 3×3"] * 4 + ["Linear"]), _counted(list("abcd"))
    ('Conv 3×3 ×4, Linear', '')
    """
    counted = Counter(names)
    if len(counted) > _MOST_ALONE:
        return ""
    return ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in counted.items())


_MOST_ALONE = 3
"""The most layers of a block that stands once; more are told by the name of its class."""


def _without_norms(row: Row) -> str:
    kept = tuple(mark for mark in row.marks if mark[:1] == "/" or mark[:1].isdigit())
    return Row(row.word, row.entering, row.channels, kept, times=row.times).text


SIDES = ("encoder", "decoder", "text", "vision", "visual", "image", "audio", "language")
"""Names of top-level modules that tell what their stages are for."""


def side_of(path: str) -> str:
    """Return what a module is for by the name of the top-level module around it; "" if that does not say.

    >>> side_of("vision_model.layers.0"), side_of("decoder.blocks.1"), side_of("layer1.0")
    ('vision', 'decoder', '')
    """
    return next((name for name in path.partition(".")[0].split("_") if name in SIDES), "")
