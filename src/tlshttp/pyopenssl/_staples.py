"""OCSP responses for the certificates that are shown, fetched again in time.

Who answers may be far away: so nothing of the server waits for it. When a response is due, a thread
asks; when it has the answer, it puts it where handshakes look, and ends. A response that has run
out is not stapled, whatever became of its successor.
"""

from __future__ import annotations

import functools
import logging
import os
import reprlib
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp._forked import begin_anew_in_children
from tlshttp._own_files import OWN_FILES
from tlshttp._paths import require_path
from tlshttp.certs._inspect import describe, must_staple
from tlshttp.pyopenssl._ocsp import Response, parse_response

if TYPE_CHECKING:
    from tlshttp.certs import Certificate, CertificateAuthority

__all__ = ["OCSPSource", "Staples", "staple_findings"]

_log = logging.getLogger("tlshttp.context")

_Answer: TypeAlias = bytes | bytearray | memoryview | None

OCSPSource: TypeAlias = (
    "str | os.PathLike[Any] | Callable[[Certificate], _Answer] | CertificateAuthority"
)
"""Where responses come from."""

_RETRY_SECONDS = 60.0
"""Between two attempts to get a response, at least."""

_NONE = "ocsp_staple has no response for it"

_PATIENCE_SECONDS = 0.05
"""How long a look at a new certificate waits for its response; later looks find what came later."""


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
        self._errands: dict[bytes, _Errand] = {}
        """For certificates that are not shown yet."""
        self._errand_seconds = _RETRY_SECONDS if callable(source) else 0.0
        begin_anew_in_children(self, Staples._begin_anew)

    def _begin_anew(self) -> None:
        """Ask again, in a forked child, for what a thread of its parent's was asking for."""
        self._lock = threading.Lock()
        self._errands = {}
        for key in set(self._next_look) - set(self._responses):
            del self._next_look[key]

    def find(self, leaf: bytes) -> bytes | None:
        """Return the response for a certificate; `None` where there is none that counts now.

        Args:
            leaf: The certificate in DER.
        """
        response = self._responses.get(leaf)
        if response is None or datetime.now(UTC) >= response.next_update:
            return None
        return response.der

    def fetch(self, certificates: Iterable[Certificate]) -> None:
        """Get responses, and wait for them; the log says for what there is none.

        Args:
            certificates: All that are shown.
        """
        for certificate in certificates:
            if self.find(_key(certificate)) is None:  # else it has been required
                self._fetch_one(certificate, time.monotonic())

    def require(self, certificate: Certificate) -> str | None:
        """Get the response for a certificate that is not shown yet; return why there is none.

        It is waited for, but not long where connections are served meanwhile: then whoever wants to
        show the certificate comes again.
        """
        from tlshttp.certs._reloading import IN_A_LOOK

        key = _key(certificate)
        if self.find(key) is not None:
            return None
        if not IN_A_LOOK.get():
            return self._get(certificate, time.monotonic())
        last = self._errands.get(key)
        errand = last
        if errand is None or errand.is_over(self._errand_seconds):
            errand = self._errands[key] = _Errand(functools.partial(self._get, certificate))
        errand.wait(_PATIENCE_SECONDS)
        if errand.reason and (last is None or last.reason != errand.reason):
            _log.error(
                "%s must be stapled (RFC 7633), and the one before it is shown: %s",
                _label(certificate), errand.reason,
            )  # fmt: skip
        return errand.reason

    def refresh(self, certificates: Iterable[Certificate], now: float) -> None:
        """Have a thread get what is due, unless one is at it.

        Args:
            certificates: All that are shown.
            now: The time in seconds, from `time.monotonic`.
        """
        shown = tuple(certificates)
        due = [one for one in shown if now >= self._next_look.get(_key(one), 0.0)]
        lock = self._lock  # another one if a signal's handler forks meanwhile, in the child
        if not due or not lock.acquire(blocking=False):
            return
        try:
            if self._thread is None or not self._thread.is_alive():
                self._forget(shown)
                self._thread = threading.Thread(
                    target=self._fetch_all, args=(due, now), name="tlshttp-ocsp", daemon=True
                )
                self._thread.start()
        finally:
            lock.release()

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
        shown_keys = {_key(one) for one in shown}
        for key in shown_keys & set(self._errands):
            self._errands.pop(key)
        keys = shown_keys | set(self._errands)
        for gone in set(self._next_look) - keys:
            self._next_look.pop(gone)
            self._responses.pop(gone, None)

    def _fetch_all(self, certificates: Iterable[Certificate], now: float) -> None:
        for certificate in certificates:
            self._fetch_one(certificate, now)

    def _fetch_one(self, certificate: Certificate, now: float) -> None:
        """Get a response. What there was stays as long as it counts."""
        reason = self._get(certificate, now)
        if reason not in (None, _NONE):
            self._complain(certificate, reason)

    def _get(self, certificate: Certificate, now: float) -> str | None:
        """Get a response; return why there is none."""
        key = _key(certificate)
        self._next_look[key] = now + _RETRY_SECONDS
        try:
            der = self._ask(certificate)
            if der is None:
                return _NONE
            response = parse_response(der, certificate)
        except (OSError, ValueError) as error:
            return f"there is no response for it: {error}"
        except Exception as error:  # noqa: BLE001  # an authority's key may be in a device
            return f"there is no response for it: {type(error).__name__}"
        self._responses[key] = response
        wait = (response.refresh_at() - datetime.now(UTC)).total_seconds()
        self._next_look[key] = now + max(_RETRY_SECONDS, wait)
        return None

    def _complain(self, certificate: Certificate, reason: str) -> None:
        response = self._responses.get(_key(certificate))
        if response is not None and datetime.now(UTC) < response.next_update:
            _log.warning(
                "no new OCSP response for %s, the last one counts until %s UTC: %s",
                _label(certificate), f"{response.next_update:%Y-%m-%d %H:%M}", reason,
            )  # fmt: skip
        else:
            _log.error("nothing is stapled for %s: %s", _label(certificate), reason)


