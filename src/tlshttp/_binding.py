"""What has to be known of an address before a socket is bound to it."""

from __future__ import annotations

import contextlib
import errno
import logging
import operator
import os
import reprlib
import socket
import stat
from collections.abc import Callable
from typing import Any

from tlshttp._members import require_instance
from tlshttp.errors import ConfigurationError

__all__ = [
    "BoundPath",
    "accept",
    "address_family",
    "given_address",
    "given_host",
    "host_with_zone",
    "is_listening",
    "names_of",
    "network_addresses",
    "plain_address",
    "remove_stale_socket",
    "require_listening_socket",
    "socket_address",
    "socket_options",
    "url_of",
    "warn_if_nobody_can_connect",
]

_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses that nobody has: RFC 5737, section 3, and RFC 3849."""

_MAPPED = "::ffff:"

_DISCARD_PORT = 9  # RFC 863

_LARGEST_PORT = 65_535  # RFC 9293, section 3.1

_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104


def given_address(server_address: Any) -> Any:
    """Return an address to bind, a host and a path as text; refuse what is none.

    What `http.server` takes is taken. Paths it does not take.

    Raises:
        ConfigurationError: There is no such port, or host.
        TypeError: It is none.
    """
    due = "(host, port), or a path"
    if not isinstance(server_address, tuple):
        require_instance("server_address", server_address, (str, bytes, os.PathLike), due)
        return os.fspath(server_address)
    if not 2 <= len(server_address) <= 4:  # with the flow and the zone of IPv6
        raise TypeError(f"server_address must be {due}, not {reprlib.repr(server_address)}")
    host, port, *more = server_address
    host = _host_as_text(host)
    if not hasattr(port, "__index__") or isinstance(port, (bool, type)):
        raise TypeError(f"the port in server_address must be a number, not {reprlib.repr(port)}")
    if not 0 <= operator.index(port) <= _LARGEST_PORT:
        raise ConfigurationError(
            f"the port in server_address must be from 0 to {_LARGEST_PORT}, not {port}"
        )
    return (host, operator.index(port), *more)


def given_host(server_address: Any) -> str | None:
    """Return what a server is known by that takes over a socket; `None`: the socket's own address.

    Raises:
        ConfigurationError: It is no host.
        TypeError: It is none.
    """
    if not isinstance(server_address, tuple) or server_address[:1] in ((), (None,)):
        return None
    return _host_as_text(server_address[0])


def _host_as_text(host: Any) -> str:
    if isinstance(host, (bytes, bytearray)):
        host = os.fsdecode(bytes(host))
    require_instance("the host in server_address", host, str, "text, such as 'localhost'")
    if "\0" in host:
        raise ConfigurationError(f"the host in server_address has a null character: {host!r}")
    return str(host)


def address_family(server_address: Any, default: int) -> int:
    """Return the address family that an address asks for, as `given_address` returns it."""
    if not isinstance(server_address, tuple):
        if not hasattr(socket, "AF_UNIX"):
            raise ConfigurationError("this platform has no AF_UNIX sockets: pass (host, port)")
        return socket.AF_UNIX
    if ":" in server_address[0] and default == socket.AF_INET:
        return socket.AF_INET6
    return default


def socket_address(server_address: Any) -> Any:
    """Return an address as the system wants it: with the zone of a link-local one as a number.

    Raises:
        OSError: The machine has no network interface of that name.
    """
    if not isinstance(server_address, tuple) or len(server_address) != 2:
        return server_address
    host, port = server_address
    address, percent, zone = str(host).partition("%")
    return (address, port, 0, _zone_number(zone)) if percent else server_address


def host_with_zone(host: str, bound_address: Any) -> str:
    """Return a host with the zone it is bound in: a link-local address means nothing without it.

    Args:
        host: The host as given.
        bound_address: What ``getsockname()`` says.
    """
    zone = bound_address[3] if len(bound_address) > 3 else 0
    if not zone or "%" in host:
        return host
    try:
        return f"{host}%{socket.if_indextoname(zone)}"
    except OSError:  # the interface has gone
        return f"{host}%{zone}"


def network_addresses() -> list[str]:
    """List the addresses by which others on the network reach this machine.

    The system is asked which address it would send from. Nothing is sent, and no DNS server asked.
    """
    found = []
    for family, elsewhere in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, _DISCARD_PORT))
                found.append(str(probe.getsockname()[0]))
        except OSError:  # no such network here
            continue
    return found


def accept(listener: socket.socket) -> tuple[socket.socket, Any]:
    """Do what `socket.socket.accept` does, in 5 us in place of 9 (2026-11, Python 3.13).

    That asks for family and type of the listening socket by properties, which look the numbers up
    as members of enumerations, each time.
    """
    if type(listener) is not socket.socket or _accept is None or listener.gettimeout():
        return listener.accept()
    fd, address = _accept(listener)
    return socket.socket(_family(listener), _type(listener), listener.proto, fd), address


_accept: Any = getattr(socket.SocketType, "_accept", None)
_family: Any = socket.SocketType.family.__get__
_type: Any = socket.SocketType.type.__get__


def plain_address(address: Any) -> Any:
    """Return a peer's address in the one form it has in all logs and rules.

    A socket for both versions of IP gives that of IPv4 as one of IPv6 (``::ffff:192.0.2.1``: RFC
    4291, section 2.5.5.2); here it becomes what a socket of IPv4 would have given. The empty
    address of an ``AF_UNIX`` peer becomes ``"unix:"``.

    Args:
        address: What ``accept()`` has given.
    """
    if not isinstance(address, tuple):
        return address or "unix:", 0
    host = address[0]
    if host.startswith(_MAPPED) and "." in host:
        return host.removeprefix(_MAPPED), address[1]
    return address


def _zone_number(zone: str) -> int:
    try:
        return int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    except OSError:
        raise OSError(errno.ENODEV, f"there is no network interface {zone!r}") from None


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


def require_listening_socket(sock: socket.socket) -> None:
    """Refuse a socket that nobody can connect to.

    Raises:
        ConfigurationError: It is closed, not bound, connected, wrapped for TLS, or no stream.
        TypeError: It is no socket.
    """
    if not isinstance(sock, socket.socket):
        raise TypeError(f"listening_socket must be a socket.socket, not {type(sock).__name__}")
    if sock.fileno() < 0:
        raise ConfigurationError("listening_socket is closed")
    findings = []
    if hasattr(sock, "do_handshake"):
        findings.append("listening_socket is wrapped for TLS: give the plain one")
    if sock.type != socket.SOCK_STREAM:
        findings.append(f"listening_socket is no stream socket, but {sock.type!r}")
    elif not _is_bound(sock):
        findings.append("listening_socket is not bound to an address")
    elif not is_listening(sock) and _is_connected(sock):
        findings.append("listening_socket is a connection (Accept=yes in a unit of systemd's?)")
    ConfigurationError.raise_if(findings)


def is_listening(sock: socket.socket) -> bool:
    """Tell whether a socket listens, as far as the platform can say."""
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except (OSError, AttributeError):
        return False


def warn_if_nobody_can_connect(sock: socket.socket) -> None:
    """Say in the log that a socket does not listen, where the platform can tell."""
    with contextlib.suppress(OSError, AttributeError):
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            logging.getLogger("tlshttp.server").warning(
                "the server's socket does not listen, so nobody can connect: call server_bind() and"
                " server_activate(), or give listening_socket"
            )


def names_of(sock: socket.socket, host: str | None = None) -> tuple[Any, str, int]:
    """Return the address that a socket is bound to, and the name and port that stand for it.

    Args:
        sock: A bound socket.
        host: The name that it is known by; `None`: that of the address.
    """
    address = sock.getsockname()
    if not isinstance(address, tuple):
        return address, "localhost", 0
    return address, host or str(address[0]), int(address[1])


def url_of(address: Any, name: str, port: int) -> str:
    """Return where a server is to be reached that is bound to an address.

    Args:
        address: What it is bound to; a path is given percent-encoded after ``https+unix://``.
        name: Its name; one that stands for all addresses of the machine is given as ``localhost``.
        port: Its port.
    """
    if not isinstance(address, tuple):
        from urllib.parse import quote

        return f"https+unix://{quote(os.fsencode(address), safe='')}"
    host = "localhost" if name in _WILDCARDS else f"[{name}]" if ":" in name else name
    return f"https://{host}" + (f":{port}" if port != 443 else "")


class BoundPath:
    """The file of an ``AF_UNIX`` socket, for whoever made it to remove."""

    def __init__(self) -> None:
        self._made: tuple[str, int] | None = None

    def bind(self, path: str, bind: Callable[[], None]) -> None:
        """Bind a socket to a path, in place of one that a server which was killed has left."""
        is_file = not path.startswith("\0")  # Linux's abstract names are none
        if is_file:
            remove_stale_socket(path)
        bind()
        if is_file:
            self._made = (path, os.stat(path).st_ino)

    def leave(self) -> None:
        """Leave it to another process."""
        self._made = None

    def remove(self) -> None:
        """Remove it, if it is still the one that was made here."""
        if self._made is None:
            return
        path, inode = self._made
        with contextlib.suppress(OSError):
            if os.stat(path).st_ino == inode:
                os.unlink(path)


def _is_bound(sock: socket.socket) -> bool:
    address = sock.getsockname()
    return bool(address[1] if isinstance(address, tuple) else address)


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


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
