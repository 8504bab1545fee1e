"""Stages, kinds of blocks, layouts and facts against what papers and code say: tests/truth/structures.txt.

A second truth are the attributes of the modules of libraries: ``num_heads``, ``window_size``, ``groups`` and so on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any

import pytest
from torch import nn

import fxviz
from conftest import ROOT, slow
from fxviz import ArchGraph, Structure
from fxviz._analysis.structure import Kind, Row
from models import QUICK, traced

TRUTH = ROOT / "tests" / "truth" / "structures.txt"

NOT_RIGHT = {
    "timm:mambaout_femto": "a table is chosen, as the widths of its gated convolutions follow no simple rule",
    "timm:inception_v4": "the second part of the stem, which is in the list of blocks, counts as a block",
    "timm:efficientvit_b1": "the block in the stem counts as a block, as its class is that of others",
}
"""Models that are not told as papers do, with the reason."""


@dataclass(frozen=True)
class Truth:
    """One line of the file."""

    name: str
    layout: str
    stages: tuple[tuple[str, int], ...]
    kinds: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]


def truths() -> Iterator[Truth]:
    for line in TRUTH.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        name, layout, stages, kinds, facts = (part.strip() for part in line.split("|"))
        pairs = (stage.rpartition(":") for stage in stages.split())
        named = (fact.partition("=") for fact in facts.split())
        yield Truth(
            name,
            layout,
            tuple((size, int(blocks)) for size, _, blocks in pairs),
            kinds,
            tuple((key, tuple(values.split(","))) for key, _, values in named),
        )


def shown_rows(kind: Kind) -> Iterator[Row]:
    """Yield the rows of a kind, those of blocks inside it in place of theirs."""
    for row in kind.rows:
        yield from row.parts or (row,)


def spelled(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def values_of(graph: ArchGraph, found: Structure, fact: str) -> tuple[str, ...]:
    """Return the values of a fact over all blocks, each once, in the order of the run."""
    values = [
        (graph.index.position[place.nodes[0]], value)
        for kind in found.kinds
        for row in shown_rows(kind)
        for place, value in zip(kind.occurrences, row.facts.get(fact, ()), strict=False)
        if value not in (None, ())
    ]
    return tuple(dict.fromkeys(spelled(value) for _, value in sorted(values, key=lambda pair: pair[0])))


def check(truth: Truth, graph: ArchGraph) -> None:
    found = fxviz.structure(graph)
    assert found.layout == truth.layout
    if truth.stages:
        sizes = ["x".join(map(str, (stage.channels, *stage.size))) for stage in found.stages if stage.role == "stage"]
        expected = [size if "x" in size else size.partition("x")[0] for size, _ in truth.stages]
        told = [
            size if "x" in wanted else size.partition("x")[0] for size, wanted in zip(sizes, expected, strict=False)
        ]
        assert (told, len(sizes)) == (expected, len(expected))
        assert [stage.blocks for stage in found.stages if stage.role == "stage"] == [
            blocks for _, blocks in truth.stages
        ]
    if truth.kinds != "-":
        counts: Counter[str] = Counter()
        for kind in found.kinds:
            counts[kind.letter.rstrip("'")] += len(kind.occurrences)
        assert "+".join(map(str, counts.values())) == truth.kinds
    for fact, values in truth.facts:
        assert (fact, values_of(graph, found, fact)) == (fact, values)


@pytest.mark.parametrize("truth", [truth for truth in truths() if truth.name in QUICK], ids=lambda truth: truth.name)
def test_models_are_told_as_papers_do(truth: Truth) -> None:
    check(truth, traced(truth.name))


@pytest.mark.parametrize(
    "truth", slow(*((truth,) for truth in truths() if truth.name not in QUICK)), ids=lambda truth: truth.name
)
def test_more_models_are_told_as_papers_do(truth: Truth) -> None:
    graph = fxviz.trace(truth.name)
    if truth.name in NOT_RIGHT:
        with pytest.raises(AssertionError):
            check(truth, graph)
    else:
        check(truth, graph)


FAMILIES = (
    ("resnet18", "resnet34"),
    ("resnet50", "resnet101", "resnet152"),
    ("densenet121", "densenet169", "densenet201"),
    ("efficientnet_b0", *(f"efficientnet_b{size}" for size in range(1, 8))),
    ("swin_t", "swin_s", "swin_b"),
    ("convnext_tiny", "convnext_base", "convnext_large"),
)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family[0])
def test_siblings_have_one_layout_and_the_same_kinds(family: tuple[str, ...]) -> None:
    """Blocks that only larger siblings have may come on top, as a second block in efficientnet's first stage."""
    first, *others = (fxviz.structure(fxviz.trace(name)) for name in family)
    kinds = {kind.letter.rstrip("'"): kind.word for kind in first.kinds}
    for other in others:
        assert other.layout == first.layout
        assert {kind.letter.rstrip("'"): kind.word for kind in other.kinds} == kinds
        assert len(other.stages) == len(first.stages)


# ---------------------------------------------------------------- facts and the attributes of modules

CONVOLUTIONS = nn.Conv1d, nn.Conv2d, nn.Conv3d


def built(name: str) -> nn.Module:
    import torch

    library, _, rest = name.rpartition(":")
    with torch.device("meta" if "regnet" not in name else "cpu"):
        if library == "timm":
            import timm

            return timm.create_model(rest)
        from torchvision.models import get_model, get_model_builder

        offline = {"weights", "weights_backbone"} & set(signature(get_model_builder(name)).parameters)
        return get_model(name, **dict.fromkeys(offline))


def attributes(module: nn.Module, name: str) -> set[Any]:
    """Return the values of an attribute in the modules inside one, that have children: attention."""
    return {getattr(each, name) for each in module.modules() if isinstance(getattr(each, name, None), int)}


def told(kind: Kind, place: int, fact: str, convolutions: bool = False) -> set[Any]:
    """Return the values of a fact in one block; ``convolutions``: only those of convolutions, not of pooling."""
    rows = [row for row in shown_rows(kind) if fact in row.facts and (not convolutions or "width" in row.facts)]
    return {value for row in rows if (value := row.facts[fact][place]) not in (None, 0, ())}


@pytest.mark.slow
@pytest.mark.parametrize("name", [truth.name for truth in truths() if not truth.name.startswith("transformers:")])
def test_facts_are_the_attributes_of_the_modules(name: str) -> None:
    model, found = built(name), fxviz.structure(fxviz.trace(name))
    for kind in found.kinds:
        for place, block in enumerate(kind.occurrences):
            try:
                module = model.get_submodule(block.path)
            except AttributeError:  # a block without a module of its own
                continue
            heads = attributes(module, "num_heads")
            assert not heads or told(kind, place, "heads") == heads
            convolutions = [each for each in module.modules() if isinstance(each, CONVOLUTIONS)]
            grouped = {each.groups for each in convolutions if 1 < each.groups < each.in_channels}
            assert told(kind, place, "groups") <= grouped
            kernels = {tuple(each.kernel_size) for each in convolutions}
            assert not kernels or told(kind, place, "kernel", convolutions=True) <= kernels
            windows = {
                tuple(size) for each in module.modules() if isinstance(size := getattr(each, "window_size", 0), list)
            }
            assert not windows or told(kind, place, "window") <= windows
