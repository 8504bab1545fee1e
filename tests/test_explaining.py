"""``fxviz explain``: sentences, every number computed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from rich.cells import cell_len
from torch import Tensor, nn

import fxviz
from conftest import Result, slow
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph, Parameter
from fxviz._graph.errors import UsageError
from fxviz._report.explain import LANGUAGES, explained
from fxviz._report.explain.document import wrapped
from models import traced
from random_graphs import Net

Call = Callable[..., Result]
QUICK = ("resnet18", "vgg16", "vit_b_16")
EACH = [*QUICK, *slow("mobilenet_v2", "fasterrcnn_resnet50_fpn")]


def text_of(model: nn.Module | ArchGraph, lang: str = "en") -> str:
    return fxviz.explain(model, lang=lang).written()


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", EACH)
def test_models_in_sentences(name: str, lang: str, golden: Callable[[str, str], None]) -> None:
    golden(f"explain/{name}.{lang}.txt", text_of(traced(name), lang))


def test_markdown(golden: Callable[[str, str], None]) -> None:
    golden("explain/resnet18.md", fxviz.explain(traced("resnet18")).written("markdown"))


def test_the_claim_that_most_of_resnet18_is_in_fc_is_refuted() -> None:
    said = text_of(traced("resnet18"))
    assert "Most parameters are in convolutions (95.5%), not in the fully connected layer fc (4.4%)." in said
    assert "layer4 alone holds 71.8% of the parameters; together with layer3, 89.8%." in said
    said = text_of(traced("resnet18"), "zh")
    assert "大部分参数在卷积层（95.5%）中，而不在全连接层 fc（4.4%）中。" in said
    assert "仅 layer4 就占参数量的 71.8%，加上 layer3 共占 89.8%。" in said


def test_what_the_page_on_vgg16_says_by_hand() -> None:
    said = text_of(traced("vgg16"), "zh")
    for claim in (
        "共 16 个带权重的层：13 个卷积层、3 个全连接层。",
        "全部 13 个卷积层都使用 3×3 卷积核，步长均为 1，填充均为 1。",
        "64-64-128-128-256-256-256-512-512-512-512-512-512",
        "classifier.0：25088 → 4096",
        "classifier.3：4096 → 4096",
        "classifier.6：4096 → 1000",
        "全连接层 89.4%",
    ):
        assert claim in said
    assert "其中 3 次通道数翻倍" in said  # the page says that they double every time


@pytest.mark.parametrize("name", EACH)
def test_both_languages_say_the_same_numbers(name: str) -> None:
    """Of two digits or more: small ones are words in one language and digits in the other."""
    english, chinese = (set(re.findall(r"\d[\d.,]*\d", text_of(traced(name), lang))) for lang in LANGUAGES)
    assert english == chinese and len(english) > 20


def test_sections_with_nothing_to_say_are_left_out(tiny: ArchGraph) -> None:
    assert "Attention" not in text_of(tiny) and "Convolutions" in text_of(tiny)
    titles = [section.title for section in explained(traced("vit_b_16")).sections]
    assert "Attention" in titles
    for name in QUICK:
        for lang in LANGUAGES:
            assert all(section.sentences for section in explained(traced(name), lang).sections)


def test_no_sentence_is_half_empty() -> None:
    for name in QUICK:
        for lang in LANGUAGES:
            for section in explained(traced(name), lang).sections:
                for sentence in section.sentences:
                    assert not re.search(r"None|\(\)|（）|  | ,|: ?\.|：。|、、|、。|，。", sentence), sentence
                    assert sentence[-1] in ".。"


def test_unused_parameters_and_the_longest_chain() -> None:
    said = text_of(traced("googlenet"))
    assert (
        "This run does not use 6.38M (6,379,984) of them (in aux1 and aux2); shares are of the parameters used." in said
    )
    assert "The longest chain has 22 layers: 21 convolutions and 1 fully connected layer." in said


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.table.weight
        self.table.weight.requires_grad_(False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table(ids))


def test_shared_and_frozen_parameters() -> None:
    said = text_of(fxviz.trace(Tied(), torch.zeros(1, 3, dtype=torch.int64)))
    assert "table.weight is shared by table and head; shared parameters count once." in said
    assert "160 parameters, all frozen." in said


def test_half_precision_is_said_as_traced_and_in_fp32() -> None:
    said = text_of(fxviz.trace(nn.Linear(8, 4).half(), torch.zeros(1, 8, dtype=torch.float16)))
    assert "The parameters take 72 bytes as traced (144 bytes in fp32)." in said


class Steps(nn.Module):
    """Convolutions that follow each other, and what follows them."""

    def __init__(self, *convolutions: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*convolutions)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def conv(inner: int, outer: int, kernel: int, **settings: int) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, kernel, **settings)


@pytest.mark.parametrize(
    ("model", "english", "chinese"),
    [
        (Steps(conv(3, 4, 3, stride=2), conv(4, 4, 2, stride=2)), "; all have stride 2.", "；步长均为 2。"),
        (
            Steps(conv(3, 4, 3), conv(4, 8, 3)),
            "Both convolutions have 3×3 kernels, stride 1",
            "全部 2 个卷积层都使用 3×3 卷积核",
        ),
        (Steps(conv(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding="same")), "kernels, stride 1.", "步长均为 1。"),
        (Steps(conv(3, 4, 3), conv(4, 4, 3, groups=4)), "  - 1 is depthwise.", "其中有 1 个逐通道卷积。"),
        (Steps(conv(3, 4, 3), conv(4, 4, 3, groups=2)), "  - 1 is grouped (2 groups).", "1 个分组卷积（2 组）"),
        (Steps(conv(3, 4, 3), conv(4, 4, 3, dilation=2)), "  - 1 is dilated (rate 2).", "1 个膨胀率为 2 的空洞卷积"),
        (Steps(conv(3, 4, 3), nn.ConvTranspose2d(4, 4, 3)), "  - 1 is transposed.", "1 个转置卷积"),
        (Steps(conv(3, 3, 3, groups=3)), "  - It is depthwise.", "  - 它是逐通道卷积。"),
        (
            Steps(conv(3, 4, 3), nn.BatchNorm2d(4)),
            "only on the main path; 1 normalization layer is not counted.",
            "未计入的有 1 个归一化层。",
        ),
        (
            Steps(conv(3, 4, 3), nn.MaxPool2d(2), conv(4, 8, 3), nn.MaxPool2d(2)),
            "double when the size",
            "；尺寸变化时通道数翻倍",
        ),
        (Steps(conv(3, 4, 3), nn.MaxPool2d(2), conv(4, 6, 3), nn.MaxPool2d(2)), "4 at 30×30, 6 at 13×13.", "时 6。"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_and_all(model: nn.Module, english: str, chinese: str) -> None:
    graph = fxviz.trace(model, torch.zeros(1, 3, 32, 32))
    assert english in text_of(graph)
    assert chinese in text_of(graph, "zh")


def test_a_layer_without_padding_loses_borders() -> None:
    graph = fxviz.trace(nn.Sequential(conv(3, 4, 3), conv(4, 4, 2, stride=2)), torch.zeros(1, 3, 8, 8))
    text = text_of(graph)
    assert "0 (stride 1, losing borders) 8×8 → 6×6" in text and "1 (stride 2) 6×6 → 3×3" in text
    assert "（步长 1，边缘缩减）" in str(fxviz.explain(graph, lang="zh"))


def test_kernels_of_one_dimension_are_sizes() -> None:
    graph = fxviz.trace(nn.Sequential(nn.Conv1d(3, 4, 3), nn.Conv1d(4, 4, 5)), torch.zeros(1, 3, 20))
    assert "Kernels: 1 has size 3 and 1 has size 5; all have stride 1." in text_of(graph)
    assert "卷积核：长度为 3 的 1 个、长度为 5 的 1 个；步长均为 1。" in text_of(graph, "zh")


def test_one_operation_without_a_formula(tiny: ArchGraph) -> None:
    nodes = tuple(replace(node, macs=None) if node.op == "flatten" else node for node in tiny.nodes)
    assert "The MACs of 1 operation are unknown and not included." in text_of(replace(tiny, nodes=nodes))
    alone = tuple(replace(node, macs=None if node.op == "flatten" else 0) for node in tiny.nodes)
    assert "  - The MACs of 1 operation are unknown." in text_of(replace(tiny, nodes=alone))


class OneOfThree(nn.Module):
    """One layer with parameters beside products that have none."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) @ x.T


