"""Each parameter counts once: at the layer that owns it, else at the first node that reads it."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import fxviz
from fxviz._analysis import count_params
from fxviz._graph import ArchGraph
from random_graphs import Net, graphs


def test_a_layer_called_again_counts_at_its_first_call() -> None:
    net = Net()
    first = net.layer("Linear", net.input())
    weight = net.parameters[0].name
    net.layer("Linear", first, tied=weight)
    nodes = count_params(net.graph()).nodes
    assert [(node.params, node.shared) for node in nodes] == [(0, ()), (64, ()), (0, (weight,))]


def test_a_weight_read_as_a_tensor_counts_where_it_is_read() -> None:
    net = Net()
    stream, token = net.input(), net.parameter((1, 8))
    net.call("add", stream, token)
    assert [node.params for node in count_params(net.graph()).nodes] == [0, 8, 0]


def test_a_weight_that_is_rescaled_before_its_layer_runs_counts_at_the_layer() -> None:
    class Rescaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.fc.weight.div_(2)
            return self.norm(self.fc(x))

    graph = fxviz.trace(Rescaled(), torch.zeros(1, 8))
    assert {node.path: node.params for node in graph.nodes if node.params} == {"fc": 72, "norm": 16}


def test_a_name_twice_in_one_node_is_not_shared() -> None:
    net = Net()
    net.layer("Linear", net.input())
    graph = net.graph()
    doubled = replace(graph.nodes[1], uses=graph.nodes[1].uses * 2)
    node = count_params(graph.with_nodes((graph.nodes[0], doubled))).nodes[1]
    assert (node.params, node.shared) == (64, ())


def test_a_name_that_the_model_does_not_list_counts_nothing() -> None:
    net = Net()
    net.layer("Linear", net.input(), tied="elsewhere.weight")
    node = count_params(net.graph()).nodes[1]
    assert (node.params, node.shared) == (0, ())


def test_what_is_never_read_stays_untraced() -> None:
    net = Net()
    net.layer("Linear", net.input())
    graph = count_params(_without_uses(net.graph()))
    assert graph.traced_params == 0
    assert [parameter.size for parameter in graph.untraced] == [64]


def _without_uses(graph: ArchGraph) -> ArchGraph:
    return graph.with_nodes(tuple(replace(node, uses=()) for node in graph.nodes))


@given(graphs(), st.data())
def test_the_counts_add_up(graph: ArchGraph, data: st.DataObject) -> None:
    """However weights are tied, each one read counts in exactly one node, and is marked as shared in all later ones."""
    names = [parameter.name for parameter in graph.parameters]
    tied = st.lists(st.sampled_from(names), max_size=3) if names else st.just([])
    graph = graph.with_nodes(tuple(replace(node, uses=(*node.uses, *data.draw(tied))) for node in graph.nodes))
    counted = count_params(graph)
    assert counted.traced_params + sum(parameter.size for parameter in counted.untraced) == counted.total_params
    sizes = {parameter.name: parameter.size for parameter in graph.parameters}
    for place, node in enumerate(counted.nodes):
        earlier = {name for before in graph.nodes[:place] for name in before.uses}
        assert set(node.shared) == set(node.uses) & earlier
        assert node.params == sum(sizes[name] for name in set(node.uses) - earlier)


@given(graphs())
def test_counting_again_changes_nothing(graph: ArchGraph) -> None:
    counted = count_params(graph)
    assert count_params(counted) == counted
