"""A worker: a child process that serves, and leaves when it is told to or its parent is gone."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from tlshttp.service._alone import in_background, on_each_turn
from tlshttp.service._conductor import SharesTickets
from tlshttp.service._signals import Signals, numbers

if TYPE_CHECKING:
    from tlshttp.server import TLSHTTPServer

__all__ = ["AT_ONCE", "DRAIN", "MAKE_WAY", "READY", "flush_output", "work"]

READY = b"r"
"""What a worker says when it serves."""
DRAIN, MAKE_WAY, AT_ONCE = b"d", b"w", b"x"
"""What it is told: to drain, with the service or because others serve in its place, or to leave
without. It drains, too, when the line is dead: then its parent is."""

_LOOK_SECONDS = 0.5

_UNMOVED = numbers("SIGINT", "SIGHUP", "SIGUSR2")
"""Signals that are for the parent, though a terminal or ``kill`` may send them to all."""


def work(server: TLSHTTPServer, line: socket.socket, drain_timeout: float | None) -> None:
    """Serve until told to leave, then end the process.

    Args:
        server: Made before the fork.
        line: To the parent.
        drain_timeout: Seconds for what is under way at the end; `None`: any time.
    """
    status = 1
    try:
        _serve(server, line, drain_timeout)
        status = 0
    except BaseException:  # noqa: BLE001 (whatever it is, the process ends)
        traceback.print_exc()
    finally:
        flush_output()
        os._exit(status)


def flush_output() -> None:
    """Write what has been printed and is not written yet.

    Before a fork, too: else each child would have it, and write it again.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _serve(server: TLSHTTPServer, line: socket.socket, drain_timeout: float | None) -> None:
    for number in _UNMOVED:
        signal.signal(number, _stay)
    context = server.ssl_context
    if isinstance(context, SharesTickets):
        context.leave_renewal()
    with _leaving_meanwhile(line):
        server.after_fork_in_child()
    with Signals([signal.SIGTERM]) as signals:
        threading.Thread(
            target=_listen,
            args=(server, line, signals, drain_timeout),
            name="tlshttp-service",
            daemon=True,
        ).start()
        with server, on_each_turn(server, _Turn(server, line)):
            server.serve_forever()
    if server.shared_counters is not None:
        server.shared_counters.publish(server)


@contextlib.contextmanager
def _leaving_meanwhile(line: socket.socket) -> Iterator[None]:
    """End the process at the parent's word, or its death, while nothing is served yet.

    What a server does after a fork may be its user's, and hang.
    """
    over = threading.Event()

    def watch() -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(line, selectors.EVENT_READ)
            while not over.is_set():
                if selector.select(_LOOK_SECONDS) and not over.is_set():
                    os._exit(0)

    threading.Thread(target=watch, name="tlshttp-service-birth", daemon=True).start()
    try:
        yield
    finally:
        over.set()


class _Turn:
    """Says once that the worker serves, and again and again what it has counted."""

    def __init__(self, server: TLSHTTPServer, line: socket.socket) -> None:
        self._server = server
        self._line = line
        self._said = False

    def __call__(self) -> None:
        if self._server.shared_counters is not None:
            self._server.shared_counters.publish_if_due(self._server)
        if not self._said:
            self._said = True
            with contextlib.suppress(OSError):
                self._line.send(READY)


def _listen(
    server: TLSHTTPServer, line: socket.socket, signals: Signals, drain_timeout: float | None
) -> None:
    """Do what the parent says, or a SIGTERM of somebody else's."""
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        selector.register(signals, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is signals:
                    if signal.SIGTERM in signals.take():
                        in_background(server.drain, drain_timeout)
                    continue
                word = _word(line)
                server.is_succeeded = word == MAKE_WAY
                in_background(server.drain, 0.0 if word == AT_ONCE else drain_timeout)
                if not word:
                    selector.unregister(line)


def _stay(_number: int, _frame: FrameType | None) -> None:
    """Do nothing at a signal.

    It is not ignored, as programs that handlers start would ignore it, too: what is ignored stays
    so in them, while what has a handler is theirs to decide.
    """


def _word(line: socket.socket) -> bytes:
    try:
        return line.recv(1)
    except OSError:
        return b""
