"""Every private name of torch that fxviz uses, with what replaces it in a torch that does not have it.

No other file of fxviz names them, but ``torch_state.py``; ``tests/test_architecture.py`` checks that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from fxviz._graph.errors import FxvizError

_KNOWN = "2.4 to 2.15"
"""The versions of torch with which fxviz was tested."""


def unknown_torch(name: str) -> FxvizError:
    """Return the error for a private name that fxviz cannot do without, and that this torch does not have.

    >>> str(unknown_torch("torch._C.Missing")).partition(": ")[2]
    'it has no torch._C.Missing; install a newer fxviz, or torch 2.4 to 2.15'
    """
    return FxvizError(
        f"fxviz does not know this version of torch ({torch.__version__}): it has no {name}; "
        f"install a newer fxviz, or torch {_KNOWN}"
    )


def optional(path: str) -> Any:
    """Return what a dotted path below torch names, None if this torch does not have it."""
    found: Any = torch
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


# ------------------------------------------------------------------ fake tensors
# Tensors with a shape and a dtype, without values. There is no public way to make them, and nothing is traced without.

try:
    from torch._subclasses import fake_tensor as _fake_tensor
    from torch._subclasses.fake_tensor import FakeTensor as FakeTensor
    from torch._subclasses.fake_tensor import FakeTensorMode as FakeTensorMode
except ImportError as error:
    raise unknown_torch("torch._subclasses.fake_tensor.FakeTensorMode") from error


FAKE_TENSOR_LOGGER = "torch._subclasses.fake_tensor"
"""The logger to which torch reports each operation that fails on fake tensors. One of another name is not silenced."""


def _failures(*names: str) -> tuple[type[Exception], ...]:
    """Return the exceptions of these names; one that does not exist is not raised by this torch."""
    found = (getattr(_fake_tensor, name, None) for name in names)
    return tuple(each for each in found if isinstance(each, type) and issubclass(each, Exception))


DEPENDS_ON_DATA = _failures("DynamicOutputShapeException", "DataDependentOutputException")
"""Errors where a result depends on values that a fake tensor lacks. Without them nothing is guessed; the model runs."""

UNSUPPORTED_BY_FAKE = _failures("UnsupportedOperatorException", "UnsupportedFakeTensorException")
"""Raised where fake tensors do not support an operation. Others of torch's errors say so in their text."""


def fake_strided(tensor: Tensor, mode: FakeTensorMode, device: torch.device) -> Tensor:
    """Make a fake tensor with the sizes, strides and dtype of a plain one.

    This is ten times as fast as ``mode.from_tensor``, which is used where dispatch modes cannot be bypassed.
    """
    without_dispatch = optional("_C._DisableTorchDispatch")
    if without_dispatch is None:
        return mode.from_tensor(tensor.detach()).to(device)
    with without_dispatch():
        bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    return FakeTensor(mode, bare, device)


def with_values(count: int, mode: FakeTensorMode) -> Tensor:
    """Make a column of the numbers from 0 that remembers its values, and so does what is computed from it alone."""
    with without_modes(), without_function_modes():
        values = torch.arange(count).unsqueeze(1)
    fake = mode.from_tensor(values)
    fake.constant = values
    return fake


def number_in(value: Any) -> float | int | None:
    """Return a number, or the only one in a tensor; None if it has several, or no values.

    >>> number_in(3), number_in(torch.tensor(3)), number_in(torch.tensor([3, 4]))
    (3, 3, None)
    """
    if isinstance(value, FakeTensor):
        value = getattr(value, "constant", None)
    if isinstance(value, Tensor):
        value = value.item() if value.numel() == 1 and not value.is_meta else None
    return value if isinstance(value, (int, float)) else None


# ------------------------------------------------------------------ modes

try:
    from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode  # documented, without a public path
except ImportError as error:
    raise unknown_torch("torch.utils._python_dispatch.TorchDispatchMode") from error


def without_function_modes() -> AbstractContextManager[Any]:
    """Hide torch calls from function modes, which would record them; there is no public way to do so."""
    context = optional("_C.DisableTorchFunction")
    if context is None:
        raise unknown_torch("torch._C.DisableTorchFunction")
    entered: AbstractContextManager[Any] = context()
    return entered


