from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Serve
from tests.server.support import Client, OneRequest, Plain, ServerBase, combine, read_until, running
from tests.support import nothing_left_behind
from tlshttp import TLSHTTPServer, errors
from tlshttp._binding import (
    host_with_zone,
    network_addresses,
    socket_address,
    socket_options,
)

GET = b"GET /served HTTP/1.1\r\nHost: localhost\r\n\r\n"

IN_USE = os.strerror(errno.EADDRINUSE)

needs_ipv6 = pytest.mark.skipif(not socket.has_ipv6, reason="this platform has no IPv6")
needs_unix = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="this platform has no AF_UNIX sockets"
)
needs_linux = pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="only Linux has this")


def is_served(client: Client, server: TLSHTTPServer, address: Any) -> bool:
    """Tell whether a client that connects to the address is served."""
    family = socket.AF_UNIX if isinstance(address, (str, bytes)) else socket.AF_INET
    if isinstance(address, tuple) and ":" in address[0]:
        family = socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(5)
        sock.connect(address)
        with client.context.wrap_socket(sock, server_hostname="localhost") as tls:
            tls.sendall(GET)
            return read_until(tls, b"/served").startswith(b"HTTP/1.1 200")


# TCP ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "peer", "url"),
    [
        ("127.0.0.1", "127.0.0.1", "https://127.0.0.1:{}"),
        ("localhost", "127.0.0.1", "https://localhost:{}"),
        ("", "127.0.0.1", "https://localhost:{}"),
        ("0.0.0.0", "127.0.0.1", "https://localhost:{}"),
        pytest.param("::1", "::1", "https://[::1]:{}", marks=needs_ipv6),
        pytest.param("::", "::1", "https://localhost:{}", marks=needs_ipv6),
        pytest.param("::", "127.0.0.1", "https://localhost:{}", marks=needs_ipv6),
    ],
)
def test_server_is_reached_by_the_address_it_names(
    serve: Serve, client: Client, host: str, peer: str, url: str
) -> None:
    """IPv4, IPv6 and both at once: it serves there, and name, port and url are right."""
    server = serve(Plain, address=(host, 0))
    port = server.socket.getsockname()[1]
    assert is_served(client, server, (peer, port))
    assert (server.server_name, server.server_port) == (host, port)
    assert server.url == url.format(port)
    assert server.server_address[1] == port
    assert server.address_family == (socket.AF_INET6 if ":" in host else socket.AF_INET)


def test_url_leaves_out_the_default_port(serve: Serve) -> None:
    """Port 443 is not part of the url, as in browsers."""
    server = serve(Plain)
    server.server_port = 443
    assert server.url == "https://127.0.0.1"


@needs_ipv6
@pytest.mark.parametrize(("host", "both"), [("", True), ("::", True), ("::1", False)])
def test_address_family_of_a_subclass_is_obeyed(
    serve: Serve, client: Client, host: str, both: bool
) -> None:
    """With ``address_family`` AF_INET6 a wildcard is both IPv6 and IPv4, as the system has it."""

    class Six(ServerBase):
        address_family = socket.AF_INET6

    server = serve(Plain, Six, address=(host, 0))
    assert server.socket.family == socket.AF_INET6
    assert is_served(client, server, ("::1", server.server_port))
    if both:
        assert is_served(client, server, ("127.0.0.1", server.server_port))
    else:
        with pytest.raises(ConnectionRefusedError):
            is_served(client, server, ("127.0.0.1", server.server_port))


def test_client_address_is_the_peers(serve: Serve, client: Client) -> None:
    """A handler sees the address its client has."""

    class Asks(OneRequest):
        def do_GET(self) -> None:
            self.reply(f"{self.client_address} {self.address_string()}".encode())

    with client.connect(serve(Asks)) as sock:
        own = sock.getsockname()
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        read_until(sock, f"{own} 127.0.0.1".encode())


