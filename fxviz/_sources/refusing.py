"""Files and values of weights in place of a model: they say nothing about the code that it consists of, and are not opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from fxviz._errors import UsageError
from fxviz._sources.reference import CHECKPOINTS, Reference
from fxviz.quoting import shown

_PICKLED = "it holds weights or a pickled module, and fxviz unpickles no module"
_HOLDS = {
    ".safetensors": "it holds weights, not code",
    ".onnx": "it holds a graph of ONNX, not a PyTorch model",
    ".h5": "it holds weights, not code",
}
"""What a file of weights holds; those not listed are pickled."""


def refused(reference: Reference) -> UsageError:
    """Why a file of weights cannot be drawn, and what can.

    >>> print(refused(Reference("weights", "a.h5")))
    cannot draw 'a.h5': it holds weights, not code; name the class or function that builds the model, 'net.py:Net'
    >>> str(refused(Reference("weights", "a.pt"))).rpartition("; ")[2]
    "name the class or function that builds the model, and the weights beside it: 'net.py:Net --weights a.pt'"
    """
    suffix, file = PurePath(reference.place).suffix.lower(), shown(reference.place)
    example = f", and the weights beside it: 'net.py:Net --weights {file}'" if suffix in CHECKPOINTS else ", 'net.py:Net'"
    holds = _HOLDS.get(suffix, _PICKLED)
    return UsageError(f"cannot draw '{file}': {holds}; name the class or function that builds the model{example}")


def is_state(value: Any) -> bool:
    """Whether it is a ``state_dict``: tensors by name, also inside of a checkpoint.

    >>> is_state({"fc.weight": __import__("torch").ones(1)}), is_state({"depth": 3}), is_state({})
    (True, False, False)
    """
    from torch import Tensor

    if not isinstance(value, Mapping):
        return False
    inner = [item for item in value.values() if isinstance(item, Mapping)]
    return any(isinstance(item, Tensor) for mapping in (value, *inner) for item in mapping.values())


NO_CODE = "weights without code: build the module, load them into it with load_state_dict, and give the module"
"""What a ``state_dict`` is, and the way out."""
