"""Count the weights of quantised models: those that share one stored value, and those that torch keeps packed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor, fx, nn

from fxviz._graph.units import quantity
from fxviz._graph.values import PACKED, Unregistered
from fxviz._sources.inputs import describe
from fxviz._sources.torch_private import class_label, written_path
from fxviz._trace.tensors import tensors_in

_NARROW = {"uint8": 8, "int8": 8, "uint16": 16, "int16": 16, "uint32": 32, "int32": 32}
"""Bits of the dtypes of whole numbers in which weights are kept; positions and indices are int64."""

_MOST_BITS = 8

_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")
"""Packages of torch's quantised modules, which keep their weights in objects that are no tensors."""

_READERS = ("weight", "bias", "get_weight", "get_bias")
"""The methods by which such modules return their weights."""


def weights_computed(nodes: Collection[fx.Node]) -> dict[str, frozenset[int]]:
    """Return the sizes of the weights in products that are computed from each tensor of narrow whole numbers, by name.

    Args:
        nodes: recorded steps; what was noted at a step that took the place of others counts, too.
    """
    found: dict[str, frozenset[int]] = {}
    for node in nodes:
        for name, sizes in node.meta.get("packed", {}).items():
            found[name] = found.get(name, frozenset()) | sizes
        if node.meta["macs"] == 0 or not node.meta["varies"] or node.op not in ("call_function", "call_method"):
            continue
        for weight in node.meta["reads"]:
            outputs = weight.meta["outputs"]
            if weight.meta["varies"] or len(outputs) != 1 or len(outputs[0].shape) < 2:
                continue
            if source := _narrow_source(weight):
                found[source] = found.get(source, frozenset()) | {prod(outputs[0].shape)}
    return found


def _narrow_source(weight: fx.Node) -> str:
    """Return the largest parameter or buffer of narrow whole numbers from which a tensor is computed; "" for none.

    The others are zero points and the distances by which values are shifted. Where there are as many real numbers as
    the tensor has, these are the weights, and the whole numbers mask them or give their order.
    """
    stack, seen, sizes = [weight], {weight}, {"": 0}
    weights = prod(weight.meta["outputs"][0].shape)
    while stack:
        node = stack.pop()
        if node.op == "get_attr":
            stored = node.meta["outputs"][0]
            if stored.is_floating and prod(stored.shape) >= weights:
                return ""
            is_held = node.meta["op"] in ("Parameter", "Buffer")
            sizes |= {str(node.target): prod(stored.shape)} if is_held and stored.dtype in _NARROW else {}
        new = [source for source in node.meta["reads"] if source not in seen]
        seen.update(new)
        stack += new
    return max(sizes, key=sizes.__getitem__)


def notes_on(root: nn.Module, nodes: Collection[fx.Node]) -> Iterator[str]:
    """Yield sentences on parameters and buffers of the recorded module that hold weights in few bits each."""
    used = {name for node in nodes for name in node.meta["uses"]}
    computed = weights_computed(nodes)
    parameters, buffers = dict(root.named_parameters()), dict(root.named_buffers())
    known: dict[tuple[str, str, int], list[tuple[str, Tensor, int]]] = {}
    unknown: dict[str, Tensor] = {}
    for name, tensor in {**parameters, **buffers}.items():
        kind = "buffer" if name in buffers else "parameter"
        dtype = describe(tensor).dtype
        bits = _bits(tensor, dtype, computed.get(name, frozenset()))
        if bits and not (bits == _NARROW[dtype] and kind == "parameter"):
            (count,) = computed[name]
            known.setdefault((kind, dtype, bits), []).append((name, tensor, count))
        elif not bits and kind == "parameter" and dtype in _NARROW and name in used:
            unknown[name] = tensor
    for (kind, dtype, bits), found in known.items():
        yield _in_bits(kind, dtype, bits, found)
    counted = [each for (kind, _, _), found in known.items() if kind == "parameter" for each in found]
    if counted and not unknown:
        stored = sum(tensor.numel() for tensor in parameters.values())
        total = stored + sum(count - tensor.numel() for _, tensor, count in counted)
        yield f"with each weight counted, the model has {total:,} parameters"
    if unknown:
        stored = sum(tensor.numel() for tensor in unknown.values())
        values = quantity(stored, "whole number")
        yield f"{_holders(list(unknown))} {values}, which are counted as stored: each may stand for several weights"
    yield from _subclasses(parameters, used)


