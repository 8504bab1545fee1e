"""Run a model once and record what it does. Besides ``_sources``, this is the only package that imports torch."""

from fxviz._sources.torch_state import apart_from_torch
from fxviz._trace.isolated import asked_elsewhere
from fxviz._trace.record import check_available
from fxviz._trace.run import trace_module

__all__ = ["apart_from_torch", "asked_elsewhere", "check_available", "trace_module"]
