"""Listening sockets that were made before this process was: systemd's protocol.

The service manager, or the process that this one replaces, opens the sockets. They arrive as
descriptors from 3 on; ``LISTEN_FDS`` has their number, ``LISTEN_PID`` whose they are,
``LISTEN_FDNAMES`` their names: sd_listen_fds(3).
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from tlshttp.errors import ConfigurationError

__all__ = ["FIRST_FD", "InheritedSocket", "inherited_sockets"]

FIRST_FD = 3
"""Where inherited descriptors begin: ``SD_LISTEN_FDS_START``."""

_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")

_MOST = 1024  # more are a mistake

_MOST_DIGITS = 20  # of a number of 64 bits


class InheritedSocket(socket.socket):
    """A listening socket that was made before this process was."""

    name: str = "unknown"
    """What it is called: ``FileDescriptorName=`` in a socket unit, by default the unit's name;
    ``"unknown"`` where nobody has given it one."""


def inherited_sockets(
    environ: MutableMapping[str, str] | None = None,
) -> list[InheritedSocket]:
    """Take the listening sockets that this process was given by systemd, or by its predecessor.

    The variables ``LISTEN_FDS``, ``LISTEN_PID`` and ``LISTEN_FDNAMES`` are taken out of the
    environment, so that no program started from here believes that they are meant for it: a second
    call returns none. Nor do these programs inherit the sockets.

    Args:
        environ: The environment; `None`: that of the process.

    Returns:
        The sockets in their order; empty where there are none for this process. Each is yours to
        close, or to give to a server as ``listening_socket``.

    Raises:
        ConfigurationError: The variables do not say what they should, or what they tell of is no
            socket.
    """
    environ = os.environ if environ is None else environ
    count, pid, names = (environ.get(name) for name in _VARIABLES[:3])
    if count is None or pid is None:
        return []
    found = [
        f"{name} is no number: {value[: 2 * _MOST_DIGITS]!r}"
        for name, value in (("LISTEN_FDS", count), ("LISTEN_PID", pid))
        if not (value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS)
    ]
    ConfigurationError.raise_if(found)
    if int(pid) != os.getpid():  # our parent's
        return []
    if int(count) > _MOST:
        raise ConfigurationError(f"LISTEN_FDS is more than {_MOST}: {count}")
    for name in _VARIABLES:
        environ.pop(name, None)
    return _take(int(count), (names or "").split(":") if names else [])


def _take(count: int, names: list[str]) -> list[InheritedSocket]:
    taken: list[InheritedSocket] = []
    findings = []
    for number in range(count):
        fd = FIRST_FD + number
        try:
            sock = InheritedSocket(fileno=fd)
        except OSError as error:
            findings.append(f"the inherited descriptor {fd} is no socket: {error.strerror}")
            continue
        sock.set_inheritable(False)
        if number < len(names):
            sock.name = names[number]
        taken.append(sock)
    if findings:
        for sock in taken:
            sock.close()
    ConfigurationError.raise_if(findings)
    return taken
