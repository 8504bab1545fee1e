"""Find the words in the names of parameters: "pos_embed" is a position embedding."""

from __future__ import annotations

import re

from fxviz._graph import Node

_SPELLED_OUT = {
    "cls": "class",
    "pos": "position",
    "embed": "embedding",
    "dist": "distillation",
    "rel": "relative",
    "gamma": "scale",
}

_TELLING = frozenset(
    """class token tokens position positions positional embedding embeddings query queries prompt prompts latent latents
    register registers memory mask slot slots relative distillation codebook""".split()
)
"""Words in the names of parameters that say what these are."""


def is_telling(node: Node) -> bool:
    """Return whether the name of a parameter says what it is, unlike "weight", "alpha" or a number."""
    return node.kind == "module" or not _TELLING.isdisjoint(words_of(node))


def words_of(node: Node) -> list[str]:
    """Return the words of a parameter's name, with the name of the list that it is in.

    A weight of a module that is called what it is has that name.

    >>> words_of(Node("a", "parameter", "Parameter", "decoder.query_pos.weight"))
    ['query', 'position']
    """
    end = end_of(node.path)
    if end.partition(".")[0].rstrip("s") in ("weight", "bias"):
        owner = _words_in(end_of(node.path.removesuffix(end).rstrip(".")))
        if not _TELLING.isdisjoint(owner):
            return owner
    return _words_in(end)


def _words_in(name: str) -> list[str]:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+", name)
    return [_SPELLED_OUT.get(word.lower(), word.lower()) for word in words]


def end_of(path: str) -> str:
    """Return the end of a path from its last name on, with the numbers behind it; "" if there are only numbers.

    >>> end_of("stages.0.blocks.2"), end_of("0.1")
    ('blocks.2', '')
    """
    names = path.split(".")
    start = next((place for place in range(len(names) - 1, -1, -1) if not names[place].isdigit()), len(names))
    return ".".join(names[start:])
