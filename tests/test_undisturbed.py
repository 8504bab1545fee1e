"""Check that the user's model and torch are restored, whatever the model's code does or raises."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from torch.utils._pytree import tree_leaves

import fxviz
from conftest import slow
from fxviz._graph import ModelInfo
from fxviz._graph.errors import TraceError, UnknownModel
from fxviz._graph.options import TraceOptions
from fxviz._trace import trace_module
from hard_cases import CASES, Case

INFO = ModelInfo("model", "python", "Model")
DEVICES = ["meta", "cpu"]


def state_of_torch() -> dict[str, Any]:
    return {
        "call": nn.Module.__call__,
        "register_parameter": nn.Module.register_parameter,
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "gradients": torch.is_grad_enabled(),
        "function modes": _get_current_function_mode_stack(),
        "dispatch modes": _get_current_dispatch_mode_stack(),
        "random": torch.get_rng_state().tolist(),
        "python's random": random.getstate(),
        "numpy's random": [repr(part) for part in numpy.random.get_state(legacy=True)],
        "log": logging.getLogger("torch._subclasses.fake_tensor").disabled,
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
    }


def state_of_model(model: nn.Module) -> Any:
    """Return modes, attributes by identity, the items of their containers, and the values of tensors."""
    return [(path, module.training, _contents(module.__dict__)) for path, module in model.named_modules()]


def _contents(value: Any) -> Any:
    if isinstance(value, Tensor):
        return (id(value), value.requires_grad, value.grad, str(value.device), value.detach().clone().tolist())
    if isinstance(value, dict):
        return [(key, _contents(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_contents(item) for item in value]
    return value if isinstance(value, (int, float, str, type(None))) else id(value)


@contextmanager
def unchanged(model: nn.Module | None = None) -> Iterator[None]:
    """Check that what runs in here leaves torch and the model as they were."""
    modules = nn.Sequential() if model is None else model
    before = state_of_torch(), state_of_model(modules)
    yield
    assert state_of_torch() == before[0]
    assert state_of_model(modules) == before[1]


class Restless(nn.Module):
    """Changes whatever a forward can change."""

    def __init__(self, failure: type[BaseException] | None = None) -> None:
        super().__init__()
        self.failure = failure
        self.fc = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(1))
        self.seen: list[Tensor] = []
        self.cache: dict[str, Any] = {"nested": []}
        self.last: Tensor | None = None
        self.fc.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        self.train()
        self.calls += 1
        self.calls.data.add_(1)
        self.fc.weight.data[0].mul_(2)
        self.fc.weight.add_(1)
        self.last = self.fc(x)
        self.seen.append(self.last)
        self.cache["nested"].append(x)
        self.cache["new"] = x
        self.late = nn.Parameter(torch.rand(3))
        self.register_buffer("late_buffer", torch.rand(3))
        self.fc.bias.requires_grad_(True)
        self.fc.register_forward_hook(lambda *_: None)
        self.fc = nn.Linear(8, 8)
        del self.drop
        random.random()
        numpy.random.rand()
        torch.manual_seed(7)
        y = self.norm(self.last) + torch.rand(8)
        if self.failure is not None:
            raise self.failure("on purpose")
        return y


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("training", [True, False])
def test_a_model_that_changes_itself_is_put_back(device: str, training: bool) -> None:
    model, inputs = Restless().train(training), (torch.rand(4, 8),)
    model.norm.train(not training)
    with unchanged(model):
        trace_module(model, inputs, INFO, TraceOptions(device=device))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("failure", "raised"), [(RuntimeError, TraceError), (KeyboardInterrupt, KeyboardInterrupt)])
def test_a_model_that_raises_is_put_back(
    device: str, failure: type[BaseException], raised: type[BaseException]
) -> None:
    model, inputs = Restless(failure), (torch.rand(4, 8),)
    with unchanged(model), pytest.raises(raised, match="on purpose"):
        trace_module(model, inputs, INFO, TraceOptions(device=device))


@pytest.mark.parametrize("device", ["meta", *slow("cpu")])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_hard_case_is_as_it_was(case: Case, device: str) -> None:
    model, inputs = case.build(), case.inputs()
    given = [(tensor, tensor.clone()) for tensor in tree_leaves(inputs)]
    with unchanged(model):
        trace_module(model, inputs, INFO, TraceOptions(device=device))
    assert all(before is now for (before, _), now in zip(given, tree_leaves(inputs), strict=True))
    assert all(torch.equal(tensor, value) for tensor, value in given)


def test_gradients_and_hooks_stay() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    called: list[str] = []
    model[0].register_forward_hook(lambda *_: called.append("hook"))
    model(torch.rand(4, 8)).sum().backward()
    inputs = (torch.rand(4, 8),)
    with unchanged(model):
        trace_module(model, inputs, INFO)
    assert called == ["hook"]  # what the hook wrote down while the model was traced is forgotten
    model(*inputs)
    assert called == ["hook"] * 2


class Force(nn.Module):
    """Asks for a gradient by its input, and leaves some on its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        energy = self.energy(positions.requires_grad_()).sum()
        (slope,) = torch.autograd.grad(energy, positions, create_graph=True)
        energy.backward()
        return energy, -slope


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("trained", [True, False])
def test_a_model_that_asks_for_gradients_runs_with_them_and_is_put_back(device: str, trained: bool) -> None:
    model, positions = Force(), torch.rand(4, 3)
    if trained:
        model.energy(positions).sum().backward()
    gradients = [None if tensor.grad is None else tensor.grad.clone() for tensor in model.parameters()]
    with unchanged(model):
        graph = trace_module(model, (positions,), INFO, TraceOptions(device=device))
    assert graph.trace.method == ("fake" if device == "meta" else "real")
    assert {"Linear", "grad", "neg"} < {node.op for node in graph.nodes}
    assert (positions.requires_grad, positions.grad) == (False, None)
    for tensor, before in zip(model.parameters(), gradients, strict=True):
        assert tensor.grad is None if before is None else torch.equal(tensor.grad, before)  # type: ignore[arg-type]


def test_a_model_whose_gradients_lead_to_parameters_runs_for_real() -> None:
    class Meta(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            (step,) = torch.autograd.grad(self.fc(x).sum(), self.fc.weight, create_graph=True)
            return x @ (self.fc.weight - step).t()

    model, inputs = Meta(), (torch.rand(4, 3),)
    with unchanged(model):
        graph = trace_module(model, inputs, INFO)
    assert graph.nodes[-1].outputs[0].shape == (4, 1)


def test_a_traced_model_still_trains() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    trace_module(model, (torch.rand(4, 8),), INFO)
    model(torch.rand(4, 8)).sum().backward()
    assert model[0].weight.grad is not None
    assert int(model[1].num_batches_tracked) == 1


def test_a_model_by_name_leaves_torch_alone() -> None:
    with unchanged():
        fxviz.trace("resnet18")
    with unchanged(), pytest.raises(UnknownModel):
        fxviz.trace("no_such_model")
