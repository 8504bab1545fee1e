"""How long each room takes: for models as people have them, and for ever longer ones."""

from __future__ import annotations

import pytest
from growing import SIZES, STRUCTURES, Growth, source
from pytest_benchmark.fixture import BenchmarkFixture
from rooms import ROOMS, Journey, cpu_seconds

from fxviz._sources import resolve

pytestmark = pytest.mark.benchmark(timer=cpu_seconds)

MODELS = ("resnet18", "efficientnet_b7", "vit_h_14", "densenet201", "maskrcnn_resnet50_fpn")


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The model of a name."""
    return Journey(lambda: resolve(request.param), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def long_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The model of a structure and a number of layers."""
    structure, layers = request.param
    return Journey(lambda: source(structure, layers), tmp_path_factory.mktemp("long_model"))


@pytest.mark.parametrize("model", MODELS, indirect=True)
@pytest.mark.parametrize("room", ROOMS)
def test_model(benchmark: BenchmarkFixture, model: Journey, room: str) -> None:
    """A room's work on a known model."""
    measure(benchmark, model, room, rounds=7, warmup_rounds=1)


LONG = [(structure, layers) for structure in STRUCTURES for layers in SIZES]


@pytest.mark.parametrize("long_model", LONG, indirect=True, ids=[f"{structure}-{layers}" for structure, layers in LONG])
@pytest.mark.parametrize("room", ROOMS)
def test_growth(
    benchmark: BenchmarkFixture, long_model: Journey, room: str, growth: Growth, request: pytest.FixtureRequest
) -> None:
    """A room's work on ever longer models; the table at the end says how it grows."""
    structure, layers = request.node.callspec.params["long_model"]
    measure(benchmark, long_model, room, rounds=3)
    if benchmark.stats is not None:  # None: --benchmark-disable
        growth.setdefault(structure, {}).setdefault(room, {})[layers] = benchmark.stats.stats.median


def measure(benchmark: BenchmarkFixture, journey: Journey, room: str, **rounds: int) -> None:
    """Let a room work so many times on values that remember nothing."""
    benchmark.pedantic(ROOMS[room].work, setup=lambda: ROOMS[room].arguments(journey), **rounds)
