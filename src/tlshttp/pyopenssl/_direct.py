"""Connections by OpenSSL's own functions: fewer calls, and no objects of pyOpenSSL's between.

Theory of operation. A call of a function costs 0.17 us and gives up the interpreter's lock, so what
counts is how many there are. Therefore:

*   What is there once for a context is made once: the callbacks, the protocols for ALPN as C has
    them. What is there once for a connection is asked for once.
*   Bytes pass through buffers of 20 KiB that any connection takes for the length of one call. A
    buffer has a single user, since taking it off the list and putting it back are atomic.
*   OpenSSL passes callbacks its own pointer. While a connection shakes hands it stands in a
    dictionary by that pointer, and no longer.

Rules, since a mistake here is a crash and no exception:

1.  A buffer in memory belongs to its ``SSL``, which frees it, also when it gets another one.
    Whoever has the one holds the other.
2.  A callback belongs to its `DirectWay`, which connections hold as long as they may be called
    back.
3.  A callback never raises: where it would, the handshake fails.
4.  OpenSSL's queue of errors belongs to the thread, and others may leave something there. It is
    emptied when a call has failed, and only then asked why.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL

from tlshttp._engines.checked import Checked
from tlshttp._engines.client_auth import ClientAuth
from tlshttp.pyopenssl import _library
from tlshttp.pyopenssl._buffers import Incoming, Outgoing, new_buffer
from tlshttp.pyopenssl._facts import Facts
from tlshttp.pyopenssl._failures import (
    CLOSED,
    END_OF_FILE,
    WANT_READ,
    failure,
    verification_failure,
)
from tlshttp.pyopenssl._way import verify_mode

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp.pyopenssl._direct_way import DirectWay

__all__ = ["DirectConnection", "DirectTLS", "to_der"]

_lib, _ffi = _library.lib, _library.ffi

# What each request needs, without a look-up.
_read, _write, _unpack = _lib.SSL_read, _lib.SSL_write, _ffi.unpack

_RECORD = 16_384
"""Bytes that OpenSSL returns at once: a record of the largest size (RFC 8446, section 5.1)."""

_WANT_READ, _ZERO_RETURN = _lib.SSL_ERROR_WANT_READ, _lib.SSL_ERROR_ZERO_RETURN


class DirectTLS(Facts):
    """What `DirectConnection` is without a look at the client."""

    _accepted = False

    def __init__(self, way: DirectWay, front: SSL.Context) -> None:
        pointer = _lib.SSL_new(front._context)  # noqa: SLF001
        if not pointer:
            raise MemoryError("OpenSSL has no room for a connection")
        self._ssl = own = _ffi.gc(pointer, _lib.SSL_free)
        incoming, outgoing = _lib.BIO_new(way.memory), _lib.BIO_new(way.memory)
        if not incoming or not outgoing:
            raise MemoryError("OpenSSL has no room for a connection")
        _lib.SSL_set_bio(own, incoming, outgoing)
        _lib.SSL_set_accept_state(own)
        self._way = way
        self._buffers = way.buffers
        self._contexts = [front]
        self._finished = False
        self.incoming = Incoming(own, incoming)
        """What has come from the peer."""
        self.outgoing = Outgoing(own, outgoing, way.buffers)
        """What goes to the peer."""

    # During the handshake -----------------------------------------------------------------------

    def ask(self, client_auth: ClientAuth) -> None:
        """Ask the client for a certificate, or do not."""
        self.asked = client_auth
        _lib.SSL_set_verify(self._ssl, verify_mode(client_auth), _ffi.NULL)

    def show(self, context: SSL.Context) -> None:
        """Go on with the certificate of another context."""
        _lib.SSL_set_SSL_CTX(self._ssl, context._context)  # noqa: SLF001
        self._contexts.append(context)

    def do_handshake(self) -> None:
        """Take the handshake as far as the peer's bytes go."""
        own, shaking_hands = self._ssl, self._way.shaking_hands
        self.outgoing.is_stale = True
        shaking_hands[own] = self
        try:
            result = _lib.SSL_do_handshake(own)
        finally:
            shaking_hands.pop(own, None)
        if result != 1:
            raise self._failure(result)
        self._finished = True
        self.session_reused = bool(_lib.SSL_session_reused(own))
        self._let_go_of_flights()

    def _let_go_of_flights(self) -> None:
        """Take new buffers: one of OpenSSL's stays as large as it was once, here 1.8 KiB in all."""
        if self.incoming.pending:
            return
        memory = self._way.memory
        incoming, outgoing = _lib.BIO_new(memory), _lib.BIO_new(memory)
        if not incoming or not outgoing:
            raise MemoryError("OpenSSL has no room for a connection")
        self.outgoing.move_to(outgoing)
        self.incoming.move_to(incoming)
        _lib.SSL_set_bio(self._ssl, incoming, outgoing)  # frees the old ones

    def _failure(self, result: int) -> ssl.SSLError:
        """Return the exception for a call that has failed.

        OpenSSL asks its queue of errors first. So the queue is emptied, and what it says then is
        about this call, even if somebody else has left an error there.
        """
        last = 0
        while code := _lib.ERR_get_error():
            last = code
        kind = _lib.SSL_get_error(self._ssl, result)
        if kind == _WANT_READ:
            return ssl.SSLWantReadError(*WANT_READ)
        if kind == _ZERO_RETURN:
            return ssl.SSLZeroReturnError(*CLOSED)
        if not last:
            return ssl.SSLEOFError(*END_OF_FILE)
        reason = _text(_lib.ERR_reason_error_string(last))
        if "verify failed" in reason:
            verified = _lib.SSL_get_verify_result(self._ssl)
            if verified != _lib.X509_V_OK:
                message = _text(_lib.X509_verify_cert_error_string(verified))
                return verification_failure(verified, message)
        return failure(_text(_lib.ERR_lib_error_string(last)), reason)

    # As `ssl.SSLObject` has it ------------------------------------------------------------------

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, decrypted; empty at the peer's end."""
        if not self._accepted:
            self.do_handshake()
        buffers = self._buffers
        try:
            buffer = buffers.pop()
        except IndexError:
            buffer = new_buffer()
        self.outgoing.is_stale = True
        result: int = _read(self._ssl, buffer, min(_RECORD, size))
        if result > 0:
            data: bytes = _unpack(buffer, result)
            buffers.append(buffer)
            return data
        buffers.append(buffer)
        try:
            raise self._failure(result)  # in no variable, which would make a circle
        except ssl.SSLZeroReturnError:
            return b""

    def write(self, data: Buffer, /) -> int:
        """Encrypt a record's worth of `data`; return how many bytes of it."""
        if not self._accepted:
            self.do_handshake()
        self.outgoing.is_stale = True
        if type(data) is bytes:
            result: int = _write(self._ssl, data, len(data))
        else:
            view = _ffi.from_buffer(data)
            result = _write(self._ssl, view, len(view))
        if result > 0:
            return result
        raise self._failure(result)

    def unwrap(self) -> None:
        """Write ``close_notify``, unless that is done, and do not wait for the peer's.

        Raises:
            ssl.SSLWantReadError: The peer's is not there.
        """
        self.outgoing.is_stale = True
        result = _lib.SSL_shutdown(self._ssl)
        if result == 0:
            raise ssl.SSLWantReadError(*WANT_READ)
        if result < 0:
            raise self._failure(result)

    def pending(self) -> int:
        """Return how many bytes are decrypted and not read."""
        left: int = _lib.SSL_pending(self._ssl)
        return left

    def version(self) -> str | None:
        """Return the protocol version; `None` before the end of the handshake."""
        return _text(_lib.SSL_get_version(self._ssl)) if self._finished else None

    def cipher(self) -> tuple[str, str, int] | None:
        """Return the cipher's name, version and bits; `None` before there is one."""
        pointer = _lib.SSL_get_current_cipher(self._ssl)
        if not pointer:
            return None
        known = self._way.ciphers.get(pointer)
        if known is None:
            known = self._way.ciphers[pointer] = (
                _text(_lib.SSL_CIPHER_get_name(pointer)),
                _text(_lib.SSL_CIPHER_get_version(pointer)),
                int(_lib.SSL_CIPHER_get_bits(pointer, _ffi.NULL)),
            )
        return known

    def group_name(self) -> str | None:
        """Return the key-exchange group; `None` before it is agreed on, and without any."""
        return (_text(_lib.SSL_get0_group_name(self._ssl)) or None) if self._finished else None

    def peer_certificate(self) -> bytes | None:
        """Return the client's own certificate in DER; `None` where it showed none."""
        pointer = _lib.SSL_get_peer_certificate(self._ssl)
        if not pointer:
            return None
        try:
            return to_der(self._way.memory, pointer)
        finally:
            _lib.X509_free(pointer)

    def get_unverified_chain(self) -> list[bytes]:
        """Return what the client sent, in DER."""
        return self._chain(_lib.SSL_get_peer_cert_chain(self._ssl))

    def verified_chain(self) -> list[bytes]:
        """Return the client's chain as OpenSSL has verified it, in DER."""
        return self._chain(_lib.SSL_get0_verified_chain(self._ssl))

    def _chain(self, stack: Any) -> list[bytes]:
        size = _lib.sk_X509_num(stack) if stack else 0
        return [to_der(self._way.memory, _lib.sk_X509_value(stack, at)) for at in range(size)]


class DirectConnection(Checked, DirectTLS):
    """A server's end of a connection, by OpenSSL's own functions.

    Args:
        way: What it is made by.
        front: What it begins with.
    """

    def get_verified_chain(self) -> list[bytes]:
        """Return the client's chain as its authorities issued it, in DER."""
        return self._originals(self.verified_chain())


def _text(pointer: Any) -> str:
    """Return a string of C's; empty for none."""
    if not pointer:
        return ""
    text: bytes = _ffi.string(pointer)
    return text.decode()


def to_der(memory: Any, certificate: Any) -> bytes:
    """Return a certificate of OpenSSL's in DER."""
    bio = _ffi.gc(_lib.BIO_new(memory), _lib.BIO_free)
    if not _lib.i2d_X509_bio(bio, certificate):
        _lib.ERR_clear_error()
        raise ValueError("OpenSSL cannot write a certificate that it has read")
    size = _lib.BIO_get_mem_data(bio, _ffi.NULL)
    copy = _ffi.new("char[]", size)
    _lib.BIO_read(bio, copy, size)
    der: bytes = _ffi.unpack(copy, size)
    return der
