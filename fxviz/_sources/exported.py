"""Read an exported program, ``program.pt2``: the modules that it was exported from, and its example inputs."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fxviz._graph.errors import UsageError, shown
from fxviz._graph.files import check_regular
from fxviz._sources.exported_vetting import Unsafe, check_data_only
from fxviz._sources.inputs import Arguments, describe
from fxviz._sources.own_thread import ignored_warnings
from fxviz._sources.reference import Reference
from fxviz._sources.source import Built, Source

_ONLY_WEIGHTS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""Makes ``torch.load`` unpickle only tensors and plain containers, even where torch's own code asks for more."""

_EXPORT = "write it with torch.export.save"


def source(reference: Reference) -> Source:
    """Read the program in a file.

    Raises:
        UsageError: there is no such file, it contains no program that torch can read, or reading it would run code.

    >>> source(Reference("program", "nowhere.pt2"))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot read 'nowhere.pt2': No such file or directory
    """
    path = reference.place
    _check_file(path)
    from fxviz._sources.exported_modules import modules_of

    try:
        with _quiet_and_safe():
            program = _loaded(path)
            module = modules_of(program)
            inputs = _example(program)
    except Exception as error:
        raise UsageError(f"cannot load '{shown(path)}': {_reason(error)}") from error
    return Source(Path(path).stem, path, lambda allocate: Built(module, inputs))


def check(path: str) -> None:
    """Refuse a file that is no archive, without torch.

    Raises:
        UsageError: it cannot be read, or is no archive.
    """
    where = f"cannot read '{shown(path)}'"
    try:
        check_regular(path)
        with Path(path).open("rb") as file:
            is_archive = zipfile.is_zipfile(file)
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror or error}") from None
    if not is_archive:
        raise UsageError(f"{where}: it is not an exported program, or is truncated; {_EXPORT}")


def _check_file(path: str) -> None:
    where = f"cannot read '{shown(path)}'"
    try:
        check_data_only(path)
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror or error}") from None
    except Unsafe as error:
        raise UsageError(f"{where}: {shown(str(error))}; fxviz neither runs nor unpickles anything in a file") from None
    except (zipfile.BadZipFile, ValueError, KeyError, NotImplementedError, RuntimeError, EOFError, RecursionError):
        raise UsageError(f"{where}: it is not an exported program, or is truncated; {_EXPORT}") from None


def _loaded(path: str) -> Any:
    import torch

    with Path(path).open("rb") as file:
        return torch.export.load(file)


def _example(program: Any) -> Arguments | None:
    """Return the inputs that the program was exported with; None if they were not saved."""
    from torch import Tensor

    from fxviz._sources.torch_private import tree_map_only

    if program.example_inputs is None:
        return None
    args, kwargs = tree_map_only(Tensor, describe, program.example_inputs)
    return Arguments(args, kwargs)


@contextmanager
def _quiet_and_safe() -> Iterator[None]:
    """Silence torch's warnings and logs, and let it unpickle nothing."""
    level, before = logging.root.manager.disable, os.environ.get(_ONLY_WEIGHTS)
    logging.disable(logging.CRITICAL)
    os.environ[_ONLY_WEIGHTS] = "1"
    try:
        with ignored_warnings():
            yield
    finally:
        logging.disable(level)
        del os.environ[_ONLY_WEIGHTS]
        if before is not None:
            os.environ[_ONLY_WEIGHTS] = before


def _reason(error: Exception) -> str:
    """Return torch's message in one line, or explain that the program contains objects that fxviz does not unpickle."""
    import torch

    if "weights_only" in str(error) or "WeightsUnpickler" in str(error):
        return "it contains pickled objects, and fxviz unpickles nothing; export the model without them"
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {shown(first)}; export the model again with torch {torch.__version__}"
