"""What fxviz says when something cannot be done.

The tree::

    FxvizError              every error that fxviz raises on purpose
    |-- UsageError          the caller asked for something that does not exist or does not fit: exit status 2
    |   |-- UnknownModel    no model of that name
    |   |-- BadGraphFile    a saved graph that cannot be read
    |   `-- BadOutput       a file that cannot be written
    |-- TraceError          the model's own code failed while it was traced: exit status 1
    |   `-- TimingError     the model's steps cannot be timed one by one
    |-- EngineError         the layout engine is missing or failed: exit status 1
    |   `-- EngineTimeout   it took too long
    `-- WorkerDied          the process that worked on a task died: exit status 1

A message is one line that says what is wrong, where, what was given, what is allowed and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence


class FxvizError(Exception):
    """Something fxviz cannot do, said in one line.

    >>> raise FxvizError("no such thing")
    Traceback (most recent call last):
    ...
    fxviz._errors.FxvizError: no such thing
    """

    exit_status = 1


class UsageError(FxvizError):
    """The caller's mistake: a name, an option or a file that does not exist or does not fit."""

    exit_status = 2


class UnknownModel(UsageError):
    """No model of that name is known."""


class BadGraphFile(UsageError):
    """A saved graph that is missing, cut short, or not one of ours."""


class BadOutput(UsageError):
    """A file that cannot be written, or a suffix that fxviz does not write."""


class TraceError(FxvizError):
    """The model's own code failed while it was traced; ``failure`` says where, as a :class:`~fxviz._graph.Failure`, if known."""

    failure: object | None = None


class TimingError(TraceError):
    """The model's steps cannot be timed one by one."""


class EngineError(FxvizError):
    """The layout engine is missing, failed, or took too long."""


class EngineTimeout(EngineError):
    """The layout engine took too long."""


class WorkerDied(FxvizError):
    """The process that worked on a task was killed, or ended itself."""


def choice(words: Sequence[str]) -> str:
    """Words of which one is to be chosen, as a message names them.

    >>> choice((".svg", ".png", ".dot")), choice((".json",))
    ('.svg, .png or .dot', '.json')
    """
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
