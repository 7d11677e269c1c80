"""Running a service, in one process or in several."""

from __future__ import annotations

import logging
import os
import reprlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tlshttp._members import require_function, require_instance
from tlshttp.errors import ConfigurationError
from tlshttp.service._alone import Alone
from tlshttp.service._conductor import CONDUCTED
from tlshttp.service._notify import Notifier
from tlshttp.service._replacing import Predecessor
from tlshttp.service._signals import Signals

if TYPE_CHECKING:
    from tlshttp.server import TLSHTTPServer

__all__ = ["run"]

_log = logging.getLogger("tlshttp.service")

_MOST_WORKERS = 1024
"""More than machines have cores. The memory that a million would share is not to be had."""


def run(
    make_server: Callable[[], TLSHTTPServer],
    *,
    workers: int = 1,
    drain_timeout: float | None = 30.0,
) -> None:
    """Serve until SIGTERM or SIGINT, as what runs services expects it.

    ==========================  ==================================================================
    SIGTERM, SIGINT             drain, and return; a second one ends at once
    SIGHUP                      reload certificates and revocation lists
    SIGUSR2                     start the program anew with this one's listening socket; when that
                                serves, drain and return
    ==========================  ==================================================================

    They count from the call on: SIGTERM or SIGINT while ``make_server()`` is at work ends that at
    once, the other two are obeyed when all serve.

    The service manager is told, where there is one (see `Notifier`), when all is ready, reloading
    and stopping, and gets its signs of life.

    Args:
        make_server: Makes the server, bound and listening. It is called once, before any worker is
            forked: these share its listening socket and its context, and with that their session
            tickets. To be replaced by SIGUSR2, or started by a socket of systemd's, it takes the
            socket that it is given: ``inherited_sockets()``. It must start no threads.
        workers: How many processes serve, 1024 at most. 1: this one. More are forked, and this one
            looks after them: one that dies is replaced, after several quick deaths with delays, and
            after ten the service ends.
        drain_timeout: Seconds for what is under way when the service ends; `None`: any time.

    Raises:
        ConfigurationError: Several workers are asked for on a platform without ``fork()``, a
            number makes no sense, or this is not the main thread; all are named.
        RuntimeError: Workers die as soon as they are started.
        TypeError: An argument is of another kind, or ``make_server()`` returns no server.
    """
    require_function("make_server", make_server, "returns the server")
    require_instance("workers", workers, int, "a number")
    if drain_timeout is not None:
        require_instance("drain_timeout", drain_timeout, (int, float), "seconds, or None")
    ConfigurationError.raise_if(_findings(workers, drain_timeout))
    with Predecessor() as predecessor, Signals(CONDUCTED) as signals:
        server = _unless_ended(make_server, signals)
        if server is None:
            return
        notifier = Notifier()
        if workers == 1:
            Alone(server, drain_timeout, notifier, predecessor).serve(signals)
            return
        from tlshttp.service._master import Master

        Master(server, workers, drain_timeout, notifier, predecessor).serve(signals)


def _unless_ended(
    make_server: Callable[[], TLSHTTPServer], signals: Signals
) -> TLSHTTPServer | None:
    """Make the server, unless a signal ends the service before.

    Raises:
        TypeError: It is none.
    """
    try:
        signals.interrupt_at(1)
        server = make_server()
        signals.interrupt_at(None)
    except KeyboardInterrupt:
        _log.info("ended before there was a server")
        return None
    from tlshttp.server import TLSHTTPServer

    if not isinstance(server, TLSHTTPServer):
        raise TypeError(
            f"make_server must return a TLSHTTPServer, not {reprlib.repr(server)}"
            + (": is its return statement missing?" if server is None else "")
        )
    return server


def _findings(workers: int, drain_timeout: float | None) -> list[str]:
    findings = []
    if not 1 <= workers <= _MOST_WORKERS:
        findings.append(f"workers must be from 1 to {_MOST_WORKERS}, not {workers}")
    if workers > 1 and not hasattr(os, "fork"):
        findings.append("workers=1 is all there can be on a platform without fork()")
    if drain_timeout is not None and not drain_timeout >= 0:
        findings.append(f"drain_timeout must be 0 or more seconds, not {drain_timeout}")
    if threading.current_thread() is not threading.main_thread():
        findings.append("signals arrive in the main thread: call run() there")
    return findings
