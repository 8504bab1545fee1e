"""Run a model once and write down what it does. Beside loading, the only room that torch may enter."""

from fxviz._trace.record import check_available
from fxviz._trace.run import trace_module

__all__ = ["check_available", "trace_module"]
