"""Advise on the next step after a failure: there is a rule for each kind, and the first that applies is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from fxviz._graph.errors import spelled
from fxviz._graph.options import TraceOptions
from fxviz._sources.inputs import Arguments
from fxviz._sources.torch_private import class_label, written_path
from fxviz._trace.arguments import bound, fits, method_of, signature
from fxviz._trace.failures import Stop

_ONE_EXAMPLE = "Expected more than 1 value per channel when training"
"""The message of torch if batch norm has only one value to average."""

_ELSEWHERE = ("NVIDIA driver", "CUDA driver", "CUDA enabled", "No CUDA GPUs", "on the same device")
"""Parts of the errors of torch where a device does not exist, or is not that of other tensors."""


@dataclass(frozen=True)
class Situation:
    """A run that stopped.

    Attributes:
        model: the model that ran.
        given: its arguments.
        assumed: whether the user passed no arguments, so that these were assumed.
        options: the options of the run.
        stop: the place where it stopped.
    """

    model: nn.Module
    given: Arguments
    assumed: bool
    options: TraceOptions
    stop: Stop

    @property
    def fitting(self) -> bool:
        """Return whether the signature of what ran accepts these arguments."""
        return fits(self.function, self.given.args, self.given.kwargs)

    @property
    def function(self) -> Callable[..., Any]:
        """Return forward, or the method that ran in its place."""
        return method_of(self.model, self.options.method)

    @property
    def called(self) -> str:
        """Return what ran with its parameters: "forward(x)"."""
        return f"{self.options.method or 'forward'}{signature(self.function)}"

    @property
    def began(self) -> bool:
        """Return whether any part of what was to be recorded ran."""
        return self.stop.ran and self.fitting


def next_step(situation: Situation) -> str:
    """Return what to do next, "" if no rule applies.

    >>> from fxviz._graph.errors import UsageError
    >>> from fxviz._graph import Failure, TensorInfo
    >>> stop = Stop(ValueError("no"), Failure("raise_1", "ValueError: no", "", "Net"), ran=True)
    >>> image = Arguments((TensorInfo((1, 3, 224, 224), "float32"),))
    >>> print(UsageError(next_step(Situation(nn.Linear(8, 8), image, True, TraceOptions(), stop))))
    no inputs were given, so a 1×3×224×224 image was assumed: use inputs=... to pass what forward(input) takes
    >>> print(UsageError(next_step(Situation(nn.Linear(8, 8), image, False, TraceOptions(), stop))))
    partial=True returns what ran until then
    """
    return next((step for rule in _RULES if (step := rule(situation))), "")


def _forward_missing(situation: Situation) -> str:
    if situation.options.method or getattr(situation.model.forward, "__func__", None) is not nn.Module.forward:
        return ""
    return f"write a forward for {class_label(situation.model)}, or name another class"


def _inputs_assumed(situation: Situation) -> str:
    if not situation.assumed or (situation.given.kwargs and not situation.fitting):
        return ""
    assumed = " and ".join("×".join(map(str, value.shape)) for value in situation.given.args)
    inputs = spelled("inputs=...", "--input")
    advice = (
        f"no inputs were given, so a {assumed} image was assumed: use {inputs} to pass what {situation.called} takes"
    )
    more = _ids_taken(situation) or _structure_taken(situation)
    return f"{advice}; {more}" if more else advice


def _ids_taken(situation: Situation) -> str:
    failure = situation.stop.failure
    modules = {written_path(path): module for path, module in situation.model.named_modules()}
    module = modules.get(failure.path)
    if not isinstance(module, (nn.Embedding, nn.EmbeddingBag)) or not any(
        info.is_floating for info in failure.inputs[:1]
    ):
        return ""
    name, count = _name_of(situation), module.num_embeddings
    python = f"inputs={{'{name}': torch.randint({count}, ...)}}"
    return f"ids must be whole numbers: {spelled(python, f'--input {name}=...:int64[0,{count}]')}"


def _name_of(situation: Situation) -> str:
    """Return the name of the input of the failed step, found by its shape, or of the only input."""
    shapes = [info.shape for info in situation.stop.failure.inputs[:1]]
    named = bound(situation.function, situation.given.args, situation.given.kwargs).items()
    found = [name for name, value in named if [tuple(getattr(value, "shape", ()))] == shapes or len(named) == 1]
    return found[0] if found else "NAME"


def _structure_taken(situation: Situation) -> str:
    if not situation.stop.restructured:
        return ""
    name = _name_of(situation)
    how = spelled(f"inputs={{'{name}': {{...}}}}", f"--input {name}.KEY=SIZES")
    return f"if {name} is a dict or an object, pass what is in it: {how}"


def _sizes_as_inputs(situation: Situation) -> str:
    args = situation.given.args
    shape = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
    if not shape or situation.given.kwargs or any(type(size) is not int for size in shape):
        return ""
    info = f"TensorInfo({tuple(shape)}, 'float32')"
    return f"sizes are not tensors: pass inputs=torch.zeros({', '.join(map(str, shape))}), or fxviz.{info}"


def _arguments_unfit(situation: Situation) -> str:
    if situation.fitting:
        return ""
    return f"the inputs must be the arguments of its {situation.called}"


def _one_example(situation: Situation) -> str:
    if not situation.options.train or _ONE_EXAMPLE not in situation.stop.failure.message:
        return ""
    return f"training mode needs a batch of 2 or more: {spelled('batch=2', '--batch 2')}"


def _unrecordable(situation: Situation) -> str:
    path = situation.stop.unrecordable
    leaf = spelled(f"leaf={path!r}", f"--leaf {path}")
    return f"{leaf} records that module as one node, without its contents" if path else ""


def _moved(situation: Situation) -> str:
    """Advise on code that moves tensors to a device by its name, which fails where they have values."""
    if not any(words in situation.stop.failure.message for words in _ELSEWHERE):
        return ""
    if situation.options.device == "meta":
        return "its code moves tensors to a GPU and needs their values: run it where there is one"
    without = spelled(
        f"leave out device={situation.options.device!r}", f"leave out --device {situation.options.device}"
    )
    return f"its code moves tensors to another device by name: {without}, and such moves are ignored"


def _too_long(situation: Situation) -> str:
    if not situation.stop.failure.message.startswith("TooManySteps"):
        return ""
    root = spelled("root='...'", "--root ...")
    return f"give it smaller inputs, or record a part of the model with {root}"


def _what_ran(situation: Situation) -> str:
    if situation.options.partial or not situation.began:
        return ""
    partial = spelled("partial=True", "--partial")
    instead = f" instead of {spelled('time=True', '--time')}" if situation.options.time else ""
    return f"{partial}{instead} {spelled('returns', 'draws')} what ran until then"


_RULES: tuple[Callable[[Situation], str], ...] = (
    _forward_missing,
    _inputs_assumed,
    _sizes_as_inputs,
    _arguments_unfit,
    _ids_taken,
    _structure_taken,
    _one_example,
    _unrecordable,
    _moved,
    _too_long,
    _what_ran,
)
