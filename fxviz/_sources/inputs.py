"""Describe the inputs of a model, and parse them from a command line: ``batch.ids=1x128:int64[0,1000]``."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._graph.errors import UsageError, shown
from fxviz._sources.expression import Unreadable, literal, path_to

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
    (?:(?P<name>[^=]+)=)?
    (?P<sizes>[0-9]+(?:x[0-9]+)*)
    (?::(?P<dtype>[a-z]+[0-9]*))?
    (?:\[(?P<low>-?[0-9.e+-]+),(?P<high>-?[0-9.e+-]+)\])?
    """,
    re.VERBOSE,
)
_GRAMMAR = "[NAME=]SIZES[:DTYPE][[LOW,HIGH]], for example 3x64x64 or ids=1x128:int64[0,1000]"

_NAMES = "a name is that of a parameter of forward, with keys and places inside it: mask, batch.image, images[0], [1]"


def describe(tensor: Tensor) -> TensorInfo:
    """Return the shape and dtype of a tensor as plain values; of a jagged one, the shape of all its parts in a row.

    >>> describe(__import__("torch").ones(2, 3))
    TensorInfo(shape=(2, 3), dtype='float32')
    """
    plain = tensor.values() if str(tensor.layout) == "torch.jagged" else tensor
    refuse_nested(plain)
    return TensorInfo(tuple(int(size) for size in plain.shape), str(tensor.dtype).removeprefix("torch."))


def refuse_nested(tensor: Tensor) -> None:
    """Refuse a tensor whose parts have different sizes.

    Raises:
        UsageError: it is one.

    >>> torch = __import__("torch")
    >>> refuse_nested(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: a nested (jagged) tensor has no one shape: pass it padded (x.to_padded_tensor(0.0)), or one part
    """
    if tensor.is_nested:
        raise UsageError(
            "a nested (jagged) tensor has no one shape: pass it padded (x.to_padded_tensor(0.0)), or one part"
        )


def is_required(parameter: inspect.Parameter) -> bool:
    """Return whether a call must pass a parameter: it has no default, and is not ``*args`` or ``**kwargs``."""
    return parameter.default is parameter.empty and not parameter.kind.name.startswith("VAR_")


@dataclass(frozen=True)
class Dummy(TensorInfo):
    """A dummy tensor: its shape, its dtype, and the range of its values.

    Attributes:
        low, high: the range from which values are drawn uniformly; ``high`` is excluded, as in ``torch.randint``.
        is_open: whether the user chose no dtype, so that it follows the dtype of the weights.
        ends: the values at the end of its last axis.
    """

    low: float = 0
    high: float = 1
    is_open: bool = False
    ends: tuple[int, ...] = field(default=(), repr=False)


class Fields(dict[str, Any]):
    """A dict whose items are attributes, too: code may read ``batch["image"]`` or ``batch.image``.

    >>> Fields(image=1).image, Fields(image=1)["image"], hasattr(Fields(image=1), "mask")
    (1, 1, False)
    """

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"the input has no '{name}': it has {', '.join(self)}")


