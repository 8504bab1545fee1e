"""Trace models that torch has wrapped or sharded for several processes: they are drawn as they were written."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import fxviz

if not dist.is_available():
    pytest.skip("this torch is built without torch.distributed", allow_module_level=True)

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.up = nn.Linear(4, 8)
        self.down = nn.Linear(8, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.up(self.norm(x)).relu()) * self.scale


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


@pytest.fixture(autouse=True, scope="module")
def group() -> Iterator[None]:
    """Start a group of this process alone, unless there is one."""
    if not dist.is_initialized():
        with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
            free.bind(("127.0.0.1", 0))
            patch.setenv("MASTER_ADDR", "127.0.0.1")
            patch.setenv("MASTER_PORT", str(free.getsockname()[1]))
            free.close()
            dist.init_process_group("gloo", rank=0, world_size=1)
    yield


def mesh() -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh("cpu", (1,))


def sharded() -> nn.Module:
    fully_shard = pytest.importorskip("torch.distributed.fsdp").__dict__.get("fully_shard")
    if fully_shard is None:
        pytest.skip("this torch has no fully_shard")
    net, one = Net(), mesh()
    for block in net.blocks:
        fully_shard(block, mesh=one)
    fully_shard(net, mesh=one)
    return net


def run_before() -> nn.Module:
    net = sharded()
    net(torch.ones(1, 4))
    return net


def split_by_columns() -> nn.Module:
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    net = Net()
    for block in net.blocks:
        parallelize_module(block, mesh(), {"up": ColwiseParallel(), "down": RowwiseParallel()})
    return net


def sharded_flat(**options: Any) -> nn.Module:
    from torch.distributed.fsdp import FullyShardedDataParallel

    return FullyShardedDataParallel(Net(), device_id=CPU, **options)


def sharded_in_place() -> nn.Module:
    return sharded_flat(use_orig_params=True)


def replicated() -> nn.Module:
    return nn.parallel.DistributedDataParallel(Net())


def averaged() -> nn.Module:
    return torch.optim.swa_utils.AveragedModel(nn.DataParallel(Net()))


def checkpointed() -> nn.Module:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    net = Net()
    net.blocks[0] = checkpoint_wrapper(net.blocks[0])
    net.blocks[1] = torch.compile(net.blocks[1], backend="eager")  # type: ignore[call-overload]
    return net


BUILT = [sharded, run_before, split_by_columns, sharded_flat, sharded_in_place, replicated, averaged, checkpointed]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("build", BUILT)
def test_it_is_drawn_as_it_was_written(build: Callable[[], nn.Module], device: str) -> None:
    torch.manual_seed(0)
    written = Net()
    right, plain = written(torch.ones(1, 4)).detach(), fxviz.trace(written, torch.ones(1, 4))
    torch.manual_seed(0)
    net = build()
    graph = fxviz.trace(net, torch.ones(1, 4), device=device)
    assert (graph.model.cls, graph.trace.unregistered, graph.trace.notes) == (plain.model.cls, (), ())
    assert {parameter.name: parameter.shape for parameter in graph.parameters} == {
        parameter.name: parameter.shape for parameter in plain.parameters
    }
    assert (graph.traced_params, graph.total_macs, len(graph.skips)) == (plain.total_params, plain.total_macs, 2)
    assert [scope.cls for scope in graph.scopes] == [scope.cls for scope in plain.scopes]
    assert "_wrapped" not in graph.to_json() and "FSDP" not in graph.to_json()
    assert torch.equal(net(torch.ones(1, 4)).detach(), right)


def test_gathering_is_no_step_of_the_model() -> None:
    graph, plain = fxviz.trace(sharded(), torch.ones(1, 4)), fxviz.trace(Net(), torch.ones(1, 4))
    assert [node.op for node in graph.nodes if node.kind != "parameter"] == [
        node.op for node in plain.nodes if node.kind != "parameter"
    ]


def test_a_wrapper_inside_a_model_is_no_level() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.DataParallel(Block()), nn.parallel.DistributedDataParallel(nn.Linear(4, 2)))
    graph = fxviz.trace(net, torch.ones(1, 4))
    assert [scope.cls.rpartition(".")[2] for scope in graph.scopes] == ["Sequential", "Block"]
    assert "2.module.weight" in [parameter.name for parameter in graph.parameters]
    assert "Parallel" not in fxviz.render(graph).svg
