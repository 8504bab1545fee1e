"""Sections of short sentences, as plain text or as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fxviz._errors import UsageError, choice, printable
from fxviz._report.tables.forms import escaped

_MARK = "  - "


@dataclass(frozen=True)
class Section:
    """A heading and sentences. Names in them stand as the model has them; a form makes them harmless."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """A title and sections, those that have something to say. ``print`` shows the sentences."""

    title: str
    sections: tuple[Section, ...]

    def written(self, form: str = "text", width: int | None = None, styled: bool = False) -> str:
        """The explanation as text.

        Args:
            form: "text" or "markdown".
            width: columns of the terminal that a "text" must fit; None: each sentence on one line.
            styled: whether the terminal takes bold, in which titles are written.

        Raises:
            UsageError: there is no such form.
        """
        check_form(form)
        if form == "markdown":
            return self.markdown
        return _styled(self.text(width), max(width or 0, 20)) if styled else self.text(width)

    def __str__(self) -> str:
        return self.text().rstrip("\n")

    def text(self, width: int | None = None) -> str:
        """Plain text: each sentence on one line, or wrapped to ``width`` columns.

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
        """Headings and lists; what names hold is escaped.

        >>> print(Explanation("a_b", (Section("Memory", ("*x* takes 64 bytes.",)),)).markdown, end="")
        # a_b
        <BLANKLINE>
        ## Memory
        <BLANKLINE>
        * \\*x\\* takes 64 bytes.
        """
        parts = [f"# {escaped(self.title)}"]
        for section in self.sections:
            parts += [
                f"## {escaped(section.title)}",
                "\n".join(f"* {escaped(sentence)}" for sentence in section.sentences),
            ]
        return "\n\n".join(parts) + "\n"


FORMS = ("text", "markdown")


def check_form(form: str) -> None:
    """Refuse a form that there is not.

    >>> check_form("pdf")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: no format 'pdf': choose text or markdown
    """
    if form not in FORMS:
        raise UsageError(f"no format '{form}': choose {choice(FORMS)}")


def _styled(text: str, width: int) -> str:
    """The same text, lines that belong to no sentence in bold."""
    from rich.text import Text

    from fxviz._report.tables.text import drawn  # which needs rich, as no other form does

    return drawn([Text(line, "" if line.startswith(" ") else "bold") for line in text.splitlines()], width)


def explanation(title: str, sections: Sequence[tuple[str, list[str]]]) -> Explanation:
    """The sections that have something to say."""
    return Explanation(title, tuple(Section(name, tuple(said)) for name, said in sections if said))


def _block(section: Section, width: int | None) -> Iterator[str]:
    yield from _lines(section.title, "", width)
    for sentence in section.sentences:
        yield from _lines(sentence, _MARK, width)


def _lines(text: str, mark: str, width: int | None) -> Iterator[str]:
    shown = printable(text)
    lines = [shown] if width is None else wrapped(shown, max(width - len(mark), 20))
    for place, line in enumerate(lines):
        yield (" " * len(mark) if place else mark) + line


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
