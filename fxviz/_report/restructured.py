"""A docstring as people read it: without the marks of reStructuredText."""

from __future__ import annotations

import inspect
import re

_ROLE = re.compile(r":(?:[\w-]+:)?[\w-]+:`(?P<text>[^`]+)`")
_LINK = re.compile(r"`(?P<text>[^`<]+?)\s*<(?P<address>[^`>]+)>`_{1,2}")
_LITERAL = re.compile(r"``(?P<text>[^`]+)``")
_PLAIN = re.compile(r"(?<![\w`])`(?P<text>[^`\n]+)`_{0,2}(?![\w`])")
_TITLED = re.compile(r"(?P<title>[^<]+?)\s*<[^>]+>")
_DIRECTIVE = re.compile(r"(?P<indent>\s*)\.\. (?P<name>[\w-]+)::\s*(?P<rest>.*)")
_SAID = {"note": "Note:", "warning": "Warning:", "deprecated": "Deprecated:", "versionadded": "Since", "math": ""}
"""What stands for a directive; any other is for a page of documentation alone, and left out with what belongs to it."""


def readable(documentation: str) -> str:
    """The text without roles, links and directives; its lines stay as they are.

    >>> print(readable("From `Deep Residual <https://a.org>`__, see :class:`~models.ResNet` and ``x``.\\n.. autoclass:: R"))
    From Deep Residual (https://a.org), see ResNet and x.
    """
    lines = _without_directives(inspect.cleandoc(documentation).splitlines())
    text = _LINK.sub(_linked, "\n".join(lines))
    text = _PLAIN.sub(r"\g<text>", _LITERAL.sub(r"\g<text>", _ROLE.sub(_named, text)))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip("\n")


def _linked(found: re.Match[str]) -> str:
    """A link may run over the end of a line."""
    return f"{' '.join(found['text'].split())} ({found['address'].strip()})"


def _named(found: re.Match[str]) -> str:
    """What a role names, as short as its author wants it: "~a.b.C" is "C".

    >>> _named(_ROLE.match(":class:`the class <a.b.C>`")), _named(_ROLE.match(":func:`~a.b`"))
    ('the class', 'b')
    """
    text = " ".join(found["text"].split())
    if titled := _TITLED.fullmatch(text):
        return titled["title"]
    return text.rpartition(".")[2] if text.startswith("~") else text


def _without_directives(lines: list[str]) -> list[str]:
    kept: list[str] = []
    left_out = -1
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if left_out >= 0 and (not line.strip() or indent > left_out):
            continue
        left_out = -1
        found = _DIRECTIVE.match(line)
        if found is None:
            kept.append(line)
        elif found["name"] in _SAID:
            kept.append(" ".join(filter(None, (f"{found['indent']}{_SAID[found['name']]}", found["rest"]))).rstrip())
        else:
            left_out = indent
    return kept
