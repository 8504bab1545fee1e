"""Record one run of a model in a ``torch.fx`` graph, and convert that to plain values."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from fxviz._graph import ArchGraph, Edge, ModelInfo, Node, NodeKind, Parameter, TensorInfo, TraceInfo
from fxviz._graph.errors import UsageError, shown, spelled, text_of
from fxviz._graph.operations import RUNS, tells
from fxviz._graph.options import TraceOptions
from fxviz._graph.values import MacsBound, Unregistered
from fxviz._sources.inputs import Arguments, describe
from fxviz._sources.own_thread import running_forward
from fxviz._sources.torch_private import FakeTensor, class_label, class_name, unwrapped, written_path
from fxviz._trace.arguments import materialized, method_of, named_inputs
from fxviz._trace.calls import is_plain, plain, plain_arguments
from fxviz._trace.failures import Stop, asks_for_memory, stop_of
from fxviz._trace.higher_order import nothing_compiled
from fxviz._trace.hooks import FunctionMode, OperationMeter, StandIns, module_calls
from fxviz._trace.isolation import no_gpu_to_wait_for, undisturbed
from fxviz._trace.other_threads import OtherThreads, WatchedFakeMode
from fxviz._trace.survivors import RunTensors, forget_values, nothing_survives
from fxviz._trace.tensors import tensors_in
from fxviz._trace.tracer import FAILURES, ModelTracer
from fxviz._trace.unregistered import Strays

_NEEDS_GRADIENTS = "does not require grad"
"""Part of the error where the model's code asks for a gradient."""

_DEFAULTS = TraceOptions()


@dataclass(frozen=True)
class Recording:
    """One run as torch sees it.

    Attributes:
        graph: the steps; each node's ``meta`` is as :class:`~fxviz._trace.tracer.ModelTracer` describes it.
        tracer: the tracer that recorded them.
        inputs: the tensors that the recorded module was called with, by name.
        values: these tensors with the values that they had then; {} for fake ones, which have none.
        guessed: operations whose result was guessed, and how often.
        bound: how far to trust MACs that rest on guessed results.
        idle: scalars in parameters of experts that a token does not use.
        unregistered: weights that it used and that are no parameters of the model.
        stop: where the run failed, None if it did not.
        lacked_values: whether it failed because fake tensors do not have values.
        notes: sentences on what was done beyond running the model, or assumed.
        late: names of the parameters that the model did not have before the run.
        left: those of the notes that are on what could not be put back.
    """

    graph: fx.Graph
    tracer: ModelTracer
    inputs: Mapping[str, TensorInfo]
    values: Mapping[str, Tensor]
    guessed: Mapping[str, int]
    bound: MacsBound = "about"
    idle: int = 0
    unregistered: tuple[Unregistered, ...] = ()
    stop: Stop | None = None
    lacked_values: bool = False
    notes: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def record(model: nn.Module, inputs: Any, options: TraceOptions = _DEFAULTS, guessing: bool = False) -> Recording:
    """Run ``model`` once; arguments and errors as for :func:`~fxviz._trace.run.trace_module`, but return failures.

    It runs without gradients. If its code asks for some (a force, a differential equation), it runs again with them.

    >>> from fxviz._graph import TensorInfo
    >>> recording = record(nn.ReLU(), TensorInfo((1, 4), "float32"))
    >>> [node.name for node in recording.graph.nodes]
    ['input_1', 'relu', 'output']
    """
    recording = _recorded(model, inputs, options, guessing, gradients=False)
    if recording.stop is not None and _NEEDS_GRADIENTS in text_of(recording.stop.error):
        return _recorded(model, inputs, options, guessing, gradients=True)
    return recording


