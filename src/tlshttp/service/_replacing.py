"""Replacing the program by a new process that inherits the listening socket.

The new process is started as this one was. It finds the socket as systemd would give it
(``LISTEN_FDS``), and a pipe, on which it says that it serves. Only then does this one leave. If the
new one ends before, or hangs, this one goes on as if nothing had been; if this one is ended before,
the new one ends with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Self

from tlshttp.service._inherited import FIRST_FD

__all__ = ["Predecessor", "Replacement"]

_log = logging.getLogger("tlshttp.service")

_READY_FD = "TLSHTTP_READY_FD"
"""The variable with the descriptor of the pipe."""

_HIGH = 100
"""Descriptors that are passed on are moved here first, out of the way of those they become."""

_SECONDS_TO_START = 90.0
"""A process that is not ready then is given up, as systemd does (``DefaultTimeoutStartSec=`` in
systemd-system.conf(5), 2026-11)."""

# LISTEN_PID and WATCHDOG_PID have to be the number of the process itself.
_LAUNCHER = """\
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
if "WATCHDOG_PID" in os.environ:
    os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


class Replacement:
    """A new process on its way.

    Args:
        listening_socket: What it is to listen on.
        name: What that is called, as ``LISTEN_FDNAMES`` has it.
        command: What to run; `None`: what this process was started with.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(
        self,
        listening_socket: socket.socket,
        *,
        name: str = "unknown",
        command: Sequence[str] | None = None,
    ) -> None:
        command = [sys.executable, *sys.orig_argv[1:]] if command is None else command
        self._pipe, theirs = os.pipe()
        try:
            self.pid = _spawn(command, listening_socket.fileno(), theirs, name)
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)
        self._ready_by = time.monotonic() + _SECONDS_TO_START
        _log.info("process %d is started to replace this one", self.pid)

    def fileno(self) -> int:
        """Return what can be read when it is known how it has gone."""
        return self._pipe

    def serves(self) -> bool | None:
        """Tell whether the new process serves; `None`: that is not known yet.

        It is known, too, when it has ended while something else holds its end of the pipe, and when
        it has had its time.
        """
        if self._has_spoken():
            return os.read(self._pipe, 1) == b"1"
        if self._has_ended():
            return False
        if time.monotonic() > self._ready_by:
            _log.error("process %d has had %g seconds to start", self.pid, _SECONDS_TO_START)
            return False
        return None

    def give_up(self) -> None:
        """See the new process buried, which does not serve."""
        self.close()
        self._kill()
        _log.error("process %d has not become ready: this one goes on", self.pid)

    def end(self) -> None:
        """End the new process, because this one is to end; if it serves already, it drains."""
        if self._has_spoken() and os.read(self._pipe, 1) == b"1":
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        else:
            self._kill()
        self.close()
        _log.info("process %d, started to replace this one, is ended, too", self.pid)

    def close(self) -> None:
        """Listen to the new process no longer."""
        os.close(self._pipe)

    def _has_spoken(self) -> bool:
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(self._pipe, select.POLLIN)
        return bool(poll.poll(0))

    def _has_ended(self) -> bool:
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # somebody else has buried it
            return True

    def _kill(self) -> None:
        if not self._has_ended():
            os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)


class Predecessor:
    """The process that this one replaces, if there is one.

    What leads to it is taken out of the environment, and inherited by no program started from here:
    such a one would hold the pipe open, or believe that it was meant.

    Args:
        environ: The environment; `None`: that of the process.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        word = (os.environ if environ is None else environ).pop(_READY_FD, "")
        self._fd = FIRST_FD + 1 if word == str(FIRST_FD + 1) else None
        if self._fd is not None:
            try:
                os.set_inheritable(self._fd, False)
            except OSError:  # it is closed
                self._fd = None

    def may_leave(self) -> None:
        """Say so: this process serves."""
        if self._fd is not None:
            with contextlib.suppress(OSError):  # it has gone already
                os.write(self._fd, b"1")
        self.forget()

    def forget(self) -> None:
        """Say nothing, as in a forked child."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Have nothing left open, however the service ends."""
        self.forget()


def _spawn(command: Sequence[str], listener: int, pipe: int, name: str) -> int:
    """Start a process with two descriptors, and return its number."""
    import fcntl  # there is none on Windows, which has no SIGUSR2 either

    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH) for fd in (listener, pipe)]
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command],
            _environment(name),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, fd, FIRST_FD + number) for number, fd in enumerate(high)
            ],
        )
    finally:
        for fd in high:
            os.close(fd)


def _environment(name: str) -> Mapping[str, str]:
    own = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": name, _READY_FD: str(FIRST_FD + 1)}
    return {**os.environ, **own}
