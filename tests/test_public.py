"""The public face: its names, signatures, options and errors, as docs/python-reference.md lists them."""

from __future__ import annotations

import inspect
import pickle
import re
import typing
from collections.abc import Callable
from dataclasses import fields

import pytest
import torch
from torch import nn

import fxviz
from conftest import ROOT
from fxviz._graph.errors import spelled
from fxviz._graph.keywords import FigureKeywords, RenderKeywords, TraceKeywords
from fxviz._graph.options import TraceOptions

NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


def test_every_public_name_is_there_and_in_the_reference() -> None:
    page = (ROOT / "docs" / "python-reference.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^## `?(\w+)", page, re.MULTILINE))
    assert all(getattr(fxviz, name) for name in fxviz.__all__)
    assert set(fxviz.__all__) == headings
    assert set(fxviz.__all__) <= set(dir(fxviz))


@pytest.mark.parametrize("name", [name for name in fxviz.__all__ if name != "__version__"])
def test_every_public_name_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(fxviz, name))


def test_what_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'fxviz' has no attribute 'summarize'"):
        fxviz.summarize  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", ["trace", "render"])
def test_a_function_stays_itself_when_it_has_run(name: str) -> None:
    """A package of the same name would take its place once it is imported."""
    function = getattr(fxviz, name)
    fxviz.render(fxviz.trace(NET), theme="dark")
    assert getattr(fxviz, name) is function


@pytest.mark.parametrize(
    ("keywords", "options"), [(TraceKeywords, (TraceOptions,)), (RenderKeywords, (fxviz.RenderOptions,))]
)
def test_the_keywords_of_type_checkers_are_the_fields(keywords: type, options: tuple[type, ...]) -> None:
    names = [field.name for kind in options for field in fields(kind)]
    assert list(keywords.__annotations__) == names
    assert set(FigureKeywords.__annotations__) >= set(names)


def test_each_option_is_a_keyword_with_its_default() -> None:
    parameters = inspect.signature(fxviz.render).parameters
    assert list(parameters)[:4] == ["model_or_graph", "inputs", "kwargs", "options"]
    for kind in (fxviz.RenderOptions, TraceOptions):
        for field in fields(kind):
            assert parameters[field.name].default == field.default
    assert set(inspect.signature(fxviz.trace).parameters) == {
        "model",
        "inputs",
        "kwargs",
        *(field.name for field in fields(TraceOptions)),
    }


def test_a_model_is_drawn_with_inputs_and_options_by_name() -> None:
    figure = fxviz.render(NET, torch.zeros(1, 3, 64, 64), theme="dark", title="A net", train=True)
    assert "A net" in figure.svg and figure.options.theme == "dark"
    assert figure.view.graph.trace.inputs["input"].shape == (1, 3, 64, 64)


def test_keywords_come_on_top_of_options() -> None:
    options = fxviz.RenderOptions(theme="dark", title="A net")
    drawn = fxviz.render(fxviz.trace(NET), options=options, theme="light").options
    assert (drawn.theme, drawn.title) == ("light", "A net")


def test_one_text_stands_for_several() -> None:
    assert fxviz.RenderOptions(expand="layer4").expand == ("layer4",)
    assert fxviz.render(fxviz.trace(NET), collapse="Conv2d").options.collapse == ("Conv2d",)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (
            fxviz.RenderOptions(),
            r"the second argument is the model's inputs: pass options=RenderOptions\(\.\.\.\) by name",
        ),
        (
            "dark",
            r"the second argument is the model's inputs, not 'dark': pass tensors, options by name \(theme='dark'\)",
        ),
    ],
)
@pytest.mark.parametrize("what", [NET, "graph"])
def test_a_wrong_second_argument_says_what_was_meant(second: object, said: str, what: object) -> None:
    with pytest.raises(fxviz.UsageError, match=said):
        fxviz.render(fxviz.trace(NET) if what == "graph" else what, second)  # type: ignore[arg-type]


def test_inputs_of_a_graph_are_refused() -> None:
    with pytest.raises(fxviz.UsageError, match="the graph is traced already: leave out inputs and device, or trace"):
        fxviz.render(fxviz.trace(NET), torch.zeros(1, 3, 8, 8), device="cpu")


