from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certs import judges
from tests.context.support import refusing_port
from tlshttp import certs
from tlshttp.certs import _fetch
from tlshttp.errors import CertificateError


@contextlib.contextmanager
def one_connection(ssl_context: ssl.SSLContext | None) -> Iterator[int]:
    """Serve one connection on a port of this machine; without a context, close it at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(30)
                if ssl_context is not None:
                    with ssl_context.wrap_socket(connection, server_side=True) as tls_connection:
                        tls_connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def test_chain_as_the_server_presents_it() -> None:
    """Leaf and intermediates come as presented, though nothing about them is trusted."""
    root = certs.CertificateAuthority.generate("Nobody trusts this")
    shown = root.issue_authority("Below").issue_server("other.test")
    with one_connection(judges.server_context(shown)) as port:
        fetched = certs.fetch("127.0.0.1", port)
    assert (fetched.leaf, fetched.chain) == (shown.leaf, shown.chain)
    assert not isinstance(fetched, certs.Certificate)


@pytest.mark.parametrize(
    ("asked", "seen"), [("Bücher.example", "xn--bcher-kva.example"), ("a_b.test", "a_b.test")]
)
def test_server_is_asked_for_the_name(asked: str, seen: str) -> None:
    """The server sees the name that was asked for, in its ASCII form."""
    ssl_context = judges.server_context(certs.self_signed("localhost"))
    names: list[str | None] = []
    ssl_context.sni_callback = lambda connection, name, context: names.append(name)
    with one_connection(ssl_context) as port:
        certs.fetch("127.0.0.1", port, server_name=asked)
    assert names == [seen]


def test_chain_before_python_3_13() -> None:
    """Where the chain is on a hidden attribute, or not to be had at all, one gets what there is."""
    der = certs.self_signed("localhost").leaf.public_bytes(Encoding.DER)

    class Hidden:
        def get_unverified_chain(self) -> list[Shown]:
            return [Shown(), Shown()]

    class Shown:
        def public_bytes(self) -> str:
            return ssl.DER_cert_to_PEM_cert(der)

    class Connection:
        def __init__(self, inner: object, leaf: bytes | None) -> None:
            self._sslobj, self._leaf = inner, leaf

        def getpeercert(self, binary_form: bool) -> bytes | None:
            return self._leaf

    presented: Any = _fetch._presented
    assert presented(Connection(Hidden(), None)) == [der, der]
    assert presented(Connection(None, der)) == [der]
    with pytest.raises(CertificateError, match="presents no certificate"):
        presented(Connection(None, None))


def test_no_tls_and_no_server() -> None:
    """A server that closes, and a port without one, are errors of the connection."""
    with one_connection(None) as port, pytest.raises(OSError):  # noqa: PT011
        certs.fetch("127.0.0.1", port)
    with refusing_port() as port, pytest.raises(ConnectionRefusedError):
        certs.fetch("127.0.0.1", port)


def test_silent_server_costs_the_timeout_only() -> None:
    """A server that accepts and says nothing is given up after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimeoutError):
        certs.fetch("127.0.0.1", listener.getsockname()[1], timeout=0.05)


def test_damaged_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that cannot be read is a CertificateError that names the server."""
    monkeypatch.setattr("tlshttp.certs._fetch._presented", lambda connection: [b"0nonsense"])
    ssl_context = judges.server_context(certs.self_signed("localhost"))
    with (
        one_connection(ssl_context) as port,
        pytest.raises(CertificateError, match=r"127\.0\.0\.1:\d+ presents a damaged"),
    ):
        certs.fetch("127.0.0.1", port)


def test_server_that_does_not_let_go() -> None:
    """A server that answers no goodbye costs half a second, not the timeout."""
    ssl_context = judges.server_context(certs.self_signed("localhost"))
    fetched = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            tls_connection = ssl_context.wrap_bio(
                incoming := ssl.MemoryBIO(), outgoing := ssl.MemoryBIO(), server_side=True
            )
            while True:
                try:
                    tls_connection.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65_536))
            connection.sendall(outgoing.read())
            fetched.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        begin = time.monotonic()
        certs.fetch("127.0.0.1", listener.getsockname()[1], timeout=25)
        spent = time.monotonic() - begin
        fetched.set()
        thread.join()
    assert spent < 15
