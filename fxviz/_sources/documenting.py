"""What is known of a model beside what it does: its documentation, where it comes from, what is published for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from fxviz._graph.information import Information
from fxviz._sources.published import declared, published, why_none
from fxviz._sources.reference import Reference, parse
from fxviz._sources.resolve import resolve

if TYPE_CHECKING:
    from torch import nn


def information(model: str) -> Information:
    """All that is known of a model by that name; it is built without memory, and not run.

    Raises:
        UsageError: there is no such model.

    >>> known = information("resnet18")
    >>> known.cls, known.params, known.published[0].name
    ('torchvision.models.resnet.ResNet', 11689512, 'IMAGENET1K_V1')
    """
    source, reference = resolve(model), parse(model)
    module = source.build(False)
    file, line = _place(source.maker or type(module))
    weights = published(reference)
    return Information(
        model=model,
        cls=f"{type(module).__module__}.{type(module).__qualname__}",
        origin=_origin(reference),
        file=file,
        line=line,
        documentation=_documentation(source.maker, module),
        params=sum(_size(parameter) for parameter in module.parameters()),
        facts=declared(reference, module),
        published=weights,
        nothing_published="" if weights else why_none(reference),
    )


def _origin(reference: Reference) -> str:
    if reference.kind != "library":
        return reference.place
    try:
        return f"{reference.place} {version(reference.place)}"
    except PackageNotFoundError:
        return reference.place


def _place(code: Callable[..., Any]) -> tuple[str, int]:
    """File and line of a class or function, as far as Python knows them."""
    with suppress(OSError, TypeError, ValueError):
        original = inspect.unwrap(code)
        return inspect.getsourcefile(original) or "", inspect.getsourcelines(original)[1]
    return "", 0


def _documentation(maker: Callable[..., Any] | None, module: nn.Module) -> str:
    """The docstring of the function that makes the model, else that of its class, unless the class is torch's."""
    cls = type(module)
    texts = [getattr(maker, "__doc__", None), None if cls.__module__.startswith("torch.") else cls.__doc__]
    return next((text for text in texts if isinstance(text, str) and text.strip()), "")


def _size(parameter: nn.Parameter) -> int:
    from torch.nn.parameter import is_lazy

    return 0 if is_lazy(parameter) else parameter.numel()
