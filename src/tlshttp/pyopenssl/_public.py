"""Connections by pyOpenSSL's public methods: slower, and whatever its version.

What these methods cannot do is done beside them:

*   A callback can choose a certificate, but no alert. So what is refused during the ClientHello is
    taken note of, and when the handshake comes back, before anything has been sent, OpenSSL's
    answer is thrown away and the alert written instead: one that is not encrypted yet.
*   An exception of a callback for ALPN may come out of another connection of the same context. So
    none is raised; what is not agreed on is refused in the same way.
*   They do not tell how much the engine has left to read. So there may be something as long as it
    has not asked for more.
"""

from __future__ import annotations

import logging
import ssl
import weakref
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from tlshttp._engines.checked import Checked
from tlshttp._engines.client_auth import ClientAuth
from tlshttp.pyopenssl import _library
from tlshttp.pyopenssl._facts import Facts
from tlshttp.pyopenssl._failures import (
    CLOSED,
    END_OF_FILE,
    WANT_READ,
    failure,
    verification_failure,
)
from tlshttp.pyopenssl._way import Answers, Choice, as_name, verify_mode

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["PublicConnection", "PublicWay"]

_log = logging.getLogger("tlshttp.context")

_MUCH = 65_536
"""Bytes to take from the engine at once."""

_ALERT = b"\x15\x03\x03\x00\x02\x02"  # a fatal one, without its number: RFC 8446, sections 5.1, 6
_NO_APPLICATION_PROTOCOL = 120  # RFC 7301, section 3.2
_ILLEGAL_PARAMETER, _INTERNAL_ERROR = 47, 80  # RFC 8446, section 6
_UNRECOGNIZED_NAME = 112  # RFC 6066, section 3


class PublicWay:
    """Has contexts call back by public methods, and makes connections of them.

    Args:
        answers: What to call back.
    """

    def __init__(self, answers: Answers) -> None:
        self._choose = answers.choose
        self._protocols = [name.encode("ascii") for name in answers.alpn_protocols]
        self._staple = answers.staple
        self._log_key = answers.log_key

    def prepare(self, context: SSL.Context, asks: ClientAuth) -> None:
        """Have a context call back.

        Args:
            context: One that has not served.
            asks: What it asks of everybody.
        """
        context.set_tlsext_servername_callback(self._on_name)
        if self._protocols:
            context.set_alpn_select_callback(self._on_protocols)
        if self._staple is not None:
            context.set_ocsp_server_callback(self._on_status)
        if self._log_key is not None:
            context.set_keylog_callback(self._on_key)
        if asks is not ClientAuth.NONE:
            context.set_verify(verify_mode(asks), _on_verified)

    def connect(self, front: SSL.Context) -> PublicConnection:
        """Return a new connection."""
        return PublicConnection(front)

    def _on_name(self, tls: SSL.Connection) -> None:
        connection = _owner(tls)
        try:
            name = tls.get_servername()
            connection.answer(self._choose(connection, None if name is None else as_name(name)))
        except UnicodeDecodeError:
            connection.refuse(_ILLEGAL_PARAMETER, "bad extension")
        except Exception:
            _log.exception("no certificate could be chosen")
            connection.refuse(_INTERNAL_ERROR, "callback failed")

    def _on_protocols(self, tls: SSL.Connection, offered: list[bytes]) -> Any:
        connection = _owner(tls)
        for protocol in self._protocols:
            if protocol in offered:
                connection.protocol_chosen = protocol
                return protocol
        connection.refuse(_NO_APPLICATION_PROTOCOL, "no application protocol")
        return SSL.NO_OVERLAPPING_PROTOCOLS

    def _on_status(self, tls: SSL.Connection, _data: object) -> bytes:
        shown = tls.get_certificate(as_cryptography=True)
        if shown is None or self._staple is None:
            return b""
        return self._staple(shown.public_bytes(Encoding.DER)) or b""

    def _on_key(self, _tls: SSL.Connection, line: bytes) -> None:
        try:
            if self._log_key is not None:
                self._log_key(line)
        except Exception as error:
            _log.error("no key could be logged: %s", error)  # for each connection


