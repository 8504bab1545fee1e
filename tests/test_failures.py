"""Check what is said of a model that fails (where, why, what to do next), and the graph of what ran until then."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fxviz
from conftest import Result
from fxviz._graph import ArchGraph, Failure, TensorInfo
from fxviz._graph.errors import TraceError
from test_undisturbed import unchanged

HERE = Path(__file__)
ROWS = TensorInfo((2, 8), "float32")


def line_of(code: str) -> int:
    """Return the number of the one line of this file that holds ``code`` alone."""
    (number,) = (place for place, line in enumerate(HERE.read_text("utf-8").splitlines(), 1) if line.strip() == code)
    return number


def failed(model: Any, inputs: Any = ROWS, **how: Any) -> tuple[str, Failure]:
    with pytest.raises(TraceError) as caught:
        fxviz.trace(model, inputs, **how)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.failure, Failure)
    return str(caught.value), caught.value.failure


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        self.head = nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        x = self.head(x)
        return x.relu()


class Function(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3, 5))

    def forward(self, x: Tensor) -> Tensor:
        y = x.relu()
        return torch.cat([y, self.weight, x], 1)


class Raising(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.inner = Inner(error)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.fc(x)) + 1


class Inner(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.fail = lambda: error

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc(x)
        raise self.fail()


# -------------------------------------------------------------------- who and where


def test_a_layer_that_fails_is_named_with_the_line_that_called_it() -> None:
    message, failure = failed(Head())
    line = line_of("x = self.head(x)")
    assert failure.message.startswith("RuntimeError: ")
    assert failure == Failure(
        "head", failure.message, "head", "torch.nn.modules.linear.Linear", str(HERE), line, "x = self.head(x)", (ROWS,)
    )
    assert re.fullmatch(
        rf"cannot trace Head: head \(Linear\) at .*test_failures\.py:{line}, 'x = self\.head\(x\)': RuntimeError: .+; "
        r"it was given 2×8 float32; partial=True returns what ran until then",
        message,
    )


def test_a_function_that_fails_is_told_with_all_that_met() -> None:
    message, failure = failed(Function())
    assert (failure.node, failure.path, failure.class_name) == ("cat", "", "Function")
    assert [info.shape for info in failure.inputs] == [(2, 8), (3, 5), (2, 8)]
    assert message.startswith("cannot trace Function: at ")
    assert "; it was given 2×8 float32, 3×5 float32, 2×8 float32; " in message


def test_code_that_raises_on_its_own_is_told_with_its_module_and_line() -> None:
    message, failure = failed(Raising(ValueError("no\nmore")))
    line = line_of("raise self.fail()")
    assert (failure.path, failure.cls, failure.line, failure.inputs) == ("inner", f"{__name__}.Inner", line, ())
    assert "inner (Inner) at " in message
    assert message.endswith(": ValueError: no; partial=True returns what ran until then")


def test_the_line_is_relative_to_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE.parent)
    assert " at test_failures.py:" in failed(Head())[0]


def test_a_librarys_line_is_told_where_none_is_the_users() -> None:
    message, failure = failed("densenet121", TensorInfo((1, 3, 8, 8), "float32"))
    assert failure.path == "features.transition2.pool"
    assert Path(failure.file).parts[-3:] == ("torchvision", "models", "densenet.py")
    assert re.search(r"features\.transition2\.pool \(AvgPool2d\) at torchvision/models/densenet\.py:[0-9]+, '", message)


def test_no_line_of_torchs_own_is_told() -> None:
    message, failure = failed(nn.Sequential(nn.Linear(3, 3)))
    assert (failure.file, failure.line, failure.code) == ("", 0, "")
    assert message.startswith("cannot trace Sequential: 0 (Linear): RuntimeError: ")


def test_an_error_that_was_caught_is_not_blamed() -> None:
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong, self.right = nn.Linear(9, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor, fail: bool = False) -> Tensor:
            try:
                x = self.wrong(x)
            except RuntimeError:
                x = self.right(x)
            if fail:
                raise KeyError("later")
            return x

    assert [node.op for node in fxviz.trace(Careful(), ROWS).nodes] == ["x", "Linear", "output"]
    _, failure = failed(Careful(), (ROWS, True))
    assert (failure.path, failure.message, failure.inputs) == ("", "KeyError: 'later'", ())


def test_an_error_that_is_wrapped_is_told_as_it_came_out() -> None:
    class Wrapping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Raising(ValueError("first"))

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.inner(x)
            except ValueError as error:
                raise RuntimeError("second") from error

    _, failure = failed(Wrapping())
    assert (failure.path, failure.message) == ("", "RuntimeError: second")


def test_an_operation_that_python_does_not_announce_is_told_too() -> None:
    class Mapped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.vmap(lambda row: row.view(3, 3))(x)

    graph = fxviz.trace(Mapped(), ROWS, partial=True)
    assert [(node.kind, node.op) for node in graph.nodes] == [("input", "x"), ("function", "view")]
    assert graph.trace.failure is not None
    assert graph.trace.failure.inputs == (ROWS,)
    assert [(edge.source, edge.slot) for edge in graph.edges] == [("x", "0")]


def test_an_error_that_cannot_tell_its_message_is_told_by_its_class() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert failed(Raising(Mute()))[1].message == "Mute"


def test_a_long_message_is_cut() -> None:
    message, failure = failed(Raising(ValueError("x" * 5000)))
    assert len(failure.message) < 400 and failure.message.endswith("…")
    assert len(message) < 800


def test_a_failure_inside_a_leaf_names_the_module_inside() -> None:
    graph = fxviz.trace(nn.Sequential(Head()), ROWS, leaf=["Head"], partial=True)
    assert graph.trace.failure is not None
    assert (graph.trace.failure.node, graph.trace.failure.path) == ("_0", "0.head")
    assert (graph.nodes[-1].op, graph.nodes[-1].path) == ("Head", "0")


# -------------------------------------------------------------------- what to do next


def test_without_inputs_what_was_assumed_is_said() -> None:
    with pytest.raises(TraceError) as caught:
        fxviz.trace(Head())
    assert str(caught.value).endswith(
        "; no inputs were given, so a 1×3×224×224 image was assumed: use inputs=... to pass what forward(x) takes"
    )


def test_arguments_that_do_not_fit_are_said_with_those_that_do() -> None:
    for partial in (False, True):  # there is nothing to draw
        message, _ = failed(Head(), (ROWS, ROWS), partial=partial)
        assert message.endswith("; the inputs must be the arguments of its forward(x)")


def test_a_model_without_forward_has_nothing_to_draw() -> None:
    class Bare(nn.Module):
        pass

    for how in ({}, {"partial": True}):
        message, _ = failed(Bare(), **how)
        assert message.endswith("; write a forward for Bare, or name another class")


def test_where_nothing_ran_no_half_is_offered() -> None:
    class Strict(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.dim() != 3:
                raise ValueError("three sizes")
            return x

    for how in ({}, {"partial": True}):
        assert failed(Strict(), **how)[0].endswith(": ValueError: three sizes")


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 8)

    def forward(self, image: Tensor, ids: Tensor) -> Tensor:
        return self.table(ids) + image


def test_an_embedding_that_is_given_floats_is_told_what_ids_are() -> None:
    message, _ = failed(Words(), (TensorInfo((8,), "float32"), TensorInfo((1, 5), "float32")))
    assert message.endswith("; ids must be whole numbers: inputs={'ids': torch.randint(100, ...)}")
    with pytest.raises(TraceError) as caught:
        fxviz.trace(nn.Sequential(nn.Embedding(7, 8)))
    advice = "forward(input) takes; ids must be whole numbers: inputs={'input': torch.randint(7, ...)}"
    assert str(caught.value).endswith(advice)
    assert caught.value.for_command_line.endswith("; ids must be whole numbers: --input input=...:int64[0,7]")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("take", "before"),
    [
        (lambda batch: batch["image"], "; it was given 2×8 float32"),
        (lambda batch: batch.image, " has no attribute 'image'"),
    ],
    ids=["dict", "object"],
)
def test_a_forward_that_takes_another_structure_is_told_the_way_out(take: Any, before: str) -> None:
    class Taking(nn.Module):
        def forward(self, batch: Any) -> Tensor:
            return take(batch).relu()

    out = "; if batch is a dict or an object, pass what is in it: inputs={'batch': {...}}"
    assert failed(Taking())[0].endswith(f"{before}{out}")
    with pytest.raises(TraceError) as caught:
        fxviz.trace(Taking())
    assert str(caught.value).endswith(f"forward(batch) takes{out}")


class Nesting(nn.Module):
    """Makes a tensor without a shape, and returns one that has a shape."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        ragged = torch.nested.as_nested_tensor([x[:1], x])
        return torch.nested.to_padded_tensor(self.fc(ragged), 0.0)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_module_that_cannot_be_written_down_can_as_one_node() -> None:
    model, inputs = nn.Sequential(nn.Linear(8, 8), Nesting()), torch.rand(2, 8)
    message, _ = failed(model, inputs)
    assert message.endswith("; leaf='1' records that module as one node, without its contents")
    graph = fxviz.trace(model, inputs, leaf=["1"])
    assert [node.op for node in graph.nodes] == ["input", "Linear", "Nesting", "output"]
    assert graph.nodes[2].uses == ("1.fc.weight", "1.fc.bias")
    assert graph.nodes[2].outputs[0].shape == (2, 2, 8)
    assert graph.nodes[2].macs == 3 * 8 * 8


