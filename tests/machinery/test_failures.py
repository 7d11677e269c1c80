"""Promise P3: whatever a peer does wrong is one typed event, one log line and one count."""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme
from cryptography import x509

from tests.machinery import peers
from tests.machinery.conftest import VERSIONS, Recording, Serve
from tests.machinery.handlers import Classic, Plain, Reads, Shrinking, TakesOver
from tests.machinery.peers import client_context, connect, handshake, request, reset
from tests.support import UNIT, wait_until
from tlshttp import Limits, certs, context, errors, profiles
from tlshttp.errors import PeerError
from tlshttp.websocket import WebSocketHandler

TLS12, TLS13 = VERSIONS
OPENSSL = shutil.which("openssl")
BRIEF = 0.15 * UNIT

Provoke = Callable[[Any], Any]
"""What a peer does to the server at an address; what it returns is kept open until the end."""

Configure = Callable[[certs.Certificate, trustme.CA], ssl.SSLContext]


@dataclass(frozen=True)
class Case:
    """A kind of failure, and one way for a peer to bring it about."""

    kind: type[PeerError]
    name: str
    provoke: Provoke
    limits: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    configure: Configure | None = None
    handler: Any = Plain
    server_name: str | None = None
    servers: tuple[str, ...] = ("TLSHTTPServer", "ThreadingTLSHTTPServer")
    speaks_first: bool = False
    """Whether a connection is let in when something has come, which must be known in time."""

    def __str__(self) -> str:
        return f"{self.kind.__name__}: {self.name}"


# What peers do ------------------------------------------------------------------------------


def says(data: bytes) -> Provoke:
    """Send bytes without TLS, and wait for what comes."""

    def provoke(address: Any) -> socket.socket:
        sock = connect(address)
        sock.sendall(data)
        return sock

    return provoke


def says_and(data: bytes, leave: Callable[[socket.socket], None]) -> Provoke:
    """Send bytes without TLS, and leave."""

    def provoke(address: Any) -> None:
        sock = says(data)(address)
        leave(sock)

    return provoke


def hello(version: ssl.TLSVersion = TLS13) -> bytes:
    """Return a whole ClientHello that asks for localhost."""
    return peers.client_hello(client_context(version))


def half_way(version: ssl.TLSVersion, leave: Callable[[socket.socket], None]) -> Provoke:
    """Leave when the server's first flight has arrived."""

    def provoke(address: Any) -> None:
        sock = says(hello(version))(address)
        sock.recv(1)
        leave(sock)

    return provoke


def tries(context: ssl.SSLContext) -> Provoke:
    """Shake hands as far as it goes, and read the server's alert."""

    def provoke(address: Any) -> None:
        with contextlib.suppress(OSError), handshake(address, context) as sock:
            sock.recv(1)

    return provoke