class _PublicTLS(Facts):
    """What `PublicConnection` is without a look at the client."""

    _accepted = False

    def __init__(self, front: SSL.Context) -> None:
        self._tls = SSL.Connection(front)
        self._tls.set_accept_state()
        self._tls.set_app_data(weakref.ref(self))  # the other way round would be a circle
        self._finished = False
        self._refused: tuple[int, str] | None = None
        self.verify_code = 0
        """What OpenSSL had against the client's certificate."""
        self.incoming = _Incoming(self._tls)
        """What has come from the peer."""
        self.outgoing = _Outgoing(self._tls)
        """What goes to the peer."""

    # During the handshake -----------------------------------------------------------------------

    def answer(self, choice: Choice | None) -> None:
        """Go on with what was chosen; `None`: refuse."""
        if choice is None:
            self.refuse(_UNRECOGNIZED_NAME, "callback failed")
            return
        context, self.asked = choice
        asks = self.asked is not ClientAuth.NONE
        self._tls.set_verify(verify_mode(self.asked), _on_verified if asks else None)
        self._tls.set_context(context)

    def refuse(self, alert: int, reason: str) -> None:
        """Have the handshake fail."""
        self._refused = self._refused or (alert, reason)

    def do_handshake(self) -> None:
        """Take the handshake as far as the peer's bytes go."""
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self.incoming.pending = 0
            self._raise_if_refused()
            raise ssl.SSLWantReadError(*WANT_READ) from None
        except SSL.Error as error:
            self._raise_if_refused()
            raise self._failure(error) from None
        self._raise_if_refused()
        self._finished = True
        self.session_reused = _was_resumed(self._tls)

    def _raise_if_refused(self) -> None:
        if self._refused is not None:
            alert, reason = self._refused
            self.outgoing.replace(_ALERT + bytes((alert,)))
            raise failure("SSL routines", reason) from None

    def _failure(self, error: SSL.Error) -> ssl.SSLError:
        if isinstance(error, SSL.ZeroReturnError):
            return ssl.SSLZeroReturnError(*CLOSED)
        errors = error.args[0] if error.args else ()
        if isinstance(error, SSL.SysCallError) or not errors:
            return ssl.SSLEOFError(*END_OF_FILE)
        library, _, reason = errors[-1]
        if self.verify_code and "verify failed" in reason:
            return verification_failure(self.verify_code, _message(self.verify_code))
        return failure(library, reason)

    # As `ssl.SSLObject` has it ------------------------------------------------------------------

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, decrypted; empty at the peer's end."""
        if not self._accepted:
            self.do_handshake()
        try:
            return self._tls.recv(size)
        except SSL.WantReadError:
            self.incoming.pending = 0
            raise ssl.SSLWantReadError(*WANT_READ) from None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise self._failure(error) from None

    def write(self, data: Buffer, /) -> int:
        """Encrypt a record's worth of `data`; return how many bytes of it."""
        if not self._accepted:
            self.do_handshake()
        try:
            return self._tls.send(memoryview(data))
        except SSL.WantReadError:
            raise ssl.SSLWantReadError(*WANT_READ) from None
        except SSL.Error as error:
            raise self._failure(error) from None

    def unwrap(self) -> None:
        """Write ``close_notify``, unless that is done, and do not wait for the peer's.

        Raises:
            ssl.SSLWantReadError: The peer's is not there.
        """
        try:
            done = self._tls.shutdown()
        except SSL.WantReadError:
            done = False
        except SSL.Error as error:
            raise self._failure(error) from None
        if not done:
            raise ssl.SSLWantReadError(*WANT_READ)

    def pending(self) -> int:
        """Return how many bytes are decrypted and not read."""
        return self._tls.pending()

    def version(self) -> str | None:
        """Return the protocol version; `None` before the end of the handshake."""
        return self._tls.get_protocol_version_name() if self._finished else None

    def cipher(self) -> tuple[str, str, int] | None:
        """Return the cipher's name, version and bits; `None` before there is one."""
        name = self._tls.get_cipher_name()
        if name is None:
            return None
        return name, self._tls.get_cipher_version() or "", self._tls.get_cipher_bits() or 0

    def group_name(self) -> str | None:
        """Return the key-exchange group; `None` where this pyOpenSSL does not tell."""
        tell = getattr(self._tls, "get_group_name", None)
        try:
            name: str | None = None if tell is None else tell()
        except NotImplementedError:
            return None  # a cryptography that has not the function
        return name

    def peer_certificate(self) -> bytes | None:
        """Return the client's own certificate in DER; `None` where it showed none."""
        certificate = self._tls.get_peer_certificate()
        return None if certificate is None else _in_der(certificate)

    def get_unverified_chain(self) -> list[bytes]:
        """Return what the client sent, in DER."""
        return [_in_der(one) for one in self._tls.get_peer_cert_chain() or ()]

    def verified_chain(self) -> list[bytes]:
        """Return the client's chain as OpenSSL has verified it, in DER."""
        return [_in_der(one) for one in self._tls.get_verified_chain() or ()]


