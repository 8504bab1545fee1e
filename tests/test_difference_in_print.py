"""Differences in figures for print: what is said of each stage, marked in each block, and kept in size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import fxviz
from conftest import Result
from fxviz._graph.errors import UsageError
from fxviz._render import palette
from fxviz._render.paper.scene import Area, Scene
from models import traced
from test_paper import check, labels

Call = Callable[..., Result]


class Gate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    def __init__(self, width: int, act: type[nn.Module], gated: bool) -> None:
        super().__init__()
        self.conv1, self.bn1, self.act = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), act()
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.gate = Gate(width) if gated else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.gate(self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))))


class Net(nn.Module):
    def __init__(
        self, act: type[nn.Module] = nn.ReLU, gated: bool = False, depths: tuple[int, ...] = (2, 2), width: int = 8
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.stages = nn.ModuleList()
        for place, depth in enumerate(depths):
            down = [nn.Conv2d(width, 2 * width, 2, 2)] if place else []
            width *= 2 if place else 1
            self.stages.append(nn.Sequential(*down, *(Block(width, act, gated) for _ in range(depth))))
        self.fc = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.fc(x.mean((2, 3)))


def difference(old: nn.Module, new: nn.Module, **options: str) -> Scene:
    graphs = [fxviz.trace(each, torch.zeros(1, 3, 32, 32)) for each in (old, new)]
    return fxviz.diff(*graphs, **{"width": "page", **options})._scene  # type: ignore[arg-type]


def said(scene: Scene) -> list[str]:
    return [label.text for label in labels(scene)]


def marked(scene: Scene, mark: str) -> list[str]:
    """Return the texts of the areas with the border of a mark."""
    return [item.title for item in scene.items if isinstance(item, Area) and item.border == palette.MARKS[mark]]  # type: ignore[index]


def test_blocks_that_are_added_are_counted_in_their_stage() -> None:
    scene = difference(Net(), Net(depths=(2, 4)))
    assert [words for words in said(scene) if words.startswith("+")] == ["+ 8 layers added", "+ 8 layers"]
    assert "A×2" in said(scene) and "Conv 2×2 /2, A×4" in said(scene)


def test_blocks_that_are_removed_are_counted_in_the_old_model() -> None:
    scene = difference(Net(depths=(2, 4)), Net())
    assert [words for words in said(scene) if words.startswith("−")] == ["− 8 layers removed", "− 8 layers"]


def test_a_gate_and_an_activation_are_marked_inside_the_block() -> None:
    scene = difference(Net(), Net(act=nn.GELU, gated=True))
    assert marked(scene, "added") == ["SE ¼"]
    assert marked(scene, "altered") == ["Conv 3×3 C→C BN GELU"]
    assert "~ B in place of A" in said(scene)


def test_what_a_block_lost_is_named_below_it() -> None:
    scene = difference(Net(gated=True), Net())
    assert "− SE ¼" in said(scene)
    assert marked(scene, "added") == []


def test_other_widths_are_told_with_those_before() -> None:
    scene = difference(Net(), Net(width=16))
    assert "~ C was 8, 16" in said(scene)
    assert "C = 16, 32" in said(scene)
    assert sum(words.endswith("resized") for words in said(scene)) == 1 + 4  # the title, and each part of the net


def test_blocks_whose_settings_alone_differ_are_drawn() -> None:
    """The eps of a norm is in no row's words."""
    new = Net()
    for module in new.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    scene = difference(Net(), new)
    assert sum(words.endswith("altered") for words in said(scene)) == 1 + 2
    assert marked(scene, "altered") == []


def test_equal_models_have_no_marks() -> None:
    scene = difference(Net(), Net())
    assert "no difference" in said(scene)
    grounds = {color.light for color in palette.MARKED.values()}
    assert not [item for item in scene.items if isinstance(item, Area) and item.fill and item.fill.light in grounds]


@pytest.mark.parametrize(("width", "points"), [("column", 238), ("page", 505)])
def test_every_text_has_its_place(width: str, points: float) -> None:
    check(difference(Net(), Net(act=nn.GELU, gated=True, depths=(3, 2)), width=width), points)


def test_changes_that_have_no_room_are_said() -> None:
    graphs = [fxviz.trace(each, torch.zeros(1, 3, 32, 32)) for each in (Net(), Net(gated=True))]
    assert fxviz.diff(*graphs, width="column", height="3in").left_out == ("the changes in B",)
    assert fxviz.diff(*graphs, width="column").left_out == ()


def test_a_layout_is_refused() -> None:
    with pytest.raises(UsageError, match="a difference is drawn as a ledger, or in columns for print"):
        difference(Net(), Net(), layout="U")


def test_from_the_command_line(fxviz: Call, tmp_path: Path) -> None:
    saved = [str(traced(name).save(tmp_path / f"{name}.json")) for name in ("resnet18", "resnet34")]
    result = fxviz("compare", *saved, "-o", tmp_path / "difference.svg", "--width", "column")
    assert (result.status, result.out) == (0, "")
    text = (tmp_path / "difference.svg").read_text(encoding="utf-8")
    assert 'width="238pt"' in text
    assert "+ 16 layers" in text
