"""Write an annotated graph as GraphML, for Gephi, Cytoscape, yEd and networkx."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fxviz._graph import ArchGraph

if TYPE_CHECKING:
    import networkx as nx

_YED = "http://www.yworks.com/xml/graphml"
_GRAPHICS = "yed"
"""The id of the key under which yEd looks for a node's appearance."""

_UNSAFE = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot hold or may change (XML 1.0, sections 2.2 and 2.11), and the backslash of our escapes."""


def graphml(graph: ArchGraph) -> str:
    r"""Write a graph as GraphML with the attributes of its JSON form: lists and mappings as JSON text, None left out.

    Each node also has a ``label``: its operation and path. Control characters and backslashes are written as in JSON
    (``\u0007``, ``\\``), so that the text is always valid and two ids never become one.

    Args:
        graph: an annotated graph; its attributes are described in ``docs/graph-format.md``.

    Returns:
        The GraphML text (http://graphml.graphdrawing.org/specification.html), which ``networkx.parse_graphml`` reads.

    >>> import networkx
    >>> from fxviz._graph import Edge, ModelInfo, Node, Scope, TensorInfo, TraceInfo
    >>> linear = Node("fc", "module", "Linear", "fc", outputs=(TensorInfo((1, 10), "float32"),))
    >>> nodes = Node("x", "input", "x", "x"), linear
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> edges, scopes = (Edge("x", "fc", "0"),), (Scope(0, "", "Net", 0, None),)
    >>> graph = ArchGraph(ModelInfo("net", "", "Net"), trace, nodes, edges, scopes, ())
    >>> node = networkx.parse_graphml(graphml(graph)).nodes["fc"]
    >>> node["label"], node["outputs"]
    ('Linear fc', '[{"shape": [1, 10], "dtype": "float32"}]')
    """
    from networkx.readwrite.graphml import GraphMLWriter

    root: Element = GraphMLWriter(_flat_graph(graph)).xml
    if graph.nodes:
        _add_yed_labels(root)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _flat_graph(graph: ArchGraph) -> nx.MultiDiGraph:
    """Return a graph that networkx can write; each edge's key becomes its id."""
    import networkx as nx

    rich = graph.to_networkx()
    flat: nx.MultiDiGraph = nx.MultiDiGraph(**_flat(rich.graph))
    for name, attributes in rich.nodes(data=True):
        label = " ".join(dict.fromkeys(filter(None, (attributes["op"], attributes["path"]))))
        flat.add_node(_safe(name), label=_safe(label), **_flat(attributes))
    for place, (tail, head, attributes) in enumerate(rich.edges(data=True)):
        flat.add_edge(_safe(tail), _safe(head), key=f"e{place}", **_flat(attributes))
    return flat


def _flat(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in attributes.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _safe(value)
    return value if isinstance(value, (bool, int, float)) else json.dumps(value)


def _safe(text: str) -> str:
    return _UNSAFE.sub(lambda match: "\\\\" if match[0] == "\\" else f"\\u{ord(match[0]):04x}", text)


def _add_yed_labels(root: Element) -> None:
    """Repeat the labels where yEd looks for them."""
    root.set("xmlns:y", _YED)
    label = next(key.get("id") for key in root.iter("key") if key.get("attr.name") == "label")
    root.insert(0, Element("key", {"id": _GRAPHICS, "for": "node", "yfiles.type": "nodegraphics"}))
    for node in root.iter("node"):
        text = next(data.text for data in node if data.get("key") == label)
        shape = SubElement(SubElement(node, "data", {"key": _GRAPHICS}), "y:ShapeNode")
        SubElement(shape, "y:NodeLabel").text = text
