"""Which module a parameter belongs to, as people see it: the layer, or none where the parameter stands for itself."""

from __future__ import annotations

from collections.abc import Iterator

from fxviz.graph import ArchGraph


class Owners:
    """The modules that own a graph's parameters.

    >>> from fxviz.graph import ModelInfo, Parameter, Scope, TraceInfo
    >>> names = "in_proj", "out_proj.weight"
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), TraceInfo("meta", "fake", {}, "2.4.0", None), (), (),
    ...                   (Scope(0, "", "Net", 0, None),), tuple(Parameter(name, (4,), "float32", True) for name in names))
    >>> [Owners(graph).layer_of(name) for name in names]
    [None, 'out_proj']
    """

    def __init__(self, graph: ArchGraph) -> None:
        owners = {_owner(parameter.name) for parameter in graph.parameters}
        self._holders = {"", *(path for owner in owners for path in above(owner))}

    def layer_of(self, name: str) -> str | None:
        """The path of the module that owns a parameter; None where other modules in it own some, too."""
        path = _owner(name)
        return None if path in self._holders else path


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def above(path: str) -> Iterator[str]:
    """The paths of the modules around one, the model's own last.

    >>> list(above("layer1.0.conv1"))
    ['layer1.0', 'layer1', '']
    """
    while path:
        path = _owner(path)
        yield path
