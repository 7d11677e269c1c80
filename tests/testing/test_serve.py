"""What can be served in one line, and what the server then is."""

from __future__ import annotations

import functools
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from datetime import UTC, datetime, timedelta, tzinfo
from http.server import (
    BaseHTTPRequestHandler,
    HTTPServer,
    SimpleHTTPRequestHandler,
    ThreadingHTTPServer,
)
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn
from typing import Any, Literal
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCServer

import pytest
from cryptography import x509

from tests.support import UNIT
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, context, errors, profiles, testing


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")


class OwnServer(HTTPServer):
    """A server that knows its handler, and nothing of TLS."""

    def __init__(self, address: Any, **options: Any) -> None:
        super().__init__(address, Hello, **options)


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Greet in pieces, one of them empty."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hel", b"", b"lo"]


@pytest.mark.smoke
@pytest.mark.parametrize(
    "served",
    [
        pytest.param(Hello, id="handler"),
        pytest.param(functools.partial(Hello), id="partial"),
        pytest.param(OwnServer, id="server"),
        pytest.param(application, id="wsgi"),
        pytest.param({"/": "hello"}, id="dict"),
        pytest.param({"GET /": testing.Response(b"hello")}, id="response"),
        pytest.param({"/": lambda request: b"hello"}, id="function"),
    ],
)
def test_people_u12_one_line_serves(served: Any) -> None:
    """Whatever is served answers, at a URL with a name, to a client that trusts the authority."""
    with testing.serve(served) as server:
        assert server.url == f"https://localhost:{server.port}"
        with urllib.request.urlopen(server.url, context=server.client_context()) as response:
            assert response.read() == b"hello"
        assert [(one.method, one.path) for one in server.requests] == [("GET", "/")]


def test_a_partial_passes_its_arguments(tmp_path: Path) -> None:
    """``functools.partial(SimpleHTTPRequestHandler, directory=...)`` is the folder's server."""
    (tmp_path / "file.txt").write_text("content")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with testing.serve(handler) as server:
        assert server.get("/file.txt").text == "content"


@pytest.mark.parametrize(
    "base", [TLSHTTPServer, HTTPServer, ThreadingHTTPServer], ids=lambda base: base.__name__
)
def test_hooks_of_a_server_class_are_called(base: type[HTTPServer]) -> None:
    """A server class for a handler keeps its hooks, whether it knows TLS or not."""
    seen = []

    class Mine(base):  # type: ignore[misc, valid-type]
        def verify_request(self, request: Any, client_address: Any) -> bool:
            seen.append(client_address)
            return True

    with testing.serve(Hello, server_class=Mine) as server:
        assert server.get().text == "hello"
        assert isinstance(server.server, Mine)
    assert len(seen) == 1


def test_a_threading_mix_in_keeps_its_threads() -> None:
    """``ThreadingMixIn`` in front of a server works as it does without us."""

    class Mine(ThreadingMixIn, HTTPServer):
        daemon_threads = True

    with testing.serve(Hello, server_class=Mine) as server:
        assert server.get().text == "hello"
        assert len(server.requests) == 1


def test_a_server_that_knows_its_handler_needs_no_other() -> None:
    """A second base of the standard library brings its handler, and that is recorded, too."""

    class Calls(ThreadingTLSHTTPServer, SimpleXMLRPCServer):
        pass

    with testing.serve(Calls) as server:
        assert isinstance(server.server, Calls)
        server.server.register_function(lambda: "hello", "greet")
        with ServerProxy(server.url + "/RPC2", context=server.client_context()) as proxy:
            assert proxy.greet() == "hello"
        assert [request.path for request in server.requests] == ["/RPC2"]


