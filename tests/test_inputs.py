"""The grammar of inputs: every text is parsed or refused in one line, and what is printed can be parsed again."""

from __future__ import annotations

from keyword import iskeyword

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import fxviz
from fxviz._graph import TensorInfo
from fxviz._graph.errors import UsageError, shown
from fxviz._sources.inputs import DTYPES, Arguments, Dummy, InputSpec, batched, readings

SIZES = st.lists(st.integers(1, 999), min_size=1, max_size=6).map(tuple)
NAMES = st.one_of(
    st.just(""),
    st.from_regex(r"(?!__)[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: not iskeyword(name)),
    st.sampled_from(["größe", "画像", "x.mask", "x[0]", "[1].ids", "data['a b'][2].c"]),
)


@st.composite
def specs(draw: st.DrawFn) -> InputSpec:
    dtype = draw(st.sampled_from(["", *DTYPES]))
    if dtype == "bool" or dtype.startswith("complex") or draw(st.booleans()):
        return InputSpec(draw(SIZES), draw(NAMES), dtype)
    whole = dtype.startswith(("int", "uint"))
    least = 0 if dtype == "uint8" else -100
    number = st.integers(least, 100) if whole else st.one_of(st.integers(-100, 100), st.floats(-1e9, 1e9))
    low, high = draw(st.tuples(number, number).filter(lambda ends: ends[0] < ends[1]))
    return InputSpec(draw(SIZES), draw(NAMES), dtype, low, high)


@given(specs())
def test_what_is_printed_is_read_back(spec: InputSpec) -> None:
    assert InputSpec.parse(str(spec)) == spec


@pytest.mark.parametrize("text", ["8:int64[0,1e5]", "8:int32[0.0,10]", "8:uint8[0,2.55e2]"])
def test_whole_numbers_may_be_written_as_others(text: str) -> None:
    spec = InputSpec.parse(text)
    assert isinstance(spec.low, int) and isinstance(spec.high, int)


@given(st.one_of(st.text(), st.text("0123456789x=:[],.-einatfloub64 "), st.from_regex(r"\w*=?[0-9x]+:?\w*(\[.*\])?")))
def test_every_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        spec = InputSpec.parse(text)
    except UsageError as error:
        assert str(error).startswith(f"invalid input '{shown(text)}': ")
    else:
        assert InputSpec.parse(str(spec)) == spec
        assert all(size > 0 for size in spec.tensor().shape)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write [NAME=]SIZES[:DTYPE][[LOW,HIGH]], for example 3x64x64 or ids=1x128:int64[0,1000]"),
        ("3,64,64", "write [NAME=]SIZES[:DTYPE][[LOW,HIGH]], for example 3x64x64 or ids=1x128:int64[0,1000]"),
        ("3x64x64 ", "write [NAME=]SIZES[:DTYPE][[LOW,HIGH]], for example 3x64x64 or ids=1x128:int64[0,1000]"),
        ("-3x64", "write [NAME=]SIZES[:DTYPE][[LOW,HIGH]], for example 3x64x64 or ids=1x128:int64[0,1000]"),
        ("3x0x64", "a size is 0; each size must be 1 or greater"),
        ("9" * 30, "it has more elements than torch can count; use smaller sizes"),
        ("4294967296x4294967296", "it has more elements than torch can count; use smaller sizes"),
        ("3x4:float", f"unknown dtype 'float'; choose {', '.join(DTYPES)}"),
        ("3x4:bool[0,1]", "values of dtype bool have no range; remove [...]"),
        ("3x4[1,1]", "the range is empty; in [LOW,HIGH], LOW must be less than HIGH"),
        ("3x4[1,--2]", "'--2' is not a number; write [LOW,HIGH]"),
        ("3x4[0,1e999]", "'1e999' is too large for a float"),
        ("3x4:uint8[-1,5]", "values of dtype uint8 are whole numbers from 0 to 255"),
        ("3x4:int64[0,1.5]", f"values of dtype int64 are whole numbers from {-(2**63)} to {2**63 - 1}"),
    ],
)
def test_what_cannot_be_an_input_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        InputSpec.parse(text)
    assert str(refused.value) == f"invalid input '{text}': {message}"


def test_only_a_bare_image_gets_a_batch_axis() -> None:
    shapes = {
        text: InputSpec.parse(text).tensor().shape for text in ("3x8x8", "8x3x8x8", "x=3x8x8", "3x8x8:float32", "7x7")
    }
    assert shapes == {
        "3x8x8": (1, 3, 8, 8),
        "8x3x8x8": (8, 3, 8, 8),
        "x=3x8x8": (3, 8, 8),
        "3x8x8:float32": (3, 8, 8),
        "7x7": (7, 7),
    }


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="input 'x' is given twice"):
        readings(["x=1x2", "x=1x3"])


def test_a_batch_reaches_every_tensor_of_the_call() -> None:
    image, mask = TensorInfo((1, 3, 8, 8), "float32"), TensorInfo((1, 8), "bool")
    call = batched(Arguments((image, [image, image]), {"mask": (mask, "a", None)}), 5)
    assert [tensor.shape for tensor in (call.args[0], *call.args[1])] == [(5, 3, 8, 8)] * 3
    assert call.kwargs == {"mask": (TensorInfo((5, 8), "bool"), "a", None)}


def test_a_batch_of_ranges_keeps_them() -> None:
    assert batched(readings(["1x4:int64[2,9]"])[0].arguments, 3).args == (Dummy((3, 4), "int64", 2, 9),)


@pytest.mark.parametrize(
    ("inputs", "batch", "message"),
    [
        (TensorInfo((8, 3), "float32"), 2, r"an input has shape \(8, 3\)"),
        (torch.zeros(1, 3), 2, "the inputs are tensors"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(inputs: object, batch: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        batched(Arguments.of(inputs), batch)


def test_a_tensor_without_memory_stands_for_its_sizes() -> None:
    with torch.device("meta"):
        layer, rows = nn.Linear(4, 2), torch.empty(3, 4)
    assert fxviz.trace(layer, rows).nodes[-1].outputs == (TensorInfo((3, 2), "float32"),)
    assert fxviz.trace(nn.Linear(4, 2), rows, device="cpu").trace.method == "real"
