"""The beginning of a connection: its first bytes, and the handshake."""

from __future__ import annotations

import ssl
import time

from tlshttp._front.channel import Channel
from tlshttp._front.connection import GO_ON, GONE
from tlshttp._front.ending import EndingConnection
from tlshttp._front.eviction import group_of
from tlshttp._front.greeting import Unwelcome, refuse_finite_field
from tlshttp._front.handshake import handshake_error
from tlshttp._front.hello import ClientHello
from tlshttp._front.hello import alert as alert_record
from tlshttp._front.poller import READ, WRITE
from tlshttp._front.records import FirstBytes
from tlshttp._front.registry import Phase
from tlshttp._front.stream import Stream
from tlshttp.errors import ClientCertificateError, HandshakeDisconnected

__all__ = ["BeginningConnection", "shorter"]


class BeginningConnection(EndingConnection):
    """How a connection begins."""

    __slots__ = ()

    def _look(self) -> int:
        """Look at the first bytes without taking them."""
        if self.awaits_proxy:
            return self._hear_proxy()
        try:
            kind = self._greeting.look()
        except BlockingIOError:
            return READ
        except Unwelcome as end:
            if self._is_health_check(end):
                self._close()
                return GONE
            return self._fail(end.error, last_words=end.last_words)
        if kind is FirstBytes.PARTIAL_HELLO:
            return READ
        if kind is FirstBytes.TEXT:
            self._front.registry.move(self, Phase.PLAIN, self.deadline)
            return GO_ON
        return self._judge(self._greeting.hello)

    def _hear_proxy(self) -> int:
        """Learn whose the connection is; the server is asked then whether it wants it."""
        try:
            self.proxy = proxy = self._greeting.hear_proxy(self.address)
        except BlockingIOError:
            return READ
        except Unwelcome as end:
            return self._fail(end.error)
        self.awaits_proxy = False
        if proxy.source is not None:
            self.address = proxy.source
            self.group = group_of(proxy.source)
        front = self._front
        if front.door.is_wanted(self._socket, self.address):
            return GO_ON
        self.closed()
        front.hooks.shutdown_request(self._socket)
        front.answers.add()
        return GONE

    def _is_health_check(self, end: Unwelcome) -> bool:
        """Tell whether a proxy has only looked whether we are there, which is no event."""
        looked = self.proxy is not None and self.proxy.local
        return looked and isinstance(end.error, HandshakeDisconnected)

    def _local_address(self) -> str | None:
        """Return the address that the client has connected to, if it is known."""
        if self.proxy is None or self.proxy.source is None:
            return self._greeting.local_address()
        host = self.proxy.destination[0]
        return None if host == "unix:" else str(host)

    def _judge(self, seen: ClientHello) -> int:
        """Go on to the handshake, unless the context refuses what the peer asks for."""
        self.server_name = seen.server_name
        managed = self._front.managed
        if managed is None:
            refusal = refuse_finite_field(seen)
        else:
            refusal = managed.refusal(seen.raw_server_name, seen.alpn_protocols, seen.groups)
        if refusal:
            error, alert = refusal
            error.server_name = self.server_name
            return self._fail(error, last_words=alert_record(alert))
        self._front.registry.move(self, Phase.HANDSHAKE, self.deadline)
        return GO_ON

    def _hear_plain_request(self) -> int:
        """Read a request that came without TLS, and answer it."""
        front = self._front
        try:
            self._greeting.hear(front.url(), redirect=front.redirect_plain_http)
        except BlockingIOError:
            return READ
        except Unwelcome as end:
            return self._fail(end.error, last_words=end.last_words)

    def _shake_hands(self) -> int:
        """Take the handshake as far as the peer's bytes go."""
        try:
            if self.stream is None:
                self.stream = self._begin_tls()
            self._front.before_handshake()
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
        counters = self._front.counters
        counters.handshake(bool(tls.session_reused))
        counters.handshake_latency.add(time.monotonic() - self.since)
        limits, first = self._front.limits, self._front.first_timeout
        self._enter(Phase.REQUEST, shorter(limits.header_timeout, first))
        return GO_ON  # with TLS 1.3 the first request has mostly come, too

    def _begin_tls(self) -> Stream:
        front, greeting = self._front, self._greeting
        seen = greeting.hello
        greeting.end()
        ssl_context, managed = front.ssl_context, front.managed
        if managed is not None:
            address = None
            if managed.tells_addresses_apart and not seen.has_name:
                address = self._local_address()
            ssl_context = managed.context_for(seen.groups, seen.key_shares, address)
        channel = Channel(ssl_context, self._socket, greeting.take_data())
        stream = Stream(channel, front.limits, self, self.server_name, front.budget)
        stream.exchange = front.create_exchange(stream)
        stream.goodbye_with_response = front.goodbye_with_response
        return stream


def shorter(one: float | None, other: float | None) -> float | None:
    """Return the shorter of two limits, of which `None` is none."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
