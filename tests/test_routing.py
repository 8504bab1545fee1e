"""Count the MACs and the active parameters of experts that a router chooses, however the model is written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fxviz
from fxviz._graph import ArchGraph

TOKENS, WIDTH, HIDDEN, EXPERTS, CHOSEN = 10, 16, 32, 8, 2
EXPERT = WIDTH * HIDDEN + HIDDEN + HIDDEN * WIDTH + WIDTH
ROUTER, HEAD = EXPERTS * WIDTH, WIDTH * 4 + 4


class Experts(nn.Module):
    """Runs each expert on the tokens that chose it: found by ``torch.where``, added by ``index_add``."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.head = nn.Linear(WIDTH, EXPERTS, bias=False), nn.Linear(WIDTH, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH)) for _ in range(EXPERTS)
        )

    def forward(self, x: Tensor) -> Tensor:
        share, chosen = self.router(x).softmax(-1).topk(CHOSEN)
        return self.head(x + self.mixed(x, share, chosen))

    def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            token, place = torch.where(chosen == number)
            out.index_add_(0, token, expert(x[token]) * share[token, place, None])
        return out


class OneHot(Experts):
    def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
        out, mask = torch.zeros_like(x), F.one_hot(chosen, EXPERTS).permute(2, 1, 0)
        for number in range(EXPERTS):
            place, token = torch.where(mask[number])
            out[token] += self.experts[number](x[None, token].reshape(-1, WIDTH)) * share[token, place, None]
        return out


class OnlyThoseHit(Experts):
    """Reads the numbers of the experts to run from the mask, which has one more class."""

    def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
        out, mask = torch.zeros_like(x), F.one_hot(chosen, EXPERTS + 1).permute(2, 1, 0)
        for hit in torch.greater(mask.sum(dim=(-1, -2)), 0).nonzero():
            if hit[0] == EXPERTS:
                continue
            place, token = torch.where(mask[hit[0]])
            out.index_add_(0, token, self.experts[int(hit[0])](x[token]) * share[token, place, None])
        return out


class Masks(Experts):
    def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            mask = (chosen == number).any(-1)
            if mask.any():
                out[mask] += expert(x[mask])
        return out


class Gates(Experts):
    """Writes the shares into one column for each expert, as in arXiv:1701.06538."""

    def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
        gates, out = x.new_zeros(len(x), EXPERTS).scatter(1, chosen, share), torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            token = gates[:, number].nonzero().squeeze(-1)
            out[token] = out[token] + expert(x[token]) * gates[token, number, None]
        return out


class Joined(Experts):
    """Concatenates what the experts return; later layers read the rows of all of them."""

    def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
        tokens = [torch.where(chosen == number)[0] for number in range(EXPERTS)]
        rows = torch.cat([expert(x[token]) for expert, token in zip(self.experts, tokens, strict=True)])
        return torch.zeros_like(x).index_add(0, torch.cat(tokens), rows.tanh())


class Stacked(Experts):
    """Holds the weights of all experts in one tensor, and picks those of each token."""

    def __init__(self) -> None:
        super().__init__()
        del self.experts
        self.up, self.down = (
            nn.Parameter(torch.zeros(EXPERTS, *sizes)) for sizes in ((WIDTH, HIDDEN), (HIDDEN, WIDTH))
        )
        self.up_bias, self.down_bias = (nn.Parameter(torch.zeros(EXPERTS, size)) for size in (HIDDEN, WIDTH))

    def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
        number, rows = chosen.reshape(-1), x.repeat_interleave(CHOSEN, 0)
        hidden = F.gelu(torch.bmm(rows[:, None], self.up[number]).squeeze(1) + self.up_bias[number])
        mixed = torch.bmm(hidden[:, None], self.down[number]).squeeze(1) + self.down_bias[number]
        return (mixed * share.reshape(-1, 1)).view(len(x), CHOSEN, WIDTH).sum(1)


class Sliced(Stacked):
    def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        for number in range(EXPERTS):
            token, place = torch.where(chosen == number)
            hidden = F.gelu(x[token] @ self.up[number] + self.up_bias[number])
            out.index_add_(0, token, (hidden @ self.down[number] + self.down_bias[number]) * share[token, place, None])
        return out


