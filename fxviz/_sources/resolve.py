"""Find the source of a model by its name, list the names, and gather what a library declares about a model."""

from __future__ import annotations

import difflib
import fnmatch
import inspect
import os
import re
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

from fxviz._graph.errors import UnknownModel, UsageError, require_torch, shown, spelled
from fxviz._graph.values import Information, Published
from fxviz._sources import exported, timm, torchvision, transformers, user_model
from fxviz._sources.offline import kept_offline
from fxviz._sources.reference import Kind, Reference, is_configuration, split_pattern
from fxviz._sources.releases import Release
from fxviz._sources.source import Built, Source
from fxviz._sources.user_code import code_in, is_installed, module_part
from fxviz._sources.user_model import NO_CODE, is_state, refused

if TYPE_CHECKING:
    from torch import nn


class Library(Protocol):
    """A module that builds the models of one library."""

    def names(self) -> list[str]: ...

    def knows(self, name: str) -> bool: ...

    def source(self, name: str) -> Source: ...

    def published(self, name: str) -> tuple[Published, ...]: ...

    def release(self, name: str, wanted: str) -> Release: ...


_LIBRARIES: dict[str, Library] = {"torchvision": torchvision, "timm": timm, "transformers": transformers}


def resolve(model: object, download: bool = False) -> Source:
    """Return the source of a model; what a library has made of it is built and run offline.

    Args:
        model: a parsed name (:class:`~fxviz._sources.reference.Reference`), or an ``nn.Module``.
        download: whether the library may fetch what it needs.

    Raises:
        UnknownModel: no library has a model of that name; the message offers near ones.
        UsageError: it is neither a name nor a module, its library is not installed, its file cannot be read or holds
            no model, or the user's own code failed.

    >>> resolve(Reference("library", "torchvision", "resnet18")).origin
    'torchvision'
    >>> resolve(Reference("library", "torchvision", "resnet81"))
    Traceback (most recent call last):
    ...
    fxviz._graph.errors.UnknownModel: unknown model 'resnet81': did you mean resnet18, ...? ...
    """
    if isinstance(model, Reference):
        require_torch(f"cannot load '{shown(str(model))}': it needs")
        return _of_reference(model, download)
    from torch import nn

    if isinstance(model, nn.Module):
        from fxviz._sources.torch_private import class_name

        name = class_name(model).rpartition(".")[2]
        return Source(name, "python", lambda allocate: Built(model), is_shared=True)
    if is_state(model):
        raise UsageError(f"cannot trace {NO_CODE}")
    if isinstance(model, type):
        raise UsageError(
            f"cannot trace the class {model.__name__}: pass a model name or a torch.nn.Module made from it"
        )
    raise UsageError(f"cannot trace {shown(repr(model))}: pass a model name or a torch.nn.Module")


def check(model: object) -> None:
    """Refuse a model by what can be known before torch is imported.

    Raises:
        UnknownModel: no model can have such a name.
        UsageError: the file is missing, cannot be read or holds no model, or a configuration has a mistake.

    >>> check(Reference("file", "nowhere.py", "Net"))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot read 'nowhere.py': No such file or directory
    """
    if isinstance(model, Reference) and model.kind in _CHECKS:
        _CHECKS[model.kind](model)


def _check_name(reference: Reference) -> None:
    if reference.place == transformers.NAME and is_configuration(reference.name):
        transformers.check(reference.name)
    elif not _NAME.fullmatch(reference.name):
        own = _own_code_hint(reference.name) if reference.place == torchvision.NAME else ""
        signs = "" if own else "the name of a library's model has letters, digits, '_', '-' and '.'; "
        raise UnknownModel(f"unknown model '{shown(str(reference))}': {signs}{_all_of(reference)}{own}")


_NAME = re.compile(r"[\w.-]+", re.ASCII)
"""The names of the models of all libraries."""


def _of_reference(reference: Reference, download: bool) -> Source:
    def find() -> Source:
        return _SOURCES[reference.kind](reference)

    if download or (reference.runs_own_code and not is_installed(reference)):
        return find()
    return kept_offline(find, str(reference), hub=reference.place != torchvision.NAME)


def _from_library(reference: Reference) -> Source:
    library = _LIBRARIES[reference.place]
    if not library.knows(reference.name):
        raise UnknownModel(_unknown(reference, library))
    return library.source(reference.name)


def _from_graph(reference: Reference) -> Source:
    raise UsageError(f"'{shown(reference.place)}' is a saved graph, traced already: load it with fxviz.ArchGraph.load")


def _from_weights(reference: Reference) -> Source:
    raise refused(reference)


_CHECKS: dict[Kind, Callable[[Reference], object]] = {
    "library": _check_name,
    "file": lambda reference: code_in(reference.place),
    "program": lambda reference: exported.check(reference.place),
    "graph": _from_graph,
    "weights": _from_weights,
}
"""The checks that need no torch, by the kind of name."""

_SOURCES: dict[Kind, Callable[[Reference], Source]] = {
    "library": _from_library,
    "file": user_model.source,
    "module": user_model.source,
    "program": exported.source,
    "graph": _from_graph,
    "weights": _from_weights,
}
"""The functions that make sources, by the kind of name."""


def all_names(library: str) -> list[str]:
    """Return all names of a library's models in alphabetical order, each as the library writes it.

    Raises:
        UsageError: the library is not installed.

    >>> "resnet18" in all_names("torchvision")
    True
    """
    require_torch("cannot list models: they need")
    return _LIBRARIES[library].names()


