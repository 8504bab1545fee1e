"""Many figures by one command: which models, in which files, drawn by whom, and what is told of it."""

from fxviz.cli.batch.options import Many
from fxviz.cli.batch.running import is_batch, render_batch

__all__ = ["Many", "is_batch", "render_batch"]
