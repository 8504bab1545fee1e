"""Lines between boxes of a figure for print: inside the figure, never behind a box, from border to border."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import examples
from fxviz._analysis.structure import Link, Stage, Structure
from fxviz._render import palette
from fxviz._render.drawing import Point
from fxviz._render.paper.lanes import Reads
from fxviz._render.paper.routes import Line, Routes
from fxviz._render.paper.scene import Area, Stroke

Cells = dict[int, tuple[int, int]]


@st.composite
def nets(draw: st.DrawFn) -> tuple[Cells, tuple[Line, ...]]:
    """Draw boxes in different cells, and lines between some of them."""
    places = st.tuples(st.integers(0, 4), st.integers(0, 3))
    cells = dict(enumerate(draw(st.lists(places, min_size=2, max_size=9, unique=True))))
    ends = st.tuples(st.sampled_from(sorted(cells)), st.sampled_from(sorted(cells))).filter(
        lambda pair: pair[0] != pair[1]
    )
    pairs = draw(st.lists(ends, max_size=12, unique_by=frozenset))
    kinds = st.sampled_from([(palette.FLOW, ""), (palette.SKIP, "+"), (palette.SKIP, "")])
    chosen = [draw(kinds) for _ in pairs]
    return cells, tuple(Line(*pair, color, sign=sign) for pair, (color, sign) in zip(pairs, chosen, strict=True))


def segments(stroke: Stroke) -> Iterator[tuple[Point, Point]]:
    yield from zip(stroke.points, stroke.points[1:], strict=False)


def is_on_border(point: Point, box: Area) -> bool:
    x, y = point[0] - box.x, point[1] - box.y
    inside = -0.1 <= x <= box.width + 0.1 and -0.1 <= y <= box.height + 0.1
    return inside and min(abs(x), abs(y), abs(x - box.width), abs(y - box.height)) < 0.1


def runs_behind(segment: tuple[Point, Point], box: Area) -> bool:
    (x0, y0), (x1, y1) = segment
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    across = min(right, box.x + box.width - 0.2) - max(left, box.x + 0.2)
    along = min(bottom, box.y + box.height - 0.2) - max(top, box.y + 0.2)
    return across >= 0 and along >= 0


@given(nets(), st.booleans(), st.sampled_from([(40.0, 24.0), (90.0, 33.0)]))
@settings(max_examples=examples(150))
def test_lines_run_beside_boxes(net: tuple[Cells, tuple[Line, ...]], sideways: bool, size: Point) -> None:
    cells, lines = net
    routes = Routes(cells, lines, sideways)
    width, height = routes.size(size)
    boxes = {box: Area(*routes.corner(box, size), *size) for box in cells}
    assert all(box.x >= 0 and box.y >= 0 for box in boxes.values())
    assert all(box.x + box.width <= width + 0.1 and box.y + box.height <= height + 0.1 for box in boxes.values())
    items = list(routes.items(size))
    signs = [item for item in items if isinstance(item, Area)]
    strokes = [item for item in items if isinstance(item, Stroke)]
    assert len(strokes) == len(lines)
    for line, stroke in zip(lines, strokes, strict=True):
        assert all(0 <= x <= width and 0 <= y <= height for x, y in stroke.points)
        assert is_on_border(stroke.points[0], boxes[line.source])
        assert any(is_on_border(stroke.points[-1], box) for box in (boxes[line.target], *signs))
        assert stroke.arrow
        assert not [box for box in boxes.values() for part in segments(stroke) if runs_behind(part, box)]


def test_a_line_enters_beside_one_that_leaves_at_the_same_place() -> None:
    cells = {0: (0, 0), 1: (0, 1), 2: (1, 0), 3: (1, 1)}
    routes = Routes(cells, (Line(0, 3), Line(1, 2)), sideways=True)
    one, other = (stroke for stroke in routes.items((40, 24)) if isinstance(stroke, Stroke))
    assert one.points[0][1] != other.points[-1][1] and other.points[0][1] != one.points[-1][1]


def test_lines_to_the_same_boxes_are_one() -> None:
    cells = {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (1, 0), 4: (1, 1)}
    lines = tuple(Line(source, target) for source in (0, 1, 2) for target in (3, 4))
    routes = Routes(cells, lines, sideways=True)
    assert set(routes.tracks.values()) == {0}
    straight = [number for number, way in enumerate(routes.ways) if not way]
    assert [lines[number] for number in straight] == [Line(0, 3), Line(1, 4)]
    others = Routes(cells, (Line(0, 4), Line(2, 3)), sideways=True)
    assert set(others.tracks.values()) == {0, 1}


def test_a_box_in_the_way_is_gone_round() -> None:
    cells = {0: (0, 0), 1: (1, 0), 2: (2, 0)}
    routes = Routes(cells, (Line(0, 1), Line(1, 2), Line(0, 2)), sideways=True)
    assert routes.ways == [(), (), (("u", 1), ("v", 0), ("u", 2))]
    assert routes.size((40, 20))[1] > 20


def stage(number: int, lane: int = 0) -> Stage:
    return Stage(f"stage {number}", "", "stage", number, lane, 8, 8, (8, 8), (), 0, 0, 0.0, 1, ())


def reads(*pairs: tuple[int, int]) -> set[tuple[int, int]]:
    links = tuple(Link(*pair, "flow", f"node {pair[0]}", 8, (8, 8)) for pair in pairs)
    stages = tuple(stage(number) for number in range(1 + max(max(pair) for pair in pairs)))
    return set(Reads(Structure("net", "lanes", "", stages, (), links)).pairs)


def test_a_stage_may_read_one_behind_it_but_no_loop_is_drawn() -> None:
    assert reads((0, 1), (0, 2), (2, 1)) == {(0, 1), (0, 2), (2, 1)}
    assert reads((0, 1), (1, 2), (2, 3), (3, 1)) == {(0, 1), (1, 2), (2, 3)}
    assert reads((0, 2), (1, 2), (2, 1)) == {(0, 2), (1, 2), (2, 1)}