def traced(model: nn.Module, device: str = "meta", tokens: int = TOKENS) -> ArchGraph:
    torch.manual_seed(0)
    return fxviz.trace(model, torch.randn(tokens, WIDTH), device=device)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("kind", [Experts, OneHot, OnlyThoseHit, Masks, Gates, Joined, Stacked, Sliced])
def test_experts_get_the_rows_of_their_tokens(kind: type[Experts], device: str) -> None:
    graph = traced(kind(), device)
    total = ROUTER + EXPERTS * EXPERT + HEAD
    assert graph.total_macs == TOKENS * (ROUTER + CHOSEN * 2 * WIDTH * HIDDEN + WIDTH * 4)
    assert (graph.total_params, graph.active_params) == (total, total - (EXPERTS - CHOSEN) * EXPERT)
    assert graph.trace.bound == ("exact" if graph.trace.guessed else "about")


def test_one_expert_for_each_token() -> None:
    class Switch(Experts):
        def forward(self, x: Tensor) -> Tensor:
            chosen, out = self.router(x).argmax(-1), torch.zeros_like(x)
            for number, expert in enumerate(self.experts):
                out[chosen == number] = expert(x[chosen == number])
            return self.head(out)

    graph = traced(Switch())
    assert graph.total_macs == TOKENS * (ROUTER + 2 * WIDTH * HIDDEN + WIDTH * 4)
    assert graph.active_params == ROUTER + EXPERT + HEAD


def test_a_token_for_fewer_experts_than_there_are_is_an_upper_bound() -> None:
    graph = traced(Experts(), tokens=1)
    assert graph.trace.bound == "most"
    assert "At most" in str(fxviz.summary(graph)) and "At most" in str(fxviz.explain(graph))
    assert "at most" in fxviz.render(graph).svg


@pytest.mark.slow
def test_active_parameters_are_not_said_where_they_are_not_certain() -> None:
    class Alike(Experts):
        """Shares the first expert with all tokens."""

        def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
            return super().mixed(x, share, chosen) + self.experts[0](x)

    class All(Experts):
        def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
            return torch.stack([expert(x) for expert in self.experts]).mean(0)

    class Values(Experts):
        """Chooses rows by their values, not by a router."""

        def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
            out, mask = x.clone(), x[:, 0] > 0
            out[mask] = self.experts[0](x[mask])
            return out

    class Codes(Experts):
        """Looks up the nearest of a table's rows."""

        def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
            return self.router.weight[chosen[:, 0]]

    assert [traced(kind()).active_params for kind in (Alike, All, Values, Codes)] == [None] * 4
    assert traced(Values()).trace.bound == "most"


