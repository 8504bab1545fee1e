"""Turn DOT text into SVG with the layout engine: find it, run it, and report its failures."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fxviz._graph.errors import EngineError, EngineTimeout, UsageError
from fxviz._render.arcs import is_arc
from fxviz._render.dot import to_dot
from fxviz._render.drawing import Drawing
from fxviz._render.svg import finish

if TYPE_CHECKING:
    from fxviz._graph.options import Theme

__all__ = ["Picture", "finish", "lay_out", "to_dot"]

_PACKAGE = "graphviz-pure"
_FAST_OPTIONS = ("-Gnslimit=1", "-Gnslimit1=1", "-Gmclimit=0.1", "-Gsplines=line")
"""Options of ``dot`` that bound its work: https://graphviz.org/docs/attrs/nslimit, mclimit, splines."""


def lay_out(dot: str, engine: str | None = None, timeout: float = 60, simplified: bool = False) -> str:
    """Lay out DOT text and return it as SVG.

    Args:
        dot: the DOT text.
        engine: path or name of the engine's program; None uses graphviz-pure, else ``dot`` on PATH.
        timeout: seconds after which the engine is stopped.
        simplified: spend little time on crossings and draw straight lines.

    Returns:
        The SVG text as the engine wrote it.

    Raises:
        UsageError: ``engine`` is not a program.
        EngineError: no engine is installed, or it failed.
        EngineTimeout: it took too long.

    >>> "<svg" in lay_out("digraph { a -> b }")
    True
    >>> lay_out("digraph {")
    Traceback (most recent call last):
    ...
    fxviz.EngineError: the layout engine 'graphviz-pure' failed: Error: <stdin>: syntax error in line 1
    """
    program = find_engine(engine)
    status, output, messages = _run([program, "-Tsvg", *(_FAST_OPTIONS if simplified else ())], dot, timeout)
    name = Path(program).name
    if status != 0:
        raise EngineError(f"the layout engine '{name}' failed: {_reason(messages) or f'exit status {status}'}")
    if "<svg" not in output:
        raise EngineError(f"the layout engine '{name}' wrote no SVG: {_reason(messages) or 'it printed no error'}")
    return output


def find_engine(engine: str | None = None) -> str:
    """Return the path of the layout engine's program: ``engine``, else graphviz-pure, else ``dot`` on PATH.

    Args:
        engine: path or name of a program, which takes precedence.

    Raises:
        UsageError: ``engine`` is not a program.
        EngineError: no engine is installed.

    >>> find_engine("no-such-engine")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: unknown layout engine 'no-such-engine': must be the path of a program or its name on PATH
    """
    if engine is not None:
        if (program := shutil.which(engine)) is None:
            raise UsageError(f"unknown layout engine '{engine}': must be the path of a program or its name on PATH")
        return program
    program = _graphviz_pure() or shutil.which("dot")
    if program is None:
        raise EngineError("no layout engine: pip install graphviz-pure, or install Graphviz so that 'dot' is on PATH")
    return program


def _graphviz_pure() -> str | None:
    """Return graphviz-pure's program: this environment's, else that of the installed package, wherever it lies."""
    name = f"{_PACKAGE}.exe" if os.name == "nt" else _PACKAGE
    program = Path(sys.prefix, "Scripts" if os.name == "nt" else "bin", name)
    return str(program) if program.is_file() else _packaged_program(name)


def _packaged_program(name: str) -> str | None:
    from importlib import metadata

    try:
        files = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    programs = (Path(str(file.locate())).resolve() for file in files if file.name == name)
    return next((str(program) for program in programs if program.is_file()), None)


def _run(command: list[str], dot: str, timeout: float) -> tuple[int, str, str]:
    with contextlib.ExitStack() as held:
        try:
            process = held.enter_context(_started(command, held))
        except OSError as error:
            raise EngineError(f"cannot run the layout engine '{command[0]}': {error.strerror or error}") from error
        output, messages = _communicate(process, dot, timeout)
    return process.returncode, output.decode("utf-8", "replace"), messages.decode("utf-8", "replace")


