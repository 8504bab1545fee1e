"""Tell what a model consists of, as papers do: stages, kinds of blocks, channels, and the layout that suits it.

Everything follows from a graph: no rule knows the name of a model, of a library or of a class.
"""

from __future__ import annotations

from collections.abc import Sequence

from fxviz._analysis.structure.values import (
    FACTS,
    LAYOUTS,
    Family,
    Kind,
    Layout,
    Link,
    Occurrence,
    Row,
    Run,
    Stage,
    Structure,
)
from fxviz._graph import ArchGraph

__all__ = [
    "FACTS",
    "LAYOUTS",
    "Family",
    "Kind",
    "Layout",
    "Link",
    "Occurrence",
    "Row",
    "Run",
    "Stage",
    "Structure",
    "family_of",
    "structure_of",
]


def structure_of(graph: ArchGraph) -> Structure:
    """Return the structure of an annotated graph.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> structure_of(graph)
    <Structure empty: column, 0 stages, 0 kinds of blocks>
    """
    from fxviz._analysis.structure.build import Builder  # the values alone are light

    return Builder(graph).structure()


def family_of(graphs: Sequence[ArchGraph]) -> Family:
    """Return the structures of several annotated graphs, in which the same letter means the same kind of block.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> family_of([graph, graph]).kinds
    ()
    """
    from fxviz._analysis.structure.family import family_of  # the values alone are light

    return family_of(graphs)
