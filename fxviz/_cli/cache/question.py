"""What is asked of a library: a model's graph, or the names of its models. The first half of a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fxviz._graph.options import TraceOptions
from fxviz._sources.reference import Reference, parse


@dataclass(frozen=True)
class Question:
    """Something that depends on a library and on nothing else.

    Attributes:
        library: "torchvision", "timm" or "transformers".
        asked: what is asked, as plain values.
    """

    library: str
    asked: Mapping[str, Any]


def of_names(library: str) -> Question:
    """The question for the names of a library's models.

    >>> of_names("timm")
    Question(library='timm', asked={'names': 'timm'})
    """
    return Question(library, {"names": library})


def of_trace(model: str, how: Mapping[str, Any]) -> Question | None:
    """The question for a model's graph; None if the answer depends on more than a library.

    Args:
        model: what :func:`fxviz.trace` takes by name.
        how: its other arguments, those that were given.

    Raises:
        UsageError: there can be no such model, or the options do not fit.

    >>> of_trace("timm:resnet50", {"batch": 2}).library
    'timm'
    >>> of_trace("net.py:Net", {}), of_trace("resnet18", {"device": "cpu"}), of_trace("resnet18", {"weights": "DEFAULT"})
    (None, None, None)
    """
    reference = parse(model)
    known = {field.name for field in fields(TraceOptions)}
    if not _is_of_library(reference) or not how.keys() <= known | {"inputs", "batch"}:
        return None
    options = TraceOptions(**{name: value for name, value in how.items() if name in known})
    if options.device != "meta" or options.partial:
        return None
    given = {"inputs": repr(how.get("inputs")), "batch": how.get("batch")}
    return Question(reference.place, {"model": model, **given, **asdict(options)})


def _is_of_library(reference: Reference) -> bool:
    """Whether a library has the model by this name; after "transformers:" may stand the file of a configuration."""
    return reference.kind == "library" and not reference.name.lower().endswith(".json")