class _Errand:
    """A thread that gets a response, and what comes of it.

    Args:
        get: Gets it, at a time in seconds from `time.monotonic`; returns why there is none.
    """

    def __init__(self, get: Callable[[float], str | None]) -> None:
        self.reason: str | None = "there is no response for it yet"
        """Why there is none; `None` where there is."""
        self._get = get
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="tlshttp-ocsp", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for it."""
        self._thread.join(seconds)

    def is_over(self, seconds: float) -> bool:
        """Tell whether the thread has ended, having begun some seconds ago."""
        return not self._thread.is_alive() and time.monotonic() - self._began >= seconds

    def _run(self) -> None:
        self.reason = self._get(self._began)


def staple_findings(certificate: Certificate, staples: Staples | None) -> list[str]:
    """Say why a certificate that must be stapled cannot be shown.

    Args:
        certificate: It need not be one.
        staples: Where its response is, or can be got; `None`: nothing is stapled.
    """
    if not must_staple(certificate.leaf):
        return []
    words = f"{_label(certificate)} must be stapled (RFC 7633)"
    if staples is None:
        return [f"{words}: give ocsp_staple to tlshttp.pyopenssl.create_server_context()"]
    reason = staples.require(certificate)
    return [] if reason is None else [f"{words}, and {reason}"]


def _asker(source: OCSPSource) -> Callable[[Certificate], bytes | None]:
    """Return what gets a response for a certificate from a source."""
    from tlshttp.certs import CertificateAuthority

    if isinstance(source, CertificateAuthority):
        authority = source
        return lambda certificate: authority.ocsp_response(certificate).public_bytes(Encoding.DER)
    if isinstance(source, (str, os.PathLike)):
        path = Path(require_path("ocsp_staple", source))
        OWN_FILES.add(path)
        return lambda _certificate: path.read_bytes()
    if not isinstance(source, type) and callable(source):
        return functools.partial(_ask_function, source)
    raise TypeError(
        "ocsp_staple must be a path, a callable or a certs.CertificateAuthority, not"
        f" {reprlib.repr(source)}"
    )


def _ask_function(
    source: Callable[[Certificate], bytes | bytearray | memoryview | None],
    certificate: Certificate,
) -> bytes | None:
    """Ask the user's function; of what it raises tell only the type, since the text may quote all.

    Raises:
        ValueError: It raises, or returns something else.
    """
    try:
        der = source(certificate)
    except Exception as error:  # noqa: BLE001
        raise ValueError(f"the function failed ({type(error).__name__})") from None
    if der is None:
        return None
    if not isinstance(der, (bytes, bytearray, memoryview)):
        raise ValueError(f"the function returned no bytes, but {type(der).__name__}")
    return bytes(der)


def _key(certificate: Certificate) -> bytes:
    return certificate.leaf.public_bytes(Encoding.DER)


def _label(certificate: Certificate) -> str:
    return f"the certificate of {describe(certificate.leaf)}"
