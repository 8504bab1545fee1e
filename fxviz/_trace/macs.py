"""Count the multiply-accumulate operations (MACs) of an aten operation, with torch's FLOP formulas; 1 MAC = 2 FLOPs.

Source: ``torch/utils/flop_counter.py``. As there, matrix products, convolutions and attention count; additions, norms,
activations and data movement are 0. Products that have no formula there (with a vector, inside fused recurrent layers)
are added here. A product for which there is no formula is unknown, never 0; so is any operation of another library.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from torch.utils.flop_counter import flop_registry, sdpa_flop_count


def _attention_on_cpu(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape)) // 2  # type: ignore[no-untyped-call]


def _lstm_layer_on_cpu(input: Any, input_weight: Any, hidden_weight: Any, *args: Any, **kwargs: Any) -> int:
    """Count two matrix products at each time step: input x weight and state x weight."""
    return int(prod(input.shape[:-1]) * (input_weight.numel() + hidden_weight.numel()))


def _recurrent_layers_on_cuda(input: Any, weights: Any, *args: Any, **kwargs: Any) -> int:
    """Count a product with each weight matrix of each layer at each time step."""
    return int(prod(input.shape[:-1]) * sum(weight.numel() for weight in weights if weight.dim() == 2))


def _matrix_vector(matrix: Any, vector: Any) -> int:
    return int(matrix.numel())


def _add_matrix_vector(added: Any, matrix: Any, vector: Any, **kwargs: Any) -> int:
    return int(matrix.numel())


def _grouped_matrix_product(left: Any, right: Any, *args: Any, **kwargs: Any) -> int:
    """Count one product for each row: a third dimension or offsets form groups (``torch.nn.functional.grouped_mm``)."""
    groups = left.shape[0] if left.dim() == right.dim() == 3 else 1
    return int(groups * prod(left.shape[-2:]) * right.shape[-1])


_FORMULAS: dict[str, Callable[..., int]] = {
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention_on_cpu,
    "aten.mkldnn_rnn_layer": _lstm_layer_on_cpu,
    "aten._cudnn_rnn": _recurrent_layers_on_cuda,
    "aten.mv": _matrix_vector,
    "aten.dot": _matrix_vector,
    "aten.vdot": _matrix_vector,
    "aten.addmv": _add_matrix_vector,
    "aten.addmv_": _add_matrix_vector,
    "aten._grouped_mm": _grouped_matrix_product,
}


_WITHOUT_FORMULA = frozenset(
    "aten." + name
    for name in """linear _trilinear _cdist_forward _int_mm _addmm_activation addbmm _sparse_addmm
    quantized_lstm quantized_gru miopen_rnn mkldnn_linear _weight_int8pack_mm _weight_int4pack_mm
    _transformer_encoder_layer_fwd _native_multi_head_attention _fft_r2c _fft_c2c _fft_c2r linalg_inv_ex _linalg_svd
    _linalg_eigh _linalg_eigvals linalg_eig linalg_qr linalg_cholesky_ex linalg_lu linalg_lu_factor_ex linalg_lu_solve
    _linalg_solve_ex linalg_solve_triangular linalg_lstsq linalg_ldl_factor_ex linalg_ldl_solve
    linalg_householder_product linalg_matrix_exp _linalg_det _linalg_slogdet
    triangular_solve cholesky cholesky_solve cholesky_inverse geqrf ormqr""".split()
)
"""Products, Fourier transforms and decompositions among torch's own operations whose MACs no formula counts."""


def macs_of(func: Any, args: Any, kwargs: Any, result: Any) -> int | None:
    """Count the MACs of one call of an aten operation.

    Args:
        func: the operation's overload.
        args: its positional arguments.
        kwargs: its keyword arguments.
        result: what it returned.

    Returns:
        The count, or None if no formula is known and the operation multiplies, or is not torch's own.

    >>> import torch
    >>> a, b = torch.ones(2, 3), torch.ones(3, 5)
    >>> macs_of(torch.ops.aten.mm.default, (a, b), {}, a @ b)
    30
    """
    packet = func.overloadpacket
    if str(packet) in _FORMULAS:
        return _FORMULAS[str(packet)](*args, **kwargs)
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=result)) // 2
    if str(packet) in _WITHOUT_FORMULA:
        return None
    return 0 if func.namespace in ("aten", "prim", "prims") else None
