"""Multiply-accumulate operations (MACs) of one aten operation, from torch's own FLOP formulas; 1 MAC = 2 FLOPs.

Source: ``torch/utils/flop_counter.py``. As there, matrix products, convolutions and attention count; additions, norms, activations
and data movement are 0. An operation of another library, for which there is no formula, is unknown, never 0.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

aten = torch.ops.aten


def _cpu_flash_attention(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))


def _fused_lstm_layer(input: Any, input_weight: Any, hidden_weight: Any, *args: Any, **kwargs: Any) -> int:
    """Two matrix products at each time step: input x weight and state x weight."""
    return 2 * prod(input.shape[:2]) * (input_weight.numel() + hidden_weight.numel())


_FORMULAS: dict[Any, Any] = {}
if hasattr(aten, "_scaled_dot_product_flash_attention_for_cpu"):
    _FORMULAS[aten._scaled_dot_product_flash_attention_for_cpu] = _cpu_flash_attention
if hasattr(aten, "mkldnn_rnn_layer"):
    _FORMULAS[aten.mkldnn_rnn_layer] = _fused_lstm_layer


def macs_of(func: Any, args: Any, kwargs: Any, result: Any) -> int | None:
    """MACs of one call of an aten operation.

    Args:
        func: the operation's overload.
        args: its positional arguments.
        kwargs: its keyword arguments.
        result: what it returned.

    Returns:
        The count, or None if the operation is not one of torch's own and no formula is known.

    >>> a, b = torch.ones(2, 3), torch.ones(3, 5)
    >>> macs_of(aten.mm.default, (a, b), {}, a @ b)
    30
    """
    packet = func._overloadpacket
    if packet in _FORMULAS:
        return int(_FORMULAS[packet](*args, **kwargs)) // 2
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=result)) // 2
    return 0 if func.namespace in ("aten", "prim", "prims") else None