def openssl(*arguments: str) -> Provoke:
    """Run ``openssl s_client``."""

    def provoke(address: Any) -> None:
        command = [OPENSSL or "openssl", "s_client", "-connect", "{}:{}".format(*address)]
        subprocess.run(
            [*command, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=50 * UNIT,
        )  # fmt: skip

    return provoke


def openssl_client(address: Any) -> None:
    """Run ``openssl s_client``, which sends its alert; curl has come to end without one."""
    command = [OPENSSL or "openssl", "s_client", "-verify_return_error", "-servername", "localhost"]
    subprocess.run(
        [*command, "-connect", f"127.0.0.1:{address[1]}"],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=50 * UNIT,
    )  # fmt: skip


WEBSOCKET = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Quiet(WebSocketHandler):
    """A WebSocket that says nothing."""

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def sends(data: bytes) -> Provoke:
    """Send bytes after the handshake."""

    def provoke(address: Any) -> Any:
        sock = handshake(address, client_context())
        sock.sendall(data)
        return sock

    return provoke


def sends_at_once(data: bytes) -> Provoke:
    """Send bytes with the end of the handshake, so that they are there in the shortest time."""
    return lambda address: peers.Prompt(address, client_context(TLS13), data)


def sends_after_first(rest: bytes, leave: Callable[[Any], None]) -> Provoke:
    """Send a request and the beginning of another at once, and leave after the first response.

    By then the server has the beginning: one TLS record brought both.
    """

    def provoke(address: Any) -> None:
        sock = handshake(address, client_context())
        sock.sendall(request() + rest)
        peers.read_response(sock)
        leave(sock)

    return provoke


def begins_a_second(rest: bytes) -> Provoke:
    """Do the same and stay."""

    def provoke(address: Any) -> Any:
        sock = handshake(address, client_context())
        sock.sendall(request() + rest)
        peers.read_response(sock)
        return sock

    return provoke


def sends_half_body(leave: Callable[[Any], None]) -> Provoke:
    """Leave in the middle of a body that the handler has begun to read."""

    def provoke(address: Any) -> None:
        sock = handshake(address, client_context())
        sock.sendall(
            body(100_000, b"x" * 100).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
        )
        sock.recv(100)
        leave(sock)

    return provoke


def reads_to_end(address: Any) -> None:
    """Read all of a response that has none of the end that it has announced."""
    sock = handshake(address, client_context())
    with sock, contextlib.suppress(OSError):
        sock.sendall(request())
        peers.read_to_end(sock)


def aborts_response(leave: Callable[[Any], None]) -> Provoke:
    """Leave when the large response has begun."""

    def provoke(address: Any) -> None:
        sock = handshake(address, client_context(), rcvbuf=4096)
        sock.sendall(request("/large"))
        sock.recv(100)
        leave(sock)

    return provoke


def crowds_out(first: Provoke) -> Provoke:
    """Have a second connection take the place of the first."""

    def provoke(address: Any) -> list[Any]:
        held = first(address)
        second = handshake(address, client_context())
        second.sendall(request())
        peers.read_response(second)
        return [held, second]

    return provoke


def body(size: int, sent: bytes = b"") -> bytes:
    """Return a POST request with the first bytes of its body."""
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (size, sent)


def wants_client_certificate(
    certificate: certs.Certificate, authority: trustme.CA
) -> ssl.SSLContext:
    """Require a certificate of an authority that nobody has."""
    return context.create_server_context(
        certificate,
        client_auth=context.ClientAuth.REQUIRED,
        client_cas=[x509.load_pem_x509_certificate(authority.cert_pem.bytes())],
    )


def only(version: ssl.TLSVersion) -> Configure:
    """Have the server accept one version."""
    profile = profiles.INTERMEDIATE.replace(minimum_version=version, maximum_version=version)

    def configure(certificate: certs.Certificate, authority: trustme.CA) -> ssl.SSLContext:
        return context.create_server_context(certificate, profile=profile)

    return configure


def only_p256(certificate: certs.Certificate, authority: trustme.CA) -> ssl.SSLContext:
    """Have the server accept one group."""
    profile = profiles.INTERMEDIATE.replace(groups=("prime256v1",))
    return context.create_server_context(certificate, profile=profile)


def knows_no_name(certificate: certs.Certificate, authority: trustme.CA) -> ssl.SSLContext:
    """Have the server refuse every client that asks for another name than a strange one."""
    return context.create_server_context(
        certs.self_signed("elsewhere.test"), unknown_names=context.UnknownNames.REFUSE
    )


def client_with_certificate_of_a_stranger(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a client's context with a certificate of an authority unknown to the server."""
    context = client_context(version)
    trustme.CA().issue_cert("somebody@example.org").configure_cert(context)
    return context


HALF_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
GET, HEAD, POST = (
    b"%b /x HTTP/1.1\r\nHost: localhost:80\r\n\r\n" % m for m in (b"GET", b"HEAD", b"POST")
)
SHORT_HANDSHAKE = {"handshake_timeout": BRIEF}
ONE = {"max_connections": 1}


def handshake_cases() -> Iterator[Case]:
    """Yield the failures before the end of the handshake."""
    timeout = functools.partial(Case, errors.HandshakeTimeout, limits=SHORT_HANDSHAKE)
    yield timeout("says nothing", connect)
    yield timeout("one byte of a hello", says(b"\x16"))
    yield timeout("half a hello", says(hello()[:100]))
    yield timeout("half a plain request", says(b"GET / HTTP/1.1\r\n"))
    for version in VERSIONS:
        yield timeout(
            f"only a hello, {version.name}",
            says(hello(version)),
            server_name="localhost",
            speaks_first=True,
        )

    left = functools.partial(Case, errors.HandshakeDisconnected)
    for how, leave in ("FIN", peers.leave), ("RST", reset):
        yield left(f"says nothing, {how}", says_and(b"", leave))
        yield left(f"one byte of a hello, {how}", says_and(b"\x16", leave))
        yield left(f"half a hello, {how}", says_and(hello()[:100], leave))
        for version in VERSIONS:
            yield left(
                f"a hello, {version.name}, {how}",
                says_and(hello(version), leave),
                server_name="localhost",
            )
            yield left(
                f"half-way, {version.name}, {how}",
                half_way(version, leave),
                server_name="localhost",
            )

    crowded = functools.partial(Case, errors.HandshakeCrowdedOut, limits=ONE)
    yield crowded("silent", crowds_out(connect))
    yield crowded("one byte", crowds_out(says(b"\x16")))
    yield crowded("after the hello", crowds_out(says_hello_and_reads), server_name="localhost")

    for redirect in False, True:
        plain = functools.partial(
            Case, errors.PlainHTTPError, options={"redirect_plain_http": redirect}
        )
        for data in GET, HEAD, POST:
            yield plain(f"{data[:4].decode()}, redirect={redirect}", says(data))
    yield Case(
        errors.PlainHTTPError, "a head without end", says(b"GET / HTTP/1.1\r\nX: " + b"x" * 9000)
    )

    not_tls = functools.partial(Case, errors.NotTLSError)
    yield not_tls("SSH", says(b"SSH-2.0-OpenSSH_9.2p1\r\n"))
    yield not_tls("SMTP", says(b"EHLO client.example\r\n"))
    yield not_tls("zero bytes", says(b"\0\0\0"))
    yield not_tls("a TLS alert", says(b"\x15\x03\x01\x00\x02\x02\x28"))
    yield not_tls("SSL 2", says(b"\x80\x2e\x01\x00\x02"))
    yield not_tls("a ServerHello", says(b"\x16\x03\x01\x00\x30\x02"))
    yield not_tls("a record that is too long", says(b"\x16\x03\x01\xff\xff\x01"))
    proxied = functools.partial(
        Case, errors.ProxyHeaderError, options={"trusted_proxies": ["127.0.0.1"]}
    )
    yield proxied("a hello without a PROXY header", says(hello()))
    yield proxied("a malformed PROXY header", says(b"PROXY TCP4 192.0.2.1\r\n"))
    yield from engine_cases()


def says_hello_and_reads(address: Any) -> Any:
    """Send a ClientHello and read the beginning of the answer."""
    sock = says(hello())(address)
    sock.recv(1)
    return sock


def engine_cases() -> Iterator[Case]:
    """Yield the failures that the TLS engine finds."""
    malformed = functools.partial(Case, errors.MalformedHandshake)
    yield malformed("a hello of nothing", says(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"))
    yield malformed("a broken hello", says(hello()[:60] + b"\xff" * (len(hello()) - 60)))
    yield malformed(
        "garbage after a hello",
        says(hello(TLS12) + b"\x16\x03\x03\x00\x05garbage" * 9),
        server_name="localhost",
    )

    protocol = functools.partial(Case, errors.NoSharedProtocol)
    for theirs, ours in (TLS12, TLS13), (TLS13, TLS12):
        yield protocol(
            f"{theirs.name} only",
            tries(client_context(theirs)),
            configure=only(ours),
            server_name="localhost",
        )
    if OPENSSL:
        yield protocol(
            "openssl s_client -tls1_1",
            openssl("-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-noservername"),
        )

    cipher = functools.partial(Case, errors.NoSharedCipher)
    yield cipher(
        "RSA ciphers only",
        tries(client_context(TLS12, ciphers="ECDHE-RSA-AES128-GCM-SHA256")),
        server_name="localhost",
    )
    if OPENSSL:
        for version in "-tls1_2", "-tls1_3":
            yield cipher(
                f"another group, {version}",
                openssl(version, "-groups", "X448", "-servername", "localhost"),
                configure=only_p256,
                server_name="localhost",
            )
            yield cipher(
                f"RSA signatures only, {version}",
                openssl(version, "-sigalgs", "RSA-PSS+SHA256", "-noservername"),
            )

    unknown = functools.partial(
        Case,
        errors.ClientCertificateError,
        configure=wants_client_certificate,
        server_name="localhost",
    )
    rejected = functools.partial(Case, errors.PeerRejected, server_name="localhost")
    for each in VERSIONS:
        yield unknown(f"none, {each.name}", tries(client_context(each)))
        yield unknown(
            f"a stranger's, {each.name}", tries(client_with_certificate_of_a_stranger(each))
        )
        yield Case(
            errors.UnrecognizedName,
            each.name,
            tries(client_context(each)),
            configure=knows_no_name,
            server_name="localhost",
        )
        yield rejected(f"our certificate, {each.name}", tries(client_context(each, verify=True)))
    if OPENSSL:
        yield rejected("openssl does not trust our certificate", openssl_client)


def cut_cases() -> Iterator[Case]:
    """Yield the failures after the handshake."""
    late = functools.partial(
        Case, errors.RequestTimeout, limits={"header_timeout": BRIEF, "body_timeout": BRIEF}
    )
    yield late("half a head", sends_at_once(HALF_HEAD))
    yield late("half a second head", sends_at_once(request() + HALF_HEAD))

    refused = functools.partial(Case, errors.RequestRefused)
    yield refused("no Host", sends(b"GET / HTTP/1.1\r\n\r\n"))
    yield refused("a head too long", sends(request()), limits={"max_header_bytes": 20})
    yield refused(
        "a chunk without size",
        sends(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
        handler=Reads,
    )

    crowded = functools.partial(Case, errors.RequestCrowdedOut, limits=ONE)
    yield crowded("half a head", crowds_out(begins_a_second(HALF_HEAD)))
    yield crowded("half a small body", crowds_out(begins_a_second(body(100, b"x" * 50))))

    yield Case(
        errors.ResponseBacklog,
        "leaves a response to a handler that cannot wait",
        sends(request("/large")),
        limits={"max_response_backlog": 100_000},
        servers=("TLSHTTPServer",),
    )
    yield Case(errors.ResponseAborted, "the file gets shorter", reads_to_end, handler=Shrinking)
    yield Case(
        errors.TunnelTimeout,
        "nothing moves",
        sends(request()),
        limits={"tunnel_timeout": BRIEF},
        handler=TakesOver,
    )
    yield Case(
        errors.ProtocolViolation,
        "a frame that is none",
        sends(WEBSOCKET + b"\x8f\x80\0\0\0\0"),
        handler=Quiet,
    )
    yield Case(
        errors.BodyTimeout,
        "half a small body",
        sends(body(100, b"x" * 50)),
        limits={"body_timeout": BRIEF},
    )
    for handler in Plain, Classic:
        name = handler.__name__
        yield Case(
            errors.BodyTimeout,
            f"half a large body, {name}",
            sends(body(100_000, b"x" * 100)),
            limits={"body_timeout": BRIEF},
            handler=handler,
        )
        yield Case(
            errors.WriteTimeout,
            f"does not read, {name}",
            sends(request("/large")),
            limits={"write_timeout": BRIEF},
            handler=handler,
        )
        for how, leave in ("FIN", peers.leave), ("RST", reset):
            gone = functools.partial(Case, errors.PeerDisconnected, handler=handler)
            yield gone(f"mid-body, {how}, {name}", sends_half_body(leave))
            yield gone(f"mid-response, {how}, {name}", aborts_response(leave))
            if handler is Plain:
                yield gone(f"half a head, {how}", sends_after_first(HALF_HEAD, leave))
                yield gone(f"half a small body, {how}", sends_after_first(body(100, b"x"), leave))


CASES = [*handshake_cases(), *cut_cases()]


def kinds(base: type[PeerError] = PeerError) -> Iterator[type[PeerError]]:
    """Yield the classes below that have none below themselves: those that are raised."""
    if not base.__subclasses__():
        yield base
    for derived in base.__subclasses__():
        yield from kinds(derived)


def test_every_kind_of_failure_is_provoked() -> None:
    """No class of peer errors is without a case here: one that is added needs a new case."""
    assert {case.kind for case in CASES} == set(kinds())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_failure_is_one_event_one_line_and_one_count(
    case: Case,
    serve: Serve,
    server_class: type[Recording],
    certificate: certs.Certificate,
    certificate_authority: trustme.CA,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Hook, log line and counter tell of the same failure once, and nothing prints a traceback."""
    if not any(base.__name__ in case.servers for base in server_class.__mro__[:3]):
        pytest.skip(f"only {case.servers[0]} does that")
    caplog.set_level(logging.INFO, logger="tlshttp")
    options = dict(case.options)
    if case.configure is not None:
        options["ssl_context"] = case.configure(certificate, certificate_authority)
    held = None
    try:
        with serve(case.handler, Limits(**case.limits), **options) as server:
            if case.speaks_first and hasattr(socket, "TCP_DEFER_ACCEPT"):
                server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
            held = case.provoke(server.server_address)
            assert wait_until(lambda: bool(server.events and counted(server)))
    finally:
        close(held)
    [(error, address)] = server.events
    assert (type(error), error.server_name) == (case.kind, case.server_name)
    assert counted(server) == {case.kind.reason: 1}
    [record] = caplog.records
    handshaken = issubclass(case.kind, errors.ConnectionCut)
    assert record.name == ("tlshttp.connection" if handshaken else "tlshttp.handshake")
    line = record.getMessage()
    assert line.startswith(f"{address[0]}:{address[1]}: ")
    assert str(error) in line
    assert line.endswith(f"[{case.kind.reason}]")
    assert ("(SNI localhost)" in line) == (case.server_name is not None and not handshaken)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("handler", [Plain, Classic])
def test_an_end_between_two_requests_is_no_failure(
    handler: Any, serve: Serve, any_client: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that leaves when it has its response, in whatever way, is not worth a line."""
    caplog.set_level(logging.INFO, logger="tlshttp")
    with serve(handler) as server:
        for leave in peers.leave, reset, lambda sock: sock.unwrap().close():
            sock = handshake(server.server_address, any_client)
            sock.sendall(request())
            peers.read_response(sock)
            leave(sock)
        assert wait_until(lambda: not any(server.stats().parked.values()))
    assert not server.events
    assert not counted(server)
    assert not caplog.records


def test_the_log_is_limited_and_says_what_was_left_out(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Of fifty failures at once twenty have a line, one line counts the rest, the hook gets all."""
    caplog.set_level(logging.INFO, logger="tlshttp")
    with serve(Plain) as server:
        for _ in range(50):
            close(says(b"\0")(server.server_address))
        assert wait_until(lambda: len(server.events) == 50)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 21
    assert all("not TLS" in line for line in lines[:20])
    assert lines[20].startswith("30 more such lines were left out")
    assert counted(server) == {errors.NotTLSError.reason: 50}


def test_a_hook_that_raises_costs_nobody_else(
    serve: Serve,
    any_client: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake in a user's hook is logged with its traceback, and the server serves on."""

    def broken(exc: Any, client_address: Any) -> None:
        raise LookupError("a mistake")

    with serve(Plain) as server:
        monkeypatch.setattr(server, "handle_handshake_error", broken)
        close(says(b"\0")(server.server_address))
        assert peers.get(server.server_address, any_client).endswith(b"\r\n\r\n/")
        assert wait_until(lambda: bool(caplog.records))
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


def counted(server: Recording) -> dict[str, int]:
    """Return what the server has counted of failures of either sort."""
    stats = server.stats()
    return {**stats.handshake_failures, **stats.cut}


def close(held: Any) -> None:
    """Close what a peer has kept open."""
    for sock in held if isinstance(held, list) else [held]:
        if sock is not None:
            sock.close()
