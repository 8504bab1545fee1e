"""Count the multiply-accumulate operations (MACs) of an aten operation, with torch's FLOP formulas; 1 MAC = 2 FLOPs.

Source: ``torch/utils/flop_counter.py``. As there, matrix products, convolutions and attention count; additions, norms,
activations and data movement are 0. Products that have no formula there (with a vector, inside fused recurrent layers)
are added here. A product for which there is no formula is unknown, never 0; so is any operation of another library.
A sparse factor counts with its stored values alone, a complex product as one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from fxviz._sources.torch_private import stored_values


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


def _matrices(left: Any, right: Any, *args: Any, **kwargs: Any) -> int:
    return int(left.numel() * right.shape[-1])


def _add_matrices(added: Any, left: Any, right: Any, *args: Any, **kwargs: Any) -> int:
    return _matrices(left, right)


def _by_rows(input: Any, weight: Any, *args: Any, **kwargs: Any) -> int:
    """Count a product of each row of the input with each row of the weight, as in ``linear``."""
    return int(input.numel() * weight.shape[0])


def _outer(added: Any, left: Any, right: Any, **kwargs: Any) -> int:
    return int(left.numel() * right.numel())


def _convolution_of_sequence(input: Any, weight: Any, *args: Any, **kwargs: Any) -> int:
    """Count ``conv_tbc``, which is padded on both sides: time x batch x channels, kernel x channels in x out."""
    pad = args[1] if len(args) > 1 else kwargs.get("pad", 0)
    return int((input.shape[0] + 2 * pad - weight.shape[0] + 1) * input.shape[1] * weight.numel())


def _trilinear(
    first: Any, second: Any, third: Any, ones1: Any, ones2: Any, ones3: Any, summed: Any, *args: Any, **kwargs: Any
) -> int:
    """Count two products: of the first two factors, summed where the third has size 1, and of their result with that.

    Source: ``_trilinear`` in ``aten/src/ATen/native/Linear.cpp``.
    """
    sizes1, sizes2, sizes3 = (
        _with_ones(each.shape, ones) for each, ones in ((first, ones1), (second, ones2), (third, ones3))
    )
    both = list(map(max, sizes1, sizes2))
    kept = [1 if place in summed and place in ones3 else size for place, size in enumerate(both)]
    return prod(both) + prod(map(max, kept, sizes3))


def _with_ones(shape: Any, places: Any) -> list[int]:
    sizes = list(shape)
    for place in sorted(places):
        sizes.insert(place, 1)
    return sizes


def _packed_linear(input: Any, packed: Any, *args: Any, **kwargs: Any) -> int:
    return _by_rows(input, _unpacked(packed))


_FORMULAS: dict[str, Callable[..., int]] = {
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention_on_cpu,
    "aten.mkldnn_rnn_layer": _lstm_layer_on_cpu,
    "aten._cudnn_rnn": _recurrent_layers_on_cuda,
    "aten.mv": _matrix_vector,
    "aten.dot": _matrix_vector,
    "aten.vdot": _matrix_vector,
    "aten.addmv": _add_matrix_vector,
    "aten._grouped_mm": _grouped_matrix_product,
    "aten.addbmm": _add_matrices,
    "aten.addr": _outer,
    "aten.linear": _by_rows,
    "aten.conv_tbc": _convolution_of_sequence,
    "aten._trilinear": _trilinear,
    "aten._int_mm": _matrices,
    "aten._addmm_activation": _add_matrices,
    "aten._weight_int8pack_mm": _by_rows,
    **dict.fromkeys(
        ("quantized.linear", "quantized.linear_relu", "quantized.linear_dynamic", "quantized.linear_relu_dynamic"),
        _packed_linear,
    ),
}

_CONVOLUTIONS = frozenset(
    ["torchvision.deform_conv2d"]
    + [f"quantized.conv{dims}d{after}" for dims in (1, 2, 3) for after in ("", "_relu", "_dynamic")]
    + [
        f"aten.{name}"
        for name in """_conv_depthwise2d conv_depthwise3d slow_conv3d_forward slow_conv_dilated2d slow_conv_dilated3d
        cudnn_convolution_relu cudnn_convolution_add_relu miopen_convolution miopen_convolution_relu
        miopen_convolution_add_relu miopen_depthwise_convolution mkldnn_convolution""".split()
    ]
)
"""Convolutions without a formula in torch: each result is a product with one filter, the second argument."""

_PRODUCTS = ("aten.mm", "aten.mv", "aten.addmm", "aten.addmv", "aten._sparse_addmm")
"""Products of two matrices, the last two tensors, of which one may be sparse."""

_WITHOUT_FORMULA = frozenset(
    "aten." + name
    for name in """_cdist_forward _euclidean_dist _pdist_forward _sparse_sparse_matmul
    sparse_sampled_addmm grid_sampler_2d grid_sampler_3d
    quantized_lstm quantized_gru miopen_rnn mkldnn_linear _weight_int4pack_mm _weight_int4pack_mm_for_cpu
    _weight_int4pack_mm_with_scales_and_zeros _dyn_quant_matmul_4bit _mixed_dtypes_linear _scaled_grouped_mm
    _scaled_grouped_mm_v2 _foreach_mm _cslt_sparse_mm _sparse_semi_structured_linear _sparse_semi_structured_mm
    _sparse_semi_structured_addmm hspmm sspaddmm _sparse_mm_reduce_impl _compute_linear_combination
    linalg_pinv linalg_eigvals linalg_polar linalg_matrix_sqrth _spsolve
    cudnn_convolution_transpose miopen_convolution_transpose slow_conv_transpose2d slow_conv_transpose3d
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

    >>> a, b = torch.ones(2, 3), torch.ones(3, 5)
    >>> macs_of(torch.ops.aten.mm.default, (a, b), {}, a @ b)
    30
    """
    packet = _functional(func.overloadpacket)
    name = str(packet)
    if name in _PRODUCTS and any(_is_sparse(factor) for factor in args):
        return _sparse_product(*args[-2:])
    if name in _CONVOLUTIONS:
        return int(result.numel() * prod(_unpacked(args[1]).shape[1:]))
    if name in _FORMULAS:
        return _FORMULAS[name](*args, **kwargs)
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=result)) // 2
    if name in _WITHOUT_FORMULA:
        return None
    return 0 if func.namespace in ("aten", "prim", "prims") else None


def _functional(packet: Any) -> Any:
    """Return the operation that computes the same as one of torch's that works in place (``addmm_``)."""
    name = str(packet)
    return getattr(torch.ops.aten, name.partition(".")[2].rstrip("_"), packet) if name.startswith("aten.") else packet


def macs_of_call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int | None:
    """Count the MACs of a function that torch computes by an elementwise product, which counts nothing by itself.

    >>> macs_of_call("outer", (), {}, torch.ones(2, 3)), macs_of_call("relu", (), {}, torch.ones(2, 3))
    (6, 0)
    """
    if name in ("outer", "ger", "kron"):
        return int(result.numel())
    if name in ("vecdot", "linalg_vecdot"):
        return max(int(factor.numel()) for factor in (*args, *kwargs.values())[:2])
    return None if name == "cosine_similarity" else 0


def _unpacked(weight: Any) -> Any:
    return weight if isinstance(weight, torch.Tensor) else weight.unpack()[0]


def _is_sparse(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout not in (torch.strided, torch.jagged)


def _sparse_product(left: Any, right: Any) -> int | None:
    """Count each stored value of the sparse factor for each column or row of the other; two sparse ones are unknown."""
    if _is_sparse(left) and _is_sparse(right):
        return None
    if _is_sparse(left):
        return int(stored_values(left) * prod(right.shape[1:]))
    return int(stored_values(right) * prod(left.shape[:-1]))