def without_modes() -> AbstractContextManager[Any]:
    """Switch off all dispatch modes, which slow down what is timed; they stay on where torch cannot do that."""
    context = optional("utils._python_dispatch._disable_current_modes") or nullcontext
    entered: AbstractContextManager[Any] = context()
    return entered


def _no_interpreter() -> None:
    return None


_interpreter: Callable[[], Any] = optional("_C._functorch.peek_interpreter_stack") or _no_interpreter


def in_function_transform() -> bool:
    """Return whether ``vmap`` or another function transform runs; without this its steps are recorded one by one."""
    return _interpreter() is not None


_is_wrapped: Callable[[Tensor], bool] | None = optional("_C._functorch.is_functorch_wrapped_tensor")
_unwrap: Callable[[Tensor], Tensor] = optional("_C._functorch.get_unwrapped")


def innermost(tensor: Tensor) -> Tensor:
    """Return the tensor that function transforms (``vmap``, ``grad``) have wrapped, any other tensor itself."""
    while _is_wrapped is not None and _is_wrapped(tensor):
        tensor = _unwrap(tensor)
    return tensor


# ------------------------------------------------------------------ operators that take functions

HigherOrderOperator: type = optional("_ops.HigherOrderOperator") or type(None)
"""The class of operators such as ``torch.cond``; where torch has none of that name they cannot be told apart."""

CURRENT_MODE = "_get_current_dispatch_mode"
"""The function that their plain kernels ask whether a mode is active."""


def plain_kernel(func: Any) -> Callable[..., Any] | None:
    """Return the kernel that computes such an operator in Python, on any tensors; None if there is none."""
    key = optional("_C.DispatchKey.CompositeExplicitAutograd")
    kernel: Callable[..., Any] | None = getattr(func, "py_kernels", {}).get(key)
    return kernel


# ------------------------------------------------------------------ nested containers


def _map_only(cls: type, change: Callable[[Any], Any], value: Any) -> Any:
    """Replace ``tree_map_only`` in tuples, lists and dicts; classes registered with torch are not entered."""
    if isinstance(value, cls):
        return change(value)
    if isinstance(value, (tuple, list)):
        parts = [_map_only(cls, change, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if type(value) is dict:
        return {key: _map_only(cls, change, part) for key, part in value.items()}
    return value


def _leaves(value: Any) -> list[Any]:
    """Replace ``tree_leaves``, with the same restriction."""
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in _leaves(part)]
    return _leaves(tuple(value.values())) if type(value) is dict else [value]


tree_map_only: Callable[[Any, Callable[[Any], Any], Any], Any] = optional("utils._pytree.tree_map_only") or _map_only
"""Replace the parts of a nested container that are of one class."""

tree_leaves: Callable[[Any], list[Any]] = optional("utils._pytree.tree_leaves") or _leaves
"""List the parts of a nested container."""


def unflattened(leaves: list[Any], structure: Any) -> Any:
    """Put leaves into a structure that an exported program declares; only torch can read that."""
    unflatten = optional("utils._pytree.tree_unflatten")
    if unflatten is None:
        raise unknown_torch("torch.utils._pytree.tree_unflatten")
    return unflatten(leaves, structure)


def structure_of(value: Any) -> Any:
    """Return the structure of a nested container, to compare it with one that an exported program declares."""
    structure = optional("utils._pytree.tree_structure")
    if structure is None:
        raise unknown_torch("torch.utils._pytree.tree_structure")
    return structure(value)


# ------------------------------------------------------------------ tensors and operations


def version_of(tensor: Tensor) -> int:
    """Return the counter that torch raises at every write.

    It is 0 for tensors that keep none (inference mode), and where torch has no counter: a write is then known by the
    operation's name alone.
    """
    return 0 if tensor.is_inference() else int(getattr(tensor, "_version", 0))


def stored_values(tensor: Tensor) -> int:
    """Count the values that a sparse tensor stores.

    >>> stored_values(torch.eye(3).to_sparse())
    3
    """
    return int(tensor._nnz())


def storage_of(tensor: Tensor) -> int | None:
    """Return a number that two views of the same memory share; None for tensors without storage (sparse, nested).

    Where storages have no such number, their address replaces it. Fake tensors have none: a write through a view of one
    is then not noticed.
    """
    try:
        storage = tensor.untyped_storage()
        number = getattr(storage, "_cdata", None)
        return int(storage.data_ptr() if number is None else number) or None
    except (NotImplementedError, RuntimeError):
        return None


def schema_of(func: Any) -> Any:
    """Return the schema that declares the arguments of an aten operation; None where torch has no such schema."""
    return getattr(func, "_schema", None)


def writes(func: Any) -> bool:
    """Return whether an aten operation writes to an argument; without a schema go by its name (``add_``, ``add.out``).

    >>> writes(torch.ops.aten.add_.Tensor), writes(torch.ops.aten.add.out), writes(torch.ops.aten.add.Tensor)
    (True, True, False)
    """
    schema = schema_of(func)
    if schema is None:
        name, _, overload = str(func).removeprefix("aten.").partition(".")
        return name.endswith("_") or overload.endswith("out")
    return bool(schema.is_mutable)


def argument_names(func: Any) -> list[str]:
    """List the names of an aten operation's arguments; without a schema none is known, and layers keep no settings.

    >>> argument_names(torch.ops.aten.mm.default)
    ['self', 'mat2']
    """
    schema = schema_of(func)
    return [] if schema is None else [argument.name for argument in schema.arguments]


OpOverload: Any = type(torch.ops.aten.alias.default)
"""The class of aten operations such as ``aten.add.Tensor``."""


_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
    "OffloadWrapper": "_checkpoint_wrapped_module",
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "AveragedModel": "module",
}
"""Classes of torch that hand their inputs on to one module, by the name under which they hold it."""

