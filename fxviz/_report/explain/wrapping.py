"""Breaking a text into lines, Chinese included."""

from __future__ import annotations

import re

_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_NEVER_FIRST = "，。；：、！？）」』》"
_NEVER_LAST = "（「『《"
_PIECE = re.compile(rf" |[{_NEVER_LAST}]*((?![{_NEVER_LAST}])[{_WIDE}]|[^ {_WIDE}]+)[{_NEVER_FIRST}]*|[{_NEVER_LAST}]")


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, each ``width`` columns of a terminal wide at most, unless a word is longer.

    A line breaks at a space or between Chinese characters, but not before a closing sign or behind an opening one.

    >>> wrapped("fc holds 4.4% of all", 10)
    ['fc holds', '4.4% of', 'all']
    >>> wrapped("卷积层（三个），全连接层。", 8)
    ['卷积层', '（三', '个），全', '连接层。']
    >>> wrapped("卷积层（ReLU），", 10)
    ['卷积层', '（ReLU），']
    """
    from rich.cells import cell_len

    lines, line = [], ""
    for piece in (found[0] for found in _PIECE.finditer(text)):
        if cell_len(line + piece.rstrip()) > width and line.strip():
            lines.append(line.rstrip())
            line = ""
        line += piece if line or piece != " " else ""
    return [*lines, line.rstrip()]
