"""Check that threads may trace, build and run models at the same time without disturbing each other."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

import fxviz
from conftest import slow
from fxviz._graph import ArchGraph
from fxviz._graph.errors import TraceError
from fxviz._sources import own_thread
from fxviz._sources.own_thread import ignored_warnings, one_at_a_time, patched, printing_to_stderr, silenced
from fxviz._sources.source import empty_parameters

DEVICES = ["meta", "cpu"]
THREADS = 4
TRACES = 4
WAIT = 60
"""Seconds after which a thread that does not end counts as locked out."""


class Net(nn.Module):
    """A small net whose steps, depth and sizes depend on its number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        width = 4 + number % 5
        self.number = number
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Conv2d(width, width, 1 + 2 * (number % 2), padding="same") for _ in range(1 + number % 4)
        )
        self.norm = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, 2 + number)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + F.relu(block(x)) if self.number % 3 else F.gelu(block(x)).mul_(2)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(self.norm(x), 1), 1))


class Other(nn.Module):
    """A model for another thread to run meanwhile: layers, functions, and in-place operations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.register_buffer("scale", torch.ones(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = F.interpolate(self.conv(x), scale_factor=0.5)
        y.mul_(self.scale).add_(1)
        y[:, 0] = 0
        y = torch.cat([y, y.clone().relu_()]).flatten(2).transpose(1, 2)
        return F.softmax(self.attention(y, y, y, need_weights=False)[0], dim=-1)


def traced(number: int, device: str, **options: Any) -> ArchGraph:
    with one_at_a_time():
        torch.manual_seed(number)
        net = Net(number).eval()
    return fxviz.trace(net, torch.ones(1, 3, 8, 8), device=device, **options)


def plain(graph: ArchGraph) -> str:
    """Return the contents of a graph without the measured times."""
    return "\n".join(
        str(part) for part in (graph.model, graph.trace, graph.edges, graph.scopes, graph.parameters)
    ) + "".join(f"{node.id} {node.op} {node.path} {node.outputs} {node.macs} {node.uses}" for node in graph.nodes)


def state() -> dict[str, Any]:
    return {
        "call": nn.Module.__call__,
        "register_parameter": nn.Module.register_parameter,
        "fast path": torch.backends.mha.get_fastpath_enabled,
        "function modes": _get_current_function_mode_stack(),
        "dispatch modes": _get_current_dispatch_mode_stack(),
        "filters": [entry for entry in warnings.filters if hasattr(entry[3], "owner")],
        "output": sys.stdout,
        "log": list(logging.getLogger("torch._subclasses.fake_tensor").filters),
    }


@pytest.fixture(autouse=True)
def torch_stays() -> Iterator[None]:
    """Torch and Python are as before, and no thread holds the lock."""
    before = state()
    yield
    assert state() == before
    assert in_thread(lambda: traced(0, "meta").nodes) is not None


def in_thread(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(WAIT)


@contextmanager
def beside(call: Callable[[], None]) -> Iterator[None]:
    """Call it again and again in another thread; what it raises is raised here."""
    ends, errors = threading.Event(), []

    def loop() -> None:
        try:
            while not ends.is_set():
                call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join(WAIT)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "time", "traces"), [("meta", False, 2), *slow(("meta", False, 8), ("cpu", False, 8), ("cpu", True, 2))]
)
def test_threads_trace_as_one_does(device: str, time: bool, traces: int) -> None:
    numbers = [[thread * traces + place for place in range(traces)] for thread in range(THREADS)]
    alone = {number: plain(traced(number, device)) for group in numbers for number in group}
    begin = threading.Barrier(THREADS)

    def trace_all(group: list[int]) -> list[ArchGraph]:
        begin.wait(WAIT)
        return [traced(number, device, time=time) for number in group]

    with ThreadPoolExecutor(THREADS) as pool:
        graphs = [graph for group in pool.map(trace_all, numbers) for graph in group]
    assert [plain(graph) for graph in graphs] == [alone[number] for group in numbers for number in group]
    assert not time or all(any(node.time for node in graph.nodes) for graph in graphs)


@pytest.mark.slow
@pytest.mark.parametrize(("device", "time"), [("meta", False), ("cpu", False), ("cpu", True)])
def test_a_trace_beside_a_thread_that_runs_a_model(device: str, time: bool) -> None:
    other, image = Other().eval(), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        expected = other(image)
    alone = [plain(traced(number, device)) for number in range(TRACES)]

    def run() -> None:
        with torch.no_grad():
            got = other(image)
        assert type(got) is Tensor
        assert torch.equal(got, expected)

    with beside(run):
        graphs = [traced(number, device, time=time) for number in range(TRACES)]
    assert [plain(graph) for graph in graphs] == alone


def test_a_model_by_name_is_built_beside_a_thread_that_makes_layers() -> None:
    """Another thread's parameters have memory, while those of the model that is traced have none."""
    alone = plain(fxviz.trace("resnet18"))

    def make() -> None:
        assert nn.Linear(3, 3)(torch.ones(3)).device.type == "cpu"

    with beside(make):
        assert plain(fxviz.trace("resnet18")) == alone


