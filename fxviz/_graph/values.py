"""The values of a graph: nodes, edges, scopes, parameters, skips, and facts about the model and its trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fxviz._graph import units
from fxviz._graph.errors import printable, shown

SCHEMA = "fxviz.graph/1"

NodeKind = Literal["input", "module", "function", "method", "parameter", "output"]
NODE_KINDS: tuple[NodeKind, ...] = get_args(NodeKind)

TraceMethod = Literal["fake", "guessed", "real"]
TRACE_METHODS: tuple[TraceMethod, ...] = get_args(TraceMethod)
"""The ways to run a model: on fake tensors, on fake tensors with guessed values, for real."""

MacsBound = Literal["exact", "most", "about"]
MACS_BOUNDS: tuple[MacsBound, ...] = get_args(MacsBound)
"""How far to trust MACs that rest on guessed results: right whatever the data, an upper bound, or a guess."""

ResidualKind = Literal["identity", "projection", "resample"]
RESIDUAL_KINDS: tuple[ResidualKind, ...] = get_args(ResidualKind)
"""Kinds of skips that join by an addition."""

SkipKind = Literal[ResidualKind, "concat", "gate"]
SKIP_KINDS: tuple[SkipKind, ...] = get_args(SkipKind)

SKIP_NOUNS: dict[SkipKind, str] = {
    "identity": "identity shortcut",
    "projection": "projection shortcut",
    "resample": "resampling shortcut",
    "concat": "concat skip",
    "gate": "gate",
}
"""The name of one skip of each kind. Counts of residual skips name the kind only."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor: its shape (batch included) and its dtype as torch prints it, without ``torch.``."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def is_floating(self) -> bool:
        """Return whether it holds real or complex numbers, also rounded ones in one of torch's quantized types."""
        return "float" in self.dtype or "complex" in self.dtype or self.dtype.startswith("q")


