"""Use every public name of fxviz in a typed program: ``nox -s typing`` checks it with mypy and pyright."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

import fxviz
from fxviz import (
    ArchGraph,
    Comparison,
    EngineError,
    Explanation,
    Figure,
    FxvizError,
    Information,
    RenderOptions,
    Summary,
    TensorInfo,
    TraceError,
    UsageError,
)

NET = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))
IMAGE = TensorInfo((1, 3, 32, 32), "float32")


def trace(folder: Path) -> ArchGraph:
    """Trace a module, and read and write its graph."""
    graph: ArchGraph = fxviz.trace(NET, torch.zeros(1, 3, 32, 32), leaf=["Conv2d"], batch=None, device="meta")
    assert (
        fxviz.trace(NET, {"input": IMAGE}, train=False, partial=True, root="").nodes[0].outputs[0].shape == IMAGE.shape
    )
    path: Path = graph.save(folder / "net.json")
    loaded: ArchGraph = ArchGraph.from_json(ArchGraph.load(path).to_json())
    assert loaded == graph == ArchGraph.from_networkx(graph.to_networkx())
    numbers: tuple[int, int, int] = (graph.total_params, graph.total_macs, graph.skip_counts["identity"])
    seconds: float | None = graph.total_time
    assert numbers == (251, 245760, 0) and seconds is None
    return graph


def draw(graph: ArchGraph, folder: Path) -> Figure:
    """Draw in every way in which options are passed."""
    options = RenderOptions(theme="dark", style="graph", direction="LR", collapse=("Conv2d",))
    figure: Figure = fxviz.render(graph, options=options, title="Net", legend=False)
    assert fxviz.render(NET, IMAGE, theme="light", depth=1, expand="0", batch=2).svg.startswith("<svg")
    assert fxviz.render(str(graph.save(folder / "net.json")), color_by="macs").dot.startswith("digraph")
    texts: list[str] = [figure.svg, figure.dot, figure.mermaid, figure.graphml, figure.json]
    paths: tuple[Path, Path] = figure.save_pair(folder / "net.svg")
    file: Path = fxviz.diff(graph, graph, theme="light").save(folder / "diff.svg", scale=2)
    assert all(texts) and all(path.exists() for path in (*paths, file)) and figure.height > 0 and not figure.simplified
    return figure


def read(graph: ArchGraph) -> str:
    """Take numbers and sentences out of the results."""
    summary: Summary = fxviz.summary(graph, depth=1, sort="params", top=2, all=True)
    largest: int = max(row.params for row in summary.rows)
    explanation: Explanation = fxviz.explain(graph, lang="zh")
    first: str = explanation.sections[0].sentences[0]
    comparison: Comparison = fxviz.compare(graph, graph)
    reasons: tuple[str, ...] = comparison.sentences
    information: Information = fxviz.info("resnet18")
    names: list[str] = fxviz.list_models("resnet?8")
    assert largest == summary.totals.params and first and reasons is not None
    assert information.params == 11689512 and names == ["resnet18"]
    return summary.written("markdown", width=80) + explanation.written("text") + comparison.written("csv")


def fail() -> list[int]:
    """Handle every error."""
    statuses: list[int] = []
    errors: tuple[type[FxvizError], ...] = (UsageError, TraceError, EngineError)
    for width, depth in ((5, 1), (3, 0)):
        try:
            fxviz.render(NET, torch.zeros(1, width, 8, 8), depth=depth)
        except errors as error:
            statuses.append(error.exit_status)
    return statuses


def main() -> None:
    """Do it all once."""
    with tempfile.TemporaryDirectory() as name:
        graph = trace(Path(name))
        draw(graph, Path(name))
    print(fxviz.__version__, len(read(graph)))
    assert fail() == [1, 2]


if __name__ == "__main__":
    main()