def test_a_module_that_cannot_be_timed_step_by_step_can_as_a_whole() -> None:
    class Autocast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return self.fc(x)

    model, inputs = nn.Sequential(Autocast()), torch.rand(2, 8)
    with pytest.raises(TraceError, match=r"leave out time=True, or record 0 as one node with leaf='0'$"):
        fxviz.trace(model, inputs, device="cpu", time=True)
    assert fxviz.trace(model, inputs, device="cpu", time=True, leaf=["0"]).nodes[1].time


# -------------------------------------------------------------------- what ran until then


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_what_ran_until_a_layer_failed(device: str) -> None:
    with unchanged(model := Head()):
        graph = fxviz.trace(model, ROWS, partial=True, device=device)
    assert [(node.kind, node.op, node.path) for node in graph.nodes] == [
        ("input", "x", "x"),
        ("module", "Linear", "body.0"),
        ("module", "ReLU", "body.1"),
        ("module", "Linear", "head"),
    ]
    last = graph.nodes[-1]
    assert (last.outputs, last.macs, last.uses, last.params) == ((), None, (), 0)
    assert last.settings["in_features"] == 9
    assert [(edge.source, edge.slot) for edge in graph.edges if edge.target == last.id] == [(graph.nodes[2].id, "0")]
    assert graph.trace.failure is not None
    assert (graph.trace.failure.node, graph.trace.failure.line) == (last.id, line_of("x = self.head(x)"))
    assert graph.trace.method == ("fake" if device == "meta" else "real")


