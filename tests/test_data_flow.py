"""Edges, parameters and skips of models in which constants, loose parameters and modules of one's own matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import networkx
import pytest
import torch
from torch import Tensor, fx, nn

import fxviz
from conftest import CASES
from fxviz._analysis.flow import Activations
from fxviz._graph import ArchGraph
from fxviz._trace.record import to_archgraph


def case(name: str) -> ModuleType:
    spec = spec_from_file_location(name, CASES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def skips(graph: ArchGraph) -> dict[str, int]:
    return dict(Counter(skip.kind for skip in graph.skips))


def rows(graph: ArchGraph) -> dict[str, float]:
    """Return the parameters of each row by its path."""
    return {row.path: row.total for row in fxviz.render(graph).view.rows}


# Constants


@pytest.mark.parametrize("make", ["make", "make_param", "make_fusion"])
def test_weights_cut_from_one_tensor_join_no_branches(make: str) -> None:
    model, inputs = getattr(case("64_const_edges"), make)()
    view = fxviz.render(fxviz.trace(model, *inputs)).view
    place = {row.path: row.id for row in view.rows}
    assert (place["c"], place["d"]) not in view.edges and (place["d"], place["c"]) not in view.edges


def test_blocks_that_read_one_table_fold() -> None:
    graph = fxviz.trace(case("figure_shared_constant").Net(), torch.zeros(1, 16, dtype=torch.int64))
    assert skips(graph) == {"identity": 12}
    assert [row.times for row in fxviz.render(graph).view.rows if row.path.startswith("blocks")][:1] == [6]


def test_a_module_that_reads_only_a_length_makes_a_constant() -> None:
    graph = fxviz.trace(case("figure_false_projection").Net(), torch.zeros(1, 5, 7))
    assert skips(graph) == {} and ("x", "position") not in {(edge.source, edge.target) for edge in graph.edges}


@pytest.mark.parametrize(
    ("make", "reads"),
    [
        (lambda x: torch.linspace(x[0, 0], x[0, 1], 8), True),
        (lambda x: torch.full((8,), x[0, 0]), True),
        (lambda x: torch.full((8,), fill_value=x[0, 0]), True),
        (lambda x: torch.full_like(x, x[0, 0]), True),
        (lambda x: x.new_full((8,), x[0, 0]), True),
        (lambda x: x.new_full((8,), 1.0), False),
        (lambda x: x.new_tensor([1.0] * 8), False),
        (lambda x: torch.full_like(x, 2.0), False),
        (lambda x: torch.zeros_like(x), False),
        (lambda x: x.new_zeros(8), False),
        (lambda x: torch.arange(len(x), 8 + len(x)).float(), False),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_new_tensor_is_made_of_the_values_it_was_given(make: Callable[[Tensor], Tensor], reads: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(make(self.first(x)))

    graph = fxviz.trace(Net(), torch.zeros(2, 8))
    assert ("last" in graph.index.varying) == reads
    rows = {row.path: row.id for row in fxviz.render(graph, style="ledger").view.rows}
    assert reads == (rows["first"] in reached_from(fxviz.render(graph).view.edges, rows["last"]))


def reached_from(edges: Iterable[tuple[int, int]], end: int) -> set[int]:
    """Return the rows from which edges lead to this one."""
    found = {end}
    for tail, head in sorted(edges, reverse=True):
        found |= {tail} if head in found else set()
    return found


def test_what_takes_only_a_shape_is_not_read() -> None:
    class Shaped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            noise = torch.zeros_like(x) + torch.ones(1).expand_as(x)
            return torch.relu(x) + noise

    graph = fxviz.trace(Shaped(), torch.zeros(2, 3))
    assert {edge.target for edge in graph.edges if edge.source == "x"} == {"relu"}


# Parameters


def test_complex_weights_stand_on_their_own_row() -> None:
    found = rows(fxviz.trace(case("figure_weight_of_another_row").Net(), torch.zeros(1, 1, 64)))
    assert found["lift"] == 64 and found["spectral.0.weight"] == 32 * 32 * 32


def test_a_scale_keeps_its_name_and_share() -> None:
    model, inputs = case("01_bare_params").make()
    assert {path: count for path, count in rows(fxviz.trace(model, *inputs)).items() if count} == {
        "blocks.0": 6,
        "gains": 2,
        "blocks.1": 6,
    }


class Queries(nn.Module):
    """A loose parameter and an embedding that one module reads, and a parameter that only leaves the model."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.scale = nn.Parameter(torch.zeros(1, 4, 16)), nn.Parameter(torch.ones([]))
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.attend(self.query.expand(len(x), -1, -1), x, x)[0], self.scale.exp()


