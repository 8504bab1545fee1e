"""Hold the structure of a model: stages, kinds of blocks, and the links between stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fxviz._graph import Skip, SkipKind, units

Layout = Literal["stages", "column", "table", "U", "ladder", "lanes", "encoder-decoder", "grid"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
"""The arrangements in which papers draw models:

* "stages": from left to right, smaller and smaller feature maps.
* "column": one resolution throughout, from top to bottom.
* "table": stages whose blocks differ in kernel or expansion more than in kind: one line each.
* "U": falling and rising resolution, with skips across.
* "ladder": a feature pyramid, whose levels are joined from the coarsest up.
* "lanes": streams of several resolutions, or of several inputs, side by side.
* "encoder-decoder": two stacks, of which the second attends to the first.
* "grid": a U with blocks on its skips (UNet++).
"""

Role = Literal["stem", "stage", "head", "side"]
"""The place of a stage: before the first block, with blocks, behind the last block, or beside the main way."""

LinkKind = Literal["flow", "tap", "cross", SkipKind]
"""The kinds of links: to the next stage, read elsewhere, keys of cross-attention, or a skip (see ``SKIP_KINDS``)."""


@dataclass(frozen=True)
class Run:
    """Blocks or layers in a row.

    Attributes:
        names: letters of kinds ("A", "B'"), or the words for one layer ("Conv 7×7 3→64 /2").
        times: the number of times that the names follow one another.
        lettered: true if the names are letters.
    """

    names: tuple[str, ...]
    times: int
    lettered: bool

    @property
    def text(self) -> str:
        """Return the run in one line.

        >>> Run(("A",), 2, True).text, Run(("A", "B"), 3, True).text, Run(("MaxPool 3×3 /2",), 1, False).text
        ('A×2', '(A B)×3', 'MaxPool 3×3 /2')
        """
        names = " ".join(self.names)
        if self.times == 1:
            return names
        space = "" if self.lettered else " "
        return f"({names})×{self.times}" if len(self.names) > 1 else f"{names}{space}×{self.times}"


@dataclass(frozen=True)
class Stage:
    """A part of the run at one resolution. Every node that makes an activation is in one stage.

    Attributes:
        title: its name in a figure: "stem", "stage 2", "head", or the path of what stands beside the main way.
        path: the common path of its modules; "" if they have none.
        role: one of ``Role``.
        level: the place of its resolution among those of all stages, 0 for the finest.
        lane: 0 on the main way; stages that follow one another beside it share a number.
        entering: the channels that enter; 0 if unknown.
        channels: the channels that leave.
        size: the sizes that leave beside batch and channels: (56, 56) of an image, (197,) of tokens, () of a vector.
        runs: what it consists of, in the order of the run.
        params: scalars in the parameters counted here.
        macs: multiply-accumulates, as far as they are known.
        share: its share of the parameters that the run reads, 0 to 1.
        calls: how often the same modules ran here, as a head that several levels share.
        nodes: the nodes, in the order of the run.
    """

    title: str
    path: str
    role: Role
    level: int
    lane: int
    entering: int
    channels: int
    size: tuple[int, ...]
    runs: tuple[Run, ...]
    params: int
    macs: int
    share: float
    calls: int
    nodes: tuple[str, ...]

    @property
    def blocks(self) -> int:
        """Count the lettered blocks."""
        return sum(len(run.names) * run.times for run in self.runs if run.lettered)

    @property
    def letters(self) -> tuple[str, ...]:
        """Return the letters of the blocks, each once, in the order of the run."""
        return tuple(dict.fromkeys(name for run in self.runs if run.lettered for name in run.names))

    @property
    def text(self) -> str:
        """Return what it consists of in one line: "MaxPool 3×3 /2, A×3"."""
        return ", ".join(run.text for run in self.runs)

    @property
    def output(self) -> str:
        """Return what leaves: channels, then sizes ("64×56×56")."""
        return units.shape((self.channels, *self.size)) if self.channels else ""


@dataclass(frozen=True)
class Row:
    """One line of a block's inset: a layer with its norm and activation, attention, an MLP, a gate, or a join.

    Attributes:
        word: the name of the operation ("Conv 3×3", "W-MSA 7×7", "MLP", "SE", "+").
        entering: the channels that enter, as "C" or "64"; "" if they follow no rule, and for joins and pooling.
        channels: the channels of each layer, as ("4C", "C"), or numbers if all occurrences have the same; () for joins
            and pooling, and if they follow no rule.
        marks: what is said behind them: stride ("/2"), norms and activations ("BN", "ReLU"), "dilation 2", "t 6".
        reads: the rows that it reads; -1 is what enters the block, -2 and less are further tensors from outside that
            joins and cross-attention read, as the skip of a decoder or the result of an encoder.
        facts: facts by name, each with one value for each occurrence of the kind. The names are those of ``FACTS``.
        on_shortcut: true if it stands on the block's shortcut.
        times: the number of equal rows side by side that it stands for, as of experts.
        parts: the rows of a block inside a large block, or of a branch, which is one row.
        params: scalars in the parameters of all occurrences; None if some parameter of the block belongs to no row.
    """

    word: str
    entering: str = ""
    channels: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    reads: tuple[int, ...] = ()
    facts: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    on_shortcut: bool = False
    times: int = 1
    parts: tuple[Row, ...] = ()
    params: int | None = None

    @property
    def text(self) -> str:
        """Return the row in one line: "Conv 3×3 C→4C /2 BN ReLU"."""
        times = f"×{self.times}" if self.times > 1 else ""
        widths = "→".join(filter(None, (self.entering, *self.channels))) if self.channels else ""
        return " ".join(filter(None, (self.word, widths, *self.marks, times)))

    def value(self, fact: str) -> Any:
        """Return the value of a fact if all occurrences agree, else None."""
        values = set(self.facts.get(fact, ()))
        return values.pop() if len(values) == 1 else None


FACTS: Mapping[str, str] = {
    "heads": "heads of attention",
    "head_width": "channels of one head",
    "kv_heads": "heads of keys and values, where queries have more (arXiv:2305.13245)",
    "queries": "positions that attend, in one group",
    "keys": "positions that are attended to, in one group",
    "window": "sizes of the windows within which positions attend (arXiv:2103.14030)",
    "windows": "windows or grids in one example; 1 where all positions attend to each other",
    "grid": "sizes of the grids of positions at equal distances that attend to each other (arXiv:2204.01697)",
    "shift": "the shift of the windows by dimension",
    "reduction": "how many positions there are for one key (arXiv:2102.12122)",
    "cross": "true if keys come from another stream than queries",
    "attention": '"softmax", "linear" (arXiv:2006.16236), or "channel" between channels (arXiv:2106.09681)',
    "mixed": "true if a layer mixes the heads' scores: talking heads (arXiv:2003.02436)",
    "kernel": "kernel sizes",
    "stride": "strides",
    "bins": "sizes that leave a pooling whatever enters it (arXiv:1612.01105)",
    "dilation": "dilations",
    "groups": "groups of a convolution that is not depthwise",
    "entering": "channels or features that enter",
    "width": "channels or features that leave",
    "hidden": "features inside an MLP, or channels inside a gate",
    "expansion": "hidden width of an MLP over the entering width",
    "ratio": "width of a gate over that of what it scales (arXiv:1709.01507)",
    "input_ratio": "width of a gate over that of what enters the block (arXiv:1905.11946)",
    "experts": "experts of a mixture, one of which has the features of this row",
    "top": "experts that each position is sent to (arXiv:1701.06538); 0 if that is unknown",
}
"""The facts of rows: their names, and what each value is."""


@dataclass(frozen=True)
class Occurrence:
    """One run of a kind of block.

    Attributes:
        path: path of the module; of the first layer, if the block is no module.
        stage: the place of its stage in ``Structure.stages``.
        entering, channels: the channels that enter and leave.
        size: the sizes that leave, as in :class:`Stage`.
        params, macs: as in :class:`Stage`.
        nodes: the nodes, in the order of the run.
    """

    path: str
    stage: int
    entering: int
    channels: int
    size: tuple[int, ...]
    params: int
    macs: int
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """Blocks with the same steps in the same wiring, whatever their widths.

    Attributes:
        letter: "A", "B", ... in the order of appearance; "A'" if only the shortcut differs from that of A.
        word: a name in the words of the field ("MBConv 5×5 t6 SE¼", "bottleneck 1×1, 3×3, 1×1").
        members: the names of the classes.
        rows: its steps in the order of the run.
        symbols: what "C" and "D" in the rows' channels stand for, by occurrence; empty where these are numbers.
        shortcut: the kind of the skip around it, or around its last part; None if there is none.
        occurrences: the blocks, in the order of the run.
        params, macs, share: sums over all occurrences, as in :class:`Stage`.
    """

    letter: str
    word: str
    members: tuple[str, ...]
    rows: tuple[Row, ...]
    symbols: Mapping[str, tuple[int, ...]]
    shortcut: SkipKind | None
    occurrences: tuple[Occurrence, ...]
    params: int
    macs: int
    share: float

    def of(self, word: str) -> Iterator[Row]:
        """Yield the rows whose word begins so: all kinds of attention for "Attention" are told by ``facts``."""
        return (row for row in self.rows if row.word.startswith(word))

    def fact(self, name: str) -> tuple[Any, ...]:
        """Return the values of a fact in the first row that has it, one for each occurrence; () if none has it."""
        return next((row.facts[name] for row in self.rows if name in row.facts), ())


@dataclass(frozen=True)
class Link:
    """A tensor that one stage hands to another.

    Attributes:
        source: the place of the stage that made it in ``Structure.stages``.
        target: the place of the stage that reads it.
        kind: one of ``LinkKind``.
        node: the node that made it.
        channels, size: as in :class:`Stage`.
    """

    source: int
    target: int
    kind: LinkKind
    node: str
    channels: int
    size: tuple[int, ...]


@dataclass(frozen=True, repr=False)
class Structure:
    """What a model consists of, as papers tell it.

    Attributes:
        name: the model's name.
        layout: the arrangement that suits it, one of ``LAYOUTS``.
        reason: why, in one clause.
        stages: all parts of the run, in its order; their parameters and MACs add up to those of the graph.
        kinds: the kinds of blocks, in the order of appearance.
        links: what stages hand to one another, in the order of the run.
        untold: the skips of the graph that no row of a kind and no link tells.
        lone: parts of stem and heads that stand once and have branches, as kinds: their letter is the stage's title.
    """

    name: str
    layout: Layout
    reason: str
    stages: tuple[Stage, ...]
    kinds: tuple[Kind, ...]
    links: tuple[Link, ...]
    untold: tuple[Skip, ...] = ()
    lone: tuple[Kind, ...] = ()

    def __repr__(self) -> str:
        counts = f"{units.quantity(len(self.stages), 'stage')}, {units.quantity(len(self.kinds), 'kind')} of blocks"
        return f"<Structure {self.name}: {self.layout}, {counts}>"

    def kind(self, letter: str) -> Kind:
        """Return the kind with a letter.

        Raises:
            KeyError: there is none.
        """
        for kind in self.kinds:
            if kind.letter == letter:
                return kind
        raise KeyError(letter)

    @property
    def main(self) -> tuple[Stage, ...]:
        """Return the stages on the main way."""
        return tuple(stage for stage in self.stages if stage.lane == 0)


@dataclass(frozen=True)
class Family:
    """Several models.

    Attributes:
        structures: what each consists of; its own kinds have its own widths.
        kinds: the kinds of blocks of all models, each once, in the order of appearance.
    """

    structures: tuple[Structure, ...]
    kinds: tuple[Kind, ...]