class PublicConnection(Checked, _PublicTLS):
    """A server's end of a connection, by public methods.

    Args:
        front: What it begins with.
    """

    def get_verified_chain(self) -> list[bytes]:
        """Return the client's chain as its authorities issued it, in DER."""
        return self._originals(self.verified_chain())


class _Incoming:
    """What has come from the peer."""

    def __init__(self, tls: SSL.Connection) -> None:
        self._tls = tls
        self.pending = 0
        """More than zero where the engine may have something left to read."""

    def write(self, data: Buffer, /) -> int:
        if not memoryview(data).nbytes:
            return 0
        written = self._tls.bio_write(memoryview(data))
        self.pending += written
        return written

    def write_eof(self) -> None:
        self._tls.bio_shutdown()


class _Outgoing:
    """What goes to the peer."""

    def __init__(self, tls: SSL.Connection) -> None:
        self._tls = tls
        self._taken = b""

    @property
    def pending(self) -> int:
        self._taken += self._take()
        return len(self._taken)

    def read(self) -> bytes:
        data, self._taken = self._taken + self._take(), b""
        return data

    def replace(self, data: bytes) -> None:
        """Throw away what the engine has written, and have something else go instead."""
        self._take()
        self._taken = data

    def _take(self) -> bytes:
        pieces = []
        try:
            while True:
                pieces.append(self._tls.bio_read(_MUCH))
        except SSL.WantReadError:
            return b"".join(pieces)


def _owner(tls: SSL.Connection) -> _PublicTLS:
    """Return the connection that has a pyOpenSSL one: it is there, since that one calls back."""
    found: _PublicTLS = tls.get_app_data()()
    return found


def _on_verified(tls: SSL.Connection, _shown: object, code: int, _depth: int, good: int) -> bool:
    """Take note of what OpenSSL says of a certificate, and leave it at that."""
    if not good:
        _owner(tls).verify_code = code
    return bool(good)


def _was_resumed(tls: SSL.Connection) -> bool | None:
    if not _library.has("SSL_session_reused"):
        return None
    return bool(_library.lib.SSL_session_reused(tls._ssl))  # noqa: SLF001  # there is no other way


def _message(code: int) -> str:
    """Return OpenSSL's words for a result of verification, or its number."""
    if not _library.has("X509_verify_cert_error_string"):
        return f"error {code} of OpenSSL's verification"
    text: bytes = _library.ffi.string(_library.lib.X509_verify_cert_error_string(code))
    return text.decode()


def _in_der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
