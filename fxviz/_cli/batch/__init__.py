"""Many figures by one command: which models, in which files, drawn by whom, and what is told of it."""

from fxviz._cli.batch.running import is_batch, render_batch
from fxviz._cli.batch_options import Many

__all__ = ["Many", "is_batch", "render_batch"]