@pytest.mark.parametrize("ask", ["getfqdn", "gethostbyaddr", "getnameinfo"])
def test_no_name_is_looked_up(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    """Neither binding nor serving asks which name an address has, which can take half a minute."""
    asked: list[object] = []

    def look_up(*arguments: object) -> str:
        asked.append(arguments)
        return "name.example"

    monkeypatch.setattr(socket, ask, look_up)
    for host in ("", "127.0.0.1", "localhost"):
        server = serve(Plain, address=(host, 0))
        assert is_served(client, server, ("127.0.0.1", server.server_port))
    assert asked == []


def test_nagle_is_off_on_every_connection(serve: Serve, client: Client) -> None:
    """TCP_NODELAY is set on what a handler writes to."""

    class Asks(OneRequest):
        def do_GET(self) -> None:
            option = self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            self.reply(str(bool(option)).encode())

    assert client.get(serve(Asks)).body == b"True"


def test_taken_port_is_an_oserror_and_leaves_nothing_behind(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, serve: Serve, client: Client
) -> None:
    """The second server on a port fails as any socket does; the first one serves on."""
    server = serve(Plain)
    with nothing_left_behind(), pytest.raises(OSError, match=IN_USE):
        server_class(server.server_address, Plain, ssl_context=server_context)
    assert client.get(server, "/served").body == b"/served"


def test_address_of_another_machine_is_an_oserror(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext
) -> None:
    """An address that is not this machine's fails at construction and leaves nothing behind."""
    with nothing_left_behind(), pytest.raises(OSError, match=os.strerror(errno.EADDRNOTAVAIL)):
        server_class(("192.0.2.1", 0), Plain, ssl_context=server_context)


def test_failure_in_server_activate_leaves_nothing_behind(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, tmp_path: Path
) -> None:
    """A server that cannot listen gives back its sockets and its poller."""

    class Fails(ServerBase):
        def server_activate(self) -> None:
            raise OverflowError("not today")

    with nothing_left_behind(), pytest.raises(OverflowError):
        combine(Fails, server_class)(("127.0.0.1", 0), Plain, ssl_context=server_context)


@pytest.mark.parametrize("platform", ["posix", "nt"])
def test_windows_binds_its_port_exclusively(platform: str) -> None:
    """On Windows SO_EXCLUSIVEADDRUSE is set, by its number where Python does not name it."""
    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", ~socket.SO_REUSEADDR)
    options = socket_options(socket.AF_INET, ("127.0.0.1", 0), platform)
    assert options == ([(socket.SOL_SOCKET, exclusive, 1)] if platform == "nt" else [])


@pytest.mark.parametrize(("host", "only"), [("::", 0), ("", 0), ("::1", 1)])
def test_ipv6_socket_is_dual_stack_for_wildcards_only(host: str, only: int) -> None:
    """IPV6_V6ONLY is set one way or the other, whatever the system's default is."""
    options = socket_options(socket.AF_INET6, (host, 0), "posix")
    assert options == [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)]


# AF_UNIX ------------------------------------------------------------------------------------------


@needs_unix
def test_path_is_an_af_unix_socket(
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    client: Client,
    tmp_path: Path,
) -> None:
    """A path serves, has a url, and its file is gone when the server is closed."""

    class Asks(Plain):
        def do_GET(self) -> None:
            self.reply(f"{self.client_address} {self.address_string()} {self.path}".encode())

    path = tmp_path / "ä server.sock"
    with running(server_class(str(path), Asks, ssl_context=server_context)) as server:
        assert path.is_socket()
        with client.connect(server) as sock:
            sock.sendall(GET)
            read_until(sock, b"('unix:', 0) unix: /served")
        assert (server.server_name, server.server_port) == ("localhost", 0)
        assert server.url == "https+unix://" + quoted(path)
        assert server.server_address == str(path)
    assert not path.exists()


def quoted(path: Path) -> str:
    """Percent-encode a path whole, as ``requests-unixsocket`` and others write such URLs."""
    from urllib.parse import quote

    return quote(str(path), safe="")


@needs_unix
def test_file_that_a_killed_server_left_is_replaced(
    serve: Serve, client: Client, tmp_path: Path
) -> None:
    """A socket file nobody listens on does not keep a server from starting."""
    path = str(tmp_path / "server.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(path)
    assert os.path.exists(path)  # noqa: PTH110
    server = serve(Plain, address=path)
    assert is_served(client, server, path)


@needs_unix
def test_file_of_a_live_server_is_not_stolen(
    serve: Serve,
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    client: Client,
    tmp_path: Path,
) -> None:
    """A second server on the same path fails, and the first one keeps its file."""
    path = str(tmp_path / "server.sock")
    server = serve(Plain, address=path)
    assert is_served(client, server, path)  # and has its worker
    with nothing_left_behind(), pytest.raises(OSError, match=IN_USE):
        server_class(path, Plain, ssl_context=server_context)
    assert is_served(client, server, path)


IN_THE_WAY: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_text("precious"),
    "a folder": lambda path: path.mkdir(),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
}


