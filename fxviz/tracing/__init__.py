"""Run a model once and write down what it does. Beside loading, the only room that torch may enter."""

from fxviz.tracing.run import trace_module

__all__ = ["trace_module"]