@pytest.mark.parametrize("lang", LANGUAGES)
def test_one_part_with_all_parameters_is_not_said_to_be_alone(lang: str) -> None:
    said = text_of(fxviz.trace(OneOfThree(), torch.zeros(2, 4)), lang)
    assert "alone" not in said and "独占" not in said


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Linear(4, 4, bias=False).half(), nn.Linear(2, 4, bias=False).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.large(self.small(x)[:, :2].double())


def test_dtypes_that_add_up_to_fp32_are_not_fp32() -> None:
    said = text_of(fxviz.trace(Mixed(), torch.zeros(1, 4, dtype=torch.float16)))
    assert "The parameters take 96 bytes as traced (96 bytes in fp32)." in said


def test_names_with_commas_stay_whole_in_chinese() -> None:
    net = Net()
    with net.scope("a, b"):
        x = net.layer("Linear", net.input())
    net.output(net.layer("Linear", x))
    assert "a, b" in text_of(net.graph(), "zh") and "a、b" not in text_of(net.graph(), "zh")


def test_of_a_long_path_the_end_is_told() -> None:
    net = Net()
    with net.scope("outer" * 20), net.scope("inner"):
        x = net.layer("Linear", net.input())
    net.output(net.layer("Linear", x))
    assert re.search(r"…\S*inner", text_of(annotate(net.graph())))