def test_an_unknown_keyword_gets_a_near_one() -> None:
    with pytest.raises(
        TypeError, match=r"render\(\) got an unexpected keyword argument 'themes'; did you mean theme\?"
    ):
        fxviz.render(NET, themes="dark")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"theme": "sepia"}, "invalid theme 'sepia': choose auto, light or dark"),
        ({"style": "tree"}, "invalid style 'tree': choose auto, ledger, graph or paper"),
        ({"color_by": "flops"}, "invalid color_by 'flops': choose params, macs, activations or time"),
        ({"direction": "UP"}, "invalid direction 'UP': choose TB or LR"),
        ({"depth": 0}, "invalid depth 0: must be a whole number, 1 or greater"),
        ({"batch": 0}, "invalid batch 0: must be a whole number, 1 or greater"),
        ({"batch": True}, "invalid batch True: must be a whole number, 1 or greater"),
        ({"device": "gpu"}, "invalid device 'gpu': choose meta, cpu, cuda or cuda:N"),
        ({"time": True}, "cannot time on meta, which computes nothing: choose device='cpu' or 'cuda'"),
    ],
)
def test_an_option_that_cannot_be(options: dict[str, object], said: str) -> None:
    with pytest.raises(fxviz.UsageError, match=re.escape(said)):
        fxviz.render(NET, **options)  # type: ignore[arg-type]


def test_errors_speak_python_in_python_and_flags_on_the_command_line() -> None:
    with pytest.raises(fxviz.TraceError, match=r"partial=True returns what ran until then") as caught:
        fxviz.trace(nn.Sequential(nn.Linear(4, 8), nn.Linear(4, 2)), torch.zeros(1, 4))
    assert "--partial draws what ran until then" in caught.value.for_command_line
    assert "--" not in str(caught.value) and "\x1f" not in str(caught.value) + repr(caught.value)


def test_an_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(fxviz.UsageError(f"leave out {spelled('time=True', '--time')}")))
    assert (str(error), error.for_command_line) == ("leave out time=True", "leave out --time")
    assert type(error).__module__ == "fxviz"


def test_a_repr_is_one_short_line() -> None:
    graph = fxviz.trace("resnet18")
    values = [
        graph,
        fxviz.render(graph),
        fxviz.summary(graph),
        fxviz.compare(graph, graph),
        fxviz.explain(graph),
        fxviz.info("resnet18"),
        fxviz.RenderOptions(),
        graph.trace.inputs["x"],
    ]
    for value in values:
        assert "\n" not in repr(value) and len(repr(value)) <= 200, repr(value)


def test_names_are_listed() -> None:
    assert fxviz.list_models("resnet?8") == ["resnet18"]
    assert typing.get_type_hints(fxviz.list_models)["return"] == list[str]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train": "no"}, "invalid train 'no': choose True or False"),
        ({"repeats": 1}, "invalid repeats 1: choose True or False"),
        ({"leaf": nn.Conv2d}, "invalid leaf <class 'torch.nn.modules.conv.Conv2d'>: must be a string or a list of"),
        ({"expand": ("0", None)}, "invalid expand ('0', None): must be a string or a list of strings"),
        ({"root": 5}, "invalid root 5: must be a string"),
        ({"title": 5}, "invalid title 5: must be a string"),
        ({"theme": ["dark"]}, "invalid theme ['dark']: choose auto, light or dark"),
        ({"options": {"theme": "dark"}}, "invalid options {'theme': 'dark'}: must be a RenderOptions"),
        (
            {"kwargs": 5},
            "the third argument is a dict of forward's keyword arguments, not 5: pass several inputs",
        ),
    ],
)
def test_an_option_of_another_type(options: dict[str, object], said: str) -> None:
    with pytest.raises(fxviz.UsageError, match=re.escape(said)):
        fxviz.render(NET, **options)  # type: ignore[arg-type]


def test_a_device_of_torch_is_a_device() -> None:
    assert fxviz.trace(NET, torch.zeros(1, 3, 8, 8), device=torch.device("cpu")).trace.device == "cpu"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fxviz.trace(5), "cannot trace 5: pass a model name or a torch.nn.Module"),  # type: ignore[arg-type]
        (
            lambda: fxviz.trace(nn.Linear),
            "cannot trace the class Linear: pass a model name or a",
        ),  # type: ignore[arg-type]
        (lambda: fxviz.compare([NET, NET]), "pass two models or more, one by one: compare(a, b)"),  # type: ignore[arg-type]
        (lambda: fxviz.info(NET), "pass a model's name or the path of a saved graph"),  # type: ignore[arg-type]
        (lambda: fxviz.list_models(5), "invalid pattern 5: must be a string"),  # type: ignore[arg-type]
        (
            lambda: fxviz.trace(NET, fxviz.TensorInfo((1, 3, 8, 8), "float33")),
            "invalid dtype 'float33' of a",
        ),
        (lambda: fxviz.trace(NET, fxviz.TensorInfo((1, -3, 8, 8), "float32")), "invalid shape (1, -3, 8, 8) of a"),
        (lambda: fxviz.render(fxviz.trace(NET)).content(".gif"), "invalid suffix '.gif': choose .svg"),
        (lambda: fxviz.trace("resnet81"), "fxviz.list_models() shows all names"),
    ],
)
def test_a_wrong_value_says_what_is_allowed(call: Callable[[], object], said: str) -> None:
    with pytest.raises(fxviz.UsageError, match=re.escape(said)):
        call()
