"""Build a model: the same each time, in eval mode, quietly."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from fxviz import libraries
from fxviz._sources.empty import empty_parameters

if TYPE_CHECKING:
    from torch import nn

Result = TypeVar("Result")


def build(make: Callable[[], nn.Module], allocate: bool) -> nn.Module:
    """The module that ``make`` returns, in eval mode; torch's random state is kept.

    Args:
        make: calls the library.
        allocate: whether parameters hold memory; if so they are the same each time.

    >>> from torch import nn
    >>> build(lambda: nn.Linear(2, 3), allocate=False).weight.device
    device(type='meta')
    """
    return made(make, allocate).eval()


def made(make: Callable[[], Result], allocate: bool) -> Result:
    """What ``make`` returns, with or without memory for the parameters of modules in it; torch's random state is kept.

    >>> from torch import nn
    >>> made(lambda: [nn.Linear(2, 3)], allocate=False)[0].weight.device
    device(type='meta')
    """
    import torch

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), nullcontext() if allocate else empty_parameters():
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(0)
        return make()


def optional_library(name: str) -> Any:
    """The library called ``name``, which not every installation has.

    Raises:
        UsageError: it is not installed; the message says how to get it.

    >>> optional_library("timn")
    Traceback (most recent call last):
    ...
    fxviz._errors.UsageError: models called 'timn:...' need timn, which is not installed: pip install "fxviz[timn]"
    """
    return libraries.optional_library(name, f"models called '{name}:...' need", name)
