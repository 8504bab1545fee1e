"""Run a model once and write down what it does. Beside loading, the only room that torch may enter."""

from fxviz.tracing.recording import check_available
from fxviz.tracing.run import trace_module

__all__ = ["check_available", "trace_module"]