_HIDDEN = frozenset(name for name in _WRAPPERS.values() if name.startswith("_"))
"""Names in paths that nobody has written."""


def wrapped_in(module: nn.Module) -> Any:
    """Return the module to which a wrapper of torch's hands its inputs on; None for any other module.

    Where torch calls the wrapper otherwise it is traced as it is; compiled code cannot be recorded.

    >>> layer = nn.ReLU()
    >>> wrapped_in(torch.compile(layer)) is layer, wrapped_in(nn.DataParallel(layer)) is layer, wrapped_in(layer)
    (True, True, None)
    """
    name = _WRAPPERS.get(type(module).__name__)
    return None if name is None or not type(module).__module__.startswith("torch.") else getattr(module, name, None)


RUN_GRAPHS = ("torch.fx.graph_module", "torch.export.unflatten")
"""Where torch defines modules that run a graph in place of the code that it was made from."""

_GENERATED = ("GraphModule", "GraphModuleImpl")
"""Classes of graph modules that do not tell which class the graph was made from."""


def class_name(module: nn.Module) -> str:
    """Return the class that a module was written as, with its Python module.

    torch puts classes of its own in place of those of modules that it compiles, shards, scripts, parametrizes, or
    writes as a graph. Where it does not keep the original name, the name is that of torch's class.

    >>> class_name(nn.Linear(2, 2)), class_name(torch.compile(nn.Linear(2, 2)))
    ('torch.nn.modules.linear.Linear', 'torch.nn.modules.linear.Linear')
    >>> class_name(torch.fx.symbolic_trace(nn.Sequential(nn.ReLU())))
    'torch.fx.graph_module.Sequential'
    """
    module = unwrapped(module)
    cls = type_before_parametrizations(module)
    if hasattr(module, "_get_fsdp_state") and len(cls.__mro__) > 2:
        cls = cls.__mro__[2]  # the others are torch's: FSDPNet, FSDPModule, Net
    if isinstance(module, torch.jit.ScriptModule):
        return f"torch.jit.{getattr(module, 'original_name', cls.__name__)}"
    written = getattr(module, "type_name", None) if cls.__module__ in RUN_GRAPHS else None
    if written is not None and (name := written()):
        return str(name)
    if not isinstance(module, torch.fx.GraphModule):
        generated = cls.__module__ == type_before_parametrizations.__module__  # as a file of an exported program has it
        return f"{cls.__module__}.{cls.__qualname__.removeprefix('Parametrized' if generated else '')}"
    return _exported_class(module) if cls.__name__ in _GENERATED else f"torch.fx.graph_module.{cls.__name__}"


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside all wrappers of torch's; any other module itself."""
    while (inside := wrapped_in(module)) is not None:
        module = inside
    return module


