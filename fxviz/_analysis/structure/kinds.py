"""Tell kinds of blocks apart: the same steps in the same wiring are one kind, whatever their widths."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fxviz._analysis.structure.steps import Reader, Step
from fxviz._analysis.structure.tensors import Tensors
from fxviz._analysis.structure.units import Unit
from fxviz._graph import SkipKind

Signature = tuple[tuple[str, tuple[int, ...]], ...]

_PRIME = "'"


class _Ends:
    """Tells stem and head, which are told in words, from blocks that stand once."""

    def __init__(self, groups: Sequence[Sequence[Unit]], main: Iterable[Unit], is_list: Callable[[Unit], bool]) -> None:
        repeated = [unit for group in groups if len(group) > 1 for unit in group]
        layers = [unit.place for unit in main if unit.layers]
        self.around = _common([unit.path.split(".") for unit in repeated])
        self.tops = {self._top(unit) for unit in repeated}
        self.classes = Counter(unit.cls for group in groups for unit in group if not is_list(unit))
        self.first = min((unit.place for unit in repeated), default=0)
        self.last = max((unit.place for unit in repeated), default=0)
        self.outermost = {*layers[:2], *layers[-2:]}

    def _top(self, unit: Unit) -> str:
        """Return the first part of a path behind what holds all repeated blocks; the whole path outside of that."""
        names = unit.path.split(".")
        depth = len(self.around)
        return ".".join(names[: depth + 1]) if names[:depth] == self.around else unit.path

    def holds(self, group: Sequence[Unit]) -> bool:
        """Return whether a kind is a lone part of stem or head: of a class and under a name of its own."""
        unit = group[0]
        if len(group) > 1 or self.classes[unit.cls] > 1:
            return False
        if not self.tops:
            return not unit.residual and unit.place in self.outermost
        is_outside = not self.first < unit.place < self.last
        is_apart = unit.path.split(".")[: len(self.around)] != self.around if self.around else True
        return is_outside and is_apart and self._top(unit) not in self.tops


@dataclass(frozen=True)
class Group:
    """Units of one kind, with the letter of the kind; "" for what stands once and is told in words."""

    letter: str
    units: tuple[Unit, ...]
    family: tuple[str, ...]

    @property
    def base(self) -> str:
        return self.letter.rstrip(_PRIME)


def _common(paths: Sequence[Sequence[str]]) -> list[str]:
    """Return the names with which all paths begin.

    >>> _common([["body", "layer1", "0"], ["body", "layer2", "0"]]), _common([["a"], ["b"]])
    (['body'], [])
    """
    found = []
    for names in zip(*paths, strict=False):
        if len(set(names)) > 1:
            break
        found.append(names[0])
    return found


def gate_in(tensors: Tensors, steps: Sequence[Step]) -> frozenset[int]:
    """Return the places of the steps of a squeeze-and-excitation: at one position, and the product behind."""
    inside = {place for place, step in enumerate(steps) if tensors.extent(step.node).positions <= 1}
    products = {
        place
        for place, step in enumerate(steps)
        if step.word == "×" and any(tensors.extent(source).positions <= 1 for source in tensors.sources[step.node])
    }
    return frozenset(inside | products) if inside and products else frozenset()


class Sorter:
    """Sorts blocks by kind."""

    def __init__(self, tensors: Tensors, reader: Reader) -> None:
        self.tensors = tensors
        self.reader = reader
        self._steps: dict[int, tuple[Step, ...]] = {}
        self._kernels: dict[Signature, dict[str, tuple[object, ...]]] = {}

    def steps(self, unit: Unit) -> tuple[Step, ...]:
        if unit.place not in self._steps:
            self._steps[unit.place] = self.reader.steps(unit.nodes)
        return self._steps[unit.place]

    def shortcut(self, unit: Unit) -> SkipKind | None:
        """Return the kind of the last residual skip that ends in a block; of a concatenation of what enters, that."""
        steps = self.steps(unit)
        found = [self.reader.joins[step.node].kind for step in steps if step.node in self.reader.joins]
        if found:
            return found[-1]
        is_dense = any(step.word == "concat" and -1 in step.reads for step in steps)
        return "concat" if is_dense else None

    def signature(self, unit: Unit) -> Signature:
        return tuple((step.word, step.reads) for step in self.steps(unit))

    def _signature_of_class(self, unit: Unit, classes: dict[tuple[Signature, str], Signature]) -> Signature:
        """Return the signature of a block, marked by its class if another class has the same with other kernels."""
        signature = self.signature(unit)
        kernels = tuple(step.facts.get("kernel") for step in self.steps(unit))
        first = self._kernels.setdefault(signature, {unit.cls: kernels})
        if unit.cls not in first and kernels not in first.values():
            first[unit.cls] = kernels
            classes[signature, unit.cls] = ((unit.cls, ()), *signature)
        return classes.get((signature, unit.cls), signature)

    def core(self, unit: Unit) -> tuple[str, ...]:
        """Return the words of the steps without the shortcut, its join, and a concatenation with what else enters."""
        return tuple(step.word for step in self.steps(unit) if not self._is_shortcut(step) and not _is_entrance(step))

    def family(self, unit: Unit) -> tuple[str, ...]:
        """Return the words of the steps with norms and activations alike, without gates."""
        gate = self.gate(unit)
        return tuple(
            step.role if step.role in ("norm", "activation") else step.word
            for place, step in enumerate(self.steps(unit))
            if not self._is_shortcut(step) and place not in gate
        )

    def _is_shortcut(self, step: Step) -> bool:
        return step.node in self.reader.on_skips or step.node in self.reader.joins

    def gate(self, unit: Unit) -> frozenset[int]:
        """Return the places of the steps of a squeeze-and-excitation in a block."""
        return gate_in(self.tensors, self.steps(unit)) if unit.extent.positions > 1 else frozenset()

    def groups(self, units: Sequence[Unit], main: Iterable[Unit]) -> tuple[Group, ...]:
        """Return the kinds of blocks in the order of appearance."""
        by_signature: dict[Signature, list[Unit]] = defaultdict(list)
        known: dict[str, Signature] = {}
        classes: dict[tuple[Signature, str], Signature] = {}
        for unit in units:
            if unit.is_block:
                signature = known.setdefault(unit.path, self._signature_of_class(unit, classes))
                by_signature[signature].append(unit)
        cores: dict[tuple[str, ...], list[Signature]] = defaultdict(list)
        merged = self._merged(by_signature)
        for signature, members in merged.items():
            key = (members[0].cls, *self.core(members[0]))
            cores[key].append(signature)
        ends = _Ends(list(merged.values()), main, self._is_list)
        found, count = [], 0
        for signatures in cores.values():
            variants = [merged[signature] for signature in signatures]
            is_end = len(variants) == 1 and ends.holds(variants[0])
            letter = "" if is_end else letter_of(count)
            count += not is_end
            for primes, variant in enumerate(variants):
                family = self.family(variant[0])
                found.append(Group(letter and letter + _PRIME * primes, tuple(variant), family))
        return tuple(sorted(found, key=lambda group: group.units[0].place))

    def _is_list(self, unit: Unit) -> bool:
        return unit.scope is None or self.tensors.index.scopes[unit.scope].sequential

    def _merged(self, by_signature: dict[Signature, list[Unit]]) -> dict[Signature, list[Unit]]:
        """Put blocks of one class with the same parameters together: the first call may lack steps, or have more."""
        merged: dict[Signature, list[Unit]] = {}
        home: dict[tuple[str, str, frozenset[str]], Signature] = {}
        for signature, units in sorted(by_signature.items(), key=lambda pair: -len(pair[1])):
            key = units[0].cls, units[0].list, self._parameters(units[0])
            is_lone = len(units) == 1 and units[0].scope is not None and bool(key[2])
            target = home.get(key, signature) if is_lone else signature
            if target != signature and not self._is_cut(merged[target][0], units[0]):
                target = signature
            home.setdefault(key, target)
            merged.setdefault(target, []).extend(units)
        for group in merged.values():
            group.sort(key=lambda unit: unit.place)
        return dict(sorted(merged.items(), key=lambda pair: pair[1][0].place))

    def _is_cut(self, one: Unit, other: Unit) -> bool:
        """Return whether two blocks differ in steps that one of them lacks, with the same shortcut and activations."""
        words = [self.core(unit) for unit in (one, other)]
        short, long = sorted(words, key=len)
        rest = iter(long)
        alike = {
            (self.shortcut(unit), frozenset(step.word for step in self.steps(unit) if step.role == "activation"))
            for unit in (one, other)
        }
        return len(short) < len(long) and all(word in rest for word in short) and len(alike) == 1

    def _parameters(self, unit: Unit) -> frozenset[str]:
        """Return the names of the parameters of a block, relative to it, but for those of embeddings."""
        nodes = (self.tensors.node(name) for name in unit.nodes)
        start = len(unit.path) + 1
        return frozenset(
            name[start:]
            for node in nodes
            if node.id not in self.tensors.layers or self.tensors.layers[node.id].kind != "embedding"
            for name in node.uses
            if name.startswith(f"{unit.path}.")
        )


def _is_entrance(step: Step) -> bool:
    """Return whether a step concatenates what enters, or something else from outside with the block's own."""
    return step.word == "concat" and (set(step.reads) <= {-1} or any(read < -1 for read in step.entering))


def letter_of(number: int) -> str:
    """Return the letter of a kind: A to Z, then AA and so on.

    >>> letter_of(0), letter_of(25), letter_of(26)
    ('A', 'Z', 'AA')
    """
    return chr(65 + number) if number < 26 else letter_of(number // 26 - 1) + letter_of(number % 26)
