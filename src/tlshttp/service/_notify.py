"""Telling the service manager how a service is: systemd's protocol, without its library.

It is a datagram of assignments, sent to the socket that ``NOTIFY_SOCKET`` names: sd_notify(3).
Whoever runs without a manager sends nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping

__all__ = ["Notifier"]

_log = logging.getLogger("tlshttp.service")

_LONGEST = 2**64 - 1
"""Microseconds: the manager counts them in 64 bits (``usec_t``)."""

_SECONDS_TO_SEND = 1.0
"""A manager that does not read for so long is not waited for."""


class Notifier:
    """What tells the service manager how this service is.

    All methods do nothing where there is no manager. None raises: a service goes on where nobody
    listens to it.

    Args:
        environ: The environment, with ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``;
            `None`: that of the process. It is not changed.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._watchdog_seconds = _watchdog(environ) if self._address else None
        self._next_sign = 0.0

    @property
    def is_heard(self) -> bool:
        """Whether there is a service manager that wants to know."""
        return self._address is not None

    @property
    def watchdog_seconds(self) -> float | None:
        """Seconds within which the manager wants a sign of life (``WatchdogSec=``); `None`: none.

        Without one it ends the service.
        """
        return self._watchdog_seconds

    def ready(self, status: str = "") -> None:
        """Say that the service serves, or does again after `reloading`.

        Args:
            status: One line for ``systemctl status``; empty: none.
        """
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends that."""
        # Type=notify-reload wants the time at which it began.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> None:
        """Say that the service has begun to end.

        Args:
            status: As for `ready`.
        """
        self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> None:
        """Say in one line what the service is doing."""
        self._send(*_status(text))

    def main_process(self, pid: int) -> None:
        """Say that the service is another process from now on.

        Args:
            pid: Its number.
        """
        self._send(f"MAINPID={pid}")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for more time to start, reload or stop, counted from now.

        Args:
            seconds: How much; infinity is as much as can be said.
        """
        self._send(f"EXTEND_TIMEOUT_USEC={int(min(seconds * 1e6, _LONGEST))}")

    def sign_of_life(self) -> None:
        """Give the manager's watchdog a sign, if it is time: twice as often as it wants them.

        Call it where it is seen that work goes on, such as in ``service_actions()``.
        """
        if self._watchdog_seconds is None:
            return
        now = time.monotonic()
        if now >= self._next_sign:
            self._next_sign = now + self._watchdog_seconds / 2
            self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> None:
        if self._address is None or not assignments:
            return
        message = "\n".join(assignments).encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_SECONDS_TO_SEND)
                sock.connect(self._address)
                sock.sendall(message)
        except OSError as error:
            _log.warning("the service manager cannot be told %s: %s", assignments[0], error)


def _address(name: str) -> str | bytes | None:
    """Return the address of the manager's socket; `None` where there is none that we can reach.

    An abstract name is returned in bytes: as text the `socket` module takes it for UTF-8.
    """
    if not name:
        return None
    if name[0] not in "/@" or len(name) < 2 or not hasattr(socket, "AF_UNIX"):
        _log.warning("NOTIFY_SOCKET is neither a path nor an abstract name: %r", name)
        return None
    return b"\0" + os.fsencode(name[1:]) if name[0] == "@" else name


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Return how often the manager wants a sign of life of this process, in seconds."""
    pid = environ.get("WATCHDOG_PID")
    if pid and pid != str(os.getpid()):
        return None
    with contextlib.suppress(ValueError):
        microseconds = int(environ.get("WATCHDOG_USEC", "0"))
        if 0 < microseconds <= _LONGEST:
            return microseconds / 1e6
    return None


def _status(text: str) -> tuple[str, ...]:
    """Return a status as an assignment; a line break would begin another one."""
    return (f"STATUS={' '.join(text.split())}",) if text else ()