def test_what_ran_until_a_function_failed() -> None:
    graph = fxviz.trace(Function(), ROWS, partial=True)
    assert [(node.kind, node.op) for node in graph.nodes] == [
        ("input", "x"),
        ("method", "relu"),
        ("parameter", "Parameter"),
        ("function", "cat"),
    ]
    assert [edge.slot for edge in graph.edges if edge.target == "cat"] == ["0.2", "0.0", "0.1"]
    assert graph.traced_params == 15


def test_what_ran_until_the_code_raised() -> None:
    graph = fxviz.trace(Raising(ValueError("no")), ROWS, partial=True)
    last = graph.nodes[-1]
    assert [node.op for node in graph.nodes] == ["x", "Linear", "Linear", "raise"]
    assert (last.kind, last.path, last.outputs, last.macs) == ("function", "inner", (), 0)
    assert graph.scopes[last.scope].path == "inner"
    assert not any(last.id in (edge.source, edge.target) for edge in graph.edges)
    assert ArchGraph.from_networkx(graph.to_networkx()) == graph


def test_what_ran_inside_a_submodule() -> None:
    graph = fxviz.trace(nn.Sequential(nn.Tanh(), Head()), ROWS, partial=True, root="1")
    assert [node.path for node in graph.nodes] == ["x", "body.0", "body.1", "head"]
    assert graph.trace.failure is not None
    assert graph.trace.failure.path == "head"