def _bits(tensor: Tensor, dtype: str, sizes: Collection[int]) -> int:
    """Return the bits of each weight in a tensor; 0 where that is not certain."""
    if dtype not in _NARROW or len(sizes) != 1:
        return 0
    bits, rest = divmod(tensor.numel() * _NARROW[dtype], next(iter(sizes)) or 1)
    return bits if rest == 0 and 1 <= bits <= _MOST_BITS else 0


def _in_bits(kind: str, dtype: str, bits: int, found: Sequence[tuple[str, Tensor, int]]) -> str:
    weights = quantity(sum(count for _, _, count in found), "weight")
    stored = sum(tensor.numel() for _, tensor, _ in found)
    place = _holders([name for name, _, _ in found])
    tail = ", which are no parameters" if kind == "buffer" else ""
    return f"{place} {weights} of {bits} bit{'s' * (bits > 1)} each in {stored:,} values of {dtype}{tail}"


def _holders(names: Sequence[str]) -> str:
    first = written_path(names[0])
    return f"'{first}' holds" if len(names) == 1 else f"'{first}' and {len(names) - 1} more hold"


def _subclasses(parameters: Mapping[str, Tensor], used: Collection[str]) -> Iterator[str]:
    """Yield a sentence on parameters that are computed from tensors of other dtypes, which take less memory."""
    found = {name: parts for name, each in parameters.items() if name in used and (parts := list(_parts(each)))}
    if not found:
        return
    stored = sum(part.numel() * part.element_size() for parts in found.values() for part in parts)
    whole = sum(parameters[name].numel() for name in found)
    dtypes = ", ".join(dict.fromkeys(describe(part).dtype for parts in found.values() for part in parts))
    yield f"{_holders(list(found))} {quantity(whole, 'weight')} in {stored:,} bytes ({dtypes})"


def _parts(tensor: Tensor) -> Iterator[Tensor]:
    """Yield the tensors that a tensor of a subclass is computed from, if they have another dtype."""
    cls: Any = type(tensor)
    if not hasattr(cls, "__tensor_flatten__") or cls.__module__.startswith("torch.distributed"):
        return
    names, _ = cls.__tensor_flatten__(tensor)
    parts = [getattr(tensor, name) for name in names]
    if any(part.dtype is not tensor.dtype for part in parts):
        yield from parts


def packed_by_torch(root: nn.Module, called: Collection[str]) -> Iterator[Unregistered]:
    """Yield the weights of torch's quantised modules that were called, by class; they are no parameters.

    >>> from torch.ao.nn.quantized import dynamic
    >>> [(found.cls, found.scalars) for found in packed_by_torch(nn.Sequential(dynamic.Linear(4, 2)), ["0"])]
    [('Linear', 10)]
    """
    found: dict[str, list[tuple[str, int]]] = {}
    for path, module in root.named_modules():
        if path in called and f"{type(module).__module__}.".startswith(tuple(f"{name}." for name in _QUANTIZED)):
            readers = (getattr(module, name, None) for name in _READERS)
            weights = [reader() for reader in readers if callable(reader) and not isinstance(reader, Tensor)]
            if count := sum(tensor.numel() for tensor in tensors_in(weights)):
                found.setdefault(class_label(module), []).append((written_path(path), count))
    for cls, places in found.items():
        yield Unregistered(cls, places[0][0], len(places), sum(count for _, count in places), PACKED)