@dataclass(frozen=True)
class Arguments:
    """The arguments of forward; at any depth, each tensor may be replaced by a :class:`~fxviz.TensorInfo`.

    Attributes:
        args, kwargs: positional and keyword arguments.
        flags: the flags of the command line that they were written with.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def without_tensors(self) -> bool:
        """Return whether only plain values are given, beside the inputs that the model declares."""
        return self.flags == ("--arg",)

    @classmethod
    def of(cls, inputs: Any, kwargs: Mapping[str, Any] | None = None) -> Arguments:
        """Take a tuple or list as positional arguments, a mapping as keyword arguments, anything else as one argument.

        >>> Arguments.of({"x": 1}), Arguments.of([1, 2]), Arguments.of(1, {"y": 2})
        (Arguments(args=(), kwargs={'x': 1}), Arguments(args=(1, 2), kwargs={}), Arguments(args=(1,), kwargs={'y': 2}))
        """
        if isinstance(inputs, Arguments):
            return cls(inputs.args, {**inputs.kwargs, **(kwargs or {})}, inputs.flags)
        if isinstance(inputs, Mapping):
            return cls((), {**inputs, **(kwargs or {})})
        return cls(tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,), dict(kwargs or {}))


@dataclass(frozen=True)
class InputSpec:
    """One input as written on a command line.

    Attributes:
        shape: its sizes, as written.
        name: the parameter of forward, with keys and places inside it; "" for a positional argument.
        dtype: one of ``DTYPES``; "" stands for float32.
        low, high: the range of its values; both or neither are given.

    >>> InputSpec.parse("ids=1x128:int64[0,1000]")
    InputSpec(shape=(1, 128), name='ids', dtype='int64', low=0, high=1000)
    >>> print(InputSpec((1, 128), "batch.mask", "bool"))
    batch.mask=1x128:bool
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
            raise UsageError(f"invalid input '{shown(text)}': write {_GRAMMAR}")
        if found["name"]:
            _path(found["name"], f"input '{shown(text)}'")
        low, high = (None if found[key] is None else _number(found[key], text) for key in ("low", "high"))
        sizes = tuple(_size(size, text) for size in found["sizes"].split("x"))
        spec = cls(sizes, found["name"] or "", found["dtype"] or "", low, high)
        spec._check(text)
        return spec

    def _check(self, text: str) -> None:
        where = f"invalid input '{shown(text)}'"
        if 0 in self.shape:
            raise UsageError(f"{where}: a size is 0; each size must be 1 or greater")
        if math.prod(self.shape) >= 2**63:
            raise _too_large(text)
        if self.dtype and self.dtype not in DTYPES:
            raise UsageError(f"{where}: unknown dtype '{self.dtype}'; choose {', '.join(DTYPES)}")
        if self.low is None or self.high is None:
            return
        if self.dtype == "bool" or "complex" in self.dtype:
            raise UsageError(f"{where}: values of dtype {self.dtype} have no range; remove [...]")
        if not self.low < self.high:
            raise UsageError(f"{where}: the range is empty; in [LOW,HIGH], LOW must be less than HIGH")
        if self.dtype in _BITS:
            largest = 2 ** _BITS[self.dtype] - 1
            least = 0 if self.dtype == "uint8" else -largest - 1
            if not (
                isinstance(self.low, int) and isinstance(self.high, int) and least <= self.low and self.high <= largest
            ):
                raise UsageError(f"{where}: values of dtype {self.dtype} are whole numbers from {least} to {largest}")

    def __str__(self) -> str:
        name = f"{self.name}=" if self.name else ""
        dtype = f":{self.dtype}" if self.dtype else ""
        bounds = "" if self.low is None else f"[{self.low},{self.high}]"
        return f"{name}{'x'.join(map(str, self.shape))}{dtype}{bounds}"

    @property
    def is_image(self) -> bool:
        """Return whether it may be an image without a batch axis: three sizes, and neither a name nor a dtype."""
        return len(self.shape) == _IMAGE_SIZES and not self.name and not self.dtype

    def tensor(self, batched: bool = True) -> TensorInfo:
        """Return the dummy tensor; an image without a batch axis gets a batch of 1, unless ``batched`` is False.

        >>> InputSpec.parse("3x64x64:float32").tensor(), InputSpec.parse("3x64x64").tensor().shape
        (TensorInfo(shape=(3, 64, 64), dtype='float32'), (1, 3, 64, 64))
        """
        shape = (1, *self.shape) if self.is_image and batched else self.shape
        low, high = (0, 1) if self.low is None or self.high is None else (self.low, self.high)
        if not self.dtype:
            return Dummy(shape, "float32", low, high, is_open=True)
        return TensorInfo(shape, self.dtype) if self.low is None else Dummy(shape, self.dtype, low, high)


def _size(text: str, spec: str) -> int:
    if len(text) > 19:
        raise _too_large(spec)
    return int(text)


def _too_large(text: str) -> UsageError:
    return UsageError(f"invalid input '{shown(text)}': it has more elements than torch can count; use smaller sizes")


