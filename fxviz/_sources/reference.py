"""Parse the name of a model, on a command line and in Python: ``resnet18``, ``net.py:Net(depth=18)``, ``program.pt2``.

A name is parsed once, to a :class:`Reference`, and never run: arguments are Python literals.
"""

from __future__ import annotations

import ast
import cmath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fxviz._graph.errors import UnknownModel, UsageError, shown, spelled
from fxviz._sources.own_thread import ignored_warnings

Kind = Literal["library", "module", "file", "program", "graph", "weights"]
"""What a name refers to: a library's model, own code (module or file), a program, a saved graph, a file of weights."""

LIBRARIES = ("timm", "transformers")
"""Libraries whose models' names begin with theirs and a colon; a bare name is one of torchvision's."""

_CONFIGURATION = "transformers:"
"""The prefix of a model type or a configuration file, whose suffix is that of a saved graph."""

_JSON = ".json"
_PROGRAM = ".pt2"
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""Suffixes of files of weights that can be loaded into a model."""

WEIGHTS = (*CHECKPOINTS, ".pkl", ".onnx", ".h5")
"""Suffixes of files that hold weights, a pickled module or another framework's model, none of which can be built."""

ALL_NAMES = spelled("fxviz.list_models()", "'fxviz list'")
"""The way to all names, in messages."""

_LONGEST = 4096
"""Characters: no path is longer."""

_BITS = 64
"""The largest number of bits of an integer among the arguments."""

_FILE = re.compile(r"(?P<place>.*?\.py)(?P<colon>:(?P<rest>.*))?", re.IGNORECASE)
_MODULE = re.compile(r"(?P<place>[^:(]*):(?P<rest>.*)")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters and line ends."""


@dataclass(frozen=True)
class Reference:
    """A parsed model name.

    Attributes:
        kind: what it refers to.
        place: the library, the dotted module, or the path of the file.
        name: the name in the library, or of the class, function or module in the file ("Outer.Inner"); "" if there is
            none.
        args, kwargs: the arguments of the class or function.
        text: the name as it was written; "" if it was not parsed from text.

    >>> str(Reference("file", "net.py", "Net", (18,), {"act": "gelu"}))
    "net.py:Net(18, act='gelu')"
    """

    kind: Kind
    place: str
    name: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    text: str = field(default="", compare=False, repr=False)

    @property
    def called(self) -> str:
        """Return the name without the place: "Net(18, act='gelu')"."""
        return self.name + (written(self.args, self.kwargs) if self.args or self.kwargs else "")

    @property
    def is_graph(self) -> bool:
        """Return whether it names a saved graph, which is traced already."""
        return self.kind == "graph"

    @property
    def runs_own_code(self) -> bool:
        """Return whether it names the user's own code, in a Python file or module."""
        return self.kind in ("file", "module")

    @property
    def stem(self) -> str:
        """Return the name of a file for the model's figure or graph, without suffix.

        >>> [parse(text).stem for text in ("net.py:Net(depth=18)", "timm:resnet50", "out/resnet18.json")]
        ['Net', 'timm_resnet50', 'resnet18']
        """
        if self.kind in ("graph", "program", "weights"):
            return Path(self.place).stem
        name = self.name if self.runs_own_code else str(self)
        return re.sub(r"[^\w.-]+", "_", name or Path(self.place).stem)

    def __str__(self) -> str:
        if self.text:
            return self.text
        if self.kind == "library":
            return self.name if self.place == "torchvision" else f"{self.place}:{self.name}"
        return f"{self.place}:{self.called}" if self.name else self.place


