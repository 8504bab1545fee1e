"""The words of a difference: what became of a row, and how the two models differ as a whole."""

from fxviz._render.rows import SIGNS, Word, least, said, sign, wordings
from fxviz._render.whole import counts, described, full_name, names_within, note, told, totals

__all__ = [
    "SIGNS", "Word", "counts", "described", "full_name", "least", "names_within", "note", "said", "sign", "told", "totals",
    "wordings",
]  # fmt: skip