def _started(command: list[str], held: contextlib.ExitStack) -> subprocess.Popen[bytes]:
    """Start the engine; on Linux the kernel ends it when this process does not live to close what it holds.

    The engine has a session of its own, so that what a shell script starts is stopped together with the script. It
    inherits one end of a pipe. When the other end, which this process alone holds, is closed, the kernel signals the
    owner of the first (``man 2 fcntl``, F_SETOWN and F_SETSIG): all processes of that session.
    """
    inherited: list[int] = []
    if sys.platform == "linux":
        ours, kept = os.pipe()
        inherited.append(ours)
        held.callback(os.close, kept)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=inherited,
        )
        if sys.platform == "linux":
            _end_session_with(ours, process.pid)
    finally:
        for end in inherited:
            os.close(end)
    return process


def _end_session_with(end: int, session: int) -> None:
    """Have the kernel kill a session when the other end of a pipe is closed."""
    import fcntl

    with contextlib.suppress(OSError):  # a sandbox may forbid it
        fcntl.fcntl(end, fcntl.F_SETOWN, -session)
        fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(end, fcntl.F_SETFL, os.O_RDONLY | fcntl.FASYNC)


def _communicate(process: subprocess.Popen[bytes], dot: str, timeout: float) -> tuple[bytes, bytes]:
    try:
        return process.communicate(dot.encode("utf-8"), timeout)
    except subprocess.TimeoutExpired as error:
        _stop(process)
        raise EngineTimeout(
            f"the layout engine took longer than {timeout:g} s: draw less of the model, with a smaller depth or a root"
        ) from error
    except BaseException:
        _stop(process)
        raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _reason(messages: str) -> str:
    """Return the first line that starts with "error", else the first line."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    return next((line for line in lines if line.lower().startswith("error")), lines[0] if lines else "")


_FULL_LAYOUT_SHARE = 0.4
"""The fraction of the time limit after which the full layout gives way to a simpler one."""


@dataclass(frozen=True)
class Picture:
    """A drawing as DOT text and as SVG.

    Args:
        drawing: what to draw.
        theme: "light", "dark", or "auto", which follows the reader's preference.
        engine: path or name of the layout engine; None uses graphviz-pure, else ``dot`` on PATH.
        timeout: time limit of the layout, in seconds.

    >>> from fxviz._render.drawing import Box, Cell, Color, Table, Text
    >>> ink = Color("#1f2328", "#e6edf3")
    >>> box = Box("input", Table(((Cell((Text("input", ink, 10),)),),)), "input: 1×3×224×224")
    >>> picture = Picture(Drawing("net", "A net.", (box,), ()), theme="dark")
    >>> 'fill="#e6edf3">input</text>' in picture.svg
    True
    """

    drawing: Drawing
    theme: Theme = "auto"
    engine: str | None = None
    timeout: float = 50

    @cached_property
    def dot(self) -> str:
        """Return the DOT text, in light colours for the theme "auto"."""
        return to_dot(self.drawing, dark=self.theme == "dark")

    @cached_property
    def svg(self) -> str:
        """Return the finished SVG; the layout runs once, on first access.

        Raises:
            UsageError: ``engine`` is not a program.
            EngineError: the layout engine is missing, failed or took too long.
        """
        return finish(self._laid_out[0], self.drawing, self.theme)

    @property
    def simplified(self) -> bool:
        """Return whether the full layout took too long, so that a simpler one with straight lines was drawn.

        False before the layout has run.
        """
        return "_laid_out" in self.__dict__ and self._laid_out[1]

    @cached_property
    def _laid_out(self) -> tuple[str, bool]:
        dot = to_dot(self.drawing, self.theme == "dark", without=is_arc)
        try:
            return lay_out(dot, self.engine, _FULL_LAYOUT_SHARE * self.timeout), False
        except EngineTimeout:
            return lay_out(dot, self.engine, (1 - _FULL_LAYOUT_SHARE) * self.timeout, simplified=True), True
