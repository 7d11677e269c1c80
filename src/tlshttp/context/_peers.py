"""Where an audit's questions go: to a context in memory, or to a server on the network."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Protocol

from tlshttp._tls import ManagedContext, TLSContext
from tlshttp.context._probe import TLS13, Offer, Reply, is_complete, parse_reply

__all__ = ["MemoryPeer", "NetworkPeer", "Peer"]

_LARGEST_ANSWER = 1 << 18
_FLIGHTS = 8  # more than any handshake has
_RECORD_TYPES = range(20, 25)  # of TLS: RFC 8446, section B.1; RFC 6520, section 6


class Peer(Protocol):
    """Something that answers as a TLS server does."""

    server_name: str | None
    """The host name to ask for; `None`: none."""

    def ask(self, offer: Offer) -> Reply:
        """Send a ClientHello and return what is answered."""

    def shake_hands(self, alpn_protocols: Sequence[str] = ()) -> tuple[bytes | None, str | None]:
        """Make a handshake; return the certificate and the application protocol.

        Raises:
            OSError: It fails.
        """


class MemoryPeer:
    """A server's context, asked without any network.

    Args:
        ssl_context: It counts as having served afterwards.
        server_name: The host name to ask for; `None`: none.
    """

    def __init__(self, ssl_context: TLSContext, server_name: str | None) -> None:
        self.server_name = server_name
        self._context = ssl_context
        self._managed = ssl_context if isinstance(ssl_context, ManagedContext) else None

    def ask(self, offer: Offer) -> Reply:
        """Send a ClientHello and return what is answered."""
        groups = offer.groups or None
        refused = self._refusal(offer.server_name, offer.alpn_protocols, groups)
        if refused is not None:
            return Reply(alert=refused)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        shares = () if offer.version == TLS13 else None
        made = self._managed.context_for(groups, shares) if self._managed else self._context
        server = made.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(offer.to_bytes())
        with contextlib.suppress(OSError):
            server.do_handshake()
        return parse_reply(outgoing.read())

    def shake_hands(self, alpn_protocols: Sequence[str] = ()) -> tuple[bytes | None, str | None]:
        """Make a handshake; return the certificate and the application protocol."""
        name = None if self.server_name is None else self.server_name.encode()
        if self._refusal(name, [one.encode() for one in alpn_protocols]) is not None:
            raise ssl.SSLError("refused by the first bytes")
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = self._context.wrap_bio(to_server, to_client, server_side=True)
        client = _client(alpn_protocols).wrap_bio(
            to_client, to_server, server_hostname=self.server_name
        )
        for _ in range(_FLIGHTS):
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                return client.getpeercert(True), client.selected_alpn_protocol()
            with contextlib.suppress(OSError):  # the client is told what fails
                server.do_handshake()
        raise ssl.SSLError("the handshake does not come to an end")

    def _refusal(
        self,
        name: bytes | None,
        alpn_protocols: Sequence[bytes],
        groups: Sequence[int] | None = None,
    ) -> int | None:
        """Return the alert with which this package's servers refuse such a hello."""
        refusal = self._managed and self._managed.refusal(name, alpn_protocols, groups)
        return refusal[1] if refusal else None


class NetworkPeer:
    """A server on the network; each question is a connection.

    Args:
        host: Where to connect to, a name or an IP address.
        port: The port to connect to.
        server_name: The host name to ask for; `None`: none.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, host: str, port: int, server_name: str | None, timeout: float) -> None:
        self.server_name = server_name
        self.speaks_tls = False
        """Whether it has said hello to any of ours; what is no TLS at all is an error at once."""
        self.answers = False
        """Whether it has answered anything yet."""
        self._address = host, port
        self._timeout = timeout

    def ask(self, offer: Offer) -> Reply:
        """Send a ClientHello and return what is answered.

        Raises:
            OSError: The server cannot be reached, answers too late, or something else than TLS.
        """
        data = self._answer(offer)
        if data and data[0] not in _RECORD_TYPES:
            raise OSError("it does not speak TLS on this port")
        reply = parse_reply(data)
        self.answers = self.answers or bool(data)
        self.speaks_tls = self.speaks_tls or reply.alert is None
        return reply

    def _answer(self, offer: Offer) -> bytes:
        data = b""
        end = time.monotonic() + self._timeout
        with socket.create_connection(self._address, timeout=self._timeout) as connection:
            connection.sendall(offer.to_bytes())
            with contextlib.suppress(ConnectionError):
                while not is_complete(data) and len(data) < _LARGEST_ANSWER:
                    left = end - time.monotonic()
                    if left <= 0:  # it drips
                        raise TimeoutError("timed out")
                    connection.settimeout(left)
                    piece = connection.recv(65_536)
                    if not piece:
                        break
                    data += piece
                    if data[0] not in _RECORD_TYPES:
                        break
        return data

    def shake_hands(self, alpn_protocols: Sequence[str] = ()) -> tuple[bytes | None, str | None]:
        """Make a handshake; return the certificate and the application protocol."""
        with (
            socket.create_connection(self._address, timeout=self._timeout) as connection,
            _client(alpn_protocols).wrap_socket(
                connection, server_hostname=self.server_name
            ) as tls,
        ):
            return tls.getpeercert(True), tls.selected_alpn_protocol()


def _client(alpn_protocols: Sequence[str]) -> ssl.SSLContext:
    """Return a client that accepts whatever it is shown, since that is what is looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn_protocols:
        context.set_alpn_protocols(list(alpn_protocols))
    return context