def test_titles_are_bold_on_a_terminal(tiny: ArchGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    text = explained(tiny).written("text", 60, styled=True)
    assert "\x1b[1mStructure" in text and "\x1b[1m  - " not in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == explained(tiny).written("text", 60)


def test_a_model_without_parameters(tmp_path: Path) -> None:
    said = text_of(fxviz.trace(nn.ReLU(), torch.zeros(1, 8)))
    assert "It has no weighted layers." in said and "It has no parameters." in said


def test_half_a_run_is_said_to_be_one(tmp_path: Path, fxviz: Call) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(5, 2)\n"
        "    def forward(self, x):\n"
        "        return self.fc(self.conv(x).flatten(1))\n"
    )
    done = fxviz("explain", f"{tmp_path / 'net.py'}:Net", "--partial", "-q")
    assert done.status == 1 and "fc (Linear)" in done.err
    assert "  - The run stopped at fc (Linear); everything below covers only what ran before that.\n" in done.out


def test_the_command_takes_saved_graphs_without_torch(without_torch: Call, in_tmp: Path, tiny: ArchGraph) -> None:
    tiny.save("tiny.json")
    for command in (["explain", "tiny.json"], ["compare", "tiny.json", "tiny.json"]):
        result = without_torch(*command)
        assert result.status == 0 and result.out.startswith("tiny"), result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lang", "fr"], "fxviz: invalid --lang 'fr': choose en or zh\n"),
        (["--format", "pdf"], "fxviz: invalid --format 'pdf': choose text or markdown\n"),
    ],
)
def test_a_language_or_form_that_is_not_there(arguments: list[str], message: str, fxviz: Call) -> None:
    assert fxviz("explain", "nothing", *arguments) == Result(2, "", message)


def test_a_language_that_is_not_there_from_python() -> None:
    with pytest.raises(UsageError, match="invalid language 'fr': choose en or zh"):
        fxviz.explain("resnet18", lang="fr")


def test_piped_text_has_a_sentence_on_each_line(tmp_path: Path, tiny: ArchGraph, fxviz: Call) -> None:
    file = tiny.save(tmp_path / "tiny.json")
    out = fxviz("explain", file).out
    assert out == fxviz("explain", file, "--format", "text").out
    assert max(map(len, out.splitlines())) > 60 and "\x1b" not in out


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", [40, 80])
def test_text_fits_a_terminal(lang: str, width: int) -> None:
    whole = explained(traced("resnet18"), lang)
    lines = whole.text(width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert not any(line.strip()[:1] in tuple("，。；：、）") for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", whole.text())


def test_a_word_longer_than_the_line_stands_alone() -> None:
    assert wrapped("a verylongword b", 6) == ["a", "verylongword", "b"]


HOSTILE = ("<script>alert(1)</script>", "a|b", "*x*_y_`z`", "\x1b[2Jend", "[t](javascript:x)", "line\nbreak", "\u202e")


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("lang", LANGUAGES)
def test_names_are_harmless(hostile: str, lang: str) -> None:
    net = Net()
    with net.scope(hostile):
        net.output(net.layer("Linear", net.input()))
    graph = net.graph()
    graph = replace(graph, model=replace(graph.model, name=hostile, cls=hostile))
    text, markdown = (fxviz.explain(graph, lang=lang).written(form) for form in ("text", "markdown"))
    assert all(sign.isprintable() or sign == "\n" for sign in text + markdown)
    assert "<script>" not in markdown and "t](java" not in markdown and "*x*" not in markdown.replace("\\*x\\*", "")
    assert len(text.splitlines()) == len(explained(graph, lang).text().splitlines()) and "\nbreak" not in text


def test_very_long_names_are_cut() -> None:
    net = Net()
    net.output(net.layer("Linear", net.input()))
    graph = net.graph()
    long = "x" * 5000
    graph = replace(graph, parameters=tuple(Parameter(f"{long}.w", p.shape, p.dtype, True) for p in graph.parameters))
    assert max(map(len, text_of(replace(graph, model=replace(graph.model, name=long))).splitlines())) < 400


def test_what_holds_for_all_convolutions_is_said_of_all() -> None:
    graph = fxviz.trace(
        nn.Sequential(*(nn.ConvTranspose2d(4, 4, 2, 2, groups=2) for _ in range(3))), torch.zeros(1, 4, 2, 2)
    )
    assert "  - All are grouped (2 groups) and all are transposed.\n" in text_of(graph)
    assert "  - 全部为分组卷积（2 组）、转置卷积。\n" in text_of(graph, "zh")


def test_all_parts_together_are_no_news() -> None:
    thirds = fxviz.trace(nn.Sequential(*(nn.Linear(4, 4) for _ in range(3))), torch.zeros(2, 4))
    assert "hold 100.0%" not in text_of(thirds) and "占参数量的 100.0%" not in text_of(thirds, "zh")


def test_of_many_even_parts_none_is_named() -> None:
    widths = [4 + 5 * place % 7 for place in range(61)]
    layers = nn.Sequential(*(nn.Linear(before, after) for before, after in pairwise(widths)))
    graph = fxviz.trace(layers, torch.zeros(1, widths[0]))
    said = text_of(graph)
    assert "  - None of the 60 parts holds more than 2.7% of the parameters.\n" in said
    assert "By part" not in said and "60 layers: 9 of " in said
    assert "  - 60 个部分中没有一个超过参数量的 2.7%。\n" in text_of(graph, "zh")
