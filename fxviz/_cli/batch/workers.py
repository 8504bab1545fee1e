"""Batching: many tasks in this process, over several, or over a cluster; a worker that dies takes no other task with it.

Each way gives every item with its result as soon as that is there, in no order; a task whose worker died has the error instead.
A task raises nothing itself. Whoever stops early closes the iterator, and nothing is left running on this machine.
"""

from fxviz._cli.batch.dask import connect, on_cluster
from fxviz._cli.batch.here import in_this_process
from fxviz._cli.batch.processes import in_processes, processors

__all__ = ["connect", "in_processes", "in_this_process", "on_cluster", "processors"]
