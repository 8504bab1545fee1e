"""Parse the name of a model, on a command line and in Python: ``resnet18``, ``net.py:Net(depth=18)``, ``program.pt2``.

A name is parsed once, to a :class:`Reference`. Python never evaluates it: arguments are literals, and names and calls
that are looked up one by one (:mod:`fxviz._sources.expression`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from fxviz._graph.errors import UnknownModel, UsageError, shown, spelled
from fxviz._sources.expression import Attribute, Call, Step, Unreadable, steps_after

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
        steps: the steps from what is named to the model: a call, an attribute or item of its result.
        text: the name as it was written; "" if it was not parsed from text.

    >>> str(Reference("file", "net.py", "Net", (Call((18,), {"act": "gelu"}),)))
    "net.py:Net(18, act='gelu')"
    """

    kind: Kind
    place: str
    name: str = ""
    steps: tuple[Step, ...] = ()
    text: str = field(default="", compare=False, repr=False)

    @property
    def called(self) -> str:
        """Return the name without the place: "Net(18, act='gelu')"."""
        return self.name + "".join(map(str, self.steps))

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

        >>> [parse(text).stem for text in ("net.py:Net(depth=18).body[0]", "timm:resnet50", "out/resnet18.json")]
        ['Net.body.0', 'timm_resnet50', 'resnet18']
        """
        if self.kind in ("graph", "program", "weights"):
            return Path(self.place).stem
        looks = [step for step in self.steps if not isinstance(step, Call)]
        path = [step.name if isinstance(step, Attribute) else str(step.key) for step in looks]
        name = ".".join([self.name, *path]) if self.runs_own_code else str(self)
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
            arguments in parentheses if needed and with attributes and items after them, "program.pt2", or "graph.json".

    Raises:
        UnknownModel: it is empty, or of no such form.
        UsageError: a part of it is missing or cannot be read.

    >>> parse("timm:resnet50")
    Reference(kind='library', place='timm', name='resnet50', steps=())
    >>> parse("net.py:Net(Config(depth=18))")
    Reference(kind='file', place='net.py', name='Net', steps=(Call(args=(Config(depth=18),), kwargs={}),))
    >>> parse("transformers:bert/config.json").is_graph, parse("out/resnet18.JSON").is_graph
    (False, True)
    >>> parse("net.py:Net(18")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot read 'net.py:Net(18': a parenthesis or bracket is not closed; end with ')' or ']'
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
    """Parse the name after the colon, and the steps after it; ``Net()`` is ``Net``, which is called in any case."""
    opening = min((found for mark in "([" if (found := rest.find(mark)) >= 0), default=len(rest))
    name = rest[:opening]
    if not rest:
        raise UsageError(f"missing name after '{shown(text)}': write the class or function, as in '{shown(text)}Net'")
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(
            f"cannot read '{shown(text)}': '{shown(name)}' is not the name of a class or function; "
            f"write '{shown(place)}:Net'"
        )
    try:
        steps = steps_after(rest[opening:]) if opening < len(rest) else ()
    except Unreadable as error:
        raise UsageError(f"cannot read '{shown(text)}': {error}") from None
    return Reference(kind, place, name, () if steps == (Call(),) else steps)