@pytest.mark.parametrize(
    ("served", "message"),
    [
        (3, "3 is no handler class, server class, WSGI application or dict"),
        (StreamRequestHandler, "neither an HTTPServer nor a BaseHTTPRequestHandler"),
        (HTTPServer, r"serve\(Handler, server_class=HTTPServer\)"),
        (TLSHTTPServer, r"serve\(Handler, server_class=TLSHTTPServer\)"),
        (ThreadingTLSHTTPServer, r"server_class=ThreadingTLSHTTPServer\)"),
    ],
)
def test_what_cannot_be_served_is_refused(served: Any, message: str) -> None:
    """Whoever gives the wrong thing is told what to give."""
    with pytest.raises(errors.ConfigurationError, match=message):
        testing.serve(served)


def test_asynchronous_applications_are_refused() -> None:
    """An ASGI application, function or object, is told apart from a WSGI one."""

    async def function(scope: object, receive: object, send: object) -> None: ...

    class Object:
        async def __call__(self, scope: object, receive: object, send: object) -> None: ...

    for served in (function, Object()):
        with pytest.raises(errors.ConfigurationError, match="asynchronous"):
            testing.serve(served)  # type: ignore[arg-type]


def test_arguments_that_exclude_each_other_are_all_named() -> None:
    """A finished context takes no certificate, no profile, no client authentication, no names."""
    certificate = certs.self_signed("localhost")
    with pytest.raises(errors.ConfigurationError) as caught:
        testing.serve(
            ssl_context=context.create_server_context(certificate),
            certificate=certificate,
            profile=profiles.MODERN,
            client_auth=context.ClientAuth.REQUIRED,
            names=["other.test"],
        )
    assert len(caught.value.findings) == 4


def test_the_engine_can_be_chosen() -> None:
    """`serve(engine=...)` has the one or the other engine do the TLS, with all that is asked."""
    engines: list[Literal["ssl", "pyopenssl"]] = ["ssl", "pyopenssl"]
    required = context.ClientAuth.REQUIRED
    for engine in engines:
        with testing.serve({"/": "hello"}, engine=engine, client_auth=required) as server:
            ada = server.client_certificate("ada")
            assert server.get("/", certificate=ada).text == "hello"
            (request,) = server.requests
            assert (request.tls.group is not None) is (engine == "pyopenssl"), engine


def test_an_engine_that_there_is_not() -> None:
    """The error names those there are."""
    with pytest.raises(errors.ConfigurationError, match="there are 'ssl' and 'pyopenssl'"):
        testing.serve(engine="gnutls")  # type: ignore[arg-type]


def test_further_names_are_in_the_certificate() -> None:
    """A client that asks for one of the ``names`` verifies the server."""
    with testing.serve({"/": ""}, names=["api.example.test"]) as server:
        client = server.client_context()
        with (
            socket.create_connection((server.host, server.port), timeout=30 * UNIT) as sock,
            client.wrap_socket(sock, server_hostname="api.example.test") as tls,
        ):
            shown = x509.load_der_x509_certificate(tls.getpeercert(True) or b"")
    names = certs.CertificateChain(shown, ()).names
    assert {"api.example.test", "localhost", "127.0.0.1"} <= set(names)


def test_people_u12_clients_that_trust_somebody_else_are_refused() -> None:
    """The twin of all others: without our authority there is no connection."""
    with testing.serve({"/": ""}) as server:
        with pytest.raises(OSError, match="certificate verify failed"):
            urllib.request.urlopen(server.url, context=ssl.create_default_context())
        assert server.wait_for_peer_error(errors.PeerRejected).server_name == "localhost"


def test_client_certificates() -> None:
    """Who shows one of the authority's gets in, by name; who shows none is refused."""
    with testing.serve({"/": "in"}, client_auth=context.ClientAuth.REQUIRED) as server:
        alice = server.client_certificate("alice")
        assert server.get("/", certificate=alice).text == "in"
        assert server.requests[0].tls.peer_names == ("alice",)
        by_file = server.client_context()
        by_file.load_cert_chain(alice.certfile, alice.keyfile)
        assert urllib.request.urlopen(server.url, context=by_file).read() == b"in"
        assert alice.keyfile.stat().st_mode & 0o077 == 0
        with pytest.raises(OSError, match=r"(?i)certificate.required"):
            server.get("/")
        server.wait_for_peer_error(errors.ClientCertificateError)