class Masked(nn.Module):
    """Sends rows to one layer by a mask that is made from the numbers of the chosen experts."""

    def __init__(self, mask: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.router, self.layer, self.mask = nn.Linear(WIDTH, EXPERTS), nn.Linear(WIDTH, WIDTH), mask

    def forward(self, x: Tensor) -> Tensor:
        token = torch.where(self.mask(self.router(x).topk(CHOSEN)[1]))[0]
        return torch.zeros_like(x).index_add(0, token, self.layer(x[token]))


def zeros(chosen: Tensor) -> Tensor:
    return torch.zeros(TOKENS, EXPERTS)


MASKS: dict[str, tuple[Callable[[Tensor], Tensor], int | None]] = {
    "written": (lambda chosen: zeros(chosen).scatter(1, chosen, 1.0) > 0, TOKENS * CHOSEN),
    "written to full": (lambda chosen: torch.full((TOKENS, EXPERTS), 0).scatter_(1, chosen, 1) != 0, TOKENS * CHOSEN),
    "last one": (lambda chosen: F.one_hot(chosen, EXPERTS).sum(1)[:, -1], TOKENS * CHOSEN // EXPERTS),
    "slice of all": (lambda chosen: F.one_hot(chosen, EXPERTS).sum(1)[:, :EXPERTS] > 0, TOKENS * CHOSEN),
    "some": (lambda chosen: F.one_hot(chosen, EXPERTS).sum(1)[:, :4] > 0, None),
    "some, compared": (lambda chosen: (chosen[..., None] == torch.arange(4)).any(1), None),
    "not chosen": (lambda chosen: torch.ones(TOKENS, EXPERTS).scatter(1, chosen, 0.0).bool(), None),
    "erased": (lambda chosen: zeros(chosen).scatter(1, chosen, 0.0).bool(), None),
    "into ones": (lambda chosen: torch.ones(TOKENS, EXPERTS).scatter(1, chosen, 2.0).bool(), None),
    "other than one": (lambda chosen: zeros(chosen).scatter(1, chosen, 1.0) != 1, None),
    "twice": (lambda chosen: F.one_hot(chosen, EXPERTS).sum(1) > 1, None),
    "other experts": (lambda chosen: chosen != 3, None),
    "later experts": (lambda chosen: chosen > 3, None),
    "some tokens": (lambda chosen: zeros(chosen).scatter(1, chosen[:5], 1.0) > 0, None),
}
"""Masks, with the rows that they select whatever the router chooses; None where that is not certain."""


@pytest.mark.parametrize("name", MASKS)
def test_rows_by_a_mask(name: str) -> None:
    mask, rows = MASKS[name]
    graph = traced(Masked(mask))
    (layer,) = (node for node in graph.nodes if node.path == "layer")
    if rows is None:
        assert graph.trace.bound == "most" and "spread" not in str(fxviz.explain(graph))
    else:
        assert layer.outputs[0].shape == (rows, WIDTH)


UNUSUAL: dict[str, Callable[[Tensor], Tensor]] = {
    "no dimensions": lambda scores: scores.argmax(-1).squeeze(-1),
    "any of one": lambda scores: (scores.argmax(-1) == 2).any(0),
    "sum of one": lambda scores: (scores.argmax(-1) == 2).sum(-1),
    "one index": lambda scores: torch.zeros(EXPERTS).scatter(-1, scores.argmax(-1), 1.0),
    "infinite": lambda scores: scores.argmax(-1) == float("inf"),
    "no number": lambda scores: scores.argmax(-1) == float("nan"),
    "over no axes": lambda scores: F.one_hot(scores.topk(2)[1], EXPERTS).sum([]).amax(-1),
    "keywords": lambda scores: torch.ops.aten.topk.default(self=scores, k=2)[1],
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_calls_after_a_choice_are_traced(name: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router = nn.Linear(WIDTH, EXPERTS)

        def forward(self, x: Tensor) -> Tensor:
            return UNUSUAL[name](self.router(x)) * x.sum()

    assert fxviz.trace(Net(), torch.zeros(WIDTH)).total_macs == WIDTH * EXPERTS


def test_an_expert_that_all_tokens_meet_before_the_router_is_not_idle() -> None:
    class Shared(Experts):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.experts[0](x))

    assert traced(Shared()).active_params is None


@pytest.mark.slow
def test_half_of_the_experts_is_about() -> None:
    class Local(Experts):
        def mixed(self, x: Tensor, share: Tensor, chosen: Tensor) -> Tensor:
            out = torch.zeros_like(x)
            for number in range(EXPERTS // 2):
                token, _ = torch.where(chosen == number)
                out.index_add_(0, token, self.experts[number](x[token]))
            return out

    assert traced(Local()).trace.bound == "about"


def test_totals_and_active_parameters_are_said_in_every_text() -> None:
    graph = traced(Experts())
    active = f"{ROUTER + CHOSEN * EXPERT + HEAD:,}"
    assert f"{active} parameters are active for one token" in str(fxviz.summary(graph))
    assert f"one token uses 2.34k ({active}) of them" in str(fxviz.explain(graph))
    assert f"（{active}）" in str(fxviz.explain(graph, lang="zh"))
    assert "2.3k active per token" in fxviz.render(graph).svg
    assert fxviz.ArchGraph.from_json(graph.to_json()) == graph


def test_guesses_have_public_names() -> None:
    class Loop(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.sum() > 0 else x

    assert "item ×1" in str(fxviz.summary(fxviz.trace(Loop(), torch.ones(2, 2))))
