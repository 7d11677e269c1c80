"""OpenSSL's errors as the exceptions of `ssl`, which is what the connection machinery knows."""

from __future__ import annotations

import re
import ssl
from typing import TypeVar

__all__ = ["CLOSED", "END_OF_FILE", "WANT_READ", "failure", "verification_failure"]

WANT_READ = (ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")
"""The arguments of an `ssl.SSLWantReadError`."""

END_OF_FILE = (ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
"""The arguments of an `ssl.SSLEOFError`."""

CLOSED = (ssl.SSL_ERROR_ZERO_RETURN, "TLS/SSL connection has been closed (EOF)")
"""The arguments of an `ssl.SSLZeroReturnError`."""

_UNEXPECTED_EOF = "UNEXPECTED_EOF_WHILE_READING"

_NO_WORD = re.compile(r"[^A-Z0-9]+")

_E = TypeVar("_E", bound=ssl.SSLError)


def failure(library: str, reason: str) -> ssl.SSLError:
    """Return the exception for an error of OpenSSL's.

    Args:
        library: The part of OpenSSL in its words, such as ``"SSL routines"``.
        reason: What happened in its words, such as ``"no shared cipher"``; of several errors the
            last.
    """
    name = _name(reason)
    if name == _UNEXPECTED_EOF:
        return ssl.SSLEOFError(*END_OF_FILE)
    return _tell(ssl.SSLError, library, name, reason)


def verification_failure(code: int, message: str) -> ssl.SSLCertVerificationError:
    """Return the exception for a client certificate that is not acceptable.

    Args:
        code: OpenSSL's ``X509_V_ERR_...``.
        message: The same in its words.
    """
    text = f"certificate verify failed: {message}"
    error = _tell(ssl.SSLCertVerificationError, "SSL", "CERTIFICATE_VERIFY_FAILED", text)
    error.verify_code, error.verify_message = code, message
    return error


def _tell(kind: type[_E], library: str, name: str, text: str) -> _E:
    short = library.partition(" ")[0].upper() or "SSL"
    error = kind(ssl.SSL_ERROR_SSL, f"[{short}: {name}] {text}")
    error.library, error.reason = short, name
    return error


def _name(reason: str) -> str:
    """Return the name that `ssl` has for a reason: the same words as OpenSSL's text for nearly all.

    The texts of the oldest alerts begin with "ssl/tls" from OpenSSL 3.2 on, with "tls" in 4.0, and
    the names as ever.
    """
    name = _NO_WORD.sub("_", reason.upper())
    start, alert, rest = name.partition("TLS_ALERT_")
    return f"SSLV3_ALERT_{rest}" if alert and start in ("", "SSL_") else name
