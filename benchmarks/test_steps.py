"""Measure the time of each step, for common models and for models with more and more layers."""

from __future__ import annotations

import pytest
from growing import SIZES, STRUCTURES, Growth, source
from pytest_benchmark.fixture import BenchmarkFixture
from steps import STEPS, Pipeline, cpu_seconds

from fxviz._sources.reference import parse
from fxviz._sources.resolve import resolve

pytestmark = pytest.mark.benchmark(timer=cpu_seconds)

MODELS = ("resnet18", "efficientnet_b7", "vit_h_14", "densenet201", "maskrcnn_resnet50_fpn")


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Return the pipeline of a model by name."""
    return Pipeline(lambda: resolve(parse(request.param)), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def long_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Return the pipeline of a model with a structure and a number of layers."""
    structure, layers = request.param
    return Pipeline(lambda: source(structure, layers), tmp_path_factory.mktemp("long_model"))


@pytest.mark.parametrize("model", MODELS, indirect=True)
@pytest.mark.parametrize("step", STEPS)
def test_model(benchmark: BenchmarkFixture, model: Pipeline, step: str) -> None:
    """Measure a step on a common model."""
    measure(benchmark, model, step, rounds=7, warmup_rounds=1)


LONG = [(structure, layers) for structure in STRUCTURES for layers in SIZES]


@pytest.mark.parametrize("long_model", LONG, indirect=True, ids=[f"{structure}-{layers}" for structure, layers in LONG])
@pytest.mark.parametrize("step", STEPS)
def test_growth(
    benchmark: BenchmarkFixture, long_model: Pipeline, step: str, growth: Growth, request: pytest.FixtureRequest
) -> None:
    """Measure a step on models of growing depth; the table at the end shows how it grows."""
    structure, layers = request.node.callspec.params["long_model"]
    measure(benchmark, long_model, step, rounds=3)
    if benchmark.stats is not None:  # None: --benchmark-disable
        growth.setdefault(structure, {}).setdefault(step, {})[layers] = benchmark.stats.stats.median


def measure(benchmark: BenchmarkFixture, pipeline: Pipeline, step: str, **rounds: int) -> None:
    """Run a step this many times on values without cached results."""
    benchmark.pedantic(STEPS[step].work, setup=lambda: STEPS[step].arguments(pipeline), **rounds)