@dataclass(frozen=True)
class Node:
    """A recorded step: an input, a leaf module, a function, a method, a tensor read from the model, or the output.

    Attributes:
        id: unique name of the node in the graph.
        kind: one of ``NODE_KINDS``.
        op: the class of a module ("Conv2d"), the name of a function ("add"), and for kind "parameter" one of
            "Parameter", "Buffer", "Constant".
        path: dotted path of the module (kind module), of the tensor (kind parameter), of the module whose code made
            the call (kinds function and method), or the argument's name (kind input).
        cls: the module's class with its Python module ("torch.nn.modules.conv.Conv2d"); None for all other kinds.
        call: the number of earlier calls of the module at that path.
        scope: id of the :class:`Scope` in which it ran.
        uses: names of the parameters that it reads.
        outputs: the tensors that it returns.
        settings: the plain settings of a module or the plain arguments of a call (kernel_size, stride, ...).
        steps: the operations that a module without children runs on activations, each name once, if its code is not
            torch's own: what it does counts, not what it is called.
        macs: multiply-accumulate operations (1 MAC = 2 FLOPs); None if unknown, which is not 0.
        known_macs: where ``macs`` is unknown, those of the operations in it that are known.
        params: scalars in the parameters counted here. A parameter counts at the layer that owns it, else at the first
            node that reads it.
        shared: names in ``uses`` that are counted at another node.
        time: its duration in seconds, the median of several runs; None if it was not measured.
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
    steps: tuple[str, ...] = ()
    known_macs: int = 0

    @property
    def least_macs(self) -> int:
        """Return the multiply-accumulate operations that are known.

        >>> Node("n", "module", "Linear", "n", macs=None, known_macs=64).least_macs
        64
        """
        return self.known_macs if self.macs is None else self.macs


@dataclass(frozen=True)
class Edge:
    """Data flow: the result of ``source`` is the argument ``slot`` ("0", "1.2", "mask") of ``target``."""

    source: str
    target: str
    slot: str


@dataclass(frozen=True)
class Scope:
    """A call of a module that has children. Scope 0 is the model itself, the only one whose ``parent`` is None.

    ``sequential`` is true for ``nn.Sequential`` and for subclasses that keep its forward.
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
    """A parameter of the model, listed once, under the first of its names.

    ``owner`` is the class of the module that holds it, with its Python module; "" if unknown.
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
    """A skip connection: the result of ``fork`` reaches ``join`` past a body that starts at ``fork``, too.

    ``through`` names the nodes on the skip itself, in order: none for most identity shortcuts, the convolution (and its
    norm) for a projection. ``kind`` is one of ``SKIP_KINDS``.
    """

    kind: SkipKind
    fork: str
    join: str
    through: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightsInfo:
    """The weights that were loaded into a model.

    Attributes:
        name: the file, or the name of published weights.
        dtype: the floating dtype of most of their elements; "" if none is floating.
        part: the key in the file under which they were found ("state_dict"), "" for the top level.
        prefix: the prefix of their names that the model's names lack ("module.").
        missing: tensors of the model that the weights lack.
        unexpected: tensors of the weights that the model lacks, under the file's names.
    """

    name: str
    dtype: str
    part: str = ""
    prefix: str = ""
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelInfo:
    """The identity of a model.

    Attributes:
        name: its name as the user wrote it, with the path of a submodule and the method that alone were recorded.
        source: the library, file or module that it comes from.
        cls: its class with its Python module.
        weights: the loaded weights, if any.
        method: the method that was run; "" for forward.
    """

    name: str
    source: str
    cls: str
    weights: WeightsInfo | None = None
    method: str = ""


@dataclass(frozen=True)
class Failure:
    """The error at which the model's own code stopped.

    Attributes:
        node: the operation that raised, the last node of the graph; it has no outputs. If the code raised outside of
            any operation, its op is "raise" and no edge leads to it.
        message: the exception in one line ("RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x8 and 4x2)").
        path: dotted path of the innermost module whose call raised, "" for the model itself.
        cls: that module's class with its Python module.
        file: the file of the code that raised, as Python names it; "" if unknown. It is the user's own file if one of
            its lines is on the stack, and never one of torch's.
        line: the line number in that file, from 1; 0 if unknown.
        code: the text of that line, stripped.
        inputs: the tensors that the operation read.
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


PACKED = "packed"
"""The remedy of weights that torch keeps packed on purpose."""


@dataclass(frozen=True)
class Unregistered:
    """Weights that a run uses and that are no parameters of the model.

    Attributes:
        cls: the class of the module that holds them; "" for tensors on their own.
        place: the attribute that keeps it ("Hidden.layers", "encoder.blocks"); "" if no module keeps it.
        count: the number of such modules or tensors there.
        scalars: the weights that the run uses.
        remedy: what registers them ("nn.ModuleList"); "" where nothing does; ``PACKED`` for quantised modules, of which
            ``place`` is the path of the first.
    """

    cls: str
    place: str
    count: int
    scalars: int
    remedy: str

    @property
    def sentence(self) -> str:
        """Say so in English.

        >>> print(Unregistered("Conv2d", "Hidden.layers", 1, 112, "nn.ModuleList").sentence)
        Conv2d in Hidden.layers uses 112 weights that are no parameters of the model: register them with nn.ModuleList
        """
        one = self.scalars == 1
        weights = f"{self.scalars:,} {'weight that is no parameter' if one else 'weights that are no parameters'}"
        them = "it" if one else "them"
        if self.remedy == PACKED:
            more = f" and {self.count - 1} more" if self.count > 1 else ""
            return (
                f"{self.cls} ({self.place}{more}) uses {weights} of the model: torch keeps {them} quantised and packed"
            )
        advice = f"register {them} with {self.remedy}" if self.remedy else "make it once, in __init__, as an attribute"
        holder = (
            f"{self.count} {self.cls} in {self.place} use" if self.count > 1 else f"{self.cls} in {self.place} uses"
        )
        if not self.place:
            holder = f"{self.cls}, which was found in no attribute of a module, uses"
        elif not self.cls:
            holder = f"the run uses, in {self.place},"
        return f"{holder} {weights} of the model: {advice}"


