"""An exported program, ``program.pt2``: the modules that it was exported from, and the inputs that came with it."""

from __future__ import annotations

import logging
import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fxviz._errors import UsageError, shown
from fxviz._sources.exported_vetting import Unsafe, check_data_only
from fxviz._sources.inputs import Arguments
from fxviz._sources.reference import Reference
from fxviz._sources.source import Source, described

_ONLY_WEIGHTS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""Tells ``torch.load`` to unpickle nothing but tensors and plain containers, also where torch's own code asks for more."""

_EXPORT = "write it with torch.export.save"


def source(reference: Reference) -> Source:
    """The program in a file, which is read here.

    Raises:
        UsageError: there is no such file, it holds no program that this torch reads, or reading it would run code.

    >>> source(Reference("program", "nowhere.pt2"))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot read 'nowhere.pt2': No such file or directory
    """
    path = reference.place
    _check_file(path)
    from fxviz._sources.exported_modules import modules_of

    try:
        with _plainly():
            program = _loaded(path)
            module = modules_of(program)
            inputs = _example(program)
    except Exception as error:
        raise UsageError(f"cannot load '{shown(path)}': {_said(error)}") from error
    return Source(Path(path).stem, path, lambda allocate: module, lambda: inputs)


def _check_file(path: str) -> None:
    where = f"cannot read '{shown(path)}'"
    try:
        check_data_only(path)
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror or error}") from None
    except Unsafe as error:
        raise UsageError(
            f"{where}: {shown(str(error))}; fxviz runs and unpickles nothing from a file of data"
        ) from None
    except (zipfile.BadZipFile, ValueError, KeyError, NotImplementedError, RuntimeError, EOFError, RecursionError):
        raise UsageError(f"{where}: it is no exported program, or cut short; {_EXPORT}") from None


def _loaded(path: str) -> Any:
    import torch

    with Path(path).open("rb") as file:
        return torch.export.load(file)


def _example(program: Any) -> Arguments | None:
    """What the program was exported with; None if that was not saved."""
    from torch import Tensor
    from torch.utils._pytree import tree_map_only

    if program.example_inputs is None:
        return None
    args, kwargs = tree_map_only(Tensor, described, program.example_inputs)
    return Arguments(args, kwargs)


@contextmanager
def _plainly() -> Iterator[None]:
    """No remarks of torch's, and nothing is unpickled."""
    said, before = logging.root.manager.disable, os.environ.get(_ONLY_WEIGHTS)
    logging.disable(logging.CRITICAL)
    os.environ[_ONLY_WEIGHTS] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(said)
        del os.environ[_ONLY_WEIGHTS]
        if before is not None:
            os.environ[_ONLY_WEIGHTS] = before


def _said(error: Exception) -> str:
    """What torch says, in one line; it unpickles where weights alone will not do, and is kept from it."""
    import torch

    if "weights_only" in str(error) or "WeightsUnpickler" in str(error):
        return "it holds objects that would be unpickled, and fxviz unpickles nothing; export the model without them"
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {shown(first)}; export the model again with torch {torch.__version__}"
