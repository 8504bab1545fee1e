"""Write sections of short sentences as plain text or Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from fxviz._graph import units
from fxviz._graph.errors import printable, shown, spelled
from fxviz._graph.options import check_choice
from fxviz._report.tables.forms import markdown_escaped

_BULLET = "  - "


@dataclass(frozen=True)
class Section:
    """A heading and sentences, with names as the model has them; each form escapes them."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Explanation:
    """A title and sections, none of them empty. ``print`` shows the sentences."""

    title: str
    sections: tuple[Section, ...]

    def written(self, form: str = "text", width: int | None = None, styled: bool = False) -> str:
        """Return the explanation as text.

        Args:
            form: "text" or "markdown".
            width: columns of the terminal that a "text" must fit; None: each sentence on one line.
            styled: whether the terminal takes bold, in which titles are written.

        Raises:
            UsageError: unknown format.
        """
        check_form(form)
        if form == "markdown":
            return self.markdown
        return _styled(self.text(width), max(width or 0, 20)) if styled else self.text(width)

    def __str__(self) -> str:
        return self.text().rstrip("\n")

    def __repr__(self) -> str:
        sentences = sum(len(section.sentences) for section in self.sections)
        counts = f"{units.quantity(len(self.sections), 'section')}, {units.quantity(sentences, 'sentence')}"
        return f"<Explanation {shown(printable(self.title), 120)}: {counts}>"

    def text(self, width: int | None = None) -> str:
        """Return plain text: each sentence on one line, or wrapped to ``width`` columns.

        >>> print(Explanation("net", (Section("Memory", ("The weights take 64 bytes.",)),)).text(24), end="")
        net
        <BLANKLINE>
        Memory
          - The weights take 64
            bytes.
        """
        parts = [
            "\n".join(_lines(self.title, "", width)),
            *("\n".join(_block(section, width)) for section in self.sections),
        ]
        return "\n\n".join(parts) + "\n"

    @property
    def markdown(self) -> str:
        """Return headings and lists in Markdown, with names escaped.

        >>> print(Explanation("a_b", (Section("Memory", ("*x* takes 64 bytes.",)),)).markdown, end="")
        # a_b
        <BLANKLINE>
        ## Memory
        <BLANKLINE>
        * \\*x\\* takes 64 bytes.
        """
        parts = [f"# {markdown_escaped(self.title)}"]
        for section in self.sections:
            parts += [
                f"## {markdown_escaped(section.title)}",
                "\n".join(f"* {markdown_escaped(sentence)}" for sentence in section.sentences),
            ]
        return "\n\n".join(parts) + "\n"


Form = Literal["text", "markdown"]
FORMS: tuple[Form, ...] = get_args(Form)


def check_form(form: str) -> None:
    """Raise an error for an unknown format.

    >>> check_form("pdf")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid format 'pdf': choose text or markdown
    """
    check_choice(spelled("format", "--format"), form, FORMS)


def _styled(text: str, width: int) -> str:
    """Return the text with titles in bold."""
    from rich.text import Text

    from fxviz._report.tables.text import with_styles  # which needs rich, as no other form does

    return with_styles([Text(line, "" if line.startswith(" ") else "bold") for line in text.splitlines()], width)


def explanation(title: str, sections: Sequence[tuple[str, list[str]]]) -> Explanation:
    """Return an explanation without empty sections."""
    return Explanation(title, tuple(Section(name, tuple(sentences)) for name, sentences in sections if sentences))


def _block(section: Section, width: int | None) -> Iterator[str]:
    yield from _lines(section.title, "", width)
    for sentence in section.sentences:
        yield from _lines(sentence, _BULLET, width)


def _lines(text: str, bullet: str, width: int | None) -> Iterator[str]:
    whole = printable(text)
    lines = [whole] if width is None else wrapped(whole, max(width - len(bullet), 20))
    for place, line in enumerate(lines):
        yield (" " * len(bullet) if place else bullet) + line


_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_NEVER_FIRST = "，。；：、！？）」』》"
_NEVER_LAST = "（「『《"
_PIECE = re.compile(rf" |[{_NEVER_LAST}]*((?![{_NEVER_LAST}])[{_WIDE}]|[^ {_WIDE}]+)[{_NEVER_FIRST}]*|[{_NEVER_LAST}]")


def wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of at most ``width`` terminal columns; a longer word stays whole.

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