def test_parameters_of_others_are_no_part_of_a_modules_row() -> None:
    graph = fxviz.trace(Queries(), torch.zeros(1, 9, 16))
    assert rows(graph) == {"query": 64, "attend": 4 * (16 * 16 + 16), "scale": 1}


class Masked(nn.Module):
    """A mask that depends on an early and a late row, with a loose parameter between them."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.ModuleList(nn.Linear(16, 16) for _ in range(4))
        self.query = nn.Parameter(torch.zeros(1, 9, 16))
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)
        self.late, self.head = nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.early:
            x = layer(x)
        late = self.late(self.attend(self.query, x, x)[0])
        return self.head(late.masked_fill(x > late, 0.0))


def test_what_is_not_drawn_belongs_to_the_latest_row_that_it_reads() -> None:
    view = fxviz.render(fxviz.trace(Masked(), torch.zeros(1, 9, 16))).view
    place = {row.path: row.id for row in view.rows}
    assert place["early.3"] < place["query"] < place["attend"] < place["late"]
    assert (place["early.3"], place["late"]) in view.edges
    assert not any(tail == place["early.3"] and head > place["late"] for tail, head in view.edges)


# Skip connections


@pytest.mark.parametrize(
    ("name", "right"),
    [("Plus", {"identity": 2}), ("Gated", {"gate": 1}), ("ResidualMLP", {"identity": 2}), ("Misnamed", {})],
)
def test_what_a_childless_module_does_counts(name: str, right: dict[str, int]) -> None:
    assert skips(fxviz.trace(getattr(case("own_childless"), name)(), torch.zeros(1, 8))) == right


def test_an_addition_in_a_module_of_its_own_joins() -> None:
    assert skips(fxviz.trace(case("figure_residual_module").Net(), torch.zeros(1, 8, 64))) == {"identity": 6}


@pytest.mark.parametrize("side", [True, False])
def test_long_skips_may_pass_layers(side: bool) -> None:
    model = case("figure_long_skip_with_layers").Net(side)
    assert skips(fxviz.trace(model, torch.zeros(1, 3, 32, 32))) == {"concat": 2}


class Empty(nn.Module):
    """A module of one's own that returns its input, as drop path does at inference."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_a_module_that_returns_its_input_is_nothing_on_the_way() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.pad = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)), Empty()

        def forward(self, x: Tensor) -> Tensor:
            return self.pad(x) + self.body(x)

    assert skips(fxviz.trace(Block(), torch.zeros(1, 8))) == {"identity": 1}


class Cell(nn.Module):
    """A gated recurrent cell by hand, unrolled over a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.u = nn.Linear(8, 16), nn.Linear(8, 16)

    def forward(self, x: Tensor) -> Tensor:
        w, h = self.w(x), torch.zeros(len(x), 8)
        for step in range(x.shape[1]):
            update, new = (w[:, step] + self.u(h)).chunk(2, -1)
            h = torch.sigmoid(update) * h + (1 - torch.sigmoid(update)) * torch.tanh(new)
        return h


def test_the_steps_of_a_sequence_are_no_residuals() -> None:
    found = skips(fxviz.trace(Cell(), torch.zeros(2, 5, 8)))
    assert not found.keys() & {"identity", "projection", "resample"}


# Function transforms


class Mapped(nn.Module):
    """Runs its first layer for each row alone, or on the derivative of another function, by the transforms of torch."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 4)

    def one(self, row: Tensor) -> Tensor:
        return torch.tanh(self.first(row))

    def forward(self, x: Tensor) -> Tensor:
        func = torch.func
        if self.how == "nested":
            y = func.vmap(func.vmap(self.one))(x[:, None]).squeeze(1)
        elif self.how == "grad":
            y = func.vmap(func.grad(lambda row: self.one(row).sum()))(x)
        else:
            y = x + func.vmap(self.one)(x)
        return self.last(y)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("how", ["rows", "nested", "grad"])
