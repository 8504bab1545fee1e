"""Restore what belongs to the whole process: random numbers, settings of torch and numpy, the environment."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fxviz._sources.torch_state import global_hooks, print_options
from fxviz._trace.places import put_hooks, unrestored


@contextmanager
def random_state(real: bool) -> Iterator[None]:
    """Restore the random state of torch, of Python, and of numpy if that is imported.

    >>> before = random.getstate()
    >>> with random_state(real=False):
    ...     _ = random.random()
    >>> random.getstate() == before
    True
    """
    devices = range(torch.cuda.device_count()) if real and torch.cuda.is_available() else ()
    state = random.getstate()
    numpy = sys.modules.get("numpy.random")
    numbers = numpy.get_state() if numpy else None
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        random.setstate(state)
        if numpy:
            numpy.set_state(numbers)


@contextmanager
def settings(sentences: list[str]) -> Iterator[None]:
    """Restore the settings that code may change for the whole process; add a sentence on each that cannot be.

    >>> with settings([]):
    ...     torch.set_default_dtype(torch.float64)
    >>> torch.get_default_dtype()
    torch.float32
    """
    before = {name: read() for name, (read, _) in _settings().items()}
    held: list[dict[Any, Any]] = [*global_hooks(), print_options()]
    items = [dict(each) for each in held]
    try:
        yield
    finally:
        for name, (read, write) in _settings().items():
            try:
                if name in before and read() != before[name]:
                    write(before[name])
            except Exception as error:
                sentences.append(unrestored(name, error))
        for each, now in zip(held, items, strict=True):
            put_hooks(each, now)


_Setting = tuple[Callable[[], Any], Callable[[Any], None]]


def _settings() -> dict[str, _Setting]:
    """Return the functions that read and write each setting."""
    found: dict[str, _Setting] = {
        "torch.get_default_dtype()": (torch.get_default_dtype, torch.set_default_dtype),
        "torch.get_num_threads()": (torch.get_num_threads, torch.set_num_threads),
        "torch.are_deterministic_algorithms_enabled()": (_determinism, _set_determinism),
        "torch.get_float32_matmul_precision()": (
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        "torch.is_anomaly_enabled()": (_anomaly, _set_anomaly),
        "os.environ": (lambda: dict(os.environ), _set_environment),
        "os.getcwd()": (_folder, os.chdir),
        "sys.path": (lambda: list(sys.path), lambda value: sys.path.__setitem__(slice(None), value)),
        "warnings.filters": (lambda: list(warnings.filters), _set_filters),
    }
    for holder, name in _FLAGS:
        found[f"{holder.__name__}.{name}"] = _flag(holder, name)
    for kind in ("flash", "mem_efficient", "math", "cudnn"):
        read, write = (
            getattr(torch.backends.cuda, text.format(kind), None) for text in ("{}_sdp_enabled", "enable_{}_sdp")
        )
        if read is not None and write is not None:
            found[f"torch.backends.cuda.{kind}_sdp_enabled()"] = read, write
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        found["numpy.geterr()"] = numpy.geterr, lambda value: numpy.seterr(**value)
        found["numpy.get_printoptions()"] = numpy.get_printoptions, lambda value: numpy.set_printoptions(**value)
    return found


_FLAGS: tuple[tuple[Any, str], ...] = (
    (torch.backends.cudnn, "enabled"),
    (torch.backends.cudnn, "benchmark"),
    (torch.backends.cudnn, "deterministic"),
    (torch.utils.deterministic, "fill_uninitialized_memory"),
)


def _flag(holder: Any, name: str) -> _Setting:
    return lambda: getattr(holder, name), lambda value: setattr(holder, name, value)


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_determinism(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def _set_anomaly(value: tuple[bool, bool]) -> None:
    torch.autograd.set_detect_anomaly(*value)


def _folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed
        return ""


def _set_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _set_filters(before: list[Any]) -> None:
    warnings.resetwarnings()  # which tells the modules that have remembered what they warned of
    filters: Any = warnings.filters
    filters[:] = before