def test_the_certificate_can_be_pinned() -> None:
    """It is the one that clients are shown, also after a renewal."""
    ca = testing.authority()
    now = ca.issue_server("localhost")
    store = certs.CertificateStore.from_callable(lambda: now)
    for options in ({}, {"certificate": now}, {"certificate": store}):
        with testing.serve({"/": ""}, **options) as server:
            pem = ssl.get_server_certificate((server.host, server.port), timeout=30 * UNIT)
        shown = x509.load_pem_x509_certificate(pem.encode())
        assert shown == server.certificate.leaf
    with (
        testing.serve(ssl_context=context.create_server_context(now)) as server,
        pytest.raises(RuntimeError, match="in the ssl_context"),
    ):
        server.certificate  # noqa: B018


def test_an_authority_of_the_tests_own() -> None:
    """Its certificates, and nobody else's, are what the server's clients trust and show."""
    ca = certs.CertificateAuthority.generate("mine")
    with testing.serve({"/": "in"}, ca=ca, client_auth=context.ClientAuth.REQUIRED) as server:
        assert server.ca_pem == ca.certificate.to_pem().decode()
        alice = server.client_certificate("alice")
        assert server.get("/", certificate=alice).text == "in"
        stranger = testing.authority().client_certificate("stranger")
        with pytest.raises(OSError, match=r"(?i)unknown.ca|reset"):
            server.get("/", certificate=stranger)
        with pytest.raises(OSError, match="certificate verify failed"):
            urllib.request.urlopen(server.url, context=testing.authority().client_context())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_addresses_are_verified_as_such(host: str) -> None:
    """A server may be reached by address; then the client names nobody."""
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with testing.serve({"/": "hello"}, host=host) as server:
        assert server.host == host
        assert (
            urllib.request.urlopen(server.url, context=server.client_context()).read() == b"hello"
        )
        assert server.get("/").text == "hello"
        assert server.requests[0].tls.server_name is None


def test_an_authority_below_a_root() -> None:
    """Clients trust the root where it is known; else the authority alone."""
    root = certs.CertificateAuthority.generate("root")
    below = root.issue_authority("below")
    own = below.certificate
    alone = certs.CertificateAuthority.load(own.key_to_pem() + own.to_pem())
    for ca, trusted in ((below, root), (alone, below)):
        with testing.serve({"/": "in"}, ca=ca, client_auth=context.ClientAuth.REQUIRED) as server:
            assert server.ca_pem.encode() == trusted.certificate.to_pem()
            alice = server.client_certificate("alice")
            assert server.get("/", certificate=alice).text == "in"
    ca = testing.Authority.of(below)
    alice = ca.client_certificate("alice")
    ca.revoke(alice)
    assert below.crl().get_revoked_certificate_by_serial_number(alice.leaf.serial_number)


def test_names_may_come_from_any_iterable_but_one_text() -> None:
    """A generator is read once; a text would be taken for its letters."""
    with testing.serve(names=(f"{name}.test" for name in "ab")) as server:
        assert {"a.test", "b.test"} <= set(server.certificate.names)
    with pytest.raises(TypeError, match="not one str"):
        testing.serve(names="a.test")


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_time_limit_is_above_zero(timeout: float) -> None:
    """With none at all nothing could be waited for."""
    with pytest.raises(errors.ConfigurationError, match="timeout is in seconds and above zero"):
        testing.serve(timeout=timeout)


@pytest.mark.parametrize(
    ("name", "options", "hint"),
    [
        ("serve", {}, "; perhaps 'served'? it has served, server_class, host,"),
        ("limit", {}, "; perhaps 'limits'? it has"),
        ("max_worker", {}, "; perhaps 'max_workers'?"),
        ("max_workers", {"server_class": TLSHTTPServer}, ": it has served,"),
        ("zzz", {"served": OwnServer}, " passes on those of OwnServer: bind_and_activate,"),
    ],
)
def test_an_argument_that_nobody_takes(name: str, options: dict[str, Any], hint: str) -> None:
    """The error names those there are, of `serve` and of the server's class."""
    with pytest.raises(TypeError) as caught:
        testing.serve(**{"served": Hello, name: 1, **options})
    assert str(caught.value).startswith(f"serve() has no argument {name!r}")
    assert hint in str(caught.value)
    assert "limits" in str(caught.value)


