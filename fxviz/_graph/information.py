"""What is known of a model beside its graph: documentation, origin, published weights. Plain values, made by loading."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How good weights are, as their publisher says: ``Metric("ImageNet-1K", "acc@1", 69.758)``."""

    dataset: str
    name: str
    value: float


@dataclass(frozen=True)
class Published:
    """Weights that a library publishes for a model, as it declares them.

    Attributes:
        name: what ``--weights`` calls them.
        is_default: whether they are those that the library takes if none are named.
        is_here: whether they are on this machine already.
        params: scalars in the parameters; None if that is not declared.
        gmacs: multiply-accumulate operations in units of 1e9; None if that is not declared.
        megabytes: of the file; None if that is not declared.
        metrics: how good they are.
        facts: whatever else is declared, by what it is called: ("licence", "apache-2.0").
    """

    name: str
    is_default: bool = False
    is_here: bool = False
    params: int | None = None
    gmacs: float | None = None
    megabytes: float | None = None
    metrics: tuple[Metric, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Information:
    """What is known of a model beside its graph.

    Attributes:
        model: the name it is asked for by.
        cls: its class with its Python module.
        origin: the library with its version, or what the model's name names.
        file: where the code is that makes it; "" if that is not known.
        line: its line there, from 1; 0 if not known.
        documentation: what its author says of it, as written; "" if nothing.
        params: scalars in its parameters.
        facts: what its library declares of it.
        published: the weights that its library declares.
        nothing_published: why there are none.
    """

    model: str
    cls: str
    origin: str
    file: str = ""
    line: int = 0
    documentation: str = ""
    params: int | None = None
    facts: tuple[tuple[str, str], ...] = ()
    published: tuple[Published, ...] = ()
    nothing_published: str = ""