@pytest.mark.slow
def test_another_thread_may_run_the_same_model() -> None:
    """A fake run writes nothing to a model that is in the mode to trace it in."""
    net, image = Net(1).eval(), torch.rand(1, 3, 8, 8)
    expected = net(image)

    def run() -> None:
        assert torch.equal(net(image), expected)

    alone = plain(fxviz.trace(net, image))
    with beside(run):
        graphs = [fxviz.trace(net, image) for _ in range(TRACES)]
    assert {plain(graph) for graph in graphs} == {alone}


class Failing(nn.Module):
    def __init__(self, failure: type[BaseException]) -> None:
        super().__init__()
        self.failure = failure
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.fc(x)
        raise self.failure("on purpose")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("failure", "raised"),
    [(ValueError, TraceError), (SystemExit, TraceError), (KeyboardInterrupt, KeyboardInterrupt)],
)
def test_a_failure_lets_the_next_thread_in(
    device: str, failure: type[BaseException], raised: type[BaseException]
) -> None:
    with pytest.raises(raised):
        fxviz.trace(Failing(failure), torch.ones(1, 3), device=device)
    assert len(in_thread(lambda: traced(1, device).nodes)) > 5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("inner", [lambda: fxviz.trace("resnet18"), lambda: fxviz.trace(nn.ReLU(), torch.ones(1))])
def test_a_trace_inside_a_traced_forward_is_refused(device: str, inner: Callable[[], ArchGraph]) -> None:
    class Tracing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            inner()
            return x + 1

    with pytest.raises(TraceError, match="cannot build or trace a model inside the forward of a model that is being"):
        in_thread(lambda: fxviz.trace(Tracing(), torch.ones(1, 3), device=device))


def test_a_trace_while_a_model_is_built_is_right() -> None:
    """A model that traces another one in its ``__init__``, to learn its sizes, has it traced as it would be alone."""
    with empty_parameters():
        inside = traced(3, "meta")
    assert plain(inside) == plain(traced(3, "meta"))


def test_forward_may_run_parts_in_threads_of_its_own() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.left(x) + in_thread(partial(self.right, x))

    graph = fxviz.trace(Branches(), torch.ones(1, 3))
    assert graph.nodes[-1].outputs[0].shape == (1, 3)


# ------------------------------------------------------------------ what is changed for one thread


def test_a_patch_that_another_thread_left_behind_does_nothing() -> None:
    """Another thread patches meanwhile, as ``torch.fx.symbolic_trace`` does, and puts back what it found."""
    original = nn.Module.__call__
    with patched(nn.Module, "__call__", lambda *_: "traced"):
        found = nn.Module.__call__
        nn.Module.__call__ = lambda module, x: found(module, x)  # type: ignore[method-assign]
        assert nn.ReLU()(torch.ones(1)) == "traced"
    assert torch.equal(nn.ReLU()(torch.ones(1)), torch.ones(1))
    nn.Module.__call__ = found  # type: ignore[method-assign]
    assert torch.equal(nn.ReLU()(torch.ones(1)), torch.ones(1))
    nn.Module.__call__ = original  # type: ignore[method-assign]


