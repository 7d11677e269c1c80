"""The servers of a run: one for each place, with one certificate and one kind of handler."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tlshttp._command_line import endings
from tlshttp._file_server.places import Place
from tlshttp._log_fields import with_fields
from tlshttp._machinery.report import peer_name
from tlshttp.errors import ConfigurationError
from tlshttp.server import ThreadingTLSHTTPServer

__all__ = ["FileServer", "listen"]

_log = logging.getLogger("tlshttp.server")

Make = Callable[[tuple[str, int]], "FileServer"]

_MOST_TRIES = 10
"""To find a port that is free at several addresses; of some thirty thousand few are not."""


class _ChosenPortTaken(Exception):
    """Another port may be free."""


class FileServer(ThreadingTLSHTTPServer):
    """A server of files."""

    logs_exceptions = False
    """Whether an exception of a handler goes to the log ``tlshttp.server`` with its traceback,
    rather than to standard error as `http.server` has it."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an exception of a handler (hook), unless it is in the log already."""
        exc = sys.exception()
        if not self.logs_exceptions or exc is None:
            super().handle_error(request, client_address)
        elif getattr(request, "failure", None) is not exc:
            peer = peer_name(client_address)
            fields = with_fields({"client": peer})
            _log.error("a handler failed for %s", peer, exc_info=exc, extra=fields)


def listen(places: Sequence[Place], make: Make) -> list[FileServer]:
    """Return a server for each place, or none and an error.

    Where the system chooses a port, all places get the same: one that is free at each of them.

    Args:
        places: Where to listen.
        make: Makes a server for an address.

    Raises:
        ConfigurationError: Nothing can listen there; the finding names host and port.
    """
    for _ in range(_MOST_TRIES - 1):
        with contextlib.suppress(_ChosenPortTaken):
            return _listen_everywhere(places, make)
    try:
        return _listen_everywhere(places, make)
    except _ChosenPortTaken as taken:
        raise ConfigurationError(str(taken)) from taken.__cause__


def _listen_everywhere(places: Sequence[Place], make: Make) -> list[FileServer]:
    """Return a server for each place.

    Raises:
        _ChosenPortTaken: The port that the system has chosen at the first place is not free at
            another one.
        ConfigurationError: Nothing can listen there.
    """
    servers: list[FileServer] = []
    with contextlib.ExitStack() as on_failure:
        for place in places:
            is_chosen = not place.port and bool(servers) and not places[0].port
            port = servers[0].server_port if is_chosen else place.port or 0
            server = _listen(Place(place.host, port), make, servers, is_chosen=is_chosen)
            on_failure.callback(server.server_close)
            servers.append(server)
        on_failure.pop_all()
    return servers


def _listen(
    place: Place, make: Make, others: Sequence[FileServer], *, is_chosen: bool
) -> FileServer:
    port = place.port or 0
    try:
        if place.host:
            return make((_resolve(place, port), port))
        try:
            return make(("::", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise
        return make(("", port))  # a machine without IPv6
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_of(place, port, others):
            raise ConfigurationError(
                f"{place}: another --bind is that address, too; give one of them"
            ) from error
        if is_chosen and error.errno == errno.EADDRINUSE:
            raise _ChosenPortTaken(_explain(error, place)) from error
        raise ConfigurationError(_explain(error, place)) from error


def _is_of(place: Place, port: int, servers: Sequence[FileServer]) -> bool:
    """Return whether one of our servers listens there already, perhaps by another name."""
    infos: Any = socket.getaddrinfo(place.host, port, type=socket.SOCK_STREAM)
    there = {address[:2] for _, _, _, _, address in infos}
    return any(server.socket.getsockname()[:2] in there for server in servers)


def _resolve(place: Place, port: int) -> str:
    """Return the host as given, or its address where that is of IPv6."""
    host = place.host
    if "%" in host:
        return host
    try:
        infos: Any = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except UnicodeError:
        raise ConfigurationError(f"--bind {host}: that is not the name of a host") from None
    families = {family: str(address[0]) for family, _, _, _, address in infos}
    return host if socket.AF_INET in families else families[socket.AF_INET6]


def _explain(error: OSError, place: Place) -> str:
    """Say why nothing can listen there, and what can be done about it."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    where = f"port {place.port}" + (f" of {host}" if host else "")
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program; choose another port"
    if error.errno == errno.EACCES:
        return f"{where} needs privileges; choose one of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {where}: this machine has no such address; see 'ip address'"
    if error.errno == errno.EINVAL and place.host.lower().startswith("fe80"):
        return f"cannot listen on {where}: add its network interface, as in {place.host}%eth0"
    if isinstance(error, socket.gaierror):
        return f"--bind {host}: {error.strerror}: give a host name or address of this machine"
    return f"cannot listen on {where}: {endings.describe_os_error(error)}"
