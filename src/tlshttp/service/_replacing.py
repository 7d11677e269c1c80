"""Replacing the program by a new process that inherits the listening socket.

The new process is started as this one was. It finds the socket as systemd would give it
(``LISTEN_FDS``), and a pipe, on which it says that it serves. Only then does this one leave. If the
new one ends before, this one goes on as if nothing had been.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, MutableMapping, Sequence

from tlshttp.service._inherited import FIRST_FD

__all__ = ["Replacement", "tell_predecessor"]

_log = logging.getLogger("tlshttp.service")

_READY_FD = "TLSHTTP_READY_FD"
"""The variable with the descriptor of the pipe."""

_HIGH = 100
"""Descriptors that are passed on are moved here first, out of the way of those they become."""

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
        _log.info("process %d is started to replace this one", self.pid)

    def fileno(self) -> int:
        """Return what can be read when it is known how it has gone."""
        return self._pipe

    def finish(self) -> bool:
        """Tell whether the new process serves; where it does not, see it buried."""
        serves = os.read(self._pipe, 1) == b"1"
        os.close(self._pipe)
        if not serves:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # it has closed the pipe: it is ending, or odd
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            _log.error("process %d has not become ready: this one goes on", self.pid)
        return serves


def tell_predecessor(environ: MutableMapping[str, str] | None = None) -> None:
    """Say to the process that this one replaces, if there is one, that it may leave."""
    fd = (os.environ if environ is None else environ).pop(_READY_FD, "")
    if fd.isascii() and fd.isdecimal():
        with contextlib.suppress(OSError):  # it has gone already
            os.write(int(fd), b"1")
            os.close(int(fd))


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
