"""Describe the inputs of a model, and parse them from a command line: ``ids=1x128:int64[0,1000]``."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._graph.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

_BITS = {"int64": 63, "int32": 31, "int16": 15, "int8": 7, "uint8": 8}
"""The integer dtypes, and the number of bits of their largest value."""

DTYPES = ("float32", "float64", "float16", "bfloat16", "complex64", "complex128", *_BITS, "bool")
"""The dtypes of dummy tensors."""

_IMAGE_SIZES = 3
"""An input with this many sizes, without a name and dtype, is an image without a batch axis."""

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


def describe(tensor: Tensor) -> TensorInfo:
    """Return the shape and dtype of a tensor as plain values.

    >>> describe(__import__("torch").ones(2, 3))
    TensorInfo(shape=(2, 3), dtype='float32')
    """
    return TensorInfo(tuple(int(size) for size in tensor.shape), str(tensor.dtype).removeprefix("torch."))


def is_required(parameter: inspect.Parameter) -> bool:
    """Return whether a call must pass a parameter: it has no default, and is not ``*args`` or ``**kwargs``."""
    variable = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in variable


@dataclass(frozen=True)
class Dummy(TensorInfo):
    """A dummy tensor: its shape, its dtype, and the range of its values.

    Attributes:
        low, high: the range from which values are drawn uniformly; ``high`` is excluded, as in ``torch.randint``.
        is_open: whether the user chose no dtype, so that it follows the dtype of the weights.
        is_image: whether it was written without its batch size.
    """

    low: float = 0
    high: float = 1
    is_open: bool = False
    is_image: bool = field(default=False, repr=False, compare=False)


@dataclass(frozen=True)
class Arguments:
    """The arguments of forward; at any depth, each tensor may be replaced by a :class:`~fxviz.TensorInfo`."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, inputs: Any, kwargs: Mapping[str, Any] | None = None) -> Arguments:
        """Take a tuple or list as positional arguments, a mapping as keyword arguments, anything else as one argument.

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
    """One input as written on a command line.

    Attributes:
        shape: its sizes, as written.
        name: the parameter of forward; "" for a positional argument.
        dtype: one of ``DTYPES``; "" stands for float32.
        low, high: the range of its values; both or neither are given.

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
        """Parse ``[NAME=]SIZES[:DTYPE][[LOW,HIGH]]``.

        Raises:
            UsageError: it does not have that form, or there is no such tensor.

        >>> InputSpec.parse("3x0x64")
        Traceback (most recent call last):
        ...
        fxviz.UsageError: invalid input '3x0x64': a size is 0; each size must be 1 or greater
        """
        found = _SPEC.fullmatch(text)
        if found is None:
            raise UsageError(f"invalid input '{text}': write {_GRAMMAR}")
        low, high = (None if found[key] is None else _number(found[key], text) for key in ("low", "high"))
        sizes = tuple(_size(size, text) for size in found["sizes"].split("x"))
        spec = cls(sizes, found["name"] or "", found["dtype"] or "", low, high)
        spec._check(text)
        return spec

    def _check(self, text: str) -> None:
        if 0 in self.shape:
            raise UsageError(f"invalid input '{text}': a size is 0; each size must be 1 or greater")
        if math.prod(self.shape) >= 2**63:
            raise _too_large(text)
        if self.dtype and self.dtype not in DTYPES:
            raise UsageError(f"invalid input '{text}': unknown dtype '{self.dtype}'; choose {', '.join(DTYPES)}")
        if self.low is None or self.high is None:
            return
        if self.dtype == "bool" or "complex" in self.dtype:
            raise UsageError(f"invalid input '{text}': values of dtype {self.dtype} have no range; remove [...]")
        if not self.low < self.high:
            raise UsageError(f"invalid input '{text}': the range is empty; in [LOW,HIGH], LOW must be less than HIGH")
        if self.dtype in _BITS:
            largest = 2 ** _BITS[self.dtype] - 1
            least = 0 if self.dtype == "uint8" else -largest - 1
            if not (
                isinstance(self.low, int) and isinstance(self.high, int) and least <= self.low and self.high <= largest
            ):
                raise UsageError(
                    f"invalid input '{text}': values of dtype {self.dtype} are whole numbers from {least} to {largest}"
                )

    def __str__(self) -> str:
        name = f"{self.name}=" if self.name else ""
        dtype = f":{self.dtype}" if self.dtype else ""
        bounds = "" if self.low is None else f"[{self.low},{self.high}]"
        return f"{name}{'x'.join(map(str, self.shape))}{dtype}{bounds}"

    @property
    def is_image(self) -> bool:
        """Return whether it is an image without a batch axis: three sizes, and neither a name nor a dtype."""
        return len(self.shape) == _IMAGE_SIZES and not self.name and not self.dtype

    def tensor(self) -> TensorInfo:
        """Return the dummy tensor; an image without a batch axis gets a batch of 1.

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
        raise _too_large(spec)
    return int(text)


def _too_large(text: str) -> UsageError:
    return UsageError(f"invalid input '{text}': it has more elements than torch can count; use smaller sizes")


def _number(text: str, spec: str) -> float:
    """Parse a bound of a range, as an integer if it is written as one."""
    try:
        number = int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else float(text)
    except ValueError:
        raise UsageError(f"invalid input '{spec}': '{text}' is not a number; write [LOW,HIGH]") from None
    if not math.isfinite(number):
        raise UsageError(f"invalid input '{spec}': '{text}' is too large for a float")
    return number


def arguments(texts: Iterable[str]) -> Arguments:
    """Parse the inputs of a command line: named ones are keyword arguments, the others positional, in order.

    Raises:
        UsageError: one cannot be parsed, or two have the same name.

    >>> arguments(["7x7", "mask=1x64:bool"]).kwargs
    {'mask': TensorInfo(shape=(1, 64), dtype='bool')}
    """
    specs = [InputSpec.parse(text) for text in texts]
    names = [spec.name for spec in specs if spec.name]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"input '{twice}' is given twice: use each name once")
    return Arguments(
        tuple(spec.tensor() for spec in specs if not spec.name),
        {spec.name: spec.tensor() for spec in specs if spec.name},
    )


def batched(inputs: Arguments, batch: int) -> Arguments:
    """Set the batch size: the first size of each tensor, which must be 1, becomes ``batch``.

    A list of tensors whose first size is not 1 is itself the batch (the images of a detector) and is repeated.

    Raises:
        UsageError: a tensor has another batch size already.

    >>> batched(Arguments((TensorInfo((1, 3, 8, 8), "float32"),)), 4).args[0].shape
    (4, 3, 8, 8)
    >>> batched(Arguments(([TensorInfo((3, 8, 8), "float32")],)), 2).args[0][1].shape
    (3, 8, 8)
    """
    return Arguments(_batched(inputs.args, batch), _batched(inputs.kwargs, batch))


def in_dtype(inputs: Arguments, dtype: str, every: bool = False) -> Arguments:
    """Change the dtype of floating-point inputs: of those whose dtype is open, or of ``every`` one.

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
                f"cannot use batch {batch}: an input has shape {value.shape}; make the first size 1, or omit the batch"
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
            f"cannot use batch {batch}: the inputs are tensors, which have a batch size already; omit one of the two"
        )
    return value
