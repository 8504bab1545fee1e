"""A drawing made by hand, shaped as the ledger style shapes one: header, pills, cards in a frame, and skip arcs."""

from __future__ import annotations

from fxviz._render.drawing import Box, Cell, Color, Drawing, Frame, Line, Shape, Table, Text

INK, MUTED = Color("#1f2328", "#e6edf3"), Color("#59636e", "#9198a1")
CARD, BORDER = Color("#ffffff", "#151b23"), Color("#d0d7de", "#3d444d")
TRACK, PILL, STAGE = Color("#eaeef2", "#2a313c"), Color("#eaeef3", "#262c36"), Color("#fbebd5", "#2a1e15")
FLOW, SKIP = Color("#656d76", "#9198a1"), Color("#0969da", "#4493f8")
BAR, ON_BAR = Color("#e38205", "#ad650e"), Color("#000000", "#ffffff")

Row = tuple[str, str, str, str, int, str, str]


def sample() -> Drawing:
    """Return the first rows of resnet18."""
    stem = card(
        "stem",
        ("Conv 7×7 /2", "BN · ReLU", "conv1", "64×112×112", 2, "9.5k", "0.08%"),
        ("MaxPool 3×3 /2", "", "maxpool", "64×56×56", 0, "", ""),
    )
    blocks = [
        card(
            f"block{at}",
            ("Conv 3×3", "BN · ReLU", f".{at}.conv1", "64×56×56", 20, "37.0k", "0.32%"),
            ("Conv 3×3", "BN", f".{at}.conv2", "64×56×56", 76, "37.0k", "0.32%"),
            ("+ add", "ReLU", "", "64×56×56", 0, "", ""),
        )
        for at in range(2)
    ]
    layer1 = Frame(
        "layer1", frame_label("layer1", "148.0k", "1.3%"), "layer1: 148.0k parameters", tuple(blocks), BORDER, STAGE
    )
    ends = pill("input", "1×3×224×224"), pill("output", "1×1000")
    lines = (
        Line("header", "input", "order", weight=20),
        flow("input", "stem"),
        flow("stem", "block0"),
        flow("block0", "block1"),
        flow("block1", "output"),
        skip("stem", "r1", "block0", "r2"),
        skip("block0", "r2", "block1", "r2", dash="dashed"),
    )
    return Drawing(
        "resnet18",
        "resnet18: 11.69M parameters, 2 skip connections.",
        (header(), ends[0], stem, layer1, ends[1]),
        lines,
    )


def card(name: str, *rows: Row) -> Box:
    """Return a card with a row for each layer; row k has the port ``rk``."""
    return Box(
        name,
        Table(tuple(_row(f"r{at}", row) for at, row in enumerate(rows)), border=BORDER, fill=CARD),
        f"{name}: {rows[0][0]}",
    )


def pill(name: str, shape: str) -> Box:
    """Return a rounded box with a name and a shape."""
    texts = Text(f"{name}  ", INK, 10, bold=True), Text(shape, MUTED, 9)
    return Box(name, Table(((Cell(texts, height=15),),)), f"{name}: {shape}", Shape("pill", PILL, BORDER))


def flow(tail: str, head: str) -> Line:
    """Return a grey arrow down the trunk."""
    return Line(tail, head, "flow", f"{tail} to {head}", color=FLOW, weight=20)


def skip(tail: str, tail_port: str, head: str, head_port: str, dash: str = "solid") -> Line:
    """Return a blue arc on the left."""
    title = f"skip from {tail} to {head}"
    return Line(tail, head, "skip", title, tail_port, "w", head_port, "w", color=SKIP, width=2.6, arrow=0.6, dash=dash)


def frame_label(name: str, total: str, share: str) -> Table:
    """Return the label of a stage: name, total and share."""
    texts = (name, 422, 11.0), (total, 64, 10.5), (share, 42, 10.5)
    return Table((tuple(Cell((Text(text, INK, size, bold=True),), width) for text, width, size in texts),))


def header() -> Box:
    """Return the name, the total and the strip."""
    name = Cell((Text("resnet18", INK, 15, bold=True), Text("   11.69M parameters", MUTED, 10.5)), 538, 20)
    strip = Table(
        ((Cell((Text("layer4 71.8%", ON_BAR, 9, bold=True),), 386, 18, BAR, "center"), Cell((), 150, 18, TRACK)),),
        gap=1,
    )
    return Box("header", Table(((name,), (Cell(strip, 538, 20),))), "resnet18")


def _row(port: str, row: Row) -> tuple[Cell, ...]:
    op, tags, path, shape, bar, params, share = row
    ink = SKIP if op == "+ add" else INK if params else MUTED
    rail = SKIP if op == "+ add" else None
    return (
        Cell((), 5, 15, port=port, rail=rail),
        Cell((Text(op, ink, 10, bold=ink != MUTED),), 122, 15),
        *(Cell((Text(text, MUTED, 9),), width, 15) for text, width in ((tags, 64), (path, 84), (shape, 68))),
        Cell(_bar(bar) if bar else (), 84, 15),
        *(Cell((Text(text, MUTED, 9.5),), width, 15) for text, width in ((params, 64), (share, 42))),
        Cell((), 5, 15),
    )


def _bar(length: int) -> Table:
    return Table(
        ((Cell((), length, 9, BAR), *((Cell((), 76 - length, 9, TRACK),) if length < 76 else ())),), width=76, height=9
    )
