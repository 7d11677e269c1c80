"""The certificates that a server presents, whatever they are worth."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

from cryptography import x509

from tlshttp.certs._certificate import CertificateChain
from tlshttp.certs._names import parse_name
from tlshttp.certs._parse import open_source, parse_certificates
from tlshttp.errors import CertificateError

_GOODBYE_SECONDS = 0.5


def fetch(
    host: str, port: int = 443, *, server_name: str | None = None, timeout: float = 10.0
) -> CertificateChain:
    """Connect to a server and return the certificates that it presents.

    .. warning::
        Nothing is verified, since bad certificates are what one wants to look at: whoever is on the
        way to the server can present others.

    Args:
        host: Where to connect to, a name or an IP address.
        port: The port to connect to.
        server_name: The name to ask for; `None` means ``host``.
        timeout: Seconds that connecting, and then the handshake, may take.

    Raises:
        CertificateError: The server presented no certificate that could be read.
        OSError: It cannot be reached, or does not speak TLS (`ssl.SSLError`).
    """
    ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ssl_context.check_hostname = False
    ssl_context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=timeout) as connection,
        ssl_context.wrap_socket(
            connection, server_hostname=_ascii_name(server_name or host.partition("%")[0])
        ) as tls_connection,
    ):
        ders = _presented(tls_connection)
        # We tell the server that we leave. Whether it answers does not matter any more.
        tls_connection.settimeout(min(timeout, _GOODBYE_SECONDS))
        with contextlib.suppress(OSError):
            tls_connection.unwrap()
    leaf, *chain = [certificate for der in ders for certificate in _parse(der, host, port)]
    return CertificateChain(leaf, tuple(chain))


def _ascii_name(name: str) -> str:
    """Encode an internationalised name as in certificates; leave anything odd to the server."""
    try:
        parsed = parse_name(name)
    except CertificateError:
        return name
    return parsed.value if isinstance(parsed, x509.DNSName) else name


def _presented(tls_connection: ssl.SSLSocket) -> list[bytes]:
    """Return the chain as the server sent it, in DER."""
    if hasattr(tls_connection, "get_unverified_chain"):
        chain: list[bytes] = tls_connection.get_unverified_chain()
        return chain
    # Before Python 3.13 the same method is there, on an attribute without documentation.
    inner: Any = getattr(tls_connection, "_sslobj", None)
    if hasattr(inner, "get_unverified_chain"):
        pems = [certificate.public_bytes() for certificate in inner.get_unverified_chain()]
        return [ssl.PEM_cert_to_DER_cert(pem) for pem in pems]
    leaf = tls_connection.getpeercert(binary_form=True)
    if leaf is None:
        raise CertificateError("the server presents no certificate")
    return [leaf]


def _parse(der: bytes, host: str, port: int) -> list[x509.Certificate]:
    try:
        return parse_certificates(open_source(der))
    except CertificateError as error:
        raise CertificateError(f"{host}:{port} presents a damaged certificate: {error}") from None
