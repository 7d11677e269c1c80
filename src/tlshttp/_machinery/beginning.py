"""The beginning of a connection: its first bytes, and the handshake."""

from __future__ import annotations

import ssl
import time

from tlshttp._machinery.client_hello import ClientHello
from tlshttp._machinery.client_hello import alert as alert_record
from tlshttp._machinery.connection import GO_ON, GONE
from tlshttp._machinery.ending import EndingConnection
from tlshttp._machinery.eviction import group_of
from tlshttp._machinery.first_bytes import Unwelcome, refuse_finite_field
from tlshttp._machinery.handshake import handshake_error
from tlshttp._machinery.poller import READ, WRITE
from tlshttp._machinery.records import PARTIAL_HELLO, TEXT
from tlshttp._machinery.registry import Phase
from tlshttp._machinery.stream import Stream
from tlshttp._machinery.tls_channel import TLSChannel
from tlshttp.errors import ClientCertificateError, HandshakeDisconnected

__all__ = ["BeginningConnection", "shorter"]

_HANDSHAKE, _REQUEST = Phase.HANDSHAKE, Phase.REQUEST


class BeginningConnection(EndingConnection):
    """How a connection begins."""

    __slots__ = ()

    def _look(self) -> int:
        """Look at the first bytes without taking them."""
        if self.awaits_proxy:
            return self._hear_proxy()
        try:
            kind = self._first_bytes.look()
        except BlockingIOError:
            return READ
        except Unwelcome as end:
            if self._is_health_check(end):
                self._close()
                return GONE
            return self._fail(end.error, last_words=end.last_words)
        if kind is PARTIAL_HELLO:
            return READ
        if kind is TEXT:
            self._loop.registry.move(self, Phase.PLAIN, self.deadline)
            return GO_ON
        return self._judge(self._first_bytes.hello)

    def _hear_proxy(self) -> int:
        """Learn whose the connection is; the server is asked then whether it wants it."""
        try:
            self.proxy = proxy = self._first_bytes.hear_proxy(self.address)
        except BlockingIOError:
            return READ
        except Unwelcome as end:
            return self._fail(end.error)
        self.awaits_proxy = False
        if proxy.source is not None:
            self.address = proxy.source
            self.group = group_of(proxy.source)
        loop = self._loop
        if loop.listener.is_wanted(self._socket, self.address):
            return GO_ON
        self.closed()
        loop.hooks.shutdown_request(self._socket)
        loop.answers.add()
        return GONE

    def _is_health_check(self, end: Unwelcome) -> bool:
        """Tell whether a proxy has only looked whether we are there, which is no event."""
        looked = self.proxy is not None and self.proxy.local
        return looked and isinstance(end.error, HandshakeDisconnected)

    def _local_address(self) -> str | None:
        """Return the address that the client has connected to, if it is known."""
        if self.proxy is None or self.proxy.source is None:
            return self._first_bytes.local_address()
        host = self.proxy.destination[0]
        return None if host == "unix:" else str(host)

    def _judge(self, seen: ClientHello) -> int:
        """Go on to the handshake, unless the context refuses what the peer asks for."""
        self.server_name = seen.server_name
        managed = self._loop.managed
        if managed is None:
            refusal = refuse_finite_field(seen)
        else:
            refusal = managed.refusal(seen.raw_server_name, seen.alpn_protocols, seen.groups)
        if refusal:
            error, alert = refusal
            error.server_name = self.server_name
            return self._fail(error, last_words=alert_record(alert))
        self._loop.registry.move(self, _HANDSHAKE, self.deadline)
        return GO_ON

    def _hear_plain_request(self) -> int:
        """Read a request that came without TLS, and answer it."""
        loop = self._loop
        try:
            self._first_bytes.hear(loop.url(), redirect=loop.redirect_plain_http)
        except BlockingIOError:
            return READ
        except Unwelcome as end:
            return self._fail(end.error, last_words=end.last_words)

    def _shake_hands(self) -> int:
        """Take the handshake as far as the peer's bytes go."""
        try:
            if self.stream is None:
                self.stream = self._begin_tls()
            if self._loop.before_handshake is not None:
                self._loop.before_handshake()
            tls = self.stream.do_handshake()
        except ssl.SSLWantReadError:
            return READ
        except ssl.SSLWantWriteError:
            return WRITE
        except OSError as error:
            return self._fail(handshake_error(error, self.server_name))
        may_serve = getattr(tls, "may_serve", None)
        if self.server_name and may_serve is not None and not may_serve(self.server_name):
            # OpenSSL lets TLS 1.2 resume a session for another name than the one now asked for, and
            # tells of the session's.
            message = "the client showed no certificate for the name that it asks for"
            return self._fail(ClientCertificateError(message, server_name=self.server_name))
        counters = self._loop.counters
        counters.handshake(bool(tls.session_reused))
        counters.handshake_latency.add(time.monotonic() - self.since)
        limits, first = self._loop.limits, self._loop.first_timeout
        self._enter(_REQUEST, shorter(limits.header_timeout, first))
        return GO_ON  # with TLS 1.3 the first request has mostly come, too

    def _begin_tls(self) -> Stream:
        loop, first_bytes = self._loop, self._first_bytes
        seen = first_bytes.hello
        first_bytes.end()
        ssl_context, managed = loop.ssl_context, loop.managed
        if managed is not None:
            address = None
            if managed.tells_addresses_apart and not seen.has_name:
                address = self._local_address()
            ssl_context = managed.context_for(seen.groups, seen.key_shares, address)
        channel = TLSChannel(ssl_context, self._socket, first_bytes.take_data())
        stream = Stream(channel, loop.limits, self, self.server_name, loop.budget)
        stream.exchange = loop.create_exchange(stream)
        stream.goodbye_with_response = loop.goodbye_with_response
        return stream


def shorter(one: float | None, other: float | None) -> float | None:
    """Return the shorter of two limits, of which `None` is none."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