def _number(text: str, spec: str) -> float:
    """Parse a bound of a range, as an integer if it is a whole number ("1e5")."""
    try:
        number = int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else float(text)
    except ValueError:
        raise UsageError(f"invalid input '{shown(spec)}': '{text}' is not a number; write [LOW,HIGH]") from None
    if not math.isfinite(number):
        raise UsageError(f"invalid input '{shown(spec)}': '{text}' is too large for a float")
    return int(number) if float(number).is_integer() and abs(number) < 2**63 else number


@dataclass(frozen=True)
class Reading:
    """One way to understand the inputs of a command line.

    Attributes:
        arguments: the arguments of forward; None if none are given.
        remarks: what the user is told if this is the way that the model accepts.
        failed: what the user is told if the model does not accept it, and no other way.
    """

    arguments: Arguments | None
    remarks: tuple[str, ...] = ()
    failed: str = ""


def readings(inputs: Sequence[str], literals: Sequence[str] = ()) -> list[Reading]:
    """Parse the inputs of a command line in each way in which they can be meant, the most likely one first.

    Three sizes alone are one image, to which a batch axis is added, or a tensor as it is. Numbered inputs are
    positional arguments, or the items of one list.

    Args:
        inputs: the texts of ``--input``: sizes, with a name or a place if they have one.
        literals: the texts of ``--arg``: a name and a plain value.

    Raises:
        UsageError: one cannot be parsed, or two do not go together.

    >>> [reading.arguments.args[0].shape for reading in readings(["3x64x64"])]
    [(1, 3, 64, 64), (3, 64, 64)]
    >>> readings([], ["mode='fast'", "sizes=[8, 16]"])[0].arguments
    Arguments(args=(), kwargs={'mode': 'fast', 'sizes': [8, 16]})
    """
    if not inputs and not literals:
        return [Reading(None)]
    specs = [InputSpec.parse(text) for text in inputs]
    images = [str(spec) for spec in dict.fromkeys(specs) if spec.is_image]
    added = "is taken for one image and gets a batch axis; to keep it as written, add its dtype"
    taken_back = "is used as it is written: taken for one image, with a batch axis, it failed"
    first = _arguments(specs, literals)
    found = [Reading(first, tuple(f"input {image} {added}: {image}:float32" for image in images))]
    if images:
        as_written = _arguments(specs, literals, batched=False)
        failed = f"{' and '.join(images)} as written, without a batch axis, failed, too"
        found.append(Reading(as_written, tuple(f"input {image} {taken_back}" for image in images), failed))
    if any(spec.name.startswith("[") for spec in specs):
        remark = f"{len(first.args)} inputs are passed as one list: as arguments of their own they failed"
        failed = "as one list the inputs failed, too"
        found.append(Reading(replace(first, args=([*first.args],)), (remark,), failed))
    return found


def _arguments(specs: Sequence[InputSpec], literals: Sequence[str], batched: bool = True) -> Arguments:
    """Put each value at its place among the arguments: numbered ones are positional, the others keyword arguments."""
    root = _Branch()
    unnamed = iter(range(len(specs)))
    for spec in specs:
        path = _path(spec.name, "") if spec.name else (next(unnamed),)
        root.put(path, spec.tensor(batched), "input")
    for text in literals:
        root.put(*_named_literal(text), "argument")
    args, kwargs = root.positions(""), {key: _built(part, key) for key, part in root.items() if isinstance(key, str)}
    flags = (*(("--input",) if specs else ()), *(("--arg",) if literals else ()))
    return Arguments(tuple(args), kwargs, flags)


def _path(name: str, where: str) -> tuple[str | int, ...]:
    """Return the way to a value among the arguments: the number or the name of an argument, then keys and places."""
    try:
        first, keys = path_to(name)
    except Unreadable as error:
        raise UsageError(f"invalid {where}: '{shown(name)}' is no name ({error}); {_NAMES}") from None
    return (first, *keys) if first else keys


def _named_literal(text: str) -> tuple[tuple[str | int, ...], Any]:
    """Parse ``NAME=VALUE``.

    >>> _named_literal("batch.scale=2.5")
    (('batch', 'scale'), 2.5)
    """
    where = f"argument '{shown(text)}'"
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise UsageError(f"invalid {where}: write NAME=VALUE, for example flag=True or sizes=[8, 16]")
    path = _path(name, where)
    try:
        return path, literal(value.strip())
    except Unreadable as error:
        raise UsageError(f"invalid {where}: {error}") from None


