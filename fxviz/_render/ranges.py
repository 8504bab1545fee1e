"""Write paths within their frame, and ranges of repeated modules: ".1 … .35", "encoder_layer ×12"."""

from __future__ import annotations

from itertools import takewhile

from fxviz._view.view import Repeats


def relative(path: str, base: str) -> str:
    """Return a path relative to its frame.

    >>> relative("layer1.0.conv1", "layer1"), relative("conv1", "")
    ('.0.conv1', 'conv1')
    """
    return path[len(base) :] if base and (path == base or path.startswith(base + ".")) else path


def span(first: str, last: str, base: str) -> str:
    """Write the range of repeated modules: ".1 … .35".

    >>> span("layer3.1", "layer3.35", "layer3"), span("encoder.layers.block_0", "encoder.layers.block_11", "encoder")
    ('.1 … .35', '.layers.block_0 … block_11')
    >>> span("stem.conv", "head.fc", "")
    'stem.conv … head.fc'
    """
    if first == last:
        return relative(first, base)
    parent = last.rpartition(".")[0]
    if parent != first.rpartition(".")[0]:
        return f"{relative(first, base)} … {relative(last, base)}"
    short = "." + last.rpartition(".")[2] if parent == base and base else last.rpartition(".")[2]
    return f"{relative(first, base)} … {short}"


def short_span(first: str, last: str, base: str) -> str:
    """Write a range in less room: of names that differ only in their number, keep just the number of the last.

    >>> short_span("features.denseblock3.denselayer25", "features.denseblock3.denselayer32", "features.denseblock3")
    '.denselayer25 … 32'
    >>> short_span("stem.conv", "head.fc", "")
    'stem.conv … head.fc'
    """
    name = last.rstrip("0123456789")
    if name == last or name != first.rstrip("0123456789"):
        return span(first, last, base)
    return f"{relative(first, base)} … {last.removeprefix(name)}"


def times(count: int, kind: Repeats) -> str:
    """Write how often something is repeated, and how if not in a chain.

    >>> times(12, "chain"), times(64, "parallel"), times(40, "calls"), times(6, "shared")
    ('×12', '×64 parallel', '×40 calls', '×6 shared')
    """
    return f"×{count}" if kind == "chain" else f"×{count} {kind}"


def repeated(first: str, last: str, times: int) -> str:
    """Write repeated modules by their common name, or by their numbers if they have none.

    >>> repeated("encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_11", 12)
    'encoder_layer ×12'
    >>> repeated("features.5.1", "features.5.8", 8), repeated("b.0.0", "b.11.0", 12)
    ('features.5.1 … 8 ×8', 'b.0.0 … 11.0 ×12')
    """
    shared = first.rpartition(".")[2].rstrip("0123456789").removesuffix("_")
    return f"{shared or f'{first} … {_differing_end(first, last)}'} ×{times}"


def _differing_end(first: str, last: str) -> str:
    """Return what is left of ``last`` after the common start of both paths."""
    names = last.split(".")
    alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first.split("."), names, strict=False))))
    return ".".join(names[alike:]) or last