def names(pattern: str | None = None) -> list[str]:
    """Return the names that match a pattern, in alphabetical order.

    Args:
        pattern: a shell pattern ("resnet*", in any case); a text without wildcards matches anywhere in the name. The
            names are torchvision's, unless the pattern begins with "timm:" or "transformers:".

    Raises:
        UsageError: the library is not installed.

    >>> names("resnet?8"), "vit_b_16" in names("vit")
    (['resnet18'], True)
    """
    return matching(*split_pattern(pattern or ""))


def matching(library: str, pattern: str, listed: Callable[[str], list[str]] = all_names) -> list[str]:
    """Return the names of a library's models that match a pattern, with the library's prefix.

    Args:
        library: "torchvision", "timm" or "transformers".
        pattern: a shell pattern, or a part of a name.
        listed: returns all names of a library.

    Raises:
        UsageError: the library is not installed.

    >>> matching("timm", "resnet*", lambda library: ["resnet50", "vgg11"])
    ['timm:resnet50']
    """
    prefix = "" if library == torchvision.NAME else f"{library}:"
    if not any(mark in pattern for mark in "*?["):
        pattern = f"*{pattern}*"
    return [prefix + name for name in listed(library) if fnmatch.fnmatchcase(name.lower(), pattern.lower())]


def _unknown(reference: Reference, library: Library) -> str:
    name, prefix = str(reference), str(reference).removesuffix(reference.name)
    near = [prefix + match for match in difflib.get_close_matches(reference.name, library.names(), n=3)]
    *first, last = near or [""]
    hint = f"did you mean {', '.join(first)}{' or ' if first else ''}{last}? " if near else ""
    return f"unknown model '{shown(name)}': {hint}{_all_of(reference)}{_own_code_hint(name)}"


def _all_of(reference: Reference) -> str:
    """Say how to list the names of a library."""
    prefix = str(reference).removesuffix(reference.name)
    python = f"fxviz.list_models({prefix!r})" if prefix else "fxviz.list_models()"
    return spelled(python, f"'{f'fxviz list {prefix}'.strip()}'") + " shows all names"


def _own_code_hint(name: str) -> str:
    """Explain how to name a class in a module or file, if ``name`` looks like one; "" if not."""
    if "/" in name or os.sep in name:
        return f"; a class of your own is named '{shown(name)}.py:Net'"
    if "." not in name or ":" in name or not all(part.isidentifier() for part in name.split(".")):
        return ""
    module = module_part(name) or name
    return f"; a class of your own is named '{shown(module)}:{shown(name[len(module) + 1 :]) or 'Net'}'"


def information(reference: Reference) -> Information:
    """Return the facts about a model that its graph does not hold; the model is built without memory, and not run.

    Raises:
        UsageError: there is no such model.

    >>> known = information(Reference("library", "torchvision", "resnet18"))
    >>> known.cls, known.params, known.published[0].name
    ('torchvision.models.resnet.ResNet', 11689512, 'IMAGENET1K_V1')
    """
    from fxviz._sources.torch_private import class_name

    source = resolve(reference)
    module = source.build(False).module
    file, line = _place(source.maker or type(module))
    weights = published(reference)
    return Information(
        model=str(reference),
        cls=class_name(module),
        origin=_origin(reference),
        file=file,
        line=line,
        documentation=_documentation(source.maker, module),
        params=sum(_size(parameter) for parameter in module.parameters()),
        facts=declared(reference, module),
        published=weights,
        nothing_published="" if weights else why_nothing_published(reference),
    )


def _origin(reference: Reference) -> str:
    if reference.kind != "library":
        return reference.place
    try:
        return f"{reference.place} {version(reference.place)}"
    except PackageNotFoundError:
        return reference.place


def _place(code: Callable[..., Any]) -> tuple[str, int]:
    """Return the file and the line of a class or function; "" and 0 if Python does not know them."""
    with suppress(OSError, TypeError, ValueError):
        original = inspect.unwrap(code)
        return inspect.getsourcefile(original) or "", inspect.getsourcelines(original)[1]
    return "", 0


def _documentation(maker: Callable[..., Any] | None, module: nn.Module) -> str:
    """Return the docstring of the model's function, else of its class, unless the class is torch's."""
    cls = type(module)
    texts = [None if maker is None else maker.__doc__, None if cls.__module__.startswith("torch.") else cls.__doc__]
    return next((text for text in texts if isinstance(text, str) and text.strip()), "")


def _size(parameter: nn.Parameter) -> int:
    from torch.nn.parameter import is_lazy

    return 0 if is_lazy(parameter) else parameter.numel()


def published(reference: Reference) -> tuple[Published, ...]:
    """Return the weights that a model's library declares; none for the user's own model."""
    if reference.kind != "library":
        return ()
    return _LIBRARIES[reference.place].published(reference.name)


def why_nothing_published(reference: Reference) -> str:
    """Return a sentence for a model without published weights.

    >>> why_nothing_published(Reference("module", "library", "Net"))
    'None for a model of your own; --weights FILE loads a file of yours.'
    """
    if reference.kind != "library":
        return "None for a model of your own; --weights FILE loads a file of yours."
    if reference.place == transformers.NAME:
        return "transformers declares none: --weights REPOSITORY names one of the Hugging Face hub, or a file of yours."
    return "None are declared; 'fxviz render MODEL --weights FILE' loads a file of yours."


def declared(reference: Reference, module: nn.Module) -> tuple[tuple[str, str], ...]:
    """Return the facts in the model's configuration, where its library has one."""
    is_of_it = reference.kind == "library" and reference.place == transformers.NAME
    return transformers.declared(module) if is_of_it else ()


def release(reference: Reference, wanted: str) -> Release:
    """Return the weights called ``wanted`` of a library's model.

    Raises:
        UsageError: the library has no weights of that name for it.
    """
    return _LIBRARIES[reference.place].release(reference.name, wanted)
