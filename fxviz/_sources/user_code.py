"""Import a user's file or module, as ``python file.py`` and ``python -m module`` would."""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from fxviz._errors import FxvizError, UnknownModel, UsageError, blamed_line, first_line, shown
from fxviz._sources.reference import LIBRARIES, Reference

_MANY = 8
"""So many modules of a package are listed at most."""

_brought: dict[str, ModuleType] = {}
"""Modules that the last file brought along: the next file gets its own neighbours, and a changed file is read anew."""


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """While this is active, modules in ``folder`` can be imported; ``sys.path`` is as before afterwards.

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
    """As :func:`importable`, for the folder of a file: what is imported from there is forgotten when the next file is read."""
    before = set(sys.modules)
    with importable(folder):
        try:
            yield
        finally:
            _brought.update(_neighbours(folder, before))


def import_module(reference: Reference) -> ModuleType:
    """The module that ``reference`` names; those in the current folder can be imported, too.

    Raises:
        UnknownModel: there is none.
        UsageError: its code failed.

    >>> import_module(Reference("module", "os.path")).join("a", "b") == str(Path("a", "b"))
    True
    """
    _forget()
    with importable(Path.cwd()):
        _check_there(reference)
        with own_code(f"cannot import '{shown(reference.place)}'"):
            try:
                return importlib.import_module(reference.place)
            except ModuleNotFoundError as error:
                if not f"{reference.place}.".startswith(f"{error.name}."):
                    raise
                raise UnknownModel(_absent(reference, str(error.name))) from None


def _check_there(reference: Reference) -> None:
    name = reference.place.partition(".")[0]
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    near = difflib.get_close_matches(name, LIBRARIES, n=1)
    advice = f"start in the folder where it is, or install it for {sys.executable}"
    hint = f"did you mean {near[0]}:{shown(reference.called)}?" if near else advice
    raise UnknownModel(f"no model '{shown(str(reference))}': there is no module '{shown(name)}'; {hint}")


def _absent(reference: Reference, name: str) -> str:
    """What to say where the package that should hold the module ``name`` was imported, and does not."""
    package, _, last = name.rpartition(".")
    places = getattr(sys.modules.get(package), "__path__", ())
    inside = [module.name for module in pkgutil.iter_modules(places) if not module.name.startswith("_")]
    near = difflib.get_close_matches(last, inside, n=1)
    other = str(replace(reference, place=f"{package}.{near[0]}")) if near else ""
    hint = f"did you mean {shown(other)}?" if near else f"it has {', '.join(inside[:_MANY]) or 'none'}"
    return f"no model '{shown(str(reference))}': '{shown(package)}' has no module '{shown(last)}'; {hint}"


def module_part(name: str) -> str:
    """As much of a dotted name as names a module, told without importing any; "" if nothing does.

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
    """The file at ``path`` as a module that is called like it; its neighbours can be imported.

    Raises:
        UsageError: there is no such file, it is no text, or its code failed.

    >>> import_file("nowhere/net.py")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot read 'nowhere/net.py': No such file or directory
    """
    file = Path(path).absolute()
    source = _source(file, path)
    _forget()
    return _executed(file, source, path)


def _forget() -> None:
    for name, module in _brought.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    _brought.clear()


def _source(file: Path, path: str) -> str:
    try:
        return importlib.util.decode_source(file.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read '{shown(path)}': {error.strerror or error}") from None
    except (UnicodeDecodeError, SyntaxError):
        raise UsageError(f"cannot read '{shown(path)}': it is not in UTF-8; save it so") from None


def _executed(file: Path, source: str, path: str) -> ModuleType:
    """The module that ``source`` makes; it stays registered, as dataclasses and pickles look it up by its name."""
    name = _free_name(file)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise UsageError(f"cannot read '{shown(path)}': a file of Python code ends in .py")
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


def _free_name(file: Path) -> str:
    """The file's stem, unless another module is or could be imported under it.

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


def _neighbours(folder: Path, before: set[str]) -> dict[str, ModuleType]:
    """Modules that were not there ``before`` and lie in ``folder``, with what is below them."""
    tops = {name for name in sys.modules.keys() - before if "." not in name and _lies_in(folder, sys.modules[name])}
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in tops}


def _lies_in(folder: Path, module: ModuleType) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(Path(place).parent == folder for place in places if isinstance(place, str))


@contextmanager
def own_code(doing: str) -> Iterator[None]:
    """Run a user's code in here.

    Args:
        doing: what cannot be done if it fails, "cannot import 'net.py'".

    Raises:
        UsageError: the code failed, or ended the program; the message says where.

    >>> with own_code("cannot build 'net.py:Net'"):  # doctest: +ELLIPSIS
    ...     1 / 0
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot build 'net.py:Net' at ...: ZeroDivisionError: division by zero
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except FxvizError:
        raise
    except (Exception, SystemExit) as error:
        line = blamed_line(error)
        place = f" at {line}" if line.file else ""
        said = "it ended the program" if isinstance(error, SystemExit) else first_line(error)
        raise UsageError(f"{doing}{place}: {said}{_advice(error)}") from error


def _advice(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "; put what is a script's own under 'if __name__ == \"__main__\":'"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "; a file of a package is named from the folder above it, 'package.module:Net'"
    if isinstance(error, ModuleNotFoundError):
        return f"; install it for {sys.executable}, or start in the folder where it is"
    return ""
