"""What has to be known of an address before a socket is bound to it."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any

from tlshttp.errors import ConfigurationError

__all__ = ["address_family", "remove_stale_socket", "socket_options"]


def address_family(server_address: Any, default: int) -> int:
    """Return the address family that an address asks for."""
    if not isinstance(server_address, tuple):
        if not hasattr(socket, "AF_UNIX"):
            raise ConfigurationError("this platform has no AF_UNIX sockets: pass (host, port)")
        return socket.AF_UNIX
    if ":" in server_address[0] and default == socket.AF_INET:
        return socket.AF_INET6
    return default


def socket_options(
    family: int, server_address: Any, platform: str = os.name
) -> list[tuple[int, int, int]]:
    """Return the options a listening socket needs besides those `socketserver` sets."""
    options = []
    if platform == "nt":
        # Nobody else may bind the port while we have it, whatever they set. ~SO_REUSEADDR is the
        # number Windows defines it as, for interpreters that do not have the name.
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", ~socket.SO_REUSEADDR)
        options.append((socket.SOL_SOCKET, exclusive, 1))
    if family == socket.AF_INET6:
        only_v6 = int(server_address[0] not in ("", "::"))
        options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6))
    return options


def remove_stale_socket(path: str) -> None:
    """Remove what a server that was killed has left at `path`: a socket nobody listens on."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)  # a live server's listen queue may be full
            probe.connect(path)
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            os.unlink(path)
