"""Text made safe for a place in DOT or SVG: whatever a model's names hold, they are shown and never obeyed."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

_BLANK = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")
_BIDI = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks that tell in which direction text runs: they could turn the text around them."""


def plain(text: str) -> str:
    """One line of text that XML can hold: line breaks and tabs become a space, other control characters and bidi marks go.

    >>> plain("a\\nb\\x00c"), plain("gpj.\\u202egnp")
    ('a bc', 'gpj.gnp')
    """
    return _BIDI.sub("", _FORBIDDEN.sub("", _BLANK.sub(" ", text)))


def label_text(text: str) -> str:
    r"""Text inside an HTML-like label, where Graphviz would also expand ``\N`` and ``\G``.

    >>> label_text("<lambda> & co")
    '&lt;lambda&gt; &amp; co'
    >>> print(label_text(r"\N"))
    &#92;&#92;N
    """
    return html.escape(plain(text), quote=False).replace("\\", "&#92;&#92;")


def dot_name(name: str) -> str:
    """A node's or port's name in DOT: itself where that is harmless, percent escapes elsewhere; two names never become one.

    >>> dot_name("layer1.0"), dot_name("a:b"), dot_name("50%")
    ('layer1.0', 'a%3Ab', '50%25')
    """
    return quote(name, safe=" /+@", errors="surrogatepass")
