"""The line that tells what was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from fxviz._analysis import facts_of
from fxviz._graph import ArchGraph, ModelInfo, Node, Parameter, Scope, Skip, TraceInfo
from fxviz._report import headline, largest_shares
from models import folded, traced


def graph(sizes: dict[str, int], unread: tuple[str, ...] = (), skips: tuple[str, ...] = ()) -> ArchGraph:
    """Return a graph of one node that reads every parameter but ``unread``."""
    read = tuple(name for name in sizes if name not in unread)
    return ArchGraph(
        ModelInfo("net", "python", "Net"),
        TraceInfo("meta", "fake", {}, "2.4.0", None),
        nodes=(
            Node("all", "module", "All", "", uses=read, params=sum(sizes[name] for name in read)),
            Node("join", "function", "add", ""),
        ),
        edges=(),
        scopes=(Scope(0, "", "Net", 0, None),),
        parameters=tuple(Parameter(name, (size,), "float32", True) for name, size in sizes.items()),
        skips=tuple(Skip(kind, "all", "join") for kind in skips),
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (
            {"stem.weight": 10, "body.0.weight": 50, "body.1.weight": 20, "neck.weight": 10, "head.weight": 10},
            {"body": 70, "stem": 10, "neck": 10},
        ),
        (
            {"stem.weight": 10, "body.0.weight": 60, "body.1.weight": 20, "head.weight": 10},
            {"body.0": 60, "body.1": 20, "stem": 10},
        ),
        (
            {"stem.weight": 30, "body.0.weight": 25, "body.1.weight": 15, "head.weight": 30},
            {"body": 40, "stem": 30, "head": 30},
        ),
        ({"stem.weight": 5, "body.0.weight": 60, "body.1.weight": 35}, {"body.0": 60, "body.1": 35, "stem": 5}),
        ({"a.b.c.0.weight": 30, "a.b.c.1.weight": 70}, {"a.b.c.1": 70, "a.b.c.0": 30}),
        ({"body.0.w": 45, "body.1.w": 45, "head.w": 10}, {"body": 90, "head": 10}),
        ({"fc.weight": 90, "fc.bias": 10}, {"fc": 100}),
        ({"token": 2, "a.token": 3, "a.fc.weight": 90, "b.weight": 5}, {"a.fc": 90, "b": 5, "a.token": 3}),
        ({"a.w": 1, "b.w": 2, "c.w": 3, "d.w": 4}, {"d": 4, "c": 3, "b": 2}),
        ({"weight": 7}, {"weight": 7}),
        ({"empty": 0}, {}),
        ({}, {}),
    ],
    ids=[
        "even enough",
        "most of few",
        "few alike",
        "dominant",
        "chain",
        "alike",
        "a layer is not split",
        "own tensors",
        "three",
        "bare",
        "empty",
        "none",
    ],
)
def test_the_largest_parts(sizes: dict[str, int], expected: dict[str, int]) -> None:
    assert {part.path: part.amount for part in largest_shares(graph(sizes))} == expected


def test_shares_are_of_what_the_trace_reads() -> None:
    shares = largest_shares(graph({"a.weight": 30, "b.weight": 10, "aux.weight": 60}, unread=("aux.weight",)))
    assert [(part.path, part.share) for part in shares] == [("a", 0.75), ("b", 0.25)]


@pytest.mark.parametrize(
    ("skips", "said"),
    [
        ((), "no skips"),
        (("gate",), "1 gate"),
        (("gate", "identity", "gate"), "1 skip (1 identity), 2 gates"),
        (("identity", "identity"), "2 skips (all identity)"),
        (("identity", "resample", "identity"), "3 skips (2 identity, 1 resample)"),
        (("identity", "concat", "identity"), "2 skips (all identity), 1 concat skip"),
    ],
)
def test_the_skips(skips: tuple[str, ...], said: str) -> None:
    assert headline(graph({"a.weight": 2}, skips=skips)) == f"2 parameters, {said}; a 100.0%"


def test_what_the_trace_never_uses_is_said() -> None:
    said = headline(graph({"a.weight": 1000, "aux.weight": 1000}, unread=("aux.weight",)))
    assert said == "1.00k parameters (+ 1.00k not used in this run), no skips; a 100.0%"


def test_shares_of_another_metric(resnet18: ArchGraph) -> None:
    said = headline(resnet18, "macs")
    assert (
        said
        == "11.69M parameters, 8 skips (5 identity, 3 projection); of MACs: layer1 25.5%, layer2 22.7%, layer3 22.7%"
    )
    assert headline(resnet18, "activations").partition("; ")[2].startswith("of activations: conv1 32.3%, ")


def test_one_rule_for_the_headline_the_sentences_and_the_strip() -> None:
    for name in ("mobilenet_v2", "vgg16", "densenet121", "resnet18"):
        told = {part.path: part.amount for part in largest_shares(traced(name), count=99)}
        assert told == {part.path: part.amount.params for part in facts_of(traced(name)).parts if part.amount.params}
        opened = [_taken_apart(paths) for paths in (told, [part.path for part in folded(name).parts])]
        assert opened[0] == opened[1]


def _taken_apart(paths: Iterable[str]) -> set[str]:
    """Return the children of the model that are divided into parts."""
    return {child for child, parts in Counter(path.partition(".")[0] for path in paths).items() if parts > 1}


@pytest.mark.parametrize("names", [("", "a.b"), (".w", "a.b"), ("..", "a"), ("a", "a.b.c"), ("a.b", "a")])
def test_odd_names_come_to_an_end(names: tuple[str, str]) -> None:
    assert headline(graph(dict(zip(names, (90, 10), strict=True)))).startswith("100 parameters")


def test_a_model_without_parameters() -> None:
    assert headline(replace(graph({}), parameters=())) == "0 parameters, no skips"
