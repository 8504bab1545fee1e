"""Check that a trace changes nothing, whatever the model's code keeps and sets, also if it raises."""

from __future__ import annotations

import collections
import contextvars
import functools
import itertools
import os
import queue
import random
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import pytest
import torch
from torch import Tensor, nn

import fxviz
from fxviz import TraceError


class Store:
    count = 0

    def __init__(self) -> None:
        self.kept: Any = None

    @functools.cached_property
    def made_once(self) -> Tensor:
        return torch.ones(8)


class Slotted:
    __slots__ = ("kept", "later")

    def __init__(self) -> None:
        self.kept: Any = None


@dataclass
class Record:
    kept: Any = None


class Key:
    """A key of weak dictionaries."""


Pair = collections.namedtuple("Pair", "kept")
LAST: dict[str, Any] = {}
LIST: list[Any] = []
TOTAL: Any = None
TENSOR = torch.arange(8.0)
ARRAY = numpy.arange(8.0)
WEAK: Any = weakref.WeakKeyDictionary()
KEY = Key()
VARIABLE: contextvars.ContextVar[Any] = contextvars.ContextVar("VARIABLE", default=None)
LOCAL = threading.local()
ELSEWHERE = types.ModuleType("elsewhere_of_a_model")
sys.modules["elsewhere_of_a_model"] = ELSEWHERE
ELSEWHERE.kept = {}  # type: ignore[attr-defined]


@functools.lru_cache(None)
def table(n: int) -> Tensor:
    return torch.arange(n).float()


@functools.lru_cache(maxsize=2)
def small_table(n: int) -> Tensor:
    return torch.arange(n).float()


def with_default(y: Any, kept: list[Any] = []) -> Any:  # noqa: B006 (it is what is tested)
    kept.append(y)
    return kept[0]


def keeping() -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    kept, items = None, []

    def rebind(y: Any) -> Any:
        nonlocal kept
        kept = y if kept is None else kept
        return kept

    def append(y: Any) -> Any:
        items.append(y)
        return items[0]

    return rebind, append


class Net(nn.Module):
    shared: Any = None
    calls = 0
    by_name: ClassVar[dict[str, Any]] = {}

    def __init__(self, body: Callable[[Net, Tensor, Tensor], Any], failure: type[BaseException] | None = None) -> None:
        super().__init__()
        self.body, self.failure = body, failure
        self.layer, self.norm, self.spare = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU()
        self.hidden = [nn.BatchNorm1d(8)]
        self.register_buffer("seen", torch.zeros(8))
        self.store, self.slotted, self.record, self.pair = Store(), Slotted(), Record(), Pair(None)
        self.nested = [{"a": [Store()]}]
        self.queue: Any = collections.deque([0], maxlen=2)
        self.jobs: queue.Queue[Any] = queue.Queue()
        self.default: Any = collections.defaultdict(list)
        self.order: Any = collections.OrderedDict(a=1, b=2)
        self.user: Any = collections.UserDict()
        self.chain = collections.ChainMap({}, {"kept": 1})
        self.set_of_tensors: set[Any] = set()
        self.rebind, self.append = keeping()
        self.partial = functools.partial(dict, a=1)
        self.statistics, self.objects = numpy.zeros(8), numpy.array([None, None], dtype=object)
        self.bytes, self.generator = bytearray(4), torch.Generator()
        self.numbers, self.dice = numpy.random.default_rng(3), random.Random(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.layer(x))
        z = self.body(self, x, y)
        if self.failure is not None:
            raise self.failure("on purpose")
        return y + (z if isinstance(z, Tensor) else 1)

    @functools.lru_cache(None)  # noqa: B019 (it is what is tested)
    def table(self, n: int) -> Tensor:
        return self.layer.weight[0] * n


def keep(holder: Any, name: str, y: Any) -> Any:
    if getattr(holder, name, None) is None:
        setattr(holder, name, y)
    return getattr(holder, name)


def global_name(net: Net, x: Tensor, y: Tensor) -> Any:
    global TOTAL
    TOTAL = y if TOTAL is None else TOTAL
    return TOTAL


def new_global(net: Net, x: Tensor, y: Tensor) -> Any:
    global MADE
    MADE = y  # type: ignore[name-defined]
    return MADE  # type: ignore[name-defined]


def counts(net: Net, x: Tensor, y: Tensor) -> None:
    type(net).calls += 1
    Store.count += 1


def other_module(net: Net, x: Tensor, y: Tensor) -> Any:
    import elsewhere_of_a_model as elsewhere  # type: ignore[import-not-found]

    elsewhere.total = y
    return elsewhere.kept.setdefault("y", y)


def in_another_thread(net: Net, x: Tensor, y: Tensor) -> None:
    thread = threading.Thread(target=LIST.append, args=(y,))
    thread.start()
    thread.join()


def through_numpy(net: Net, x: Tensor, y: Tensor) -> None:
    net.seen.numpy()[:] = 3
    numpy.asarray(TENSOR)[:] = 3


