"""Run tasks on the workers of a Dask cluster.

Tasks go to Dask directly, not through joblib, whose Dask backend waits for ever for a task whose worker was killed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from typing import Any, TypeVar

from fxviz._graph.errors import FxvizError, UsageError, WorkerDied, optional_library, shown

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = 8
"""Seconds to wait for the scheduler, and for a first worker."""

_WITHOUT_WORKERS = 30
"""Seconds that a cluster may have no worker: one that died is restarted within this time, or never."""

_AGAIN = ("pending", "lost")
"""States of a task whose result was lost with its worker: it runs again."""

_LOOK = 0.05
"""Seconds between two checks for results."""

_COUNT = 2
"""Seconds between two counts of the workers."""


def connect(address: str) -> Any:
    """Connect to the scheduler at ``address``, whose workers must have this version of fxviz.

    Raises:
        UsageError: Dask is not installed, no scheduler answers, it has no workers, or they have another version.
    """
    import asyncio

    distributed = optional_library("distributed", "cannot use a Dask cluster: it needs", "dask")
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        asyncio.run(_check_scheduler(address))
        client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError, asyncio.TimeoutError):
        raise UsageError(
            f"no Dask scheduler answers at '{shown(address)}': start one with 'dask scheduler', and pass the address "
            "that it prints, such as tcp://127.0.0.1:8786"
        ) from None
    try:
        _check_workers(client, address)
    except BaseException:
        client.close()
        raise
    return client


async def _check_scheduler(address: str) -> None:
    """Check who answers at the address: a client that finds nobody there goes on trying in the background.

    Raises:
        OSError, ValueError, TypeError, asyncio.TimeoutError: no scheduler.
    """
    import asyncio

    from distributed import Security, rpc

    async with rpc(address, connection_args=Security().get_connection_args("client")) as other:
        who = await asyncio.wait_for(other.identity(), _PATIENCE)
    if who["type"] != "Scheduler":
        raise ValueError(f"{who['type']} at {address}")


def _check_workers(client: Any, address: str) -> None:
    from importlib import metadata

    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        start = f"dask worker {shown(address)} --nthreads 1"
        raise UsageError(
            f"the Dask scheduler at '{shown(address)}' has no workers: start some with '{start}'"
        ) from None
    ours = metadata.version("fxviz")
    for worker, theirs in client.run(metadata.version, "fxviz", on_error="return").items():
        if theirs != ours:
            has = "no fxviz" if isinstance(theirs, Exception) else f"fxviz {theirs}"
            raise UsageError(
                f"the Dask worker {worker} has {has}, and this is fxviz {ours}: install the same version there"
            )


def on_cluster(
    task: Callable[[Item], Result], items: Sequence[Item], client: Any
) -> Generator[tuple[Item, Result | FxvizError], None, None]:
    """Yield each item with its result as soon as it is there.

    Dask retries a task whose worker died on other workers, and gives up the tasks that were there each time. If these
    are several, any of them may be to blame: each is tried once more at the end, alone.

    Args:
        task: a function that the workers can import and that raises nothing.
        items: its arguments, one at a time.
        client: from :func:`connect`.

    Raises:
        FxvizError: the cluster is gone.
    """
    suspects = []
    with closing(_submitted(task, items, client)) as results:
        for item, result in results:
            if isinstance(result, WorkerDied):
                suspects.append((item, result))
            else:
                yield item, result
    if len(suspects) == 1:
        yield suspects[0]
        return
    for item, _ in suspects:
        yield from _submitted(task, [item], client)


def _submitted(
    task: Callable[[Item], Result], items: Sequence[Item], client: Any
) -> Generator[tuple[Item, Result | FxvizError], None, None]:
    from distributed import as_completed

    futures = {client.submit(task, item, pure=False): item for item in items}
    done = as_completed(futures, loop=client.loop, with_results=True, raise_errors=False)
    watch = _Watch(client)
    try:
        while futures:
            for future, result in done.next_batch(block=False):
                if future.status in _AGAIN:
                    done.add(future)
                    continue
                yield futures.pop(future), result if future.status == "finished" else _error(future.status, result)
            watch.look()
            time.sleep(_LOOK)
    finally:
        with suppress(Exception):
            client.cancel(list(futures), force=True)


def _error(status: str, result: Any) -> FxvizError:
    """Return the reason why there is no result.

    Raises:
        FxvizError: the scheduler is gone.
    """
    from distributed import KilledWorker

    if status != "error":
        raise FxvizError("the Dask scheduler is gone")
    error = result[1]
    if isinstance(error, KilledWorker):
        return WorkerDied("each Dask worker that tried it died; perhaps memory ran out")
    return FxvizError(f"the Dask worker failed: {type(error).__name__}: {error}")


class _Watch:
    """Watch whether there are still workers."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._counted = self._seen = time.monotonic()

    def look(self) -> None:
        """Count the workers, unless that was done a moment ago.

        Raises:
            FxvizError: there have been none for too long.
        """
        now = time.monotonic()
        if now - self._counted < _COUNT:
            return
        self._counted = now
        with suppress(OSError):
            if self._client.ncores():
                self._seen = now
        if now - self._seen > _WITHOUT_WORKERS:
            raise FxvizError(f"the Dask cluster has had no workers for {_WITHOUT_WORKERS} s")