def _recorded(model: nn.Module, inputs: Any, options: TraceOptions, guessing: bool, gradients: bool) -> Recording:
    root = submodule(model, options.root)
    fake_mode = None if _runs_for_real(model, options.device) else WatchedFakeMode()
    home = home_of(model) if fake_mode else options.device
    names = {id(parameter): name for name, parameter in root.named_parameters()}
    strays, made = Strays(root), RunTensors()
    stand_ins = StandIns(fake_mode, torch.device(home), names, strays)
    tracer = ModelTracer()
    tracer.start(root, leaves(root, options.leaf), *strays.paths.items())
    _watch_other_threads(tracer.elsewhere, stand_ins, made)
    tracer.meter = meter = OperationMeter(tracer, stand_ins, made, guessing)
    given, function = Arguments.of(inputs), method_of(model, options.method)
    call = _RootCall(tracer, function, real=fake_mode is None)
    with ExitStack() as stack:
        kept = stack.enter_context(nothing_survives(made))
        stack.callback(_released, tracer, stand_ins, made, call)
        stack.enter_context(running_forward())
        call.given = materialized((given.args, given.kwargs), fake_mode, home)
        made.note(call.given)
        stack.enter_context(undisturbed(model, call.real, options.train, gradients, options.method, kept))
        stack.enter_context(nothing_compiled())
        if fake_mode is not None:
            stack.enter_context(no_gpu_to_wait_for())
            stack.enter_context(fake_mode)
        for hook in (meter, module_calls(tracer, strays, call.ending), tracer.elsewhere.starting()):
            stack.enter_context(hook)
        stack.enter_context(FunctionMode(tracer, stand_ins))
        error = copy_context().run(call.within, model, function if options.method else model)
        late = tuple(name for name, _ in root.named_parameters() if name not in names.values())
        idle = meter.routing.idle(_sizes(root))
        stop = None if error is None else stop_of(error, tracer, model)
        unregistered = strays.used()
    if error is None and not tracer.finished:
        raise UsageError(_never_called(model, root, options))
    return Recording(
        graph=tracer.graph,
        tracer=tracer,
        inputs=call.described,
        values=call.inputs,
        guessed=dict(meter.guesses),
        bound=meter.bound,
        idle=idle,
        unregistered=unregistered,
        stop=stop,
        left=tuple(kept),
        lacked_values=bool(fake_mode and error and (gradients or meter.went_beyond or asks_for_memory(error))),
        notes=(*meter.notes, *filter(None, (tracer.elsewhere.note(),)), *kept),
        late=late,
    )


def _sizes(root: nn.Module) -> dict[str, int]:
    return {name: tensor.numel() for name, tensor in root.named_parameters() if not is_lazy(tensor)}


def _released(tracer: ModelTracer, stand_ins: StandIns, made: RunTensors, call: _RootCall) -> None:
    """Let go of the tensors of a run that is over, except those that its steps can be timed with."""
    stand_ins.release(made)
    tracer.release()
    tracer.meter.routing.release()
    call.given = ((), {})
    forget_values(call.error)
    if not call.real:
        tracer.constants.clear()
    made.keep([*call.inputs.values(), *tracer.constants.values()])


def _watch_other_threads(elsewhere: OtherThreads, stand_ins: StandIns, made: RunTensors) -> None:
    """Tell of operations on fake tensors in other threads, and replace the parameters among their arguments."""

    def watch(args: Any, kwargs: Any) -> tuple[Any, Any]:
        elsewhere.operated(tensors_in((args, kwargs)))
        return stand_ins.given_elsewhere(args, kwargs)

    if stand_ins.fake_mode is not None:
        elsewhere.real, stand_ins.fake_mode.watch, stand_ins.fake_mode.made = False, watch, made.note


class _RootReturned(BaseException):
    """Ends a run once its submodule has returned. No ``except Exception`` of the model's code stops it."""