def test_results_of_function_transforms_depend_on_their_inputs(how: str, device: str) -> None:
    graph = fxviz.trace(Mapped(how), torch.ones(2, 8), device=device)
    flow = graph.to_networkx()
    assert networkx.has_path(flow, "x", "first") and networkx.has_path(flow, "first", "last")
    assert skips(graph) == ({"identity": 1} if how == "rows" else {})


class Hyper(nn.Module):
    """Computes the weights of a layer from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.maker, self.body = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.maker(x.mean(0)).view(3, 4)
        return torch.func.functional_call(self.body, {"weight": weight}, (x,))


def test_computed_weights_flow_into_their_layer() -> None:
    graph = fxviz.trace(Hyper(), torch.ones(2, 4))
    assert {(edge.source, edge.slot) for edge in graph.edges if edge.target == "body"} == {
        ("x", "0"),
        ("view", "weight"),
    }
    assert [parameter.name for parameter in graph.untraced] == ["body.weight"]


# Skips of several kinds


class Skip(nn.Identity):
    pass


class IdentityWithCost(nn.Identity):
    cost = 0


class MorePlanes(nn.Module):
    """The shortcut of option A in arXiv:1512.03385: every second place, and empty channels."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))


class Block(nn.Module):
    def __init__(self, shortcut: nn.Module, width: int = 8, stride: int = 1, bordered: bool = False) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(8, width, 3, stride, 1), nn.Conv2d(width, width, 3, 1, 1)
        self.shortcut, self.border = shortcut, (0, 1, 0, 1) if bordered else (0, 0, 0, 0)

    def forward(self, x: Tensor) -> Tensor:
        body, shortcut = self.two(self.one(x).relu()), self.shortcut(x)
        return nn.functional.pad(body, self.border) + nn.functional.pad(shortcut, self.border)


def skips_of(model: nn.Module, *inputs: Tensor) -> dict[str, int]:
    return skips(fxviz.trace(model.eval(), inputs or torch.zeros(1, 8, 8, 8)))


@pytest.mark.parametrize("shortcut", [Skip(), IdentityWithCost()], ids=lambda module: type(module).__name__)
def test_a_subclass_of_the_identity_is_one(shortcut: nn.Module) -> None:
    assert skips_of(Block(shortcut)) == {"identity": 1}


def test_a_shortcut_with_empty_channels_changes_the_shape() -> None:
    assert skips_of(Block(MorePlanes(), 16, 2)) == {"resample": 1}
    assert skips_of(Block(nn.ConstantPad3d((0, 0, 0, 0, 4, 4), 0.0), 16)) == {"resample": 1}


