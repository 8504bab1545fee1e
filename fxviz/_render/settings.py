"""What is other about a layer, in words: the settings that differ, each from one value to the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fxviz._analysis.difference import compared_settings
from fxviz._graph import Node, units
from fxviz._view.view import Altered

_FIRST = (
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
"""The settings that say most, in this order."""

_SAID = {
    **dict.fromkeys(("out_channels", "out_features"), "out"),
    **dict.fromkeys(("in_channels", "in_features"), "in"),
    **dict.fromkeys(("num_features", "normalized_shape", "embed_dim", "embedding_dim"), ""),
    "kernel_size": "kernel",
    "num_heads": "heads",
}

CHANNELS = ("", "in", "out", "in, out")
"""What may be left out where there is little room: a number of channels is known as such without it."""


def settings(part: Altered) -> list[tuple[str, str]]:
    """The names of the settings that differ and their values, what says most first; the sizes of what has no settings.

    >>> conv = Node("a", "module", "Conv2d", "a", uses=("a.weight",), settings={"padding": (1, 1), "stride": (2, 2)})
    >>> was = Node("a", "module", "Conv2d", "a", uses=("a.weight", "a.bias"), settings={"padding": (0, 0), "stride": (1, 1)})
    >>> settings(Altered("altered", conv, was))
    [('stride', '1 → 2'), ('padding', '0 → 1'), ('bias', 'yes → no')]
    """
    if part.before is None:
        return []
    new, old = compared_settings(part.node), compared_settings(part.before)
    differing = sorted((name for name in {**new, **old} if new.get(name) != old.get(name)), key=_rank)
    if "kernel_size" in differing and _pads_evenly(new) and _pads_evenly(old):
        differing = [name for name in differing if name != "padding"]
    found = [*_named(differing, old, new), *_parameters(part.before, part.node)]
    if not found and part.node.kind == "parameter" and part.node.outputs and part.before.outputs:
        shapes = part.before.outputs[0].shape, part.node.outputs[0].shape
        return [("", _arrow(*_differing(*shapes)))]
    return found


def _pads_evenly(settings: Mapping[str, Any]) -> bool:
    """Whether the padding follows from the kernel: at stride 1, as much comes out as goes in.

    >>> [_pads_evenly({"kernel_size": (kernel,), "padding": (1,), "dilation": (1,)}) for kernel in (3, 5)]
    [True, False]
    """
    sizes = [settings.get(name) for name in ("kernel_size", "padding", "dilation")]
    if not all(isinstance(size, tuple) for size in sizes):
        return False
    return all(2 * padding == dilation * (kernel - 1) for kernel, padding, dilation in zip(*sizes, strict=False))


def _parameters(old: Node, new: Node) -> Iterator[tuple[str, str]]:
    """Whether a layer has its parameters for itself, and which of them it has."""
    if bool(old.shared) != bool(new.shared):
        yield "", "weights shared" if new.shared else "own weights"
        return
    own, was_own = _own_parameters(new), _own_parameters(old)
    for name in dict.fromkeys([*was_own, *own]):
        if (name in own) != (name in was_own):
            yield name.replace("_", " "), _arrow(name in was_own, name in own)


def _own_parameters(node: Node) -> list[str]:
    """The parameters of a layer by their names in it."""
    prefix = f"{node.path}."
    return [name.removeprefix(prefix) for name in node.uses if node.kind == "module" and name.startswith(prefix)]


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _named(differing: list[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each setting by the name that a figure has for it; a function's have none.

    Equal channels in and out are one, and as many groups follow from them.

    >>> old, new = ({"groups": size, "out_channels": size, "in_channels": size, "1": size // 2} for size in (4, 8))
    >>> list(_named([*new], old, new))
    [('in, out', '4 → 8'), ('', '2 → 4')]
    """
    values = {name: (old.get(name), new.get(name)) for name in differing}
    for name in differing:
        outer = [f"out_{name.removeprefix('in_')}"] if name.startswith("in_") else ["in_channels"] * (name == "groups")
        if any(values.get(other) == values[name] for other in outer):
            continue
        both = name.startswith("out_") and values.get(name.replace("out_", "in_")) == values[name]
        said = "" if name.replace(".", "").isdigit() else _SAID.get(name, name.replace("_", " "))
        yield "in, out" if both else said, _arrow(*values[name])


def _differing(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[Any, Any]:
    """Of several sizes those that differ.

    >>> _differing((1, 197, 768), (1, 50, 768))
    ((197,), (50,))
    """
    if len(old) != len(new):
        return old, new
    pairs = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
    return tuple(one for one, _ in pairs), tuple(other for _, other in pairs)


def _arrow(old: Any, new: Any) -> str:
    """From one value to the other; one number for sizes that are all equal in both.

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