def test_warnings_of_other_threads_are_shown() -> None:
    def warn() -> None:
        warnings.warn("seen", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with ignored_warnings():
            warn()
            assert not seen
            in_thread(warn)
    assert [str(each.message) for each in seen] == ["seen"]


@pytest.mark.filterwarnings("default:seen")
def test_filters_that_overlap_leave_nothing_behind() -> None:
    """Another thread saves the filters while some are ignored, and restores them afterwards."""
    before = list(warnings.filters)
    ours, theirs = ignored_warnings(), warnings.catch_warnings()
    ours.__enter__()
    theirs.__enter__()
    ours.__exit__(None, None, None)
    theirs.__exit__(None, None, None)
    with warnings.catch_warnings(record=True) as seen:
        warnings.filterwarnings("always", append=True)
        warnings.warn("seen", UserWarning, stacklevel=1)
    warnings.filters[:] = before  # type: ignore[index]
    assert [str(each.message) for each in seen] == ["seen"]


def test_other_threads_print_and_log_as_ever(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("a.library")

    def say(text: str) -> None:
        print(text)
        log.error(text)

    with printing_to_stderr(), silenced("a.library"):
        say("mine")
        in_thread(lambda: say("theirs"))
    assert capsys.readouterr() == ("theirs\n", "mine\n")
    assert [record.message for record in caplog.records] == ["theirs"]


def test_output_that_was_kept_goes_where_it_went() -> None:
    kept = io.StringIO()
    with contextlib.redirect_stdout(kept):
        with printing_to_stderr():
            held = sys.stdout
        print("later", file=held)
    assert kept.getvalue() == "later\n"


def test_one_thread_waits_for_the_other() -> None:
    order: list[str] = []

    def enter() -> None:
        with one_at_a_time():
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with one_at_a_time():
            waiting = pool.submit(enter)
            with pytest.raises(TooLate):
                waiting.result(0.05)
            order.append("first")
        waiting.result(WAIT)
    assert order == ["first", "second"]


# -------------------------------------------------------------------- threads that wait for each other


messages: SimpleQueue[str] = SimpleQueue()


class WaitsForATrace(nn.Module):
    """Its forward, or its constructor, waits for a thread that traces another model."""

    def __init__(self, at_once: bool) -> None:
        super().__init__()
        if at_once:
            self.wait()

    def wait(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            error = pool.submit(fxviz.trace, nn.Linear(2, 2), torch.zeros(1, 2)).exception(timeout=60)
        messages.put(str(error))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.wait()
        return x + 1


@pytest.mark.parametrize("at_once", [False, True])
def test_threads_that_wait_for_each_other_are_refused(monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    monkeypatch.setattr(own_thread, "_PATIENCE", 0.5)
    if at_once:
        with own_thread.one_at_a_time():
            WaitsForATrace(at_once)
    else:
        fxviz.trace(WaitsForATrace(at_once), torch.zeros(1, 2))
    while True:
        assert "the thread that is building or tracing one stands still" in messages.get_nowait()
        if messages.empty():
            break
    assert fxviz.trace(nn.Linear(2, 2), torch.zeros(1, 2)).total_params == 6


@pytest.mark.slow
def test_a_thread_waits_as_long_as_the_other_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_thread, "_PATIENCE", 0.5)
    with ThreadPoolExecutor(1) as pool, own_thread.one_at_a_time():
        waiting = pool.submit(fxviz.trace, nn.Linear(2, 2), torch.zeros(1, 2))
        until = time.monotonic() + 2
        while time.monotonic() < until:
            sum(range(1000))
        assert not waiting.done()
    assert waiting.result(timeout=60).total_params == 6


def test_output_that_another_thread_redirects_meanwhile_is_restored() -> None:
    before = sys.stdout
    with own_thread.printing_to_stderr():
        sys.stdout = io.StringIO()
        theirs = sys.stdout
    assert sys.stdout is theirs
    sys.stdout = before
