"""Tasks one after another, in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_this_process(task: Callable[[Item], Result], items: Sequence[Item]) -> Generator[tuple[Item, Result], None, None]:
    """Each item with its result.

    >>> list(in_this_process(abs, [1, -2]))
    [(1, 1), (-2, 2)]
    """
    for item in items:
        yield item, task(item)
