"""What OpenSSL calls back where its own functions are used: see `_direct` for the rules."""

from __future__ import annotations

import logging
from typing import Any

from OpenSSL import SSL

from tlshttp._engines.client_auth import ClientAuth
from tlshttp.pyopenssl import _library
from tlshttp.pyopenssl._direct import DirectConnection, DirectTLS, to_der
from tlshttp.pyopenssl._way import Answers, as_name, verify_mode

__all__ = ["DirectWay"]

_log = logging.getLogger("tlshttp.context")

_lib, _ffi = _library.lib, _library.ffi

_MOST_OFFERS = 64
"""How many different ALPN offers of clients are remembered; browsers make a handful."""

_ILLEGAL_PARAMETER, _INTERNAL_ERROR = 47, 80  # RFC 8446, section 6
_UNRECOGNIZED_NAME = 112  # RFC 6066, section 3

_OK, _FATAL, _NOACK = 0, 2, 3  # SSL_TLSEXT_ERR_..., include/openssl/tls1.h


class DirectWay:
    """Has contexts call back, and makes connections of them.

    Args:
        answers: What to call back.
    """

    def __init__(self, answers: Answers) -> None:
        self._choose = answers.choose
        self._staple = answers.staple
        self._log_key = answers.log_key
        self._alpn = {
            name: _ffi.new("unsigned char[]", name)
            for name in (one.encode("ascii") for one in answers.alpn_protocols)
        }
        self._agreed: dict[bytes, bytes | None] = {}
        """What was agreed on for an offer, as it is on the wire."""
        self.shaking_hands: dict[Any, DirectTLS] = {}
        """Connections that may be called back, by OpenSSL's pointer."""
        self.ciphers: dict[Any, tuple[str, str, int]] = {}
        """What ciphers are called, by OpenSSL's pointer."""
        self.memory = _lib.BIO_s_mem()
        self.buffers: list[Any] = []
        """Those that nobody uses now: as many as there have been calls at the same moment."""
        self._name_callback = _ffi.callback(
            "int(SSL *, int *, void *)", self._on_name, error=_FATAL
        )
        self._alpn_callback = _ffi.callback(
            "int(SSL *, const unsigned char **, unsigned char *, const unsigned char *,"
            " unsigned int, void *)",
            self._on_protocols,
            error=_FATAL,
        )
        self._status_callback = _ffi.callback("int(SSL *, void *)", self._on_status, error=_FATAL)
        self._key_callback = _ffi.callback("void(SSL *, const char *)", self._on_key)

    def prepare(self, context: SSL.Context, asks: ClientAuth) -> None:
        """Have a context call back.

        Args:
            context: One that has not served.
            asks: What it asks of everybody.
        """
        pointer = context._context  # noqa: SLF001  # see _library
        _lib.SSL_CTX_set_tlsext_servername_callback(pointer, self._name_callback)
        if self._alpn:
            _lib.SSL_CTX_set_alpn_select_cb(pointer, self._alpn_callback, _ffi.NULL)
        if self._staple is not None:
            _lib.SSL_CTX_set_tlsext_status_cb(pointer, self._status_callback)
        if self._log_key is not None:
            _lib.SSL_CTX_set_keylog_callback(pointer, self._key_callback)
        if asks is not ClientAuth.NONE:
            context.set_verify(verify_mode(asks))

    def connect(self, front: SSL.Context) -> DirectConnection:
        """Return a new connection."""
        return DirectConnection(self, front)

    def _on_name(self, pointer: Any, alert: Any, _argument: object) -> int:
        try:
            connection = self.shaking_hands[pointer]
            name = _lib.SSL_get_servername(pointer, _lib.TLSEXT_NAMETYPE_host_name)
            text = as_name(_ffi.string(name)) if name else None
            choice = self._choose(connection, text)
            if choice is None:
                alert[0] = _UNRECOGNIZED_NAME
                return _FATAL
            context, client_auth = choice
            if client_auth is not connection.asked:
                connection.ask(client_auth)
            connection.show(context)
        except UnicodeDecodeError:
            alert[0] = _ILLEGAL_PARAMETER
            return _FATAL
        except Exception:
            _log.exception("no certificate could be chosen")
            alert[0] = _INTERNAL_ERROR
            return _FATAL
        return _OK

    def _on_protocols(
        self, pointer: Any, out: Any, out_size: Any, offer: Any, size: int, _argument: object
    ) -> int:
        try:
            wire = _ffi.unpack(_ffi.cast("char *", offer), size)
            chosen = self._agreed[wire] if wire in self._agreed else self._agree(wire)
            if chosen is None:
                return _FATAL  # OpenSSL sends no_application_protocol
            self.shaking_hands[pointer].protocol_chosen = chosen
            out[0] = self._alpn[chosen]
            out_size[0] = len(chosen)
        except Exception:
            _log.exception("no application protocol could be chosen")
            return _FATAL
        return _OK

    def _agree(self, wire: bytes) -> bytes | None:
        offered = set()
        rest = wire
        while rest:
            size = rest[0]
            offered.add(rest[1 : size + 1])
            rest = rest[size + 1 :]
        chosen = next((name for name in self._alpn if name in offered), None)
        if len(self._agreed) < _MOST_OFFERS:
            self._agreed[wire] = chosen
        return chosen

    def _on_status(self, pointer: Any, _argument: object) -> int:
        try:
            shown = _lib.SSL_get_certificate(pointer)  # the one that is going to be sent
            if self._staple is None or not shown:
                return _NOACK
            response = self._staple(to_der(self.memory, shown))
            if not response:
                return _NOACK
            # OpenSSL frees it.
            copy = _lib.OPENSSL_malloc(len(response))
            _ffi.memmove(copy, response, len(response))
            _lib.SSL_set_tlsext_status_ocsp_resp(pointer, copy, len(response))
        except Exception:
            _log.exception("no OCSP response could be stapled")
            return _NOACK
        return _OK

    def _on_key(self, _pointer: object, line: Any) -> None:
        try:
            if self._log_key is not None:
                self._log_key(_ffi.string(line))
        except Exception as error:
            _log.error("no key could be logged: %s", error)  # for each connection