class _Branch(dict[str | int, Any]):
    """The values inside one argument, or the arguments themselves, by name or number, while they are gathered."""

    def put(self, path: Sequence[str | int], value: Any, what: str) -> None:
        """Put a value at its place.

        Raises:
            UsageError: another value is there, or around it.
        """
        name, branch = _written(path), self
        for key in path[:-1]:
            inner = branch.setdefault(key, _Branch())
            if not isinstance(inner, _Branch):
                raise UsageError(f"{what} '{name}' is a part of what is given as a whole: leave out one of the two")
            branch = inner
        if isinstance(branch.get(path[-1]), _Branch):
            raise UsageError(f"{what} '{name}' is given as a whole and in parts: leave out one of the two")
        if path[-1] in branch:
            raise UsageError(f"{what} '{name}' is given twice: use each name once")
        branch[path[-1]] = value

    def positions(self, name: str) -> list[Any]:
        """Return the numbered values in order.

        Raises:
            UsageError: a number is left out.
        """
        numbers = sorted(key for key in self if isinstance(key, int))
        if numbers and numbers != list(range(len(numbers))):
            gap = next(place for place in range(len(numbers)) if place not in self)
            raise UsageError(f"input '{name}[{numbers[-1]}]' is given without '{name}[{gap}]': number them from 0")
        return [_built(self[number], f"{name}[{number}]") for number in numbers]


def _built(part: Any, name: str) -> Any:
    """Return a value, or the list or dict of those inside it."""
    if not isinstance(part, _Branch):
        return part
    numbered = part.positions(name)
    if numbered and len(numbered) < len(part):
        raise UsageError(f"input '{name}' has places and names: it is a list ('{name}[0]') or a dict ('{name}.key')")
    return numbered or Fields({str(key): _built(inner, f"{name}.{key}") for key, inner in part.items()})


def _written(path: Sequence[str | int]) -> str:
    """Write a path.

    >>> _written(["x", 0, "mask"]), _written([1])
    ('x[0].mask', '[1]')
    """
    return shown("".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix("."))


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
    return replace(inputs, args=_batched(inputs.args, batch), kwargs=_batched(inputs.kwargs, batch))


def in_dtype(inputs: Arguments, dtype: str, every: bool = False) -> Arguments:
    """Change the dtype of floating-point inputs: of those whose dtype is open, or of ``every`` one.

    >>> in_dtype(readings(["1x4", "1x4:float64", "ids=1x8:int64"])[0].arguments, "float16").args
    (Dummy(shape=(1, 4), dtype='float16', low=0, high=1, is_open=True), TensorInfo(shape=(1, 4), dtype='float64'))
    """

    def changed(value: Any) -> Any:
        if isinstance(value, TensorInfo):
            is_open = every or getattr(value, "is_open", False)
            return replace(value, dtype=dtype) if is_open and value.is_floating else value
        if isinstance(value, Mapping):
            return _with_items(value, changed)
        return type(value)(map(changed, value)) if type(value) in (tuple, list) else value

    return replace(inputs, args=changed(inputs.args), kwargs=changed(inputs.kwargs)) if dtype in DTYPES else inputs


def _with_items(value: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    items = {key: change(item) for key, item in value.items()}
    return Fields(items) if isinstance(value, Fields) else items


def _batched(value: Any, batch: int) -> Any:
    if isinstance(value, TensorInfo):
        if value.shape[:1] != (1,):
            raise UsageError(
                f"cannot use batch {batch}: an input has shape {value.shape}; make the first size 1, or omit the batch"
            )
        return replace(value, shape=(batch, *value.shape[1:]))
    if isinstance(value, Mapping):
        return _with_items(value, lambda item: _batched(item, batch))
    if isinstance(value, list) and any(isinstance(item, TensorInfo) and item.shape[:1] != (1,) for item in value):
        return value * batch
    if type(value) in (tuple, list):
        return type(value)(_batched(item, batch) for item in value)
    if hasattr(value, "expand"):
        raise UsageError(
            f"cannot use batch {batch}: the inputs are tensors, which have a batch size already; omit one of the two"
        )
    return value