@dataclass(frozen=True)
class TraceInfo:
    """The conditions of a trace.

    Attributes:
        device: "meta", "cpu", "cuda" or "cuda:N".
        method: one of ``TRACE_METHODS``.
        inputs: the input tensors, by name.
        torch: version of torch.
        torchvision: version of torchvision, None if it is not installed.
        guessed: the number of guessed results by operation ("aten.nonzero": 3).
        training: true if the model ran in training mode.
        failure: the error at which the run stopped, None if it completed. A graph with a failure has no node of kind
            "output".
        bound: one of ``MACS_BOUNDS``, what the MACs are if results were guessed.
        idle: scalars in parameters of experts that one token does not use, as a router chooses others; 0 where that is
            unknown.
        notes: sentences on what was done beyond running the model, or assumed, each without a capital and a full stop.
        unregistered: weights that the run uses and that are no parameters of the model.
    """

    device: str
    method: TraceMethod
    inputs: Mapping[str, TensorInfo]
    torch: str
    torchvision: str | None
    guessed: Mapping[str, int] = field(default_factory=dict)
    training: bool = False
    failure: Failure | None = None
    bound: MacsBound = "about"
    idle: int = 0
    notes: tuple[str, ...] = ()
    unregistered: tuple[Unregistered, ...] = ()

    @property
    def guesses(self) -> str:
        """Return the guessed results by the names that people use.

        >>> TraceInfo("meta", "guessed", {}, "2.4.0", None, {"aten.nonzero": 3, "aten._local_scalar_dense": 1}).guesses
        'nonzero ×3, item ×1'
        """
        times: Counter[str] = Counter()
        for name, count in self.guessed.items():
            operation = name.rpartition(".")[2]
            times[_PUBLIC_NAMES.get(operation, operation)] += count
        return ", ".join(f"{name} ×{count}" for name, count in times.items())

    @property
    def sentences(self) -> Iterator[str]:
        """Yield the notes as whole sentences."""
        return (f"{note[:1].upper()}{note[1:]}." for note in self.notes)


_PUBLIC_NAMES = {"_local_scalar_dense": "item", "_unique2": "unique", "unique_dim": "unique", "index": "mask"}
"""Operations that torch names otherwise than the functions that call them."""


@dataclass(frozen=True)
class Score:
    """A published score of weights: ``Score("ImageNet-1K", "acc@1", 69.758)``."""

    dataset: str
    name: str
    value: float


@dataclass(frozen=True)
class Published:
    """Weights that a library publishes for a model, as it declares them.

    Attributes:
        name: the value of ``--weights`` that selects them.
        is_default: true if the library uses them by default.
        is_here: true if they are on this machine already.
        params: scalars in the parameters; None if not declared.
        gmacs: multiply-accumulate operations in units of 1e9; None if not declared.
        megabytes: size of the file; None if not declared.
        metrics: the published metrics.
        facts: other declared facts, as pairs: ("licence", "apache-2.0").
    """

    name: str
    is_default: bool = False
    is_here: bool = False
    params: int | None = None
    gmacs: float | None = None
    megabytes: float | None = None
    metrics: tuple[Score, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, repr=False)
class Information:
    """Facts about a model that its graph does not hold.

    Attributes:
        model: its name as the user wrote it.
        cls: its class with its Python module.
        origin: the library with its version, or the kind of source that the name refers to.
        file: the file that defines it; "" if unknown.
        line: the line in that file, from 1; 0 if unknown.
        documentation: its docstring; "" if it has none.
        params: scalars in its parameters.
        facts: facts that its library declares.
        published: the weights that its library declares.
        nothing_published: the reason why there are none.
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
        return f"<Information {shown(printable(self.model), 60)}: {shown(printable(self.cls), 60)}{params}>"