class Copies(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(2, dim=1)


def test_a_shortcut_that_copies_is_no_projection() -> None:
    assert skips_of(Block(Copies(), 16)) == {"resample": 1}


class Mixed(nn.Module):
    """All candidates of a search, the identity among them, are summed one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.ops = nn.ModuleList(
            [
                Skip(),
                nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)),
                nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor | float = 0.0
        for op in self.ops:
            out = out + op(x)
        assert isinstance(out, Tensor)
        return out


def test_an_identity_among_candidates_is_one_skip() -> None:
    assert skips_of(Mixed()) == {"identity": 1}


class Decoder(nn.Module):
    """A block that enlarges, with a projection; its result is only added to what the encoder kept."""

    def __init__(self, bordered: bool) -> None:
        super().__init__()
        self.down = nn.Conv2d(8, 8, 3, 2, 1)
        self.up = Block(nn.ConvTranspose2d(8, 8, 1, 2, output_padding=1), bordered=bordered)
        self.up.one = nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x).relu()) + x


class Pyramid(nn.Module):
    """What all stages return is projected and summed: branches, no shortcuts."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU()) for _ in range(3))
        self.sides = nn.ModuleList(nn.Conv2d(8, 8, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros(1)
        for stage, side in zip(self.stages, self.sides, strict=True):
            x = stage(x)
            total = total + side(x)
        return total


@pytest.mark.parametrize("bordered", [False, True])
def test_a_projection_may_go_into_another_sum_if_its_body_ends_there(bordered: bool) -> None:
    model = Decoder(bordered)
    if bordered:
        model.up.shortcut = nn.ConvTranspose2d(8, 8, 1, 2)
        model.up.one = nn.ConvTranspose2d(8, 8, 3, 2, 1)
    assert skips_of(model) == {"identity": 1, "projection": 1}


def test_a_running_sum_of_stages_has_no_projections() -> None:
    assert "projection" not in skips_of(Pyramid())


class TwoGates(nn.Module):
    def __init__(self, bounded: bool) -> None:
        super().__init__()
        self.one, self.two, self.bounded = nn.Linear(8, 8), nn.Linear(8, 8), bounded

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        other = self.two(y).sigmoid() if self.bounded else self.two(y)
        return x * (self.one(x).relu().sigmoid() + other)


def test_a_sum_of_two_sigmoids_is_a_gate() -> None:
    vectors = torch.zeros(1, 8), torch.zeros(1, 8)
    assert (skips_of(TwoGates(True), *vectors), skips_of(TwoGates(False), *vectors)) == ({"gate": 1}, {})


class Mixing(nn.Module):
    """Fourier transforms in place of attention (arXiv:2105.03824); ``filtered``: the spectrum is filtered."""

    def __init__(self, filtered: bool) -> None:
        super().__init__()
        self.norm, self.filter = nn.LayerNorm(8), nn.Parameter(torch.ones(8, 5, dtype=torch.complex64))
        self.filtered = filtered

    def forward(self, x: Tensor) -> Tensor:
        if self.filtered:
            return x + torch.fft.irfft2(torch.fft.rfft2(x) * self.filter, s=x.shape[-2:])
        return self.norm(x + torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real)


@pytest.mark.parametrize("filtered", [False, True])
def test_a_skip_past_a_fourier_transform(filtered: bool) -> None:
    assert skips_of(Mixing(filtered)) == {"identity": 1}


# Shared weights


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.up(self.norm(x)).relu())


class Repeated(nn.Module):
    """Calls one block again and again, or blocks with the weights of the first."""

    def __init__(self, called: bool) -> None:
        super().__init__()
        one = Plain()
        self.blocks = nn.ModuleList([one] * 6 if called else [one, *(Plain() for _ in range(5))])
        for block in self.blocks[1:]:
            for name in ("norm", "up", "down"):
                getattr(block, name)._parameters.update(getattr(one, name)._parameters)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


@pytest.mark.parametrize(
    ("called", "heading", "said"),
    [
        (True, "×6 calls", "1 residual block (Plain), called 6 times with the same weights."),
        (False, "×6 shared", "6 residual blocks (Plain)."),
    ],
)
def test_repetitions_with_the_same_weights_say_so(called: bool, heading: str, said: str) -> None:
    graph = fxviz.trace(Repeated(called), torch.zeros(1, 8))
    for style in ("ledger", "graph"):
        assert f">{heading}<" in fxviz.render(graph, style=style).svg
    assert said in str(fxviz.explain(graph))
    assert ("（以相同权重共运行 6 次）" in str(fxviz.explain(graph, lang="zh"))) == called


# Sums


class Summing(nn.Module):
    """Adds what two layers in a row compute and the tensor that they start from."""

    def __init__(self, add: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.add = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)), add

    def forward(self, x: Tensor) -> Tensor:
        return self.add(self.body(x), x)


@pytest.mark.parametrize(
    ("add", "kinds"),
    [
        (lambda body, x: torch.add(body, x, alpha=0.5), {"identity": 1}),
        (lambda body, x: torch.add(body, x, alpha=0), {}),
        (lambda body, x: torch.sub(body + x, x), {}),
        (lambda body, x: torch.sub(body + x, x, alpha=0.5), {"identity": 1}),
        (lambda body, x: torch.sub(torch.sub(body + x, x, alpha=0.5), x, alpha=0.5), {}),
        (lambda body, x: torch.addcmul(x, body, body), {"identity": 1}),
        (lambda body, x: torch.addcmul(x, body, body, value=0), {}),
        (lambda body, x: torch.addmm(x, body, torch.eye(8)), {"identity": 1}),
        (lambda body, x: torch.addmm(x, body, torch.eye(8), beta=0), {}),
    ],
)
def test_factors_of_terms_count(add: Callable[[Tensor, Tensor], Tensor], kinds: dict[str, int]) -> None:
    assert skips(fxviz.trace(Summing(add), torch.zeros(2, 8))) == kinds


@pytest.mark.parametrize(
    "count",
    [
        lambda ids: (ids != 0).sum(1, dtype=torch.float32),
        lambda ids: torch.mean(ids, dim=1, dtype=torch.float32),
        lambda ids: torch.sum(ids > 2, 1, dtype=torch.float64).float(),
    ],
)
def test_a_masked_mean(count: Callable[[Tensor], Tensor]) -> None:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, 8)

        def forward(self, ids: Tensor) -> Tensor:
            return self.table(ids).sum(1) / count(ids)[:, None]

    graph = fxviz.trace(Mean(), torch.zeros(2, 5, dtype=torch.int64))
    assert ("ids", "output") not in {(edge.source, edge.target) for edge in graph.edges} and not graph.skips


