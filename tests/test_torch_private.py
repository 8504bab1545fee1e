"""Where torch lacks a private name, fxviz takes another way or says which versions it knows."""

from __future__ import annotations

import importlib.util
from collections import namedtuple
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _python_dispatch, _pytree

import fxviz
from fxviz._graph.errors import FxvizError
from fxviz._sources import torch_private

Pair = namedtuple("Pair", "left right")
NESTED = {"a": [torch.ones(1), 2], "b": (Pair(torch.ones(2), "text"), None), "c": {"d": torch.ones(3)}}


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let fxviz find none of these names in torch, which needs some of them itself."""
    find = torch_private.optional
    monkeypatch.setattr(torch_private, "optional", lambda path: None if path in names else find(path))


def loaded_again() -> ModuleType:
    """Import the module once more, as a process does whose torch lacks what was taken away."""
    spec = importlib.util.spec_from_file_location("torch_private_again", str(torch_private.__file__))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.conv(x) * self.scale).flatten(1)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_model_is_traced_on_fake_tensors_that_are_made_the_slower_way(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    model, image = Net().to(device), torch.ones(1, 3, 8, 8)
    before = fxviz.trace(model, image)
    without(monkeypatch, "_C._DisableTorchDispatch")
    after = fxviz.trace(model, image)
    assert (after.nodes, after.edges, after.parameters) == (before.nodes, before.edges, before.parameters)


def test_steps_are_timed_with_modes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "utils._python_dispatch._disable_current_modes")
    graph = fxviz.trace(Net(), torch.ones(1, 3, 8, 8), device="cpu", time=True)
    assert sum(node.time or 0 for node in graph.nodes) > 0


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("_C.DisableTorchFunction", torch_private.without_function_modes),
        ("utils._pytree.tree_unflatten", lambda: torch_private.unflattened([], None)),
        ("utils._pytree.tree_structure", lambda: torch_private.structure_of(0)),
        ("_C.PyTorchFileReader", lambda: torch_private.archive_reader("net.pt2")),
    ],
)
def test_what_cannot_be_replaced_is_named(monkeypatch: pytest.MonkeyPatch, name: str, call: Any) -> None:
    without(monkeypatch, name)
    with pytest.raises(
        FxvizError, match=rf"does not know this version of torch \({torch.__version__[:4]}.*no torch.{name};"
    ):
        call()


def test_containers_are_walked_without_torchs_help(monkeypatch: pytest.MonkeyPatch) -> None:
    walked, kept = _pytree.tree_leaves(NESTED), _pytree.tree_map_only(Tensor, len, NESTED)
    monkeypatch.delattr(_pytree, "tree_map_only")
    monkeypatch.delattr(_pytree, "tree_leaves")
    again = loaded_again()
    assert again.tree_map_only is again._map_only
    assert again.tree_map_only(Tensor, len, NESTED) == kept
    assert [id(leaf) for leaf in again.tree_leaves(NESTED) if leaf is not None] == [
        id(leaf) for leaf in walked if leaf is not None
    ]


def test_function_transforms_go_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C._functorch, "peek_interpreter_stack")
    again = loaded_again()
    assert again.in_function_transform() is False


def test_nothing_is_guessed_without_the_exceptions_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fake_tensor, "DynamicOutputShapeException")
    assert (fake_tensor.DataDependentOutputException,) == loaded_again().DEPENDS_ON_DATA


@pytest.mark.parametrize(("holder", "name"), [(fake_tensor, "FakeTensorMode"), (_python_dispatch, "TorchDispatchMode")])
def test_a_torch_without_modes_is_refused(monkeypatch: pytest.MonkeyPatch, holder: ModuleType, name: str) -> None:
    monkeypatch.delattr(holder, name)
    with pytest.raises(FxvizError, match=f"it has no .*{name}; install a newer fxviz, or torch 2.4 to"):
        loaded_again()


def test_operations_without_a_schema_are_known_by_name() -> None:
    class Nameless(SimpleNamespace):
        def __str__(self) -> str:
            return self.name

    names = {"aten.add_.Tensor": True, "aten.add.out": True, "aten.add.Tensor": False, "aten.relu.default": False}
    assert {name: torch_private.writes(Nameless(name=name)) for name in names} == names
    assert torch_private.argument_names(Nameless(name="aten.mm.default")) == []


def test_tensors_without_counter_and_storages_without_number() -> None:
    memory = torch.ones(2, 3)

    class Bare:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor

        def is_inference(self) -> bool:
            return False

        def untyped_storage(self) -> Any:
            return SimpleNamespace(data_ptr=self.tensor.untyped_storage().data_ptr)

    bare: list[Any] = [Bare(memory), Bare(memory[1]), Bare(torch.ones(1)), Bare(torch.ones(1, device="meta"))]
    first, view, other, fake = map(torch_private.storage_of, bare)
    assert first == view
    assert first not in (None, other)
    assert fake is None
    assert torch_private.version_of(bare[0]) == 0


def test_a_compiled_module_without_its_original_is_taken_as_it_is() -> None:
    compiled = type("OptimizedModule", (nn.Module,), {"__module__": "torch._dynamo.eval_frame"})()
    assert torch_private.wrapped_in(compiled) is None


def test_fake_tensors_keep_sizes_and_strides() -> None:
    fake = torch_private.fake_strided(torch.ones(2, 3).t(), FakeTensorMode(), torch.device("cpu"))
    assert (tuple(fake.shape), fake.stride(), fake.device.type) == ((3, 2), (1, 3), "cpu")
