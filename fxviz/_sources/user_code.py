"""Import a user's file or module as ``python file.py`` and ``python -m module`` would.

A file that imports from its own package is imported as a module of that package, wherever the package is.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.machinery
import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from types import ModuleType

from fxviz._graph.errors import FxvizError, UnknownModel, UsageError, blamed_line, first_line, shown
from fxviz._graph.files import read_whole
from fxviz._sources.own_thread import patched, printing_to_stderr
from fxviz._sources.reference import LIBRARIES, Reference

_MAX_LISTED = 8
"""Maximum number of modules that a message lists."""

_MAX_BYTES = 10_000_000
"""Maximum size of a file of code."""

_INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed libraries."""

_BEYOND = "beyond top-level package"
"""Part of the error of a relative import that leads out of the packages that are known."""

_imported_beside: dict[str, ModuleType] = {}
"""Modules imported from beside the last file: the next file gets its own, and a changed file is read again."""


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Make the modules in ``folder`` importable; ``sys.path`` is restored afterwards.

    >>> with importable(Path("somewhere")):
    ...     sys.path[0]
    'somewhere'
    """
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def beside(folder: Path) -> Iterator[None]:
    """Do as :func:`importable` for the directory of a file, and forget its modules when the next file is read.

    Installed libraries are not forgotten: most of them cannot be imported twice.
    """
    before = set(sys.modules)
    with importable(folder):
        try:
            yield
        finally:
            if not _INSTALLED & set(folder.parts):
                _imported_beside.update(_modules_beside(folder, before))


def import_module(reference: Reference) -> ModuleType:
    """Import the module that ``reference`` names; modules in the current directory can be imported, too.

    Raises:
        UnknownModel: there is no such module.
        UsageError: its code failed.

    >>> import_module(Reference("module", "os.path")).join("a", "b") == str(Path("a", "b"))
    True
    """
    _forget()
    with importable(Path.cwd()):
        _check_exists(reference)
        with own_code(f"cannot import '{shown(reference.place)}'"):
            try:
                return importlib.import_module(reference.place)
            except ModuleNotFoundError as error:
                if not f"{reference.place}.".startswith(f"{error.name}."):
                    raise
                raise UnknownModel(_missing(reference, str(error.name))) from None


def is_installed(reference: Reference) -> bool:
    """Return whether ``reference`` names a module of an installed library, not one of the user's own.

    >>> is_installed(Reference("module", "torch.nn", "Linear")), is_installed(Reference("file", "net.py", "Net"))
    (True, False)
    """
    if reference.kind != "module":
        return False
    with importable(Path.cwd()):
        name = reference.place.partition(".")[0]
        spec = getattr(sys.modules.get(name), "__spec__", None) or importlib.util.find_spec(name)
    return bool(_INSTALLED & set(Path(spec.origin or "").parts)) if spec else False


def _check_exists(reference: Reference) -> None:
    name = reference.place.partition(".")[0]
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    near = difflib.get_close_matches(name, LIBRARIES, n=1)
    advice = f"run fxviz in the directory that contains it, or install it for {sys.executable}"
    hint = f"did you mean {near[0]}:{shown(reference.called)}?" if near else advice
    raise UnknownModel(f"unknown model '{shown(str(reference))}': there is no module '{shown(name)}'; {hint}")


def _missing(reference: Reference, name: str) -> str:
    """Explain that a package, which was imported, has no module ``name``, and list those that it has."""
    package, _, last = name.rpartition(".")
    places = getattr(sys.modules.get(package), "__path__", ())
    inside = [module.name for module in pkgutil.iter_modules(places) if not module.name.startswith("_")]
    near = difflib.get_close_matches(last, inside, n=1)
    other = str(replace(reference, place=f"{package}.{near[0]}", text="")) if near else ""
    hint = f"did you mean {shown(other)}?" if near else f"it has {', '.join(inside[:_MAX_LISTED]) or 'none'}"
    return f"unknown model '{shown(str(reference))}': '{shown(package)}' has no module '{shown(last)}'; {hint}"


def module_part(name: str) -> str:
    """Return the part of a dotted name that names a module, without importing any; "" if none does.

    >>> module_part("os.path"), module_part("torch.nn.Linear"), module_part("no_such.module")
    ('os', 'torch.nn', '')
    """
    parts, found = name.split("."), 0
    places: Sequence[str] | None = [str(Path.cwd()), *sys.path]
    while places is not None and found < len(parts):
        spec = importlib.machinery.PathFinder.find_spec(parts[found], places)
        if spec is None:
            break
        found, places = found + 1, spec.submodule_search_locations
    return ".".join(parts[:found])


def import_file(path: str) -> ModuleType:
    """Import the file at ``path`` as a module with the name of the file; modules beside it can be imported.

    If it imports from its own package (``from ..layers import Layer``), it is imported as a module of the package.

    Raises:
        UsageError: there is no such file, it is not text, or its code failed.

    >>> import_file("nowhere/net.py")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot read 'nowhere/net.py': No such file or directory
    """
    file = Path(path).absolute()
    source = code_in(path)
    _forget()
    depth = _depth_in_package(file, source)
    return _import_from_package(file, path, depth) if depth else _execute(file, source, path)


def home(module: ModuleType, path: str) -> Path:
    """Return the folder from which the modules beside a file are imported: its own, or that of its package.

    >>> home(ModuleType("net"), "models/net.py") == Path("models").absolute()
    True
    """
    packages = module.__package__.split(".") if module.__package__ else []
    return Path(path).absolute().parents[len(packages)]


def _forget() -> None:
    for name, module in _imported_beside.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    _imported_beside.clear()


def code_in(path: str) -> str:
    """Return the text of a file of code.

    Raises:
        UsageError: there is no such file, or it is not text.
    """
    try:
        return importlib.util.decode_source(read_whole(path, _MAX_BYTES))
    except OSError as error:
        raise UsageError(f"cannot read '{shown(path)}': {error.strerror or error}") from None
    except (UnicodeDecodeError, SyntaxError):
        raise UsageError(f"cannot read '{shown(path)}': it is not UTF-8; save it as UTF-8") from None


def _execute(file: Path, source: str, path: str) -> ModuleType:
    """Run ``source`` as a module, which stays registered because dataclasses and pickles look it up by its name."""
    name = _free_name(file)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise UsageError(f"cannot read '{shown(path)}': the name of a file of Python code must end in .py")
    module = importlib.util.module_from_spec(spec)
    with own_code(f"cannot import '{shown(path)}'"), beside(file.parent):
        code = compile(source, str(file), "exec", dont_inherit=True)
        sys.modules[name] = module
        try:
            exec(code, module.__dict__)
        except BaseException:
            sys.modules.pop(name, None)
            raise
    return module


def _depth_in_package(file: Path, source: str) -> int:
    """Return how many packages, one in the other, the code of a file imports from; 0 if it needs none."""
    try:
        imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    except (SyntaxError, ValueError, RecursionError):
        return 0  # which is reported where the code is run
    relative = max((node.level for node in imports if isinstance(node, ast.ImportFrom)), default=0)
    packages = list(takewhile(lambda folder: (folder / "__init__.py").exists(), file.parents))
    named = {each.name for node in imports if isinstance(node, ast.Import) for each in node.names}
    named |= {node.module or "" for node in imports if isinstance(node, ast.ImportFrom) and not node.level}
    is_named = bool(packages) and packages[-1].name in {name.partition(".")[0] for name in named}
    return max(relative, len(packages)) if relative or is_named else 0


def _import_from_package(file: Path, path: str, depth: int) -> ModuleType:
    """Import a file as a module of its package, ``depth`` folders above it or more.

    Folders without ``__init__.py`` are packages, too; as many as the code asks for.
    """
    depth = min(depth, len(file.parents) - 1)
    while True:
        folders = list(reversed(file.parents[:depth]))
        try:
            with own_code(f"cannot import '{shown(path)}'"), beside(file.parents[depth]):
                return _imported_as_part(file, folders, path)
        except UsageError as error:
            if _BEYOND not in str(error.__cause__) or depth + 1 >= len(file.parents):
                raise
        _forget()
        depth += 1


def _imported_as_part(file: Path, folders: Sequence[Path], path: str) -> ModuleType:
    """Import the packages in these folders, the outermost first, and the file in the last one."""
    name = ""
    for folder in folders:
        is_package = (folder / "__init__.py").exists()
        own = folder.name if is_package else re.sub(r"\W", "_", folder.name) if name else _free_name(folder)
        name = f"{name}.{own}" if name else own
        if not is_package:
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = [str(folder)]
        elif str(folder) not in getattr(importlib.import_module(name), "__path__", ()):
            raise UsageError(
                f"cannot import '{shown(path)}': its package '{shown(own)}' has the name of another one, which is "
                "imported already; rename the folder"
            )
    return importlib.import_module(name if file.stem == "__init__" else f"{name}.{file.stem}")


def _free_name(file: Path) -> str:
    """Return the stem of the file, with underscores added if another module has that name.

    >>> _free_name(Path("random.py")), _free_name(Path("my-net.v2.py"))
    ('random_', 'my_net_v2')
    """
    name = re.sub(r"\W", "_", file.stem)
    while name in sys.modules or name in sys.builtin_module_names or _is_elsewhere(name, file):
        name += "_"
    return name


def _is_elsewhere(name: str, file: Path) -> bool:
    spec = importlib.machinery.PathFinder.find_spec(name)
    return spec is not None and spec.origin is not None and Path(spec.origin).absolute() != file


def _modules_beside(folder: Path, before: set[str]) -> dict[str, ModuleType]:
    """Return the modules in ``folder`` that were not imported ``before``, and submodules of those noted earlier."""
    tops = {name for name in sys.modules.keys() - before if "." not in name and _is_in(folder, sys.modules[name])}
    tops |= {name.partition(".")[0] for name in _imported_beside}
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in tops}


def _is_in(folder: Path, module: ModuleType) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(Path(place).parent == folder for place in places if isinstance(place, str))


@contextmanager
def leaving_raises() -> Iterator[None]:
    """Let ``os._exit`` raise SystemExit, as it would end this process without a word; in a child process it does.

    >>> with own_code("cannot build 'net.py:Net'"):
    ...     os._exit(0)
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot build 'net.py:Net'...: it exited; move the code of a script under 'if __name__ == ...
    """
    process, leave = os.getpid(), os._exit

    def raising(status: int) -> None:
        if os.getpid() != process:
            leave(status)
        raise SystemExit(status)

    with patched(os, "_exit", raising):
        yield


@contextmanager
def own_code(doing: str) -> Iterator[None]:
    """Turn an error of a user's code into one line.

    Args:
        doing: the beginning of the message, "cannot import 'net.py'".

    Raises:
        UsageError: the code failed or exited; the message says where.

    >>> with own_code("cannot build 'net.py:Net'"):  # doctest: +ELLIPSIS
    ...     1 / 0
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot build 'net.py:Net' at ...: ZeroDivisionError: division by zero
    """
    try:
        with printing_to_stderr(), leaving_raises():
            yield
    except FxvizError:
        raise
    except (Exception, SystemExit) as error:
        line = blamed_line(error)
        place = f" at {line}" if line.file else ""
        reason = "it exited" if isinstance(error, SystemExit) else first_line(error)
        raise UsageError(f"{doing}{place}: {reason}{_advice(error)}") from error


def _advice(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "; move the code of a script under 'if __name__ == \"__main__\":'"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").rpartition(".")[0] not in sys.modules:
        return f"; install it for {sys.executable}, or run fxviz in the directory that contains it"
    return ""
