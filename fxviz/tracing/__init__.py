"""Run a model once and write down what it does. Beside loading, the only room that torch may enter."""

from fxviz.tracing.arguments import advice
from fxviz.tracing.run import check_available, trace_module

__all__ = ["advice", "check_available", "trace_module"]
