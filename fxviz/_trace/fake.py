"""Make fake tensors, and guess or shortcut the results of operations on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fxviz._sources.torch_private import (
    FakeTensor,
    FakeTensorMode,
    fake_strided,
    tree_leaves,
    tree_map_only,
    with_values,
    without_function_modes,
    without_modes,
    writes,
)

_PLAIN = (Tensor, nn.Parameter, getattr(nn, "Buffer", nn.Parameter))
"""Classes of tensors that shape, strides and dtype describe in full."""


def fake_of(tensor: Tensor, mode: FakeTensorMode, device: torch.device) -> Tensor:
    """Make a fake tensor like ``tensor`` on a device, whatever device that is on.

    >>> fake_of(torch.empty(2, 3, device="meta"), FakeTensorMode(), torch.device("cpu"))
    FakeTensor(..., size=(2, 3))
    """
    with without_function_modes():  # it is made from a meta tensor, which is not the model's
        if isinstance(tensor, FakeTensor):  # of another mode
            return fake_strided(tensor, mode, device)
        if type(tensor) not in _PLAIN or tensor.layout is not torch.strided or tensor.is_quantized:
            made: Tensor = mode.from_tensor(tensor.detach())
            return made if made.device == device else made.to(device)
        return fake_strided(tensor, mode, device)


def dtype_named(kind: Any) -> Any:
    """Return the dtype of tensors of a type, which also names a device; anything else as it is.

    >>> dtype_named(torch.cuda.HalfTensor), dtype_named("torch.cuda.LongTensor"), dtype_named(torch.int8)
    (torch.float16, torch.int64, torch.int8)
    """
    named = getattr(torch, kind.rpartition(".")[2], kind) if isinstance(kind, str) else kind
    dtype = getattr(named, "dtype", kind)
    return dtype if isinstance(dtype, torch.dtype) else kind


_MOST_POSITIONS = 10_000
"""Positions that keep their values: those of experts, not those of the pixels of an image."""

Guess = Callable[..., Any]


Rows = Callable[[Tensor], "int | None"]
"""Returns how many entries of a mask are true; None where that is not known."""


def guess_of(func: Any, rows: Rows = lambda mask: None) -> Guess | None:
    """Return a function that guesses the result of an operation from its arguments; None if there is none.

    Args:
        func: the operation's overload.
        rows: tells how many entries of a mask are true; where it does not know, all are.

    >>> guess = guess_of(torch.ops.aten.nonzero.default)
    >>> tuple(guess(torch.zeros(2, 3)).shape)
    (6, 2)
    >>> guess_of(torch.ops.aten.add.Tensor) is None
    True
    """
    name = str(func.overloadpacket)
    return partial(_COUNTING[name], rows) if name in _COUNTING else _GUESSES.get(name)


def _number(tensor: Tensor) -> bool | int | float | complex:
    kinds = (("is_complex", 1 + 0j), ("is_floating_point", 1.0))
    if tensor.dtype is torch.bool:
        return True
    return next((value for kind, value in kinds if getattr(tensor, kind)()), 1)


def _equal(tensor: Tensor, other: Tensor) -> bool:
    return True


def _nonzero(rows: Rows, tensor: Tensor) -> Tensor:
    """Return the positions of the entries that are true; if these are all of a vector, with their values."""
    count = rows(tensor)
    if count is None and tensor.dim() == 1 and isinstance(tensor, FakeTensor) and tensor.numel() <= _MOST_POSITIONS:
        return with_values(tensor.numel(), tensor.fake_mode)
    return tensor.new_empty((tensor.numel() if count is None else count, tensor.dim()), dtype=torch.int64)


def _masked_select(tensor: Tensor, mask: Tensor) -> Tensor:
    shape: torch.Size = torch.broadcast_shapes(tensor.shape, mask.shape)  # type: ignore[no-untyped-call]
    return tensor.new_empty(shape.numel())


def _index(rows: Rows, tensor: Tensor, indices: list[Tensor | None]) -> Tensor:
    """Replace a mask among the indices by the positions of its true entries, one index for each of its axes."""
    positions: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype in (torch.bool, torch.uint8):
            positions += _nonzero(rows, index).unbind(1)
        else:
            positions.append(index)
    result: Tensor = torch.ops.aten.index.Tensor(tensor, positions)
    return result


def _unique(tensor: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False) -> Any:
    values = tensor.new_empty(min(1, tensor.numel()))
    return _with_places(values, len(values), tuple(tensor.shape), return_inverse, return_counts)


def _unique_along(
    tensor: Tensor, dim: int, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False
) -> Any:
    count = min(1, tensor.shape[dim])
    return _with_places(
        tensor.narrow(dim, 0, count).clone(), count, (tensor.shape[dim],), return_inverse, return_counts
    )


def _unique_consecutive(
    tensor: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    if dim is None:
        return _unique(tensor, True, return_inverse, return_counts)
    return _unique_along(tensor, dim, True, return_inverse, return_counts)


def _with_places(
    values: Tensor, count: int, places: tuple[int, ...], inverse: bool, counts: bool
) -> tuple[Tensor, ...]:
    """Return unique values, with the index of the one at each place and the count of each, where they are asked for."""
    inverses = values.new_empty(places if inverse else 0, dtype=torch.int64)
    return values, inverses, values.new_empty(count if counts else 0, dtype=torch.int64)


def _repeat_interleave(repeats: Tensor, *, output_size: int | None = None) -> Tensor:
    return repeats.new_empty(repeats.numel() if output_size is None else output_size)


def _bincount(tensor: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    bins = tensor.new_empty(max(2 if tensor.numel() else 0, minlength), dtype=torch.int64)
    return bins if weights is None else bins.to(torch.float64)


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return boxes.new_empty(boxes.shape[0], dtype=torch.int64)


_GUESSES: dict[str, Guess] = {
    "aten._local_scalar_dense": _number,
    "aten.equal": _equal,
    "aten.masked_select": _masked_select,
    "aten._unique2": _unique,
    "aten.unique_dim": _unique_along,
    "aten.unique_consecutive": _unique_consecutive,
    "aten.repeat_interleave": _repeat_interleave,
    "aten.bincount": _bincount,
    "torchvision.nms": _nms,
}

_COUNTING: dict[str, Callable[..., Any]] = {"aten.nonzero": _nonzero, "aten.index": _index}
"""Guesses that ask how many entries of a mask are true."""

UPPER_BOUNDS = frozenset({"aten.nonzero", "aten.index", "aten.masked_select", "torchvision.nms"})
"""Operations whose result is guessed to be as large as it can be."""


def quick(func: Any, args: tuple[Any, ...]) -> Any:
    """Return the result of ``func`` for fake tensors, None where torch computes it.

    >>> image = torch.empty(1, 3, 8, 8, device="meta")
    >>> result = quick(torch.ops.aten.native_batch_norm.default, (image, None, None, image, image, False, 0.1, 1e-5))
    >>> [tuple(tensor.shape) for tensor in result]
    [(1, 3, 8, 8), (0,), (0,)]
    """
    if func is torch.ops.aten.native_batch_norm.default and not args[5]:
        return _batch_norm_in_eval_mode(args[0])
    if str(func.overloadpacket) == "aten._grouped_mm" and args[0].dtype is torch.float32:
        return _grouped_product(func, *args)
    return None


_MOST_ZEROS = 2**24
"""Maximum number of elements in the arguments of an operation that is run on zeros."""


def on_zeros(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], mode: FakeTensorMode) -> Any:
    """Run an operation that torch refuses for fake tensors on real zeros: kernels for fake tensors can be stricter.

    Returns:
        Fake tensors like its result; None if it refuses the zeros, too, or may not be run on them.
    """
    tensors = [part for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)]
    if writes(func) or sum(tensor.numel() for tensor in tensors) > _MOST_ZEROS:
        return None
    with without_function_modes(), without_modes():
        args, kwargs = tree_map_only(Tensor, _zeros_like, (args, kwargs))
        try:
            result = func(*args, **kwargs)
        except Exception:
            return None
        return tree_map_only(Tensor, lambda tensor: fake_of(tensor, mode, tensor.device), result)


def _zeros_like(tensor: Tensor) -> Tensor:
    made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    return made.zero_()


def _batch_norm_in_eval_mode(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the result and empty statistics of the batch, as torch does (aten/src/ATen/native/Normalization.cpp)."""
    none = image.new_empty((0,))
    return torch.empty_like(image), none, none


def _grouped_product(
    func: Any, rows: Tensor, weights: Tensor, offsets: Tensor | None = None, bias: Any = None, out_dtype: Any = None
) -> Tensor:
    """Compute in half precision, which alone torch's kernel for fake tensors accepts; real kernels accept float32."""
    result: Tensor = func(rows.bfloat16(), weights.bfloat16(), offsets, bias)
    return result.to(out_dtype or rows.dtype)
