"""A handshake in memory, with all that a server's connection does."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL

from tlshttp._engines.anchors import NOBODY
from tlshttp._engines.client_auth import ClientAuth, Doorkeeper
from tlshttp._engines.pins import Pins
from tlshttp.certs import self_signed
from tlshttp.pyopenssl._way import Answers

if TYPE_CHECKING:
    from tlshttp.pyopenssl._way import Choice, MakesWays

__all__ = ["try_out"]

_NAME, _PROTOCOL = "trial.test", "http/1.1"
_REQUEST, _RESPONSE = b"request", b"response" * 4096  # of more than one record
_FLIGHTS = 8  # more than any handshake has


def try_out(make_way: MakesWays) -> None:
    """Have a way of having connections shake hands, read, write and end.

    Raises:
        Exception: It does not do what it should.
    """
    inner, front = (SSL.Context(SSL.TLS_SERVER_METHOD) for _ in range(2))
    self_signed(_NAME).configure(inner)
    doorkeeper = Doorkeeper(ClientAuth.NONE, {}, NOBODY, Pins())

    def choose(connection: Any, name: str | None) -> Choice | None:
        if name != _NAME:
            return None
        connection.admit(doorkeeper, name, None)
        return inner, ClientAuth.NONE

    way = make_way(Answers(choose=choose, alpn_protocols=(_PROTOCOL,)))
    for context in (inner, front):
        way.prepare(context, ClientAuth.NONE)
    server, client = way.connect(front), _client()
    _shake_hands(server, client)
    _require("version", server.version(), client.get_protocol_version_name())
    _require("cipher", (server.cipher() or ("",))[0], client.get_cipher_name())
    _require("protocol", server.selected_alpn_protocol(), _PROTOCOL)
    client.send(_REQUEST)
    server.incoming.write(client.bio_read(1 << 16))
    _require("request", server.read(1 << 16), _REQUEST)
    rest = memoryview(_RESPONSE)
    while rest:
        rest = rest[server.write(rest) :]
    client.bio_write(server.outgoing.read())
    received = b""
    while len(received) < len(_RESPONSE):
        received += client.recv(1 << 16)
    _require("response", received, _RESPONSE)
    client.shutdown()
    server.incoming.write(client.bio_read(1 << 16))
    _require("end", server.read(1), b"")


def _client() -> SSL.Connection:
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    client.set_tlsext_host_name(_NAME.encode())
    client.set_alpn_protos([_PROTOCOL.encode()])
    client.set_connect_state()
    return client


def _shake_hands(server: Any, client: SSL.Connection) -> None:
    for _ in range(_FLIGHTS):
        done = 0
        for end in (client, server):
            try:
                end.do_handshake()
                done += 1
            except (SSL.WantReadError, OSError):
                pass
            if end is client:
                with contextlib.suppress(SSL.WantReadError):
                    server.incoming.write(client.bio_read(1 << 16))
            elif written := server.outgoing.read():
                client.bio_write(written)
        if done == 2:
            return
    raise TimeoutError("the handshake does not come to an end")


def _require(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise ValueError(f"the {what} is another one")
