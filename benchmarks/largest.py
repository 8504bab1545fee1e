"""Print the names of timm's largest models by parameters, a line each: ``python benchmarks/largest.py 10``.

Every model that timm lists is built without memory for its parameters, which takes a quarter of an hour.
"""

from __future__ import annotations

import heapq
import sys

from fxviz._errors import FxvizError
from fxviz._sources import names, resolve


def parameters(name: str) -> int:
    """Scalars in a model's parameters; 0 if it cannot be built here."""
    try:
        return sum(parameter.numel() for parameter in resolve(name).build(False).parameters())
    except (FxvizError, ImportError):
        return 0


if __name__ == "__main__":
    print(*heapq.nlargest(int(sys.argv[1]), names("timm:*"), key=parameters), sep="\n")