def test_arguments_may_have_any_name() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, func: Tensor, module: Tensor) -> Tensor:
            return torch.ops.aten.relu.default(self=self.layer(func)) + module

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(func=x, module=x)

    assert skips(fxviz.trace(Outer(), torch.zeros(2, 8))) == {"identity": 1}


# Rows that read what stands in another row


class Chosen(nn.Module):
    """A router chooses rows of what a norm made; its own row shows the views that it and the experts read."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.router = nn.LayerNorm(8), nn.Linear(8, 4)
        self.expert, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        flat = self.norm(x).view(-1, 8)
        place = self.router(flat).argmax(-1) // 2
        return self.head(self.expert(flat[place]))


def test_experts_read_what_was_normed_and_what_the_router_chose() -> None:
    view = fxviz.render(fxviz.trace(Chosen(), torch.zeros(2, 3, 8))).view
    place = {row.path: row.id for row in view.rows}
    assert {(place["norm"], place["router"]), (place["norm"], place["expert"])} <= set(view.edges)


# Modules without children that do more than one step on what they are given


class Stored(nn.Module):
    """Reads what another module left there, not an argument."""

    kept: Tensor

    def forward(self) -> Tensor:
        return self.kept.relu()


class Parts(nn.Module):
    """Returns its input, beside what it computes from that."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.relu()


class WithHelper(nn.Module):
    def __init__(self, helper: nn.Module) -> None:
        super().__init__()
        self.first, self.helper, self.last = nn.Linear(8, 8), helper, nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if isinstance(self.helper, Stored):
            self.helper.kept = x
            return self.last(self.helper())
        kept, changed = self.helper(x)
        return kept + self.last(changed)


def test_a_module_reads_what_it_was_not_given() -> None:
    graph = fxviz.trace(WithHelper(Stored()), torch.zeros(2, 8))
    assert {("first", "relu"), ("relu", "last")} <= {(edge.source, edge.target) for edge in graph.edges}


