"""What is told of weights that were loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fxviz._graph import ArchGraph, WeightsInfo
from fxviz._sources.inputs import InputSpec
from fxviz.quoting import shown

_MANY = 3
"""So many names are told at most; the saved graph has all."""


def loaded(graph: ArchGraph, inputs: Sequence[str]) -> Iterator[str]:
    """How the weights went into the model, a line for each thing to know.

    Args:
        graph: of the model with weights in it.
        inputs: what ``--input`` says.
    """
    weights = graph.model.weights
    if weights is None:
        return
    if weights.part or weights.prefix:
        yield f"weights {shown(weights.name)}: loaded {', '.join(_unwrapped(weights))}"
    if weights.missing:
        yield f"weights {shown(weights.name)}: missing {_listed(weights.missing)}"
    if weights.unexpected:
        yield f"weights {shown(weights.name)}: unexpected {_listed(weights.unexpected)}"
    if _followed(graph, weights, inputs):
        yield f"inputs are {weights.dtype}, as the weights are ({_written(graph)}); a dtype that is given in --input is kept"


def _written(graph: ArchGraph) -> str:
    """The inputs as a command line gives them."""
    inputs = graph.trace.inputs
    specs = [InputSpec(tensor.shape, name if len(inputs) > 1 else "", tensor.dtype) for name, tensor in inputs.items()]
    return " ".join(f"--input {spec}" for spec in specs)


def _unwrapped(weights: WeightsInfo) -> Iterator[str]:
    if weights.part:
        yield f"from its part '{shown(weights.part)}'"
    if weights.prefix:
        yield f"without the prefix '{shown(weights.prefix)}' of its names"


def _listed(names: Sequence[str]) -> str:
    """The first names and how many more there are.

    >>> _listed(["fc.weight", "fc.bias"]), _listed(list("abcde"))
    ('fc.weight, fc.bias', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(map(shown, names[:_MANY])) + more


def _followed(graph: ArchGraph, weights: WeightsInfo, inputs: Sequence[str]) -> bool:
    """Whether an input has the weights' dtype, though nobody gave it one."""
    is_open = not inputs or any(not InputSpec.parse(text).dtype for text in inputs)
    dtypes = {tensor.dtype for tensor in graph.trace.inputs.values()}
    return is_open and weights.dtype != "float32" and weights.dtype in dtypes
