"""Start the command line: ``fxviz``, ``python -m fxviz``, ``python cli.py``."""

from __future__ import annotations

import gc
import os
import signal

_RARELY = (50_000, 50, 1000)
"""Thresholds of the garbage collector: importing torch makes a million objects that live on, and scanning them often
costs a sixth of the import."""

_INTERRUPTED = 130
"""The exit status of a command that was ended by Ctrl-C."""


def main() -> int:
    """Run the command line and return its exit status; Ctrl-C ends it quietly, even during imports and at the exit."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    gc.set_threshold(*_RARELY)
    from fxviz._cli import main as run

    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        status = run()
    except KeyboardInterrupt:
        status = _INTERRUPTED
    if status == _INTERRUPTED and ours:
        os._exit(status)  # everything is said; what libraries do at the exit may wait for what was interrupted
    return status


if __name__ == "__main__":
    raise SystemExit(main())