def test_a_submodule_whose_failure_the_model_would_catch() -> None:
    class Catching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = Head()

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.part(x)
            except RuntimeError:
                return x

    assert failed(Catching(), root="part")[1].path == "head"
    assert fxviz.trace(Catching(), ROWS, root="part", partial=True).nodes[-1].path == "head"


def test_a_submodule_that_the_run_does_not_come_to_has_no_graph() -> None:
    for partial in (False, True):
        message, failure = failed(nn.Sequential(Head(), nn.Tanh()), root="1", partial=partial)
        assert (failure.node, failure.path) == ("", "0.head")
        assert "0.head (Linear) at " in message
        assert "partial" not in message


class Ladder(nn.Module):
    """Asks for values, then fails with and without them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        if self.fc(x).sum() > -1e9:
            x = torch.from_numpy(x.numpy() + 1)
        return x @ torch.zeros(3, 3)


def test_all_ways_are_tried_before_half_a_run_counts() -> None:
    graph = fxviz.trace(Ladder(), ROWS, partial=True)
    assert (graph.trace.method, graph.trace.device, graph.nodes[-1].op) == ("real", "cpu", "matmul")
    graph = fxviz.trace(Ladder().to("meta"), ROWS, partial=True)  # there is no memory to run it for real
    assert graph.trace.method == "guessed"
    assert graph.trace.failure is not None
    assert "numpy" in graph.trace.failure.code


def test_a_failed_run_says_nothing_of_one_that_ends() -> None:
    whole = fxviz.trace("resnet18", partial=True)
    assert whole.trace.failure is None
    assert whole.nodes[-1].kind == "output"


# -------------------------------------------------------------------- what passes, and what is said meanwhile


def test_a_model_that_exits_has_failed_and_ctrl_c_has_not() -> None:
    _, failure = failed(Raising(SystemExit(3)))
    assert failure.message == "SystemExit: 3"
    with pytest.raises(KeyboardInterrupt):
        fxviz.trace(Raising(KeyboardInterrupt()), ROWS, partial=True)


class Talking(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        print("printed")
        sys.stdout.write("written\n")
        warnings.warn("warned of", FutureWarning, stacklevel=1)
        return x + 1


def test_what_torch_remarks_of_our_own_lines_is_not_said() -> None:
    class Listing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x["image"]  # type: ignore[call-overload,no-any-return]

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        failed(Listing())
    assert [str(warning.message) for warning in said] == []


@pytest.mark.parametrize("how", [{}, {"device": "cpu"}, {"device": "cpu", "time": True}], ids=str)
def test_what_a_model_prints_is_kept_off_standard_output(
    how: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(FutureWarning, match="warned of"):
        fxviz.trace(nn.Sequential(Talking()), torch.rand(2, 8), **how)
    out, err = capsys.readouterr()
    assert out == ""
    assert "printed\nwritten\n" in err
    print("after")
    assert capsys.readouterr().out == "after\n"


def test_an_input_that_fails_as_an_image_and_as_written_is_told_so(in_tmp: Path, fxviz: Callable[..., Result]) -> None:
    Path("net.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n"
        "    def forward(self, x):\n        b, t = x.shape\n        return x\n"
    )
    done = fxviz("summary", "net.py:Net", "--input", "2x7x24", "-q")
    assert done.status == 1 and done.err.endswith("; 2x7x24 as written, without a batch axis, failed, too\n")
