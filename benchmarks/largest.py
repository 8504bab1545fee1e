"""Print the names of timm's largest models by parameters, a line each: ``python benchmarks/largest.py 10``.

It builds every model that timm lists, without memory for parameters, which takes a quarter of an hour.
"""

from __future__ import annotations

import heapq
import sys

from fxviz._graph.errors import FxvizError
from fxviz._sources.reference import parse
from fxviz._sources.resolve import names, resolve


def parameters(name: str) -> int:
    """Count the scalars in a model's parameters; 0 if it cannot be built here."""
    try:
        return sum(parameter.numel() for parameter in resolve(parse(name)).build(False).module.parameters())
    except (FxvizError, ImportError):
        return 0


if __name__ == "__main__":
    print(*heapq.nlargest(int(sys.argv[1]), names("timm:*"), key=parameters), sep="\n")