@needs_unix
@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_no_socket_is_left_alone(
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    tmp_path: Path,
    what: str,
) -> None:
    """A file, folder or link in the way is an error, and stays."""
    path = tmp_path / "in the way"
    IN_THE_WAY[what](path)
    with pytest.raises(OSError, match=IN_USE):
        server_class(str(path), Plain, ssl_context=server_context)
    assert os.path.lexists(path)


@needs_unix
def test_file_of_a_successor_is_not_removed(
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    client: Client,
    tmp_path: Path,
) -> None:
    """A server that is closed late leaves the file that another has put in its place."""
    path = tmp_path / "server.sock"
    first = server_class(str(path), Plain, ssl_context=server_context)
    path.rename(tmp_path / "moved")
    with running(server_class(str(path), Plain, ssl_context=server_context)) as second:
        first.server_close()
        assert is_served(client, second, str(path))
    assert not path.exists()


@needs_unix
@needs_linux
def test_abstract_name_is_no_file(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, client: Client
) -> None:
    """On Linux a name that begins with a null byte serves without any file."""
    name = f"\0tlshttp-test-{os.getpid()}"
    with running(server_class(name, Plain, ssl_context=server_context)) as server:
        assert is_served(client, server, name)
        assert server.url == f"https+unix://%00{name[1:]}"


def test_address_must_be_a_pair_where_there_is_no_af_unix(
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A platform without AF_UNIX says so, instead of failing somewhere inside."""
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    with pytest.raises(errors.ConfigurationError, match="no AF_UNIX sockets"):
        server_class("/path", Plain, ssl_context=server_context)


def link_local() -> str:
    """Return a link-local address of this machine with its zone, or skip the test."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        digits, _, _, scope, _, interface = line.split()
        if scope == "20":
            return f"{ipaddress.IPv6Address(int(digits, 16))}%{interface}"
    pytest.skip("there is no link-local address, or no way to learn it")


@pytest.mark.parametrize("form", ["text", "tuple"])
def test_handlers_f20_link_local(form: str, server_context: ssl.SSLContext) -> None:
    """A link-local address is bound with its zone, which is in the URL: without it nobody comes."""
    host = link_local()
    found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][4]
    address = (host, 0) if form == "text" else found
    with TLSHTTPServer(address, SimpleHTTPRequestHandler, ssl_context=server_context) as server:
        assert server.url == f"https://[{host}]:{server.server_port}"
        with socket.create_connection((host, server.server_port), timeout=5):
            pass


def test_handlers_f20_zones() -> None:
    """A zone is turned into its number and back; one that does not exist is named."""
    name = socket.if_indextoname(1)
    assert socket_address((f"fe80::1%{name}", 5)) == ("fe80::1", 5, 0, 1)
    assert socket_address(("fe80::1%1", 5)) == ("fe80::1", 5, 0, 1)
    for same in (("fe80::1", 5), ("fe80::1", 5, 0, 3), ("localhost", 5), "/a/path%x"):
        assert socket_address(same) == same
    with pytest.raises(OSError, match="there is no network interface 'none'"):
        socket_address(("fe80::1%none", 5))
    assert host_with_zone("fe80::1", ("fe80::1", 5, 0, 1)) == f"fe80::1%{name}"
    assert host_with_zone("fe80::1", ("fe80::1", 5, 0, 4_000_000)) == "fe80::1%4000000"
    assert host_with_zone("::1", ("::1", 5, 0, 0)) == "::1"
    assert host_with_zone("127.0.0.1", ("127.0.0.1", 5)) == "127.0.0.1"


def test_people_u7_addresses_of_the_network() -> None:
    """Others reach this machine by its addresses, each of which it can listen on."""
    for host in network_addresses():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as listener:
            listener.bind((host, 0))