def moves_weight(net: Net, x: Tensor, y: Tensor) -> None:
    net.layer.weight.data = net.layer.weight.data * 2
    net.layer.bias.data.mul_(2)
    with torch.no_grad():
        net.layer.weight[0].add_(1)


def hooks(net: Net, x: Tensor, y: Tensor) -> None:
    net.layer.weight.requires_grad_().register_hook(lambda gradient: gradient)
    net.layer.register_forward_hook(lambda *_: None)
    nn.modules.module.register_module_forward_hook(lambda *_: None)


def flags(net: Net, x: Tensor, y: Tensor) -> None:
    net.train(not net.training)
    net.layer.bias.requires_grad_(False)
    net.layer.bias.grad = torch.ones_like(net.layer.bias)


def draws(net: Net, x: Tensor, y: Tensor) -> None:
    torch.manual_seed(7)
    torch.rand(3)
    numpy.random.rand()
    random.random()
    net.numbers.random()
    net.dice.random()
    torch.Generator.manual_seed(net.generator, 4)


def sets(net: Net, x: Tensor, y: Tensor) -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.use_deterministic_algorithms(True)
    torch.set_printoptions(precision=2)
    torch.set_grad_enabled(True)
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision("medium")
    numpy.seterr(all="ignore")
    numpy.set_printoptions(precision=2)
    os.environ["SET_BY_A_MODEL"] = "1"
    sys.path.append("set by a model")
    warnings.simplefilter("ignore")


def structure(net: Net, x: Tensor, y: Tensor) -> None:
    net.late = nn.Linear(8, 8)
    net.register_buffer("later", torch.zeros(2))
    net.layer.extra = nn.Parameter(torch.zeros(2))  # type: ignore[assignment]
    del net.spare


BODIES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "lru_cache": lambda net, x, y: table(8),
    "small lru_cache": lambda net, x, y: small_table(8),
    "lru_cache of a method": lambda net, x, y: net.table(8),
    "object": lambda net, x, y: keep(net.store, "kept", y),
    "new attribute of an object": lambda net, x, y: keep(net.store, "unheard_of", y),
    "slot": lambda net, x, y: keep(net.slotted, "kept", y),
    "unset slot": lambda net, x, y: keep(net.slotted, "later", y),
    "dataclass": lambda net, x, y: keep(net.record, "kept", (y, 1)),
    "tuple": lambda net, x, y: keep(net, "tuple", (y,)),
    "named tuple": lambda net, x, y: setattr(net, "pair", Pair(y)),
    "nested": lambda net, x, y: keep(net.nested[0]["a"][0], "kept", [y]),
    "cached property": lambda net, x, y: net.store.made_once,
    "class attribute": lambda net, x, y: keep(type(net), "shared", y),
    "new class attribute": lambda net, x, y: keep(type(net), "unheard_of", y),
    "class's dict": lambda net, x, y: type(net).by_name.setdefault("y", y),
    "counters": counts,
    "global dict": lambda net, x, y: LAST.setdefault("y", y),
    "global list": lambda net, x, y: LIST.append(lambda: y),
    "global name": global_name,
    "new global": new_global,
    "other module": other_module,
    "closure": lambda net, x, y: net.rebind(y),
    "list in a closure": lambda net, x, y: net.append(y),
    "function's attribute": lambda net, x, y: keep(with_default, "kept", y),
    "default argument": lambda net, x, y: with_default(y),
    "partial": lambda net, x, y: net.partial.keywords.update(b=y),
    "deque": lambda net, x, y: net.queue.append(y),
    "queue": lambda net, x, y: net.jobs.put(y),
    "defaultdict": lambda net, x, y: net.default["y"].append(y),
    "order": lambda net, x, y: net.order.move_to_end("a"),
    "UserDict": lambda net, x, y: net.user.setdefault("y", y),
    "ChainMap": lambda net, x, y: net.chain.update(kept=y),
    "set": lambda net, x, y: net.set_of_tensors.add(y),
    "weak keys": lambda net, x, y: WEAK.setdefault(KEY, y),
    "context variable": lambda net, x, y: VARIABLE.set(y),
    "thread's own": lambda net, x, y: keep(LOCAL, "kept", y),
    "other thread": in_another_thread,
    "attribute of a parameter": lambda net, x, y: keep(net.layer.weight, "kept", y),
    "numpy array": lambda net, x, y: [net.statistics.__iadd__(1), ARRAY.__imul__(2)],
    "array of objects": lambda net, x, y: net.objects.__setitem__(0, y),
    "bytes": lambda net, x, y: net.bytes.__setitem__(0, 1),
    "buffer": lambda net, x, y: net.seen.add_(1),
    "global tensor": lambda net, x, y: TENSOR.add_(1),
    "view of a global tensor": lambda net, x, y: TENSOR[:4].view(2, 2).mul_(2).sum(),
    "memory for numpy": through_numpy,
    "weights": moves_weight,
    "norm that is not registered": lambda net, x, y: net.hidden[0](y),
    "hooks": hooks,
    "flags": flags,
    "random numbers": draws,
    "settings": sets,
    "default device": lambda net, x, y: torch.set_default_device("cpu"),
    "structure": structure,
    "printing": lambda net, x, y: print("printed by a model"),
}

