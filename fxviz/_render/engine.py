"""DOT -> SVG as the layout engine writes it: finding the engine, running it, and telling when it failed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fxviz._errors import EngineError, EngineTimeout, UsageError
from fxviz._render.arcs import is_arc
from fxviz._render.dot import to_dot
from fxviz._render.drawing import Drawing
from fxviz._render.svg import finish

__all__ = ["Picture", "finish", "lay_out", "to_dot"]

_PACKAGE = "graphviz-pure"
_SIMPLY = ("-Gnslimit=1", "-Gnslimit1=1", "-Gmclimit=0.1", "-Gsplines=line")
"""Options of ``dot`` that bound its work: https://graphviz.org/docs/attrs/nslimit, mclimit, splines."""


def lay_out(dot: str, engine: str | None = None, timeout: float = 60, simply: bool = False) -> str:
    """Let the layout engine turn DOT text into SVG.

    Args:
        dot: the DOT text.
        engine: path or name of the engine's program; None takes graphviz-pure, else ``dot`` on PATH.
        timeout: seconds after which the engine is stopped.
        simply: spend little on crossings and draw straight lines.

    Returns:
        The SVG text as the engine wrote it.

    Raises:
        UsageError: ``engine`` names no program.
        EngineError: there is no engine, or it failed.
        EngineTimeout: it took too long.

    >>> "<svg" in lay_out("digraph { a -> b }")
    True
    >>> lay_out("digraph {")
    Traceback (most recent call last):
    ...
    fxviz.EngineError: the layout engine 'graphviz-pure' failed: Error: <stdin>: syntax error in line 1
    """
    program = find_engine(engine)
    status, output, messages = _run([program, "-Tsvg", *(_SIMPLY if simply else ())], dot, timeout)
    name = Path(program).name
    if status != 0:
        raise EngineError(f"the layout engine '{name}' failed: {_reason(messages) or f'exit status {status}'}")
    if "<svg" not in output:
        raise EngineError(f"the layout engine '{name}' wrote no SVG; {_reason(messages) or 'it gave no reason'}")
    return output


def find_engine(engine: str | None = None) -> str:
    """The path of the layout engine's program: the given one, else graphviz-pure's, else ``dot`` on PATH.

    Args:
        engine: path or name of a program; it wins over all others.

    Raises:
        UsageError: ``engine`` names no program.
        EngineError: none is given and none is installed.

    >>> find_engine("no-such-engine")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: no layout engine 'no-such-engine': neither a program's path nor a name on PATH
    """
    if engine is not None:
        return _given(engine)
    found = _installed() or shutil.which("dot")
    if found is None:
        raise EngineError("no layout engine: pip install graphviz-pure, or install graphviz so that 'dot' is on PATH")
    return found


def _given(engine: str) -> str:
    found = shutil.which(engine)
    if found is None:
        raise UsageError(f"no layout engine '{engine}': neither a program's path nor a name on PATH")
    return found


def _installed() -> str | None:
    """The program that graphviz-pure brings, wherever this Python's packages lie: its venv need not be activated."""
    from importlib import metadata

    try:
        files = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    programs = (Path(str(file.locate())) for file in files if file.stem == _PACKAGE and file.suffix in ("", ".exe"))
    return next((str(program.resolve()) for program in programs if program.is_file()), None)


def _run(command: list[str], dot: str, timeout: float) -> tuple[int, str, str]:
    try:
        # Its own session: an engine behind a shell script is stopped together with the script.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise EngineError(f"cannot run the layout engine '{command[0]}': {error.strerror or error}") from error
    with process:
        output, messages = _talk(process, dot, timeout)
    return process.returncode, output.decode("utf-8", "replace"), messages.decode("utf-8", "replace")


def _talk(process: subprocess.Popen[bytes], dot: str, timeout: float) -> tuple[bytes, bytes]:
    try:
        return process.communicate(dot.encode("utf-8"), timeout)
    except subprocess.TimeoutExpired as error:
        _stop(process)
        raise EngineTimeout(
            f"the layout engine took longer than {timeout:g} s: draw less of the model, by --depth or --root"
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
    """The first line that says an error, else the first line."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    return next((line for line in lines if line.lower().startswith("error")), lines[0] if lines else "")


_PATIENCE = 0.4
"""The part of the time that the usual layout may take before a simpler one is tried."""


@dataclass(frozen=True)
class Picture:
    """A drawing as DOT text and as SVG.

    Args:
        drawing: what to draw.
        theme: "light", "dark", or "auto", which follows the reader's preference.
        engine: path or name of the layout engine; None takes graphviz-pure, else ``dot`` on PATH.
        timeout: seconds that the layout may take.

    >>> from fxviz._render.drawing import Box, Cell, Color, Table, Text
    >>> ink = Color("#1f2328", "#e6edf3")
    >>> box = Box("input", Table(((Cell((Text("input", ink, 10),)),),)), "input: 1×3×224×224")
    >>> picture = Picture(Drawing("net", "A net.", (box,), ()), theme="dark")
    >>> 'fill="#e6edf3">input</text>' in picture.svg
    True
    """

    drawing: Drawing
    theme: str = "auto"
    engine: str | None = None
    timeout: float = 50

    @cached_property
    def dot(self) -> str:
        """The DOT text, in light colours for the theme "auto"."""
        return to_dot(self.drawing, dark=self.theme == "dark")

    @cached_property
    def svg(self) -> str:
        """The finished SVG; the layout runs once, when this is first asked for.

        Raises:
            UsageError: ``engine`` names no program.
            EngineError: the layout engine is missing, failed or took too long.
        """
        return finish(self._laid_out[0], self.drawing, self.theme)

    @property
    def simplified(self) -> bool:
        """Whether the layout engine had to be spared: crossings are not thought over for long, and lines are straight.

        False where nothing was laid out yet.
        """
        return "_laid_out" in self.__dict__ and self._laid_out[1]

    @cached_property
    def _laid_out(self) -> tuple[str, bool]:
        dot = to_dot(self.drawing, self.theme == "dark", without=is_arc)
        try:
            return lay_out(dot, self.engine, _PATIENCE * self.timeout), False
        except EngineTimeout:
            return lay_out(dot, self.engine, (1 - _PATIENCE) * self.timeout, simply=True), True
