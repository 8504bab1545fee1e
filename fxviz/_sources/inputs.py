"""What a model is called with, and the grammar in which a command line says it: ``ids=1x128:int64[0,1000]``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fxviz._errors import UsageError
from fxviz._graph import TensorInfo

_BITS = {"int64": 63, "int32": 31, "int16": 15, "int8": 7, "uint8": 8}
"""Whole-number dtypes, and the bits that their largest value takes."""

DTYPES = ("float32", "float64", "float16", "bfloat16", "complex64", "complex128", *_BITS, "bool")
"""The dtypes that a dummy tensor can have."""

_IMAGE_SIZES = 3
"""An input of so many sizes, without name and dtype, is an image without batch axis."""

_SPEC = re.compile(
    r"""
    (?:(?P<name>[^\W\d]\w*)=)?
    (?P<sizes>[0-9]+(?:x[0-9]+)*)
    (?::(?P<dtype>[a-z]+[0-9]*))?
    (?:\[(?P<low>-?[0-9.e+-]+),(?P<high>-?[0-9.e+-]+)\])?
    """,
    re.VERBOSE,
)
_GRAMMAR = "[NAME=]SIZES[:DTYPE][[LOW,HIGH]], for example 3x64x64 or ids=1x128:int64[0,1000]"


@dataclass(frozen=True)
class Dummy(TensorInfo):
    """A tensor to make up: its sizes, its dtype, and the range of its values.

    Attributes:
        low, high: values are drawn evenly from ``low`` up to, but not including, ``high``, as by ``torch.randint``.
        is_open: whether its dtype is nobody's choice, so that it follows the weights'.
        is_image: whether it was written without its first size, the batch.
    """

    low: float = 0
    high: float = 1
    is_open: bool = False
    is_image: bool = field(default=False, repr=False, compare=False)


@dataclass(frozen=True)
class Arguments:
    """What forward is called with. A tensor, or a :class:`~fxviz.TensorInfo` for one, may be anywhere inside."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, inputs: Any, kwargs: Mapping[str, Any] | None = None) -> Arguments:
        """A tuple or list holds positional arguments, a mapping keywords, anything else is the one argument.

        >>> Arguments.of({"x": 1}), Arguments.of([1, 2]), Arguments.of(1, {"y": 2})
        (Arguments(args=(), kwargs={'x': 1}), Arguments(args=(1, 2), kwargs={}), Arguments(args=(1,), kwargs={'y': 2}))
        """
        if isinstance(inputs, Arguments):
            return cls(inputs.args, {**inputs.kwargs, **(kwargs or {})})
        if isinstance(inputs, Mapping):
            return cls((), {**inputs, **(kwargs or {})})
        return cls(tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,), dict(kwargs or {}))


@dataclass(frozen=True)
class InputSpec:
    """One input as a command line says it.

    Attributes:
        shape: its sizes, as written.
        name: of forward's parameter; "" for a positional argument.
        dtype: one of ``DTYPES``; "" stands for float32.
        low, high: the range of its values, both or none.

    >>> InputSpec.parse("ids=1x128:int64[0,1000]")
    InputSpec(shape=(1, 128), name='ids', dtype='int64', low=0, high=1000)
    >>> print(InputSpec((1, 128), "mask", "bool"))
    mask=1x128:bool
    """

    shape: tuple[int, ...]
    name: str = ""
    dtype: str = ""
    low: float | None = None
    high: float | None = None

    @classmethod
    def parse(cls, text: str) -> InputSpec:
        """Read ``[NAME=]SIZES[:DTYPE][[LOW,HIGH]]``.

        Raises:
            UsageError: it is not of that form, or no tensor can be like that.

        >>> InputSpec.parse("3x0x64")
        Traceback (most recent call last):
        ...
        fxviz.UsageError: no input '3x0x64': a size is 0; sizes are whole numbers from 1 on
        """
        found = _SPEC.fullmatch(text)
        if found is None:
            raise UsageError(f"no input '{text}': write {_GRAMMAR}")
        low, high = (None if found[key] is None else _number(found[key], text) for key in ("low", "high"))
        sizes = tuple(_size(size, text) for size in found["sizes"].split("x"))
        spec = cls(sizes, found["name"] or "", found["dtype"] or "", low, high)
        spec._check(text)
        return spec

    def _check(self, text: str) -> None:
        if not 0 < math.prod(self.shape) < 2**63:
            what = "a size is 0" if 0 in self.shape else "more elements than torch can count"
            raise UsageError(f"no input '{text}': {what}; sizes are whole numbers from 1 on")
        if self.dtype and self.dtype not in DTYPES:
            raise UsageError(f"no input '{text}': there is no dtype '{self.dtype}'; choose {', '.join(DTYPES)}")
        if self.low is None or self.high is None:
            return
        if self.dtype == "bool" or "complex" in self.dtype:
            raise UsageError(f"no input '{text}': values of dtype {self.dtype} have no range; leave [...] out")
        if not self.low < self.high:
            raise UsageError(f"no input '{text}': its range is empty; write [LOW,HIGH] with LOW below HIGH")
        if self.dtype in _BITS:
            largest = 2 ** _BITS[self.dtype] - 1
            least = 0 if self.dtype == "uint8" else -largest - 1
            if not (
                isinstance(self.low, int) and isinstance(self.high, int) and least <= self.low and self.high <= largest
            ):
                raise UsageError(
                    f"no input '{text}': values of dtype {self.dtype} are whole, from {least} to {largest}"
                )

    def __str__(self) -> str:
        name = f"{self.name}=" if self.name else ""
        dtype = f":{self.dtype}" if self.dtype else ""
        bounds = "" if self.low is None else f"[{self.low},{self.high}]"
        return f"{name}{'x'.join(map(str, self.shape))}{dtype}{bounds}"

    @property
    def is_image(self) -> bool:
        """Whether it is one image without batch axis: three sizes, and neither a name nor a dtype."""
        return len(self.shape) == _IMAGE_SIZES and not self.name and not self.dtype

    def tensor(self) -> TensorInfo:
        """The tensor to make up: an image without batch axis gets one of 1.

        >>> InputSpec.parse("3x64x64:float32").tensor(), InputSpec.parse("3x64x64").tensor().shape
        (TensorInfo(shape=(3, 64, 64), dtype='float32'), (1, 3, 64, 64))
        """
        shape = (1, *self.shape) if self.is_image else self.shape
        low, high = (0, 1) if self.low is None or self.high is None else (self.low, self.high)
        if not self.dtype:
            return Dummy(shape, "float32", low, high, is_open=True, is_image=self.is_image)
        return TensorInfo(shape, self.dtype) if self.low is None else Dummy(shape, self.dtype, low, high)


