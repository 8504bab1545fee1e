"""What a graph is made of: nodes, edges, scopes, parameters, skips, and what is known of the model and its trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fxviz._errors import shown
from fxviz._graph import units

SCHEMA = "fxviz.graph/1"

NodeKind = Literal["input", "module", "function", "method", "parameter", "output"]
NODE_KINDS: tuple[NodeKind, ...] = get_args(NodeKind)

ResidualKind = Literal["identity", "projection", "resample"]
RESIDUAL_KINDS: tuple[ResidualKind, ...] = get_args(ResidualKind)
"""Kinds of skips that end in an addition."""

SkipKind = Literal[ResidualKind, "concat", "gate"]
SKIP_KINDS: tuple[SkipKind, ...] = get_args(SkipKind)

SKIP_NOUNS: dict[SkipKind, str] = {
    "identity": "identity shortcut",
    "projection": "projection shortcut",
    "resample": "resampling shortcut",
    "concat": "concat skip",
    "gate": "gate",
}
"""What one skip of each kind is called; in a count of residual skips the kind alone says it."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: its sizes (batch included) and its dtype as torch prints it, without ``torch.``."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def is_floating(self) -> bool:
        return "float" in self.dtype


@dataclass(frozen=True)
class Node:
    """One recorded step: an input, a call of a leaf module, a function, a method, a tensor read from the model, or the output.

    Attributes:
        id: unique name of the node in the graph.
        kind: one of ``NODE_KINDS``.
        op: what it does in one word: the class of a module ("Conv2d"), the name of a function ("add"), and for kind
            "parameter" one of "Parameter", "Buffer", "Constant".
        path: dotted path of the module (kind module), of the tensor (kind parameter), of the module whose code made
            the call (kinds function and method), or the argument's name (kind input).
        cls: the module's class with its Python module ("torch.nn.modules.conv.Conv2d"); None for all other kinds.
        call: which call of the module at that path this is, from 0.
        scope: id of the :class:`Scope` in which it ran.
        uses: names of the parameters it reads.
        outputs: the tensors it returns.
        settings: the plain settings of a module or the plain arguments of a call (kernel_size, stride, ...).
        macs: multiply-accumulate operations (1 MAC = 2 FLOPs); None when unknown, which is never 0.
        params: scalars in the parameters counted here. A parameter counts at the first node that reads it.
        shared: names in ``uses`` that are counted at an earlier node.
        time: seconds that it took, the median of several runs; None if that was not measured.
    """

    id: str
    kind: NodeKind
    op: str
    path: str
    cls: str | None = None
    call: int = 0
    scope: int = 0
    uses: tuple[str, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    macs: int | None = 0
    params: int = 0
    shared: tuple[str, ...] = ()
    time: float | None = None


@dataclass(frozen=True)
class Edge:
    """Data flow: ``source``'s result is the argument ``slot`` ("0", "1.2", "mask") of ``target``."""

    source: str
    target: str
    slot: str


@dataclass(frozen=True)
class Scope:
    """One call of a module that has children. Scope 0 is the model itself; ``parent`` is None for it alone.

    ``sequential`` is true for ``nn.Sequential`` and its subclasses that keep its forward: a mere list of steps.
    """

    id: int
    path: str
    cls: str
    call: int
    parent: int | None
    sequential: bool = False

    @property
    def class_name(self) -> str:
        return self.cls.rpartition(".")[2]


@dataclass(frozen=True)
class Parameter:
    """A parameter of the model, once, under the first of its names.

    ``owner``: the class of the module that holds it, with its Python module ("torch.nn.modules.linear.Linear"); "" if unknown.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    owner: str = ""

    @property
    def size(self) -> int:
        size = 1
        for extent in self.shape:
            size *= extent
        return size


@dataclass(frozen=True)
class Skip:
    """A skip connection: ``fork``'s result reaches ``join`` past the body that starts at ``fork`` too.

    ``through`` names the nodes on the skip's own way, in order: none for most identities, the convolution (and its norm)
    for a projection. ``kind`` is one of ``SKIP_KINDS``.
    """

    kind: SkipKind
    fork: str
    join: str
    through: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightsInfo:
    """The weights that were loaded into a model.

    Attributes:
        name: what they were asked for by: a file, or the name of published weights.
        dtype: the floating dtype of most of their elements; "" if none is floating.
        part: where in the file they stood ("state_dict"), "" for its top.
        prefix: what their names begin with and the model's do not ("module.").
        missing: the model's tensors that are not among them.
        unexpected: those that the model has no place for, under the file's names.
    """

    name: str
    dtype: str
    part: str = ""
    prefix: str = ""
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelInfo:
    """Which model it is: the name it was asked for by, where it comes from, its class, the weights that were loaded if any."""

    name: str
    source: str
    cls: str
    weights: WeightsInfo | None = None


@dataclass(frozen=True)
class Failure:
    """Where and why the model's own code stopped before its end.

    Attributes:
        node: the operation that raised, the last node of the graph; it has no outputs. Where the code raised on its own,
            outside of any operation, its op is "raise" and nothing leads to it.
        message: what was raised, in one line ("RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x8 and 4x2)").
        path: dotted path of the innermost module whose call raised, "" for the model itself.
        cls: that module's class with its Python module.
        file: the file of the code that raised, as Python names it; "" if that is not known. The user's own, where one of
            their lines led there; never one of torch's.
        line: its line there, from 1; 0 if not known.
        code: that line's text, stripped.
        inputs: the tensors that met in the operation.
    """

    node: str
    message: str
    path: str
    cls: str
    file: str = ""
    line: int = 0
    code: str = ""
    inputs: tuple[TensorInfo, ...] = ()

    @property
    def class_name(self) -> str:
        return self.cls.rpartition(".")[2]


@dataclass(frozen=True)
class TraceInfo:
    """How it was traced.

    Attributes:
        device: "meta", "cpu", "cuda" or "cuda:N".
        method: "fake" (fake tensors), "guessed" (fake tensors, where results that depend on data were guessed), "real".
        inputs: the tensors that went in, by name.
        torch: version of torch.
        torchvision: version of torchvision, None if it is not installed.
        guessed: how often the result of which operation was guessed ("aten.nonzero": 3).
        training: whether it ran in training mode.
        failure: where it stopped, None for a run to the end. A graph with a failure has no node of kind "output".
    """

    device: str
    method: str
    inputs: Mapping[str, TensorInfo]
    torch: str
    torchvision: str | None
    guessed: Mapping[str, int] = field(default_factory=dict)
    training: bool = False
    failure: Failure | None = None


@dataclass(frozen=True)
class Metric:
    """How good weights are, as their publisher says: ``Metric("ImageNet-1K", "acc@1", 69.758)``."""

    dataset: str
    name: str
    value: float


@dataclass(frozen=True)
class Published:
    """Weights that a library publishes for a model, as it declares them.

    Attributes:
        name: what ``--weights`` calls them.
        is_default: whether they are those that the library takes if none are named.
        is_here: whether they are on this machine already.
        params: scalars in the parameters; None if that is not declared.
        gmacs: multiply-accumulate operations in units of 1e9; None if that is not declared.
        megabytes: of the file; None if that is not declared.
        metrics: how good they are.
        facts: whatever else is declared, by what it is called: ("licence", "apache-2.0").
    """

    name: str
    is_default: bool = False
    is_here: bool = False
    params: int | None = None
    gmacs: float | None = None
    megabytes: float | None = None
    metrics: tuple[Metric, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, repr=False)
class Information:
    """What is known of a model beside its graph.

    Attributes:
        model: the name it is asked for by.
        cls: its class with its Python module.
        origin: the library with its version, or what the model's name names.
        file: where the code is that makes it; "" if that is not known.
        line: its line there, from 1; 0 if not known.
        documentation: what its author says of it, as written; "" if nothing.
        params: scalars in its parameters.
        facts: what its library declares of it.
        published: the weights that its library declares.
        nothing_published: why there are none.
    """

    model: str
    cls: str
    origin: str
    file: str = ""
    line: int = 0
    documentation: str = ""
    params: int | None = None
    facts: tuple[tuple[str, str], ...] = ()
    published: tuple[Published, ...] = ()
    nothing_published: str = ""

    def __repr__(self) -> str:
        params = "" if self.params is None else f", {units.quantity(self.params, 'parameter')}"
        return f"<Information {shown(self.model, 60)}: {shown(self.cls, 60)}{params}>"