ENDS = {None: None, RuntimeError: TraceError, KeyboardInterrupt: KeyboardInterrupt}
QUICK = ("lru_cache", "closure", "global tensor", "memory for numpy", "settings")


def contents(value: Any, seen: set[int]) -> Any:
    """Return all that can be found in a value, by identity and by value."""
    if isinstance(value, (int, float, str, bytes, type(None), types.ModuleType)):
        return value
    if isinstance(value, Tensor):
        hooks = len(value._backward_hooks or {})
        flags = id(value), value.requires_grad, value.data_ptr(), hooks, contents(value.grad, seen), vars(value).keys()
        return *flags, value.detach().numpy().tobytes()
    if id(value) in seen:
        return id(value)
    seen.add(id(value))
    return id(value), len(inside := parts(value)), [(str(key), contents(part, seen)) for key, part in inside]


def parts(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, numpy.ndarray):
        return [("", value.tobytes())] if value.dtype != object else list(enumerate(map(id, value)))
    if isinstance(value, torch.Generator):
        return [("", value.get_state().numpy().tobytes())]
    if isinstance(value, random.Random):
        return [("", repr(value.getstate()))]
    if isinstance(value, numpy.random.Generator):
        return [("", repr(value.bit_generator.state))]
    if hasattr(value, "cache_info"):
        return [("", value.cache_info().currsize)]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [*enumerate(cells), ("defaults", value.__defaults__), ("attributes", vars(value))]
    if isinstance(value, functools.partial):
        return [("keywords", value.keywords)]
    if isinstance(value, type):
        return [(name, part) for name, part in vars(value).items() if not name.startswith("__")]
    found = list(value.items()) if hasattr(value, "items") else []
    found += enumerate(value) if isinstance(value, (list, tuple, collections.deque, bytearray)) else ()
    found += enumerate(map(id, value)) if isinstance(value, set) else ()
    found += vars(value).items() if hasattr(value, "__dict__") and not isinstance(value, threading.Thread) else ()
    found += [(name, getattr(value, name, "unset")) for name in getattr(type(value), "__slots__", ())]
    return [(key, part) for key, part in found if not isinstance(part, (type(threading.Lock()), threading.Condition))]


def fingerprint(net: Net) -> Any:
    home = [value for name, value in globals().items() if name.isupper() and name not in ("BODIES", "ENDS", "QUICK")]
    everything = [net, Net, Store, *home, table, small_table, Net.table, with_default, vars(ELSEWHERE), VARIABLE.get()]
    seen: set[int] = set()
    return [contents(each, seen) for each in everything], process()


def process() -> Any:
    return {
        "random": (torch.get_rng_state().tolist(), random.getstate(), repr(numpy.random.get_state())),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "modes": torch.overrides._get_current_function_mode_stack(),
        "threads": (torch.get_num_threads(), threading.active_count()),
        "flags": (torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled()),
        "products": (torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark),
        "printing": (repr(torch.tensor(1 / 3)), repr(numpy.array(1 / 3)), numpy.geterr()),
        "hooks": len(nn.modules.module._global_forward_hooks),
        "process": (dict(os.environ), list(sys.path), list(warnings.filters), sys.stdout),
    }


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Let torch import what it imports at a first trace, and set as it does."""
    fxviz.trace(nn.ReLU(), torch.zeros(2))
    fxviz.trace(nn.ReLU(), torch.zeros(2), device="cpu")


def leaves_nothing(name: str, device: str, training: bool, end: type[BaseException] | None) -> bool:
    net, x = Net(BODIES[name], end).train(training), torch.rand(4, 8)
    x_before, before = x.clone(), fingerprint(net)
    if end is None:
        graph = fxviz.trace(net, (x,), device=device, train=training)
        assert graph.trace.notes == () or name in ("other thread", "structure"), graph.trace.notes
    else:
        with pytest.raises(ENDS[end], match="on purpose"):  # type: ignore[call-overload]
            fxviz.trace(net, (x,), device=device, train=training)
    assert torch.equal(x, x_before)
    return bool(fingerprint(net) == before)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", QUICK)
def test_what_a_model_changes_is_as_before(name: str, device: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert leaves_nothing(name, device, True, None)
    assert leaves_nothing(name, device, False, RuntimeError)


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_all_that_a_model_can_change_is_as_before(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    tried = list(itertools.product(("meta", "cpu"), (True, False), ENDS))
    assert len(BODIES) >= 40
    assert [each for each in tried if not leaves_nothing(name, *each)] == []
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_a_traced_model_is_traced_again_and_trains(name: str) -> None:
    net, x = Net(BODIES[name]), torch.rand(4, 8)
    first, second = (fxviz.trace(net, (x,)) for _ in range(2))
    assert first == second
    if name not in ("memory for numpy", "flags", "settings", "default device", "hooks", "weights", "random numbers"):
        before = net.layer.weight.detach().clone()
        net.body = lambda net, x, y: x
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        net(x).square().sum().backward()
        optimizer.step()
        assert not torch.equal(net.layer.weight, before)
