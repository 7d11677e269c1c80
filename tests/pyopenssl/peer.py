"""A client of pyOpenSSL's, which can do what those of `ssl` cannot."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from typing import Any

from OpenSSL import SSL
from OpenSSL._util import lib

from tlshttp import certs, pyopenssl

VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}


@dataclass
class Ends:
    """A client and a server that have talked in memory."""

    client: SSL.Connection
    server: Any
    staple: bytes | None
    """The OCSP response that the client got; `None` where it asked for none."""


def client_of(
    authority: certs.CertificateAuthority,
    *,
    version: str | None = None,
    groups: str | None = None,
    signatures: str | None = None,
) -> SSL.Context:
    """Return the context of a client that trusts an authority."""
    made = SSL.Context(SSL.TLS_CLIENT_METHOD)
    authority.configure_trust(made)
    made.set_verify(SSL.VERIFY_PEER)
    made.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    if version is not None:
        made.set_min_proto_version(VERSIONS[version])
        made.set_max_proto_version(VERSIONS[version])
    if groups is not None:
        assert lib.SSL_CTX_set1_curves_list(made._context, groups.encode())
    if signatures is not None:
        assert lib.SSL_CTX_set1_sigalgs_list(made._context, signatures.encode())
    return made


def shake_hands(
    server_context: pyopenssl.ServerContext,
    client_context: SSL.Context,
    name: str = "localhost",
    *,
    asks_for_staple: bool = False,
    session: SSL.Session | None = None,
) -> Ends:
    """Make a handshake in memory.

    Raises:
        ssl.SSLError: The server refuses.
        SSL.Error: The client does.
    """
    staples: list[bytes] = []
    if asks_for_staple:

        def take(_tls: SSL.Connection, got: bytes, _data: object) -> bool:
            staples.append(got)
            return True

        client_context.set_ocsp_client_callback(take)
    client = SSL.Connection(client_context)
    client.set_tlsext_host_name(name.encode())
    client.set_connect_state()
    if asks_for_staple:
        client.request_ocsp()
    if session is not None:
        client.set_session(session)
    incoming, outgoing, server = server_context.begin()
    waiting: set[Any] = {client, server}
    for _ in range(10):
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
            waiting.discard(client)
        with contextlib.suppress(SSL.WantReadError):
            incoming.write(client.bio_read(1 << 16))
        if server in waiting:
            with contextlib.suppress(ssl.SSLWantReadError):
                server.do_handshake()
                waiting.discard(server)
        if written := outgoing.read():
            client.bio_write(written)
        if not waiting:
            with contextlib.suppress(SSL.WantReadError):
                client.recv(1)  # session tickets
            return Ends(client, server, staples[0] if staples else None)
    raise TimeoutError("the handshake does not come to an end")