def class_label(module: nn.Module) -> str:
    """Return the class that a module was written as, without its Python module.

    >>> class_label(nn.DataParallel(nn.Linear(2, 2)))
    'Linear'
    """
    return class_name(module).rpartition(".")[2]


def written_path(path: str) -> str:
    """Return the path of a module or parameter without names that torch's wrappers put into it.

    >>> written_path("encoder._orig_mod.0.weight")
    'encoder.0.weight'
    """
    return ".".join(name for name in path.split(".") if name not in _HIDDEN) if "_" in path else path


def _exported_class(module: torch.fx.GraphModule) -> str:
    """Return the class that ``torch.export`` noted at the steps of the graph."""
    for node in module.graph.nodes:
        for path, cls in (node.meta.get("nn_module_stack") or {}).values():
            if path == "" and isinstance(cls, str):
                return cls
    return "torch.fx.graph_module.GraphModule"


# ------------------------------------------------------------------ models that several processes share

GATHERED = ("_unsharded_param", "_unsharded_inner_tensors", "all_gather_outputs")
"""The attributes in which torch keeps what it gathered for a parameter of a sharded model."""


def sharded_parameters(model: nn.Module) -> list[Any]:
    """Return the objects in which torch keeps the parameters of a sharded model (``fully_shard``)."""
    found: list[Any] = []
    for state in (state() for module in model.modules() if (state := getattr(module, "_get_fsdp_state", None))):
        groups = getattr(state, "_fsdp_param_groups", None) or [getattr(state, "_fsdp_param_group", None)]
        found += [parameter for group in groups if group is not None for parameter in group.fsdp_params]
    return found


def gathers() -> list[tuple[type, str]]:
    """Return the methods, each by its class and name, in which a sharded model gathers parameters and drops them."""
    group = optional("distributed.fsdp._fully_shard._fsdp_param_group.FSDPParamGroup")
    return [] if group is None else [(group, "pre_forward"), (group, "post_forward")]


def gathered(model: nn.Module) -> AbstractContextManager[Any]:
    """Give all modules of an older sharded model (``FullyShardedDataParallel``) their whole parameters in a block."""
    cls = optional("distributed.fsdp.FullyShardedDataParallel")
    sharded = isinstance(cls, type) and any(isinstance(module, cls) for module in model.modules())
    entered: AbstractContextManager[Any] = cls.summon_full_params(model, writeback=False) if sharded else nullcontext()
    return entered


# ------------------------------------------------------------------ files


def erase(graph: fx.Graph, nodes: Sequence[fx.Node]) -> None:
    """Erase the latest nodes of a graph and free their names, which else count on (``add_7`` after ``add_2``).

    >>> graph = fx.Graph()
    >>> erase(graph, [graph.call_function(torch.relu), graph.call_function(torch.relu)])
    >>> graph.call_function(torch.relu).name
    'relu'
    """
    names = getattr(graph, "_graph_namespace", None)
    for node in reversed(nodes):
        graph.erase_node(node)
        if names is not None:
            base, _, number = node.name.rpartition("_")
            names._used_names.discard(node.name)
            names._base_count.pop(node.name, None)
            if number.isdigit() and base in names._base_count:
                names._base_count[base] = int(number) - 1


def archive_reader(file: Any) -> Any:
    """Return torch's own reader of an archive, to see what it would load.

    Without that, files of exported programs cannot be checked, and none is read.

    Raises:
        RuntimeError: the file is not an archive of torch's layout.
    """
    reader = optional("_C.PyTorchFileReader")
    if reader is None:
        raise unknown_torch("torch._C.PyTorchFileReader")
    return reader(file)
