"""Keep libraries from the network while they build, load and run a model, and say what they would have fetched.

Two doors are closed: the switch of the Hugging Face hub's library, so that it looks in its cache alone, and the sockets
of Python. Both are closed for the thread that enters and for the threads that it starts, not for those of the program
around it.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from fxviz._graph.errors import FxvizError, UsageError, shown, spelled, text_of
from fxviz._sources.own_thread import patched
from fxviz._sources.source import Built, Source

_HUB = "huggingface_hub"
_SWITCH = "HF_HUB_OFFLINE"
"""The setting of the hub's library that forbids it the network."""

_NOT_CACHED = ("OfflineModeIsEnabled", "LocalEntryNotFoundError")
"""Errors of the hub's library for what is not in its cache."""

_HOST = "huggingface.co"
_CONNECTING = ("connect", "connect_ex", "sendto")
_ASKING = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")
"""Functions that open a connection, and those that ask for the address of a host."""

_URL = re.compile(r"https?://[^\s'\"<>]+[^\s'\"<>.,:;)]")
_MAX_SAID = 200
"""Maximum length of an address in a message."""


class NotHere(UsageError):
    """A model needs something that is not on this machine, and nothing is to be downloaded."""


class Refused(ConnectionError):
    """A connection that a library tried to open while it had to stay offline."""

    def __init__(self, host: str) -> None:
        super().__init__(f"a connection to {shown(host, _MAX_SAID)} was refused")
        self.host = host


class _Guard:
    """The threads that are kept offline, and the hosts that they asked for."""

    def __init__(self) -> None:
        self._threads = [threading.current_thread()]
        self.hosts: list[str] = []

    def __bool__(self) -> bool:
        """Return whether the calling thread is kept offline: the hub's library reads its switch by this."""
        return threading.current_thread() in self._threads

    def adopt(self, start: Callable[[threading.Thread], Any]) -> Callable[[threading.Thread], Any]:
        """Return ``Thread.start`` that keeps offline what a thread that is kept offline starts."""

        def started(thread: threading.Thread) -> Any:
            if self:
                self._threads.append(thread)
            return start(thread)

        return started

    def closed(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of sockets that refuses connections that leave this machine's file system."""

        def refusing(*args: Any, **kwargs: Any) -> Any:
            own = isinstance(args[0], socket.socket) if args else False
            if not self or (own and args[0].family == getattr(socket, "AF_UNIX", None)):
                return original(*args, **kwargs)
            asked = args[-1] if own else next(iter(args or kwargs.values()), "")
            host = asked[0] if isinstance(asked, tuple) and asked else asked
            host = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
            self.hosts.append(host)
            raise Refused(host)

        return refusing


@contextmanager
def offline(doing: str, hub: bool = True) -> Iterator[None]:
    """Refuse connections to the network, and say what a library would have fetched if it fails for that.

    Args:
        doing: the beginning of the message, "cannot build 'timm:resnet18'".
        hub: whether the hub's library is imported if it is not, so that it can be kept offline.

    Raises:
        NotHere: the library needs something that is not on this machine.

    >>> with offline("cannot build 'net'"):
    ...     socket.create_connection(("example.org", 443))
    Traceback (most recent call last):
    ...
    fxviz._sources.offline.NotHere: cannot build 'net': it needs a file from example.org, which is not on this ...
    """
    guard = _Guard()
    with ExitStack() as doors:
        for holder, names in ((socket.socket, _CONNECTING), (socket, _ASKING)):
            for name in names:
                function = guard.closed(getattr(holder, name))
                doors.enter_context(patched(holder, name, function, others=function))
        start = guard.adopt(threading.Thread.start)
        doors.enter_context(patched(threading.Thread, "start", start, others=start))
        doors.enter_context(_hub_offline(guard, hub))
        try:
            yield
        except NotHere:
            raise
        except Exception as error:
            if wanted := not_here(error):
                raise NotHere(f"{doing}: it needs {missing(wanted)}") from error
            if guard.hosts and isinstance(error, FxvizError):
                host = shown(guard.hosts[0], _MAX_SAID)
                error.args = (f"{error.args[0]}; it was kept from {host}: nothing is downloaded without {_DOWNLOAD}",)
            raise


@contextmanager
def _hub_offline(guard: _Guard, imported: bool) -> Iterator[None]:
    """Set the switch of the hub's library, if it is installed; other threads see it as it was."""
    known = _HUB in sys.modules or (imported and importlib.util.find_spec(_HUB) is not None)
    constants: Any = importlib.import_module(f"{_HUB}.constants") if known else None
    before = getattr(constants, _SWITCH, True)
    if before:
        yield
        return
    setattr(constants, _SWITCH, guard)
    try:
        yield
    finally:
        setattr(constants, _SWITCH, before)


def not_here(error: BaseException | None) -> str:
    """Return the address of what an error says could not be fetched; "" if no connection was refused.

    >>> not_here(Refused("example.org")), not_here(ValueError("https://example.org"))
    ('example.org', '')
    """
    for each in _chain(error):
        if isinstance(each, Refused):
            return each.host
        if type(each).__module__.startswith(f"{_HUB}.") and type(each).__name__ in _NOT_CACHED:
            found = _URL.search(text_of(each))
            return found[0] if found else _HOST
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it, the first cause first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    yield from reversed(found)


def missing(wanted: str) -> str:
    """Say that something would have to be fetched.

    >>> print(UsageError(missing("https://example.org/net.pt")))
    https://example.org/net.pt, which is not on this machine; nothing is downloaded without download=True
    """
    what = shown(wanted, _MAX_SAID) if "/" in wanted else f"a file from {shown(wanted, _MAX_SAID)}"
    return f"{what}, which is not on this machine; nothing is downloaded without {_DOWNLOAD}"


_DOWNLOAD = spelled("download=True", "--download")


def kept_offline(find: Callable[[], Source], name: str, hub: bool = True) -> Source:
    """Return the source that ``find`` finds, which is built and run offline.

    Args:
        find: looks the model up in its library.
        name: its name in messages.
        hub: as for :func:`offline`.
    """
    doing = f"cannot build '{shown(name)}'"
    with offline(doing, hub):
        source = find()

    def build(allocate: bool) -> Built:
        with offline(doing, hub):
            return source.build(allocate)

    @contextmanager
    def running() -> Iterator[None]:
        with offline(f"cannot run '{shown(name)}'", hub), source.running():
            yield

    return replace(source, build=build, running=running)
