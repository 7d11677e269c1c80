"""Letting in some clients by their certificates, and others not."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, TypeVar

from tlshttp._several import require_several
from tlshttp.errors import ConfigurationError
from tlshttp.handler._log_failures import bear_log_failure

if TYPE_CHECKING:
    from cryptography import x509

    from tlshttp._tls_info import TLSInfo

__all__ = ["authorize"]

_log = logging.getLogger("tlshttp.handler")

_SHA256 = re.compile(r"[0-9A-F]{64}")

_Class = TypeVar("_Class", bound=type[BaseHTTPRequestHandler])


def authorize(
    *,
    names: Iterable[str] | None = None,
    fingerprints: Iterable[str] | None = None,
    issuers: Iterable[x509.Certificate] | None = None,
) -> Callable[[_Class], _Class]:
    """Return a class decorator that lets only some clients have their requests handled.

    All others get 403, and one line in the log says who it was. It covers every method, those of
    base classes and of later subclasses, too. The client has to have shown a certificate that the
    context accepts (``client_auth``), and every condition given here has to hold for it; without
    any condition each such certificate will do.

    Args:
        names: Names of which the certificate has at least one: DNS names, e-mail addresses, URIs or
            IP addresses, compared letter by letter, DNS names without regard to case. `None`: any.
        fingerprints: SHA-256 fingerprints of certificates, in hexadecimal, with colons or without.
            `None`: any.
        issuers: Certificates of authorities, one of which has issued the certificate directly.
            `None`: any that the context trusts.

    Raises:
        ConfigurationError: A condition is empty, so that nobody would be let in, or a fingerprint
            is none.
        TypeError: One text is given where several are due.
    """
    rule = _Rule(names, fingerprints, issuers)

    def decorate(handler_class: _Class) -> _Class:
        def parse_request(self: Any) -> bool:
            """Parse the head of a request, and refuse it to clients that are not let in."""
            if not super(decorated, self).parse_request():
                return False
            reason = rule.refusal(self.request.tls)
            if reason is None:
                return True
            try:
                who = self.address_string()
                _log.warning("%s: %r is forbidden: %s", who, self.requestline, reason)
            except Exception:  # noqa: BLE001 (whatever it is)
                bear_log_failure(self)
            self.send_error(HTTPStatus.FORBIDDEN)
            return False

        names = {
            "parse_request": parse_request,
            "__module__": handler_class.__module__,
            "__qualname__": handler_class.__qualname__,
            "__doc__": handler_class.__doc__,
        }
        decorated: Any = type(handler_class.__name__, (handler_class,), names)
        made: _Class = decorated
        return made

    return decorate


class _Rule:
    """Conditions on a certificate."""

    def __init__(
        self,
        names: Iterable[str] | None,
        fingerprints: Iterable[str] | None,
        issuers: Iterable[x509.Certificate] | None,
    ) -> None:
        require_several("authorize(names=...)", names)
        require_several("authorize(fingerprints=...)", fingerprints)
        self._names = _frozen(names, _normal_name)
        self._fingerprints = _frozen(fingerprints, lambda text: text.replace(":", "").upper())
        self._issuers = None if issuers is None else tuple(issuers)
        ConfigurationError.raise_if(self._findings())

    def _findings(self) -> Iterable[str]:
        conditions = {
            "names": self._names,
            "fingerprints": self._fingerprints,
            "issuers": self._issuers,
        }
        for title, condition in conditions.items():
            if condition is not None and not condition:
                yield f"authorize({title}=...) is empty: nobody would be let in"
        for text in self._fingerprints or ():
            if not _SHA256.fullmatch(text):
                yield f"authorize: {text!r} is not a SHA-256 fingerprint in hexadecimal"

    def refusal(self, tls: TLSInfo) -> str | None:
        """Return why a client is not let in; `None` where it is."""
        certificate = tls.peer_certificate
        if certificate is None:
            return "no client certificate"
        who = f"client certificate of {', '.join(map(ascii, tls.peer_names)) or '(no names)'}"
        if self._names is not None and self._names.isdisjoint(map(_normal_name, tls.peer_names)):
            return f"{who} has none of the names"
        if self._fingerprints is not None and _fingerprint(certificate) not in self._fingerprints:
            return f"{who} has another fingerprint"
        if self._issuers is not None and not any(
            _was_issued_by(certificate, issuer) for issuer in self._issuers
        ):
            return f"{who} is of another issuer"
        return None


def _frozen(values: Iterable[str] | None, normalise: Callable[[str], str]) -> frozenset[str] | None:
    return None if values is None else frozenset(map(normalise, values))


def _normal_name(name: str) -> str:
    """Return a DNS name in lower case; the other kinds of names as they are."""
    return name if "@" in name or "://" in name else name.lower()


def _fingerprint(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex().upper()


def _was_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    from tlshttp._issued_by import is_below

    return is_below(certificate, issuer)