def test_errors_of_a_constructor_are_its_own() -> None:
    """What a server's class raises about anything else reaches the test as it is."""

    class Particular(HTTPServer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if options.pop("database") is None:
                raise TypeError("no database") from LookupError()
            super().__init__(*arguments, **options)

    with testing.serve(Hello, server_class=Particular, database="mine") as server:
        assert server.get().text == "hello"
    with pytest.raises(TypeError, match=r"\Ano database\Z") as caught:
        testing.serve(Hello, server_class=Particular, database=None)
    assert isinstance(caught.value.__cause__, LookupError)


def test_an_argument_that_a_server_class_of_ones_own_does_not_take() -> None:
    """One that is served as it is, and knows its handler, is not told to be given one."""

    class Coloured(HTTPServer):
        def __init__(self, address: Any, colour: str = "") -> None:
            super().__init__(address, Hello)
            self.colour = colour

    with testing.serve(Coloured, colour="red") as server:
        assert vars(server.server)["colour"] == "red"
    with pytest.raises(TypeError, match=r"no argument 'color'; perhaps 'colour'\?.*: colour\Z"):
        testing.serve(Coloured, color="red")


def test_a_context_for_servers_of_others() -> None:
    """The authority vouches for a server that is none of ours."""
    ca = testing.authority()
    outcomes = []

    def serve(listener: socket.socket) -> None:
        with (
            listener.accept()[0] as sock,
            ca.server_context("localhost").wrap_socket(sock, server_side=True) as tls,
        ):
            outcomes.append(tls.recv(10))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        with (
            socket.create_connection(listener.getsockname()[:2], timeout=30 * UNIT) as sock,
            ca.client_context().wrap_socket(sock, server_hostname="localhost") as tls,
        ):
            tls.sendall(b"hello")
        thread.join()
    assert outcomes == [b"hello"]


def test_there_is_one_authority_however_many_ask_at_once() -> None:
    """Threads that begin together have the same one, and its files go with the process."""
    program = (
        "import threading\n"
        "from tlshttp import testing\n"
        "found = []\n"
        "ask = lambda: found.append(testing.authority())\n"
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "assert len(set(map(id, found))) == 1, found\n"
        "client = found[0].client_certificate('alice')\n"
        "print(found[0].ca_path, client.certfile, client.keyfile)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    paths = done.stdout.split()
    assert len(paths) == 3
    assert not any(Path(path).exists() or Path(path).parent.exists() for path in paths)
    assert done.stderr == ""


def test_nothing_tells_the_key(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither representations nor files of the authority have its private key."""
    ca = testing.authority()
    with testing.serve({"/": ""}) as server:
        shown = f"{ca!r} {server!r} {server.certificate!r} {server.client_certificate('alice')!r}"
    assert "PRIVATE" not in shown + ca.ca_pem + ca.ca_path.read_text()
    assert ca.ca_path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("year", [2001, 2099])
def test_certificates_follow_the_clock_of_the_machine(
    year: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that has moved Python's clock has servers and clients that are trusted."""

    class Elsewhere(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Elsewhere:
            return cls(year, 1, 1, tzinfo=tz)

    monkeypatch.setattr("tlshttp.certs._validity.datetime", Elsewhere)
    moment = datetime.now(UTC)
    ca = testing.authority()
    for certificate in (ca.issue_server("localhost"), ca.client_certificate("alice")):
        assert certificate.not_valid_before < moment < certificate.not_valid_after
    assert ca.issue_server("localhost", lifetime=timedelta(hours=1)).expires_in < timedelta(hours=1)
