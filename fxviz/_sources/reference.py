"""How a model is named, on a command line and in Python: ``resnet18``, ``net.py:Net(depth=18)``, ``program.pt2``.

A name is taken apart, never run: arguments are Python literals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fxviz._errors import UnknownModel, UsageError
from fxviz._sources.literals import NotLiteral, arguments, written
from fxviz.quoting import shown

Kind = Literal["library", "module", "file", "program", "graph", "weights"]

LIBRARIES = ("timm", "transformers")
"""Libraries whose models' names begin with theirs and a colon; a bare name is one of torchvision's."""

_CONFIGURATION = "transformers:"
"""What follows is a model type or the file of a configuration, which ends like a saved graph."""

_GRAPH = ".json"
_PROGRAM = ".pt2"
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""Suffixes of files of weights that can be loaded into a model."""

WEIGHTS = (*CHECKPOINTS, ".pkl", ".onnx", ".h5")
"""Suffixes of files that hold no code, or code that only unpickling would bring to light."""

_LONGEST = 4096
"""Characters: no path is longer."""

_FILE = re.compile(r"(?P<place>.*?\.py)(?P<colon>:(?P<rest>.*))?", re.IGNORECASE)
_MODULE = re.compile(r"(?P<place>[^:(]*):(?P<rest>.*)")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters and line ends."""


@dataclass(frozen=True)
class Reference:
    """What a model's name says.

    Attributes:
        kind: what the name leads to.
        place: the library, the dotted module, or the path of the file.
        name: in the library, or of the class, function or module in the file ("Outer.Inner"); "" if the name says none.
        args, kwargs: what the class or function is called with.

    >>> str(Reference("file", "net.py", "Net", (18,), {"act": "gelu"}))
    "net.py:Net(18, act='gelu')"
    """

    kind: Kind
    place: str
    name: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """The name without the place: "Net(18, act='gelu')"."""
        return self.name + (written(self.args, self.kwargs) if self.args or self.kwargs else "")

    def __str__(self) -> str:
        if self.kind == "library":
            return self.name if self.place == "torchvision" else f"{self.place}:{self.name}"
        return f"{self.place}:{self.called}" if self.name else self.place


def parse(text: str) -> Reference:
    """Take a model's name apart.

    Args:
        text: "resnet18", "timm:NAME", "transformers:TYPE", "file.py:NAME", "package.module:NAME", both with arguments in
            parentheses if need be, "program.pt2", or "graph.json".

    Raises:
        UnknownModel: it is empty, or of no such form.
        UsageError: a part of it is missing or no Python literal.

    >>> parse("timm:resnet50")
    Reference(kind='library', place='timm', name='resnet50', args=(), kwargs={})
    >>> parse("models/net.py:Net(depth=18)")
    Reference(kind='file', place='models/net.py', name='Net', args=(), kwargs={'depth': 18})
    >>> parse("net.py:Net(act=gelu)")
    Traceback (most recent call last):
    ...
    fxviz._errors.UsageError: cannot read 'net.py:Net(act=gelu)': gelu is no literal; a text needs quotes: act='gelu'
    """
    _check_characters(text)
    if is_graph_file(text):
        return Reference("graph", text)
    if found := _of_library(text, *(f"{library}:" for library in LIBRARIES)):
        return found
    if found := _of_file(text):
        return found
    if text.lower().endswith((_PROGRAM, *WEIGHTS)):
        return Reference("program" if text.lower().endswith(_PROGRAM) else "weights", text)
    return _of_module(text) or _of_torchvision(text)


def is_graph_file(value: object) -> bool:
    """Whether ``value``, a text or a path, names a saved graph rather than a model.

    >>> is_graph_file("resnet18"), is_graph_file("out/resnet18.JSON"), is_graph_file(Path("a.json"))
    (False, True, True)
    >>> is_graph_file("transformers:bert/config.json")
    False
    """
    text = str(value) if isinstance(value, (str, Path)) else ""
    return text.lower().endswith(_GRAPH) and not text.startswith(_CONFIGURATION)


def stem(text: str) -> str:
    """The name of a file for what is made of a model, without suffix.

    >>> [stem(text) for text in ("net.py:Net(depth=18)", "timm:resnet50", "out/resnet18.json", "a/program.pt2")]
    ['Net', 'timm_resnet50', 'resnet18', 'program']
    """
    reference = parse(text)
    if reference.kind in ("graph", "program", "weights"):
        return Path(reference.place).stem
    name = reference.name if reference.kind in ("file", "module") else str(reference)
    return re.sub(r"[^\w.-]+", "_", name or Path(reference.place).stem)


def _check_characters(text: str) -> None:
    if len(text) > _LONGEST:
        raise UsageError(f"no model '{shown(text)}': the name has {len(text)} characters, and at most {_LONGEST} are read")
    if _UNSAFE.search(text):
        raise UsageError(f"no model '{shown(text)}': a name has no control characters and no line ends; leave them out")
    if text != text.strip():
        raise UsageError(f"no model '{shown(text)}': the name begins or ends with white space; leave it out")
    if not text:
        raise UnknownModel("no model ''; 'fxviz list' shows all names")


def _of_library(text: str, *prefixes: str) -> Reference | None:
    if not text.startswith(prefixes):
        return None
    library, _, name = text.partition(":")
    return Reference("library", library, name)


def _of_file(text: str) -> Reference | None:
    """``path/to/file.py:NAME(...)``: what stands before the first ".py:" is the path, a drive's colon is part of it."""
    found = _FILE.fullmatch(text)
    if found is None:
        return None
    if found["colon"] is None:
        return Reference("file", text)
    return _with_name("file", found["place"], found["rest"], text)


def _of_module(text: str) -> Reference | None:
    """``package.module:NAME(...)``."""
    found = _MODULE.fullmatch(text)
    if found is None:
        return None
    place = found["place"]
    if not place:
        raise UsageError(f"no model '{shown(text)}': no file or module before the colon; write 'net.py{shown(text)}'")
    if not all(part.isidentifier() for part in place.split(".")):
        raise UnknownModel(
            f"no model '{shown(text)}': '{shown(place)}' is no module; write 'path/to/net.py:Net' or 'package.module:Net'"
        )
    return _with_name("module", place, found["rest"], text)


def _of_torchvision(text: str) -> Reference:
    if "(" in text:
        raise UnknownModel(
            f"no model '{shown(text)}': only a class or function takes arguments; name its file or module,"
            " as in 'net.py:Net(18)' or 'torchvision.models:resnet18(num_classes=10)'"
        )
    return Reference("library", "torchvision", text)


def _with_name(kind: Kind, place: str, rest: str, text: str) -> Reference:
    """The name and the arguments behind the colon."""
    name, opening, inside = rest.partition("(")
    if not rest:
        raise UsageError(f"no name after '{shown(text)}': write the class or function, as in '{shown(text)}Net'")
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"cannot read '{shown(text)}': '{shown(name)}' names no class or function; write '{shown(place)}:Net'")
    if not opening:
        return Reference(kind, place, name)
    try:
        args, kwargs = arguments(opening + inside)
    except NotLiteral as error:
        raise UsageError(f"cannot read '{shown(text)}': {error}") from None
    return Reference(kind, place, name, args, kwargs)