@dataclass
class _RootCall:
    """The call to record: the model's own, or the first one of its submodule.

    Attributes:
        function: the model's forward, or the method that runs in its place.
        given: the arguments of the model.
        described: the tensors among the arguments of the call to record.
        inputs: these tensors with their values, if they have any.
        error: the exception that was raised.
    """

    tracer: ModelTracer
    function: Callable[..., Any]
    real: bool
    given: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    described: dict[str, TensorInfo] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    error: BaseException | None = None

    def within(self, model: nn.Module, call: Callable[..., Any]) -> BaseException | None:
        """Call the model until the call to record is over, and return the exception that was raised."""
        args, kwargs = self.given
        try:
            if self.tracer.root is model:
                self._make(call, self.function, args, kwargs)
            else:
                call(*args, **kwargs)
        except _RootReturned:
            pass
        except FAILURES as error:
            if not self.tracer.begun:
                self.error = error
        return self.error

    def ending(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call the submodule, and end the run with it."""
        self._make(call, self.tracer.root.forward, args, kwargs)
        raise _RootReturned

    def _make(
        self, call: Callable[..., Any], declared: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        named = named_inputs(declared, args, kwargs)
        self.described = {name: describe(tensor) for name, tensor in named.items()}
        self.inputs = {name: tensor.clone() for name, tensor in named.items()} if self.real else {}

        try:
            self.tracer.record(named, partial(self._finish, call, args, kwargs))
        except FAILURES as error:
            self.error = error

    def _finish(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = call(*args, **kwargs)
        self.tracer.elsewhere.finish(self.tracer)
        return result


def home_of(model: nn.Module) -> str:
    """Return the device of the model's first parameter that has memory, "cpu" if none has any."""
    return next((str(parameter.device) for parameter in model.parameters() if not parameter.is_meta), "cpu")


def _never_called(model: nn.Module, root: nn.Module, options: TraceOptions) -> str:
    """Explain why nothing of ``root`` ran, and what to do."""
    reason = f"{class_label(model)} never calls its submodule '{options.root}' ({class_label(root)})"
    children = [f"{options.root}.{name}" for name, _ in root.named_children()]
    if isinstance(root, (nn.ModuleList, nn.ModuleDict)) and children:
        more = ", ..." if len(children) > 4 else ""
        return f"{reason}, which is only a container: choose {', '.join(children[:4])}{more}"
    hint = f": it may with {spelled('train=True', '--train')}"
    return f"{reason} in {'training' if options.train else 'eval'} mode{'' if options.train else hint}"


def _runs_for_real(model: nn.Module, device: str) -> bool:
    """Return whether the model really runs on ``device``; False for fake tensors."""
    check_available(device)
    if device == "meta":
        return False
    for name, tensor in model.named_parameters():
        if isinstance(tensor, FakeTensor):
            raise UsageError(
                f"cannot run on {device}: parameter '{name}' is a fake tensor, which has no values; "
                f"build the model outside FakeTensorMode, or choose {spelled('device', '--device')} meta"
            )
        if tensor.device.type != torch.device(device).type:
            raise UsageError(
                f"cannot run on {device}: parameter '{name}' is on {tensor.device}; move the model there first"
            )
    return True


def check_available(device: str) -> None:
    """Refuse a device that this machine does not have.

    Args:
        device: a device that :class:`~fxviz._graph.options.TraceOptions` accepts.

    Raises:
        UsageError: torch sees no such GPU.

    >>> check_available("cuda:99")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    fxviz.UsageError: device 'cuda:99' is not available: torch sees ... GPU(s); use meta or cpu
    """
    index = int(device.partition(":")[2] or 0)
    if device.startswith("cuda") and index >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UsageError(f"device '{device}' is not available: torch sees {count} GPU(s); use meta or cpu")


def submodule(model: nn.Module, path: str) -> nn.Module:
    """Return the module at a dotted path; "" is the model itself.

    Raises:
        UsageError: there is no such module.

    >>> model = nn.Sequential(nn.Linear(4, 2))
    >>> submodule(model, "0"), submodule(model, "") is model
    (Linear(in_features=4, out_features=2, bias=True), True)
    """
    found = _at(model, path)
    if found is None:
        near = _near(path, dict.fromkeys(written_path(name) for name, _ in model.named_modules() if name))
        raise UsageError(f"{class_label(model)} has no submodule '{shown(path)}'{near}")
    return unwrapped(found)


def leaves(root: nn.Module, names: Iterable[str]) -> frozenset[nn.Module]:
    """Return the modules inside ``root`` of these paths ("layer1.0") and classes ("BasicBlock", "resnet.BasicBlock").

    Raises:
        UsageError: a name fits no module.

    >>> [type(module).__name__ for module in leaves(nn.Sequential(nn.ReLU(), nn.Tanh()), ["activation.ReLU"])]
    ['ReLU']
    """
    found: set[nn.Module] = set()
    for name in names:
        fitting = _named(root, name)
        if not fitting - {root}:
            raise UsageError(_unfit(root, name, fitting))
        found |= fitting - {root}
    return frozenset(found)


def _at(model: nn.Module, path: str) -> nn.Module | None:
    found: Any = model
    for name in path.split(".") if path else ():
        found = getattr(found, name, None)
    return found if isinstance(found, nn.Module) else None


def _named(root: nn.Module, name: str) -> set[nn.Module]:
    fitting = {module for module in root.modules() if f".{class_name(module)}".endswith(f".{name}")}
    place = _at(root, name)
    return fitting if place is None else fitting | {place}


def _unfit(root: nn.Module, name: str, fitting: Collection[nn.Module]) -> str:
    if fitting or not name:
        return f"{class_label(root)} cannot be one node as a whole: name modules inside it, by path or class"
    inside = [(written_path(path), class_label(module)) for path, module in root.named_modules() if path]
    near = _near(name, dict.fromkeys([*(path for path, _ in inside), *(cls for _, cls in inside)]))
    return f"{class_label(root)} has no module with the path or class '{shown(name)}'{near}"


def _near(name: str, known: Iterable[str]) -> str:
    """Suggest similar names, else the first ones."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"; did you mean {', '.join(near)}?"
    return f"; it has {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else "; it has none"


_KINDS: dict[str, NodeKind] = {
    "placeholder": "input",
    "call_module": "module",
    "call_function": "function",
    "call_method": "method",
    "get_attr": "parameter",
    "output": "output",
}


def to_archgraph(
    graph: fx.Graph, tracer: ModelTracer, info: ModelInfo, trace: TraceInfo, times: Mapping[str, float]
) -> ArchGraph:
    """Convert the recorded graph to plain values, without torch. ``times``: seconds of the nodes that were timed."""
    owners = {written_path(path): class_name(module) for path, module in tracer.root.named_modules()}
    return ArchGraph(
        model=info,
        trace=trace,
        nodes=tuple(_node(node, times.get(node.name)) for node in graph.nodes),
        edges=tuple(edge for node in graph.nodes for edge in _edges(node)),
        scopes=tuple(replace(scope, path=written_path(scope.path)) for scope in tracer.scopes),
        parameters=tuple(
            _parameter(written_path(name), tensor, owners) for name, tensor in tracer.root.named_parameters()
        ),
        total_buffers=sum(buffer.numel() for buffer in tracer.root.buffers()),
    )


def _node(node: fx.Node, time: float | None) -> Node:
    module = node.meta.get("module")
    return Node(
        id=node.name,
        kind=_KINDS[node.op],
        op=node.meta["op"],
        path=written_path(node.meta["path"]),
        cls=None if module is None else class_name(module),
        call=node.meta["call"],
        scope=node.meta["scope"],
        uses=tuple(map(written_path, node.meta["uses"])),
        outputs=node.meta["outputs"],
        settings=_settings(node),
        macs=node.meta["macs"],
        known_macs=0 if node.meta["macs"] is not None else node.meta.get("known_macs", 0),
        time=time,
        steps=node.meta.get("steps", ()),
    )


def _parameter(name: str, tensor: nn.Parameter, owners: Mapping[str, str]) -> Parameter:
    described = describe(tensor)
    owner = owners.get(name.rpartition(".")[0], "")
    return Parameter(name, described.shape, described.dtype, tensor.requires_grad, owner)


def _edges(node: fx.Node) -> Iterator[Edge]:
    """Yield an edge for each argument whose values a node depends on."""
    for slot, source in _sources("", (node.args, node.kwargs)):
        if source in node.meta["reads"]:
            yield Edge(source.name, node.name, slot)
    for source, name in node.meta.get("given", {}).items():
        yield Edge(source.name, node.name, name)


def _sources(slot: str, value: Any) -> Iterator[tuple[str, fx.Node]]:
    """Yield each node among the arguments with its position: "0", "1.2", "mask"."""
    if isinstance(value, fx.Node):
        yield slot, value
    elif slot == "" and isinstance(value, tuple):
        args, kwargs = value
        for key, item in [*enumerate(args), *kwargs.items()]:
            yield from _sources(str(key), item)
    elif isinstance(value, (tuple, list)):
        for place, item in enumerate(value):
            yield from _sources(f"{slot}.{place}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _sources(f"{slot}.{key}", item)
    elif isinstance(value, slice):
        for key in ("start", "stop", "step"):
            yield from _sources(f"{slot}.{key}", getattr(value, key))


def _settings(node: fx.Node) -> dict[str, Any]:
    """Return the plain public attributes of a module (kernel_size, stride, in_features) in the order they were set.

    What the code of a module of the user's own really does counts, not what its attributes say. Of a function these are
    its plain arguments.
    """
    module = node.meta.get("module")
    if module is None:
        return plain_arguments(node) if node.op in ("call_function", "call_method") else {}
    attributes = ((name, value) for name, value in vars(module).items() if name[:1] != "_" and name != "training")
    runs: dict[str, Any] = node.meta.get("runs", {})
    if RUNS in runs and tells(node.meta["op"], runs[RUNS]):
        runs = {name: value for name, value in runs.items() if name != RUNS}
    return {name: plain(value) for name, value in attributes if is_plain(value)} | runs
