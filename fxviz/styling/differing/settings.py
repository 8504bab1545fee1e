"""What is other about a layer, in words: the setting that says most, from one value to the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxviz import units
from fxviz.graph import Node
from fxviz.view import Altered

_FIRST = (
    "out_channels",
    "out_features",
    "num_features",
    "embedding_dim",
    "in_channels",
    "in_features",
    "kernel_size",
    "stride",
)
"""The settings that say most, in this order."""

_SAID = {
    **dict.fromkeys(("out_channels", "out_features"), "out"),
    **dict.fromkeys(("in_channels", "in_features"), "in"),
    **dict.fromkeys(("num_features", "normalized_shape", "embed_dim", "embedding_dim"), ""),
    "kernel_size": "kernel",
}

CHANNELS = ("", "in", "out", "in, out")
"""What may be left out where there is little room: a number of channels is known as such without it."""


def setting(part: Altered) -> tuple[str, str] | None:
    """The name of the setting that says most of what differs, and its values; the sizes of what has no settings.

    >>> from fxviz.graph import Node
    >>> conv = Node("a", "module", "Conv2d", "a", uses=("a.weight",), settings={"stride": (2, 2), "padding": (1, 1)})
    >>> was = Node("a", "module", "Conv2d", "a", uses=("a.weight",), settings={"stride": (1, 1), "padding": (0, 0)})
    >>> setting(Altered("altered", conv, was))
    ('stride', '1 → 2')
    >>> bare = Node("b", "module", "Linear", "b", uses=("b.weight",))
    >>> setting(Altered("altered", bare, Node("b", "module", "Linear", "b", uses=("b.weight", "b.bias"))))
    ('bias', 'yes → no')
    """
    if part.before is None:
        return None
    new, old = part.node.settings, part.before.settings
    differing = sorted((name for name in {**new, **old} if new.get(name) != old.get(name)), key=_rank)
    if differing:
        return _named(differing[0], old, new)
    own, was_own = _own_parameters(part.node), _own_parameters(part.before)
    for name in [*was_own, *own]:
        if (name in own) != (name in was_own):
            return name.replace("_", " "), _arrow(name in was_own, name in own)
    if part.node.kind == "parameter" and part.node.outputs and part.before.outputs:
        return "", _arrow(part.before.outputs[0].shape, part.node.outputs[0].shape)
    return None


def _own_parameters(node: Node) -> list[str]:
    """The parameters of a layer by their names in it."""
    prefix = f"{node.path}."
    return [name.removeprefix(prefix) for name in node.uses if node.kind == "module" and name.startswith(prefix)]


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _named(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, str]:
    partner = name.replace("out_", "in_")
    values = old.get(name), new.get(name)
    both = partner != name and partner in new and values == (old.get(partner), new.get(partner))
    return "in, out" if both else _SAID.get(name, name.replace("_", " ")), _arrow(*values)


def _arrow(old: Any, new: Any) -> str:
    """From one value to the other; of several sizes those that differ.

    >>> _arrow(64, 128), _arrow((16, 16), (32, 32)), _arrow((1, 197, 768), (1, 50, 768)), _arrow(None, True)
    ('64 → 128', '16 → 32', '197 → 50', 'no → yes')
    """
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        pairs = list(dict.fromkeys((one, other) for one, other in zip(old, new, strict=True) if one != other))
        old, new = (units.shape([pair[side] for pair in pairs]) for side in (0, 1))
    return f"{_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "yes" if value else "no"
    return units.shape(value) if isinstance(value, tuple) else str(value)