def parse(name: str | Path) -> Reference:
    """Parse a model's name.

    Args:
        name: "resnet18", "timm:NAME", "transformers:TYPE", "file.py:NAME", "package.module:NAME", the last two with
            arguments in parentheses if needed, "program.pt2", or "graph.json".

    Raises:
        UnknownModel: it is empty, or of no such form.
        UsageError: a part of it is missing or no Python literal.

    >>> parse("timm:resnet50")
    Reference(kind='library', place='timm', name='resnet50', args=(), kwargs={})
    >>> parse("models/net.py:Net(depth=18)")
    Reference(kind='file', place='models/net.py', name='Net', args=(), kwargs={'depth': 18})
    >>> parse("transformers:bert/config.json").is_graph, parse("out/resnet18.JSON").is_graph
    (False, True)
    >>> parse("net.py:Net(act=gelu)")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot read 'net.py:Net(act=gelu)': gelu is not a literal; a string needs quotes: act='gelu'
    """
    text = str(name)
    _check_characters(text)
    return replace(_parsed(text), text=text)


def _parsed(text: str) -> Reference:
    if text.lower().endswith(_JSON) and not text.startswith(_CONFIGURATION):
        return Reference("graph", text)
    if found := _of_library(text, *(f"{library}:" for library in LIBRARIES)):
        return found
    if found := _of_file(text):
        return found
    if text.lower().endswith((_PROGRAM, *WEIGHTS)):
        return Reference("program" if text.lower().endswith(_PROGRAM) else "weights", text)
    return _of_module(text) or _of_torchvision(text)


def is_configuration(name: str) -> bool:
    """Return whether a name of transformers is the path of a configuration file, not a model type.

    >>> is_configuration("bert/config.json"), is_configuration("bert")
    (True, False)
    """
    return name.lower().endswith(_JSON)


def split_pattern(pattern: str) -> tuple[str, str]:
    """Return the library and the pattern for names within it.

    >>> split_pattern("timm:resnet*"), split_pattern("resnet*")
    (('timm', 'resnet*'), ('torchvision', 'resnet*'))
    """
    library, colon, rest = pattern.partition(":")
    return (library, rest) if colon and library in LIBRARIES else ("torchvision", pattern)


def each_once(models: Iterable[Reference]) -> list[Reference]:
    """Return models without repetitions, in order.

    >>> list(map(str, each_once([parse("net.py:Net"), parse("vgg11"), parse("net.py:Net")])))
    ['net.py:Net', 'vgg11']
    """
    return list({str(model): model for model in models}.values())


def _check_characters(text: str) -> None:
    if len(text) > _LONGEST:
        raise UsageError(f"invalid model '{shown(text)}': the name has {len(text)} characters, more than {_LONGEST}")
    if _UNSAFE.search(text):
        raise UsageError(
            f"invalid model '{shown(text)}': a name cannot contain control characters or line ends; remove them"
        )
    if text != text.strip():
        raise UsageError(f"invalid model '{shown(text)}': the name begins or ends with white space; remove it")
    if not text:
        raise UnknownModel(f"invalid model '': the name is empty; {ALL_NAMES} shows all names")


def _of_library(text: str, *prefixes: str) -> Reference | None:
    if not text.startswith(prefixes):
        return None
    library, _, name = text.partition(":")
    return Reference("library", library, name)


def _of_file(text: str) -> Reference | None:
    """Parse ``path/to/file.py:NAME(...)``; the path, which may contain a drive's colon, ends with the first ".py"."""
    found = _FILE.fullmatch(text)
    if found is None:
        return None
    if found["colon"] is None:
        return Reference("file", text)
    return _with_name("file", found["place"], found["rest"], text)


def _of_module(text: str) -> Reference | None:
    """Parse ``package.module:NAME(...)``."""
    found = _MODULE.fullmatch(text)
    if found is None:
        return None
    place = found["place"]
    if not place:
        raise UsageError(
            f"invalid model '{shown(text)}': no file or module before the colon; write 'net.py{shown(text)}'"
        )
    if not all(part.isidentifier() for part in place.split(".")):
        raise UnknownModel(
            f"unknown model '{shown(text)}': '{shown(place)}' is not a module; "
            "write 'path/to/net.py:Net' or 'package.module:Net'"
        )
    return _with_name("module", place, found["rest"], text)


def _of_torchvision(text: str) -> Reference:
    if "(" in text:
        raise UnknownModel(
            f"invalid model '{shown(text)}': only a class or function takes arguments; name its file or module,"
            " as in 'net.py:Net(18)' or 'torchvision.models:resnet18(num_classes=10)'"
        )
    return Reference("library", "torchvision", text)