def _size(text: str, spec: str) -> int:
    if len(text) > 19:
        raise UsageError(f"no input '{spec}': more elements than torch can count; sizes are whole numbers from 1 on")
    return int(text)


def _number(text: str, spec: str) -> float:
    """A bound of a range: whole where it is written so."""
    try:
        number = int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else float(text)
    except ValueError:
        raise UsageError(f"no input '{spec}': '{text}' is no number; write [LOW,HIGH]") from None
    if not math.isfinite(number):
        raise UsageError(f"no input '{spec}': '{text}' is beyond what a float can hold")
    return number


def arguments(texts: Iterable[str]) -> Arguments:
    """The call that a command line describes: named inputs are keyword arguments, the others positional, in order.

    Raises:
        UsageError: one is not of the grammar, or two have the same name.

    >>> arguments(["7x7", "mask=1x64:bool"]).kwargs
    {'mask': TensorInfo(shape=(1, 64), dtype='bool')}
    """
    specs = [InputSpec.parse(text) for text in texts]
    names = [spec.name for spec in specs if spec.name]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"the input '{twice}' is given twice: give each name once")
    return Arguments(
        tuple(spec.tensor() for spec in specs if not spec.name),
        {spec.name: spec.tensor() for spec in specs if spec.name},
    )


def batched(inputs: Arguments, batch: int) -> Arguments:
    """The same call with a batch of another size: the first axis of each tensor, which is 1, becomes ``batch``.

    A list of tensors that do not begin with 1 is itself the batch (the images of a detector) and is repeated.

    Raises:
        UsageError: ``batch`` is no whole number from 1 on, or a tensor has another batch already.

    >>> batched(Arguments((TensorInfo((1, 3, 8, 8), "float32"),)), 4).args[0].shape
    (4, 3, 8, 8)
    >>> batched(Arguments(([TensorInfo((3, 8, 8), "float32")],)), 2).args[0][1].shape
    (3, 8, 8)
    """
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise UsageError(f"no batch of {batch}: give a whole number from 1 on")
    return Arguments(_batched(inputs.args, batch), _batched(inputs.kwargs, batch))


def in_dtype(inputs: Arguments, dtype: str, every: bool = False) -> Arguments:
    """The same call with floating inputs of another dtype: those whose dtype is open, or ``every`` one.

    >>> in_dtype(arguments(["1x4", "1x4:float64", "ids=1x8:int64"]), "float16").args
    (Dummy(shape=(1, 4), dtype='float16', low=0, high=1, is_open=True), TensorInfo(shape=(1, 4), dtype='float64'))
    """

    def changed(value: Any) -> Any:
        if isinstance(value, TensorInfo):
            is_open = every or getattr(value, "is_open", False)
            return replace(value, dtype=dtype) if is_open and value.is_floating else value
        if isinstance(value, Mapping):
            return {key: changed(item) for key, item in value.items()}
        return type(value)(map(changed, value)) if type(value) in (tuple, list) else value

    return Arguments(changed(inputs.args), changed(inputs.kwargs)) if dtype in DTYPES else inputs


def _batched(value: Any, batch: int) -> Any:
    if isinstance(value, TensorInfo):
        if value.shape[:1] != (1,):
            raise UsageError(
                f"no batch of {batch}: an input has {value.shape} already; give it a first size of 1, or no batch"
            )
        return replace(value, shape=(batch, *value.shape[1:]))
    if isinstance(value, Mapping):
        return {key: _batched(item, batch) for key, item in value.items()}
    if isinstance(value, list) and any(isinstance(item, TensorInfo) and item.shape[:1] != (1,) for item in value):
        return value * batch
    if type(value) in (tuple, list):
        return type(value)(_batched(item, batch) for item in value)
    if hasattr(value, "expand"):
        raise UsageError(
            f"no batch of {batch}: the inputs are tensors with a batch of their own; leave one of the two out"
        )
    return value
