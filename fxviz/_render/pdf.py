"""A figure as a PDF page: lines as lines, text as text."""

from __future__ import annotations

from fxviz._render.typeset import typeset


def pdf(svg: str) -> bytes:
    """One page of the figure's size, with selectable text in an embedded font and without a date.

    Args:
        svg: the text of a finished figure. A page cannot follow the reader's setting: "auto" gives the light colours.

    Returns:
        The PDF file; the same figure gives the same bytes.

    Raises:
        UsageError: typst is not installed.

    >>> pdf('<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" viewBox="0 0 72 36"/>')[:5]
    b'%PDF-'
    """
    return typeset(svg, "pdf")
