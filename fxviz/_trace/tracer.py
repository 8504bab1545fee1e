"""Record a ``torch.fx.Graph`` while a model runs once, usually on tensors that have shapes and no values.

The tracer keeps the extension points of ``torch.fx.Tracer`` (``is_leaf_module``, ``path_of_module``, ``call_module``,
``create_node``, ``create_arg``). The model sees (fake) tensors instead of proxies, so that ``len``, ``bool``, shapes
and branches simply work. Three hooks feed the tracer: a ``TorchFunctionMode`` sees each call of Python code into
torch, the patched ``nn.Module.__call__`` tells module paths, and a ``TorchDispatchMode`` counts MACs and notes which
parameters are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxviz._graph import Scope
from fxviz._sources.inputs import describe
from fxviz._sources.torch_private import class_name, erase, unwrapped, version_of, written_path
from fxviz._trace.calls import (
    getitem,
    name_of,
    read_after_write,
    returns_nothing_new,
    stopped,
    writes_by_name,
    written,
)
from fxviz._trace.other_threads import OtherThreads, unseen
from fxviz._trace.steps import (
    acts_as_one_step,
    has_forward_of_torch,
    inherited_facts,
    is_childless,
    is_sequence,
    merged_facts,
    read_for_values,
)
from fxviz._trace.tensors import Bindings, tensors_in

_LEAF_CLASSES = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase, torch.jit.ScriptModule)


class ModelTracer(fx.Tracer):
    """Writes the graph of one run.

    The ``meta`` of each node holds ``outputs`` (tuple of TensorInfo), ``scope`` (id), ``path``, ``call``, ``op``,
    ``uses`` (parameter names), ``macs`` (None: unknown), ``module`` for calls of leaf modules, ``reads`` (the nodes
    whose values it depends on, not only their shapes), ``given`` (those of them that took the place of a parameter of
    the module, with its name), ``varies`` (whether it depends on the values of an input), and ``runs`` (the
    settings of the layer that a module of the user's own computes in one step).

    Attributes:
        scopes: the calls of modules with children, in the order they began.
        current: the id of that whose code runs.
        constants: tensors that no step made and the model does not list, by their name in the graph.
        begun, finished: whether the root was called, and has returned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scopes: list[Scope] = []
        self.constants: dict[str, Tensor] = {}
        self._leaves: frozenset[nn.Module] = frozenset()
        self.begun = self.finished = False
        self._bindings = Bindings()
        self._calls: Counter[str] = Counter()
        self._steps: list[fx.Node] = []
        self.current = 0
        self._quiet = 1
        self._blame: Blame | None = None
        self.meter: Any = None

    def start(self, root: nn.Module, leaves: Collection[nn.Module] = (), *others: tuple[nn.Module, str]) -> None:
        """Prepare to record one call of ``root``; ``leaves`` are one node each, ``others`` have these paths."""
        self.root = root
        self.graph = fx.Graph(tracer_cls=type(self))
        self._leaves = frozenset(leaves)
        self.elsewhere = OtherThreads(root, self._bindings.node_of)
        self._paths = {**dict(others), **{module: path for path, module in root.named_modules()}}
        self._tensor_names = {id(tensor): (name, "Parameter") for name, tensor in root.named_parameters()}
        self._tensor_names |= {id(tensor): (name, "Buffer") for name, tensor in root.named_buffers()}
        self.scopes.append(Scope(0, "", class_name(root), 0, None, is_sequence(root)))

    @property
    def recording(self) -> bool:
        """Return False outside the root's call, inside a leaf module and inside an operation that is one node."""
        return self._quiet == 0

    def record(self, inputs: Mapping[str, Tensor], call: Callable[[], Any]) -> Any:
        """Record the call of the root from its inputs to its output."""
        self.begun = True
        for name, tensor in inputs.items():
            self._bindings.bind(tensor, self._record("placeholder", name, (), {}, tensor, op=name, path=name))
        self._quiet = 0
        try:
            result = call()
        except FAILURES as error:
            self.blame(error, self.root)
            raise
        finally:
            self._quiet = 1
        self._record("output", "output", (self.create_arg(result),), {}, result, op="output", path="")
        self.finished = True
        return result

    @contextmanager
    def quiet(self, own: bool = True) -> Iterator[None]:
        """Record nothing of what runs in here: it is part of one node, or (``own``) the tracer's own work."""
        self._quiet += 1
        try:
            yield
        except FAILURES as error:
            if own:
                self.blame(error, own=True)
            raise
        finally:
            self._quiet -= 1

    def blame(
        self, error: BaseException, module: nn.Module | None = None, step: Step | None = None, own: bool = False
    ) -> Blame:
        """Note the module and the step that an exception passes on its way out; the first of each counts."""
        if self._blame is None or self._blame.error is not error:
            self._blame = Blame(error, self.current, own)
        self._blame.module = self._blame.module or module
        self._blame.step = self._blame.step or step
        return self._blame

    def release(self) -> None:
        """Let go of the tensors that the steps were recorded with."""
        self._bindings.clear()
        self._blame = None

    def stop(self, blame: Blame) -> str:
        """Record the step that the run ended in as the last node, and return its name."""
        self.current = blame.scope
        step = blame.step or Step("call_function", stopped, (), {}, {"op": "raise"})
        node = self._record(
            step.kind, step.target, self.create_arg(step.args), self.create_arg(step.kwargs), None, **step.facts
        )
        node.meta["macs"] = 0 if step.target is stopped else None  # it did not finish; nor do its parameters count
        return str(node.name)

    def record_unseen(self, given: tuple[Tensor, ...], uses: tuple[str, ...]) -> fx.Node:
        args = (self.create_arg(given),)
        return self._record("call_function", unseen, args, {}, None, op="other threads", uses=uses, macs=None, path="")

    def create_arg(self, a: Any) -> Any:
        """Convert an argument for the graph: tensors become nodes, containers are kept, the rest stays as it is."""
        if isinstance(a, Tensor):
            return self._node_of(a)
        if isinstance(a, tuple):
            return tuple(self.create_arg(item) for item in a)
        if isinstance(a, list):
            return [self.create_arg(item) for item in a]
        if isinstance(a, dict):
            return {str(key): self.create_arg(item) for key, item in a.items()}
        if isinstance(a, slice):
            return slice(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if isinstance(a, (int, float, complex, bool, str, type(None), type(...))):
            return a
        if isinstance(a, (torch.dtype, torch.device, torch.layout, torch.memory_format)):
            return a
        tensors = list(tensors_in(a))
        return [self._node_of(tensor) for tensor in tensors] if tensors else f"<{type(a).__name__}>"

    def _node_of(self, tensor: Tensor) -> fx.Node:
        node = self._bindings.node_of(tensor)
        if node is None:
            return self._read(tensor)
        writer = self._bindings.pending_write(tensor)
        if writer is None:
            return node
        node = self._record("call_function", read_after_write, (node, writer), {}, tensor, op="read_after_write")
        self._bindings.bind(tensor, node)
        return node

    def _read(self, tensor: Tensor) -> fx.Node:
        """Record a tensor that no recorded step made: a parameter, a buffer, or a constant."""
        known = self._tensor_names.get(id(tensor))
        late = "" if known else self.meter.late_name(tensor)
        name, op = known or (late, "Parameter" if late else "Constant")
        if op == "Constant" and (maker := self.elsewhere.maker(tensor, self)) is not None:
            self._bindings.bind(tensor, maker)
            return maker
        if op == "Constant":
            name = f"_constant_{len(self.constants)}"
            self.constants[name] = tensor
        node = self._record("get_attr", name, (), {}, tensor, op=op, path=name)
        node.meta["uses"] = (name,) if op == "Parameter" else ()
        self._bindings.bind(tensor, node)
        return node

    def _record(
        self, kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, **facts: Any
    ) -> fx.Node:
        written_name = written_path(target) if kind in ("call_module", "get_attr") else target
        node = self.create_node(kind, target, args, kwargs, None if written_name == target else written_name)
        scope = self.scopes[self.current]
        self._steps.append(node)
        node.meta = {
            "outputs": tuple(describe(tensor) for tensor in tensors_in(result)),
            "scope": scope.id,
            "path": scope.path,
            "call": scope.call,
            "uses": (),
            "macs": 0,
            "reads": read_for_values(node, facts["op"]),
            **facts,
        }
        node.meta["varies"] = kind == "placeholder" or any(source.meta["varies"] for source in node.meta["reads"])
        return node

    def call_function(
        self, func: Callable[..., Any], run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a call of Python code into torch as one step; record it if it returns or changes a tensor."""
        name = name_of(func)
        if name == "__set__":
            return self._assign_attribute(func, run, args)
        inputs = list(tensors_in((args, kwargs)))
        versions = [version_of(tensor) for tensor in inputs]
        with self.quiet(), self.meter.measure() as measured:
            try:
                result = run(func, *args, **kwargs)
            except FAILURES as error:
                kind, target, op, args = written(func, name, args)
                self.blame(error, step=Step(kind, target, args, kwargs, {"op": op}))
                raise
        changed = _changed(inputs, versions)
        if writes_by_name(func, name, args) and not any(args[0] is tensor for tensor in changed):
            changed.append(args[0])
        if not changed and (returns_nothing_new(result, inputs) or not any(True for _ in tensors_in(result))):
            return result
        with self.quiet():
            kind, target, op, args = written(func, name, args)
            node = self._record(
                kind,
                target,
                self.create_arg(args),
                self.create_arg(kwargs),
                inputs[0] if result is None else result,
                op=op,
            )
            self._note(node, measured)
            return self._bind_result(node, result, inputs, changed)

    def _assign_attribute(self, func: Callable[..., Any], run: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Run ``x.data = y`` and bind x to the node of y."""
        with self.quiet():
            run(func, *args)
            if func.__self__.__name__ == "data":  # type: ignore[attr-defined]
                self._bindings.bind(args[0], self._node_of(args[1]))

    def operation(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, macs: int | None
    ) -> None:
        """Record an aten operation that no Python call announced (a scripted function, vmap, C++ code)."""
        if not any(True for _ in tensors_in(result)):
            return
        with self.quiet():
            name = name_of(func)
            arguments = self.create_arg(args), self.create_arg(kwargs)
            node = self._record("call_function", func, *arguments, result, op=name, macs=macs)
            self._bind_result(node, result, [], [args[0]] if name.endswith("_") and args else [])

    def _note(self, node: fx.Node, measured: Any) -> None:
        """Note the MACs and parameters of a step; parameters that are nodes of their own are counted there."""
        node.meta["macs"] = measured.macs
        node.meta["known_macs"] = measured.known_macs
        arguments = {name for source in node.all_input_nodes for name in source.meta["uses"] if source.op == "get_attr"}
        node.meta["uses"] = tuple(name for name in measured.parameters if name not in arguments)

    def _bind_result(self, node: fx.Node, result: Any, inputs: list[Tensor], changed: list[Tensor]) -> Any:
        """Bind every tensor of a result to ``node``; replace an input that was returned untouched by a new view."""
        untouched = {id(tensor) for tensor in inputs} - {id(tensor) for tensor in changed}
        result = self._bind(node, result, untouched)
        for tensor in changed:
            self._bindings.wrote(tensor, node)
        return result

    def _bind(self, node: fx.Node, result: Any, untouched: set[int]) -> Any:
        if isinstance(result, Tensor):
            fresh = _alias(result) if id(result) in untouched else result
            self._bindings.bind(fresh, node)
            return fresh
        if type(result) in (tuple, list):
            return type(result)(self._bind_part(node, key, part, untouched) for key, part in enumerate(result))
        if isinstance(result, tuple):
            for key, part in enumerate(result):
                self._bind_part(node, key, part, set())
        elif isinstance(result, dict):
            for key in list(result):
                result[key] = self._bind_part(node, key, result[key], untouched)
        else:
            for tensor in tensors_in(result):
                self._bindings.bind(tensor, node)
        return result

    def _bind_part(self, node: fx.Node, key: Any, part: Any, untouched: set[int]) -> Any:
        if not any(True for _ in tensors_in(part)):
            return part
        return self._bind(self._record("call_function", getitem, (node, key), {}, part, op="getitem"), part, untouched)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one node: an operation of torch's own, or a subclass with the same ``forward``."""
        is_one = isinstance(m, _LEAF_CLASSES) or (is_childless(m) and has_forward_of_torch(m))
        return is_one and m is not self.root

    def path_of_module(self, mod: nn.Module) -> str:
        """Return the dotted path; a module that is not registered anywhere in the model is named after its class."""
        return self._paths.get(mod) or f"<{type(mod).__name__}>"

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a module: record a leaf as one node, any other as a scope in which its own code is recorded.

        A wrapper of torch's (of a compiled or distributed module) is neither.
        """
        if m is self.root or (unwrapped(m) is not m and m not in self._leaves):
            return forward(*args, **kwargs)
        path = self.path_of_module(m)
        call = self._calls[path]
        self._calls[path] += 1
        if m in self._leaves or self.is_leaf_module(m, path):
            facts = {"op": class_name(m).rpartition(".")[2], "path": path, "call": call, "module": m}
            facts |= {} if m in self._leaves else inherited_facts(m)
            return self._call_leaf(Step("call_module", path, args, kwargs, facts), forward)
        if is_childless(m):
            return self._call_childless(m, forward, args, kwargs, call)
        return self._call_scope(m, path, call, partial(forward, *args, **kwargs))

    def _call_scope(self, m: nn.Module, path: str, call: int, run: Callable[[], Any]) -> Any:
        outer = self.current
        self.scopes.append(Scope(len(self.scopes), path, class_name(m), call, outer, is_sequence(m)))
        self.current = len(self.scopes) - 1
        try:
            return run()
        except FAILURES as error:
            self.blame(error, m)
            raise
        finally:
            self.current = outer

    def _call_childless(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], call: int
    ) -> Any:
        """Run a module of the user's own without children, and make one node of it if it acts as one step."""
        path = self.path_of_module(m)
        with self.quiet():
            inputs = list(tensors_in((args, kwargs)))
            versions = [version_of(tensor) for tensor in inputs]
            graph_args, graph_kwargs = self.create_arg(args), self.create_arg(kwargs)
            given = {self._bindings.node_of(tensor) for tensor in inputs}
        scopes, steps, bound = len(self.scopes), len(self._steps), len(self._bindings)
        result = self._call_scope(m, path, call, partial(forward, *args, **kwargs))
        with self.quiet():
            inside = self._steps[steps:]
            results = {node for tensor in tensors_in(result) if (node := self._bindings.node_of(tensor)) is not None}
            if not inside or not acts_as_one_step(inside, given, results, scopes):
                return result
            del self.scopes[scopes:], self._steps[steps:]
            facts = {"op": class_name(m).rpartition(".")[2], "path": path, "call": call, "module": m}
            facts |= merged_facts(inside, results)
            for each in inside:
                self.constants.pop(str(each.target), None)
            erase(self.graph, inside)
            node = self._record("call_module", path, graph_args, graph_kwargs, result, **facts)
            self._bindings.replace(set(inside), node, bound)
            return self._bind_result(node, result, inputs, _changed(inputs, versions))

    def _call_leaf(self, step: Step, forward: Callable[..., Any]) -> Any:
        with self.quiet():
            inputs = list(tensors_in((step.args, step.kwargs)))
            versions = [version_of(tensor) for tensor in inputs]
            graph_args, graph_kwargs = self.create_arg(step.args), self.create_arg(step.kwargs)
            try:
                with self.meter.measure() as measured:
                    result = forward(*step.args, **step.kwargs)
            except FAILURES as error:
                self.blame(error, step.facts["module"], step)
                raise
            node = self._record(step.kind, step.target, graph_args, graph_kwargs, result, **step.facts)
            node.meta["given"] = self._given_to(step.facts["module"])
            node.meta["reads"] |= node.meta["given"].keys()
            node.meta["varies"] |= any(source.meta["varies"] for source in node.meta["given"])
            self._note(node, measured)
            return self._bind_result(node, result, inputs, _changed(inputs, versions))

    def _given_to(self, m: nn.Module) -> dict[fx.Node, str]:
        """Return the nodes whose results took the places of a module's parameters for a call, with their names."""
        swapped = ((name, tensor) for name, tensor in m.named_parameters() if id(tensor) not in self._tensor_names)
        made = ((self._bindings.node_of(tensor), name) for name, tensor in swapped)
        return {node: name for node, name in made if node is not None and node.op != "get_attr"}


def _changed(tensors: list[Tensor], versions: list[int]) -> list[Tensor]:
    """Return the tensors that were written to since they had these versions."""
    return [tensor for tensor, version in zip(tensors, versions, strict=True) if version_of(tensor) != version]


_alias: Callable[[Tensor], Tensor] = torch.ops.aten.alias.default
"""Return another view of the same memory, which distinguishes the output of a step from its input."""

FAILURES = (Exception, SystemExit)
"""Exceptions that count as failures of the model's code; others (Ctrl-C) do not come from it."""


@dataclass(frozen=True)
class Step:
    """A call as fx writes it, with the facts that its node would have."""

    kind: str
    target: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    facts: Mapping[str, Any]


@dataclass
class Blame:
    """The origin of an exception.

    Attributes:
        error: the exception.
        scope: id of the scope in which it was raised.
        own: whether the tracer raised it while it recorded a step.
        module: the innermost module whose call raised.
        step: the operation that raised; None if the code around the operations did.
    """

    error: BaseException
    scope: int
    own: bool = False
    module: nn.Module | None = None
    step: Step | None = None
