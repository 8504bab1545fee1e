"""Trace models, and take graphs in place of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._graph import ArchGraph
from fxviz._graph.errors import UsageError, require_torch, shown, spelled
from fxviz._graph.keywords import options_from, takes
from fxviz._graph.options import RenderOptions, TraceOptions
from fxviz._sources.inputs import Arguments, batched, in_dtype
from fxviz._sources.own_thread import one_at_a_time
from fxviz._sources.reference import Reference, parse

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Unpack

    from fxviz._graph.keywords import TraceKeywords

    Model = str | Path | nn.Module | ArchGraph
    """A graph, the path of a saved one (``.json``), the name of a model, or a module."""


@takes(TraceOptions)
def trace(
    model: str | Path | nn.Module,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    **options: Unpack[TraceKeywords],
) -> ArchGraph:
    """Run a model once and return its graph, with parameters, shapes, MACs and skip connections.

    The name of a file or a module ("net.py:Net", "package.module:factory") runs the code in it.

    Args:
        model: a name from ``fxviz list`` ("resnet18", "timm:resnet50", "transformers:bert"), the file of a
            configuration ("transformers:path/to/config.json"), a class or function of your own ("net.py:Net(depth=18)",
            "package.module:factory"), an exported program ("net.pt2"), or a module, which is left as it was.
        inputs: the arguments of forward: a tuple or list of positional arguments, a dict of keyword arguments, or the
            one argument. A tensor, or a :class:`~fxviz.TensorInfo` for one, may be anywhere inside. None: the inputs
            that the library declares; for a model of your own, one 1×3×224×224 image.
        kwargs: keyword arguments beside ``inputs``.
        options: how the model is built and run: batch, train, leaf, root, method, device, time, partial,
            isolated, weights and download.

    Raises:
        UsageError: there is no such model, device, submodule, input or weights, the weights do not fit, or two options
            conflict.
        FxvizError: a download failed.
        TraceError: the model's own code failed, or its steps cannot be timed one by one.

    >>> graph = trace("resnet18")
    >>> graph.total_params, graph.skip_counts["identity"], graph.skip_counts["projection"]
    (11689512, 5, 3)
    >>> trace("resnet18", root="layer4").total_params
    8393728
    """
    named = parse(model) if isinstance(model, (str, Path)) else model
    return traced(named, inputs, kwargs, options_from(TraceOptions, options))


@one_at_a_time()
def traced(
    model: Reference | nn.Module, inputs: Any, kwargs: Mapping[str, Any] | None, options: TraceOptions
) -> ArchGraph:
    """Build and run a model, and annotate its graph; arguments as for :func:`trace`, the name parsed."""
    _check_inputs(inputs, kwargs)
    options.check_together()
    from fxviz._analysis import annotate
    from fxviz._sources import check, check_weights, source_of

    check(model)
    weights = None if options.weights is None else str(options.weights)
    check_weights(model, weights, options.download)
    if isinstance(model, Reference):
        require_torch(f"cannot trace '{shown(str(model))}': it needs")
    from fxviz._trace import apart_from_torch, asked_elsewhere, check_available, trace_module

    if options.isolated:
        return asked_elsewhere((model, inputs, kwargs, replace(options, isolated=False)))
    check_available(options.device)
    with apart_from_torch(all_modes=isinstance(model, Reference)):
        source = source_of(model, weights, options.download)
        built = source.built_on(options.device) if isinstance(model, Reference) else source.build(True)
        info = source.info(built)
        added = inputs.kwargs if isinstance(inputs, Arguments) and inputs.without_tensors else {}
        unsaid = bool(added) or (inputs is None and kwargs is None)
        passed = built.arguments if unsaid else () if inputs is None else inputs
        given = Arguments.of(passed, {**added, **(kwargs or {})})
        given = given if options.batch is None else batched(given, options.batch)
        given = given if info.weights is None else in_dtype(given, info.weights.dtype, every=unsaid)
        assumed, rebuild = unsaid and built.inputs is None, lambda: source.build(True).module
        with source.running():
            graph = trace_module(built.module, given, info, options, rebuild=rebuild, assumed=assumed)
    return annotate(graph)


def graph_of(
    model: Model | Reference, inputs: Any, kwargs: Mapping[str, Any] | None, options: TraceOptions
) -> ArchGraph:
    """Return a graph that is given, loaded from a file, or traced; ``options`` apply to a model only.

    >>> graph_of("resnet18.json", None, None, TraceOptions(device="cpu", batch=2))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: 'resnet18.json' is traced already: leave out batch and device, or trace the model again with them
    """
    from fxviz._graph.options import given

    named = parse(model) if isinstance(model, (str, Path)) else model
    is_saved = isinstance(named, Reference) and named.is_graph
    if is_saved or isinstance(named, ArchGraph):
        flags = inputs.flags if isinstance(inputs, Arguments) else ("--input",)
        beside = {spelled("inputs", " and ".join(flags)): inputs, "kwargs": kwargs}
        how = [*(name for name, value in beside.items() if value is not None), *given(options)]
        if how:
            _check_inputs(inputs, kwargs)
            which = f"'{shown(str(named))}'" if is_saved else "the graph"
            listed = " and ".join(filter(None, (", ".join(how[:-1]), how[-1])))
            them = "it" if len(how) == 1 else "them"
            raise UsageError(f"{which} is traced already: leave out {listed}, or trace the model again with {them}")
    if isinstance(named, ArchGraph):
        return named
    if isinstance(named, Reference) and named.is_graph:
        return ArchGraph.load(named.place)
    return traced(named, inputs, kwargs, options)


def _check_inputs(inputs: Any, kwargs: Any) -> None:
    """Refuse a value that was meant for another parameter."""
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise UsageError(
            f"the third argument is a dict of forward's keyword arguments, not {shown(repr(kwargs))}: "
            "pass several inputs as one tuple, options by name"
        )
    if isinstance(inputs, (RenderOptions, TraceOptions)):
        raise UsageError(
            f"the second argument is the model's inputs: pass options={type(inputs).__name__}(...) by name"
        )
    if isinstance(inputs, (str, Path)):
        raise UsageError(
            f"the second argument is the model's inputs, not {str(inputs)!r}: pass tensors, options by name "
            f"(theme='dark'), and a text that forward takes in a tuple"
        )


def check_several(action: str, models: Sequence[Any]) -> None:
    """Refuse fewer than two models."""
    if len(models) < 2:
        is_list = len(models) == 1 and isinstance(models[0], (list, tuple))
        hint = f", one by one: {action.replace(' ', '_').removeprefix('draw_')}(a, b)" if is_list else ""
        raise UsageError(f"nothing to {action}: pass two models or more{hint}")