def _with_name(kind: Kind, place: str, rest: str, text: str) -> Reference:
    """Parse the name and the arguments after the colon."""
    name, opening, inside = rest.partition("(")
    if not rest:
        raise UsageError(f"missing name after '{shown(text)}': write the class or function, as in '{shown(text)}Net'")
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(
            f"cannot read '{shown(text)}': '{shown(name)}' is not the name of a class or function; "
            f"write '{shown(place)}:Net'"
        )
    if not opening:
        return Reference(kind, place, name)
    try:
        args, kwargs = arguments(opening + inside)
    except NotLiteral as error:
        raise UsageError(f"cannot read '{shown(text)}': {error}") from None
    return Reference(kind, place, name, args, kwargs)


class NotLiteral(Exception):
    """An argument that is not a literal; the message names it, and what to write instead."""


def arguments(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Parse the positional and keyword arguments in ``text``, which begins with the opening parenthesis.

    Raises:
        NotLiteral: an argument is no literal, or the text is no list of arguments.

    >>> arguments("(18, act='gelu')")
    ((18,), {'act': 'gelu'})
    """
    call = _call(text)
    for argument in call.args:
        if isinstance(argument, ast.Starred):
            raise NotLiteral(f"{_source(argument)} unpacks an unknown value; write the arguments one by one")
    for keyword in call.keywords:
        if keyword.arg is None:
            raise NotLiteral(f"**{_source(keyword.value)} unpacks an unknown value; write the arguments one by one")
    names = [str(keyword.arg) for keyword in call.keywords]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise NotLiteral(f"{twice} is given twice; write each argument once")
    values = [_value(keyword.value, f"{name}=") for name, keyword in zip(names, call.keywords, strict=True)]
    return tuple(_value(argument, "") for argument in call.args), dict(zip(names, values, strict=True))


def written(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Write arguments as :func:`arguments` reads them.

    >>> written((18, None), {"act": "gelu"})
    "(18, None, act='gelu')"
    """
    return f"({', '.join([*map(repr, args), *(f'{name}={value!r}' for name, value in kwargs.items())])})"


def _call(text: str) -> ast.Call:
    if not text.endswith(")"):
        raise NotLiteral("the parenthesis is not closed, or something follows it; end with ')'")
    try:
        with ignored_warnings():  # a backslash in a text
            call = ast.parse(f"f{text}", mode="eval").body
    except SyntaxError as error:
        raise NotLiteral(f"the arguments are not Python: {shown(error.msg)}") from None
    except UnicodeEncodeError:
        raise NotLiteral("the arguments are not Unicode") from None
    except (MemoryError, RecursionError):
        raise NotLiteral("the arguments are nested too deeply") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise NotLiteral("something follows the arguments; write one pair of parentheses, at the end")
    return call


def _value(node: ast.expr, name: str) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise NotLiteral(f"{_source(node)} is not a literal; {_advice(node, name)}") from None
    for part in ast.walk(node):
        _check_part(part)
    return value


def _check_part(part: ast.AST) -> None:
    """Refuse what cannot be written back: sets have no order, and Python writes no infinity or very long integer."""
    if isinstance(part, (ast.Set, ast.Call)):
        raise NotLiteral("a set has no order; write a list")
    value = part.value if isinstance(part, ast.Constant) else None
    if value is ...:
        raise NotLiteral("... is not an argument; write its value")
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise NotLiteral(f"an integer has at most {_BITS} bits")
    if isinstance(value, (float, complex)) and not cmath.isfinite(value):
        raise NotLiteral("a number is too large for a float")


def _advice(node: ast.expr, name: str) -> str:
    if isinstance(node, ast.Name):
        return f"a string needs quotes: {name}'{shown(node.id)}'"
    literals = "arguments are Python literals (18, 'gelu', None, [1, 2])"
    return f"{literals}; for anything else, name a function that builds the model"


def _source(node: ast.expr) -> str:
    try:
        return shown(ast.unparse(node))
    except (ValueError, RecursionError):
        return "an argument"
