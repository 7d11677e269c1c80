"""What the tests of contexts share: a server that keeps record, and clients that tell all."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support import UNIT, wait_until
from tlshttp import ThreadingTLSHTTPServer, certs
from tlshttp.certs._memory import pem_path
from tlshttp.errors import HandshakeError
from tlshttp.profiles import MODERN, TLSProfile

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
TIMEOUT = 30 * UNIT

HANDSHAKE_RECORD = 0x16


def known_groups(profile: TLSProfile = MODERN, engine: str = "ssl") -> tuple[str, ...]:
    """Return the groups of a profile that OpenSSL knows: the hybrid one came with 3.5."""
    new = engine != "ssl" or ssl.OPENSSL_VERSION_INFO >= (3, 5)
    return tuple(group for group in profile.groups if new or "MLKEM" not in group)


class Handler(BaseHTTPRequestHandler):
    """Answers with the names of the client's certificate."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Take note of the request, and answer."""
        tls = self.tls  # type: ignore[attr-defined]
        self.server.served.append(self.path)  # type: ignore[attr-defined]
        body = ",".join(tls.peer_names).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


class RecordingServer(ThreadingTLSHTTPServer):
    """Notes down which handshakes failed and which requests were served."""

    def __init__(
        self, ssl_context: Any, handler: Any = Handler, listen: str = "127.0.0.1", **options: Any
    ) -> None:
        self.failures: list[HandshakeError] = []
        self.served: list[str] = []
        super().__init__((listen, 0), handler, ssl_context=ssl_context, **options)

    def handle_handshake_error(self, exc: HandshakeError, client_address: Any) -> None:
        """Take note of it."""
        self.failures.append(exc)

    def failure(self) -> HandshakeError:
        """Wait for a handshake to fail, and return why the first one did."""
        assert wait_until(lambda: bool(self.failures))
        return self.failures[0]


@contextmanager
def running(server: RecordingServer, poll_interval: float = 0.02) -> Iterator[RecordingServer]:
    """Run a server in a thread."""
    thread = threading.Thread(target=server.serve_forever, args=(poll_interval,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(TIMEOUT)
        server.server_close()


@contextmanager
def refusing_port() -> Iterator[int]:
    """Yield a port of the loopback address at which nobody listens as long as the block lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@dataclass(frozen=True)
class Visit:
    """What a client saw."""

    body: bytes
    shown: x509.Certificate
    resumed: bool
    session: ssl.SSLSession
    status: int = 200


def client_context(
    trusted: certs.CertificateAuthority | certs.Certificate,
    own: certs.Certificate | None = None,
    version: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """Return the context of a client that trusts an authority, with a certificate of its own."""
    anchor = trusted if isinstance(trusted, certs.Certificate) else trusted.certificate
    made = ssl.create_default_context(cadata=anchor.leaf.public_bytes(Encoding.DER))
    if version is not None:
        made.minimum_version = made.maximum_version = version
    if own is not None:
        with pem_path(own.key_to_pem() + own.to_pem()) as path:
            made.load_cert_chain(path)
    return made


def visit(
    server: RecordingServer,
    client: ssl.SSLContext,
    name: str | None,
    *,
    host: str | None = None,
    path: str = "/",
    session: ssl.SSLSession | None = None,
) -> Visit:
    """Make one request, as a client that asks for `name` in its hello.

    Raises:
        OSError: The server refused the client, during the handshake or after it.
    """
    address = server.server_address
    with (
        socket.create_connection(address, timeout=TIMEOUT) as raw,
        client.wrap_socket(raw, server_hostname=name, session=session) as tls,
    ):
        lines = f"GET {path} HTTP/1.1", f"Host: {host or name or 'none'}", "Connection: close"
        tls.sendall("\r\n".join((*lines, "", "")).encode())
        answer = b"".join(iter(lambda: tls.recv(65_536), b""))
        if not answer:
            raise ConnectionResetError("closed without an answer")
        der = tls.getpeercert(True)
        assert der is not None
        assert tls.session is not None
        return Visit(
            answer.partition(b"\r\n\r\n")[2],
            x509.load_der_x509_certificate(der),
            bool(tls.session_reused),
            tls.session,
            int(answer.split()[1]),
        )


@dataclass
class Pair:
    """A client and a server that talk in memory."""

    client: ssl.SSLObject
    server: ssl.SSLObject

    def drain(self) -> None:
        """Have the client read what has come after the handshake: session tickets."""
        try:
            self.client.read(1)
        except ssl.SSLWantReadError:
            return


def shake_hands(
    server_context: ssl.SSLContext,
    client: ssl.SSLContext,
    name: str | None = "localhost",
    session: ssl.SSLSession | None = None,
) -> Pair:
    """Make a handshake in memory.

    Raises:
        ssl.SSLError: One of them refuses.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    peer = client.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    open_ends = [peer, server]
    for _ in range(10):
        for end in list(open_ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            open_ends.remove(end)
        if not open_ends:
            pair = Pair(peer, server)
            pair.drain()
            return pair
    raise TimeoutError("the handshake does not come to an end")