def test_a_module_that_returns_its_input_too_hides_no_skip() -> None:
    assert skips(fxviz.trace(WithHelper(Parts()), torch.zeros(2, 8))) == {"identity": 1}


ADDITIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda x, y: x + y,
    "stack": lambda x, y: torch.stack([x, y]).sum(0),
    "lerp": lambda x, y: torch.lerp(x, y, 0.5),
    "addcmul": lambda x, y: torch.addcmul(x, y, torch.ones(8)),
}


class Past(nn.Module):
    """Concatenates the result of three residual blocks and what one layer makes of their input."""

    def __init__(self, add: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.side, self.add = nn.Linear(8, 8), nn.Linear(8, 8), add
        self.bodies = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = kept = self.stem(x)
        for body in self.bodies:
            x = self.add(x, body(x))
        return torch.cat([self.side(kept).relu(), x], -1)


class Running(Past):
    """Sums what projections make of the results of all blocks."""

    def forward(self, x: Tensor) -> Tensor:
        total = self.stem(x)
        for body in self.bodies:
            x = body(x)
            total = self.add(total, self.side(x))
        return total


@pytest.mark.parametrize("name", ADDITIONS)
def test_sums_are_the_same_however_they_are_written(name: str) -> None:
    x, add = torch.zeros(2, 8), ADDITIONS[name]
    assert skips(fxviz.trace(Past(add), x)) == {"identity": 3, "concat": 1}
    assert skips(fxviz.trace(Running(add), x)) == {}


# One notion of what depends on an input


@pytest.mark.parametrize(
    "model", [WithHelper(Stored()), WithHelper(Parts()), Summing(torch.addcmul), Running(torch.add)], ids=repr
)
def test_the_tracer_and_the_graph_agree_on_what_depends_on_an_input(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: dict[str, bool] = {}

    def noted(graph: fx.Graph, *args: Any) -> ArchGraph:
        recorded.update({node.name: node.meta["varies"] for node in graph.nodes})
        return to_archgraph(graph, *args)

    if isinstance(model, Summing):
        model.add = lambda body, x: torch.addcmul(body, torch.linspace(0, 1, 8), torch.full_like(x, 2.0)) + x
    monkeypatch.setattr("fxviz._trace.run.to_archgraph", noted)
    graph = fxviz.trace(model, torch.zeros(2, 8))
    assert {name for name, varies in recorded.items() if varies} == graph.index.varying
    assert Activations(graph).sources.keys() == graph.index.varying - {"output"}


# Independent ways in one repetition


class Towers(nn.Module):
    """Runs a layer of each of two towers in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.towers = nn.ModuleDict({name: nn.ModuleList(nn.Linear(8, 8) for _ in range(3)) for name in "ab"})
        self.last = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        for one, other in zip(self.towers["a"], self.towers["b"], strict=True):
            x, y = one(x).relu(), other(y).relu()
        return self.last(torch.cat([x, y], 1))


def test_towers_in_turn_are_never_one_chain() -> None:
    view = fxviz.render(fxviz.trace(Towers(), torch.zeros(2, 8)), depth=1).view
    tails = {head: {tail for tail, other in view.edges if other == head} for _, head in view.edges}
    cat = next(row.id for row in view.rows if any(node.op == "cat" for node in (*row.before, *row.heads)))
    assert len(tails[cat]) == 2


class BiasOfChoice(nn.Module):
    """Adds the bias of the expert that a router chooses for each row."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.fc, self.out = nn.Linear(8, 4), nn.Linear(8, 8), nn.Linear(8, 2)
        self.bias = nn.Parameter(torch.zeros(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        chosen = self.router(x).argmax(-1)
        return self.out(self.fc(x).relu() + self.bias[chosen])


def test_a_parameter_that_is_looked_up_by_a_choice_is_no_part_of_what_chooses() -> None:
    assert rows(fxviz.trace(BiasOfChoice(), torch.zeros(3, 8))).items() >= {"router": 36, "bias": 32, "fc": 72}.items()
