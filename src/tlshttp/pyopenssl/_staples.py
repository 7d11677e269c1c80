"""OCSP responses for the certificates that are shown, fetched again in time.

Who answers may be far away: so nothing of the server waits for it. When a response is due, a thread
asks; when it has the answer, it puts it where handshakes look, and ends. A response that has run
out is not stapled, whatever became of its successor.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp._own_files import OWN_FILES
from tlshttp.certs._inspect import describe
from tlshttp.pyopenssl._ocsp import Response, must_staple, parse_response

if TYPE_CHECKING:
    from tlshttp.certs import Certificate, CertificateAuthority

__all__ = ["OCSPSource", "Staples", "staple_findings"]

_log = logging.getLogger("tlshttp.context")

OCSPSource: TypeAlias = (
    "str | os.PathLike[str] | Callable[[Certificate], bytes | None] | CertificateAuthority"
)
"""Where responses come from."""

_RETRY_SECONDS = 60.0
"""Between two attempts to get a response, at least."""


class Staples:
    """The responses there are.

    Args:
        source: Who has them.
    """

    def __init__(self, source: OCSPSource) -> None:
        self._ask = _asker(source)
        self._responses: dict[bytes, Response] = {}
        self._next_look: dict[bytes, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def find(self, leaf: bytes) -> bytes | None:
        """Return the response for a certificate; `None` where there is none that counts now.

        Args:
            leaf: The certificate in DER.
        """
        response = self._responses.get(leaf)
        if response is None or datetime.now(UTC) >= response.next_update:
            return None
        return response.der

    def fetch(self, certificates: Iterable[Certificate]) -> list[str]:
        """Get responses, and wait for them; return why a certificate that must have one has none.

        Args:
            certificates: All that are shown.
        """
        found = []
        for certificate in certificates:
            reason = self._fetch_one(certificate, time.monotonic())
            if reason and must_staple(certificate.leaf):
                found.append(f"{_label(certificate)} must be stapled (RFC 7633), and {reason}")
        return found

    def refresh(self, certificates: Iterable[Certificate], now: float) -> None:
        """Have a thread get what is due, unless one is at it.

        Args:
            certificates: All that are shown.
            now: The time in seconds, from `time.monotonic`.
        """
        shown = tuple(certificates)
        due = [one for one in shown if now >= self._next_look.get(_key(one), 0.0)]
        if not due or not self._lock.acquire(blocking=False):
            return
        try:
            if self._thread is None or not self._thread.is_alive():
                self._forget(shown)
                self._thread = threading.Thread(
                    target=self._fetch_all, args=(due, now), name="tlshttp-ocsp", daemon=True
                )
                self._thread.start()
        finally:
            self._lock.release()

    def join(self, timeout: float) -> None:
        """Wait for the thread that asks, if there is one.

        Args:
            timeout: Seconds to wait at most.
        """
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _forget(self, shown: Iterable[Certificate]) -> None:
        """Forget what belongs to certificates that are not shown any more."""
        keys = {_key(one) for one in shown}
        for gone in set(self._next_look) - keys:
            self._next_look.pop(gone)
            self._responses.pop(gone, None)

    def _fetch_all(self, certificates: Iterable[Certificate], now: float) -> None:
        for certificate in certificates:
            self._fetch_one(certificate, now)

    def _fetch_one(self, certificate: Certificate, now: float) -> str | None:
        """Get a response; return why there is none. What there was stays as long as it counts."""
        key = _key(certificate)
        self._next_look[key] = now + _RETRY_SECONDS
        try:
            der = self._ask(certificate)
            if der is None:
                return "ocsp_staple has no response for it"
            response = parse_response(der, certificate)
        except Exception as error:  # noqa: BLE001  # the user's callable may raise anything
            self._complain(certificate, error)
            return f"there is no response for it: {error}"
        self._responses[key] = response
        wait = (response.refresh_at() - datetime.now(UTC)).total_seconds()
        self._next_look[key] = now + max(_RETRY_SECONDS, wait)
        return None

    def _complain(self, certificate: Certificate, error: Exception) -> None:
        response = self._responses.get(_key(certificate))
        if response is not None and datetime.now(UTC) < response.next_update:
            _log.warning(
                "no new OCSP response for %s, the last one counts until %s UTC: %s",
                _label(certificate), f"{response.next_update:%Y-%m-%d %H:%M}", error,
            )  # fmt: skip
        else:
            _log.error("nothing is stapled for %s: %s", _label(certificate), error)


def staple_findings(certificates: Iterable[Certificate], staples: Staples | None) -> list[str]:
    """Get the first responses; say which certificates must have one and have none.

    Args:
        certificates: All that are shown.
        staples: Where to put them; `None`: nothing is stapled.
    """
    if staples is not None:
        return staples.fetch(certificates)
    return [
        f"{_label(one)} must be stapled (RFC 7633): give ocsp_staple"
        for one in certificates
        if must_staple(one.leaf)
    ]


def _asker(source: OCSPSource) -> Callable[[Certificate], bytes | None]:
    """Return what gets a response for a certificate from a source."""
    from tlshttp.certs import CertificateAuthority

    if isinstance(source, CertificateAuthority):
        authority = source
        return lambda certificate: authority.ocsp_response(certificate).public_bytes(Encoding.DER)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        OWN_FILES.add(path)
        return lambda _certificate: path.read_bytes()
    if callable(source):
        return source
    raise TypeError(
        "ocsp_staple must be a path, a callable or a certs.CertificateAuthority, not"
        f" {type(source).__name__}"
    )


def _key(certificate: Certificate) -> bytes:
    return certificate.leaf.public_bytes(Encoding.DER)


def _label(certificate: Certificate) -> str:
    return f"the certificate of {describe(certificate.leaf)}"
