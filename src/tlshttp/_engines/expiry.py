"""A running server says that its certificates end: before, when it happens, and after."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509

from tlshttp.certs import Certificate
from tlshttp.certs._chain import needed
from tlshttp.certs._expiry import describe_left, is_near_end
from tlshttp.certs._inspect import describe

__all__ = ["ExpiryWatch"]

_log = logging.getLogger("tlshttp.context")

_REPEAT_SECONDS = 24 * 60 * 60.0

_LOOK_SECONDS = 60.0
"""Between two looks, since the clock of the wall may jump; a look costs some microseconds."""


class ExpiryWatch:
    """Looks at the certificates that are shown, and at what clients need after each of them."""

    def __init__(self) -> None:
        self.due = 0.0
        """When to look next, in the seconds of `time.monotonic`."""
        self._told: dict[tuple[x509.Certificate, bool], float] = {}

    def look(
        self, certificates: Iterable[Certificate], now: float, at: datetime | None = None
    ) -> None:
        """Say what is about to end or has ended, each once a day.

        Args:
            certificates: Those in use.
            now: The time in seconds, from `time.monotonic`.
            at: The moment by the calendar, aware; `None` means to ask for it.
        """
        at = datetime.now(UTC) if at is None else at
        shown = dict.fromkeys(
            one for each in certificates for one in needed(each.leaf, each.chain, at)
        )
        near = [one for one in shown if is_near_end(one, at)]
        told = {}
        for certificate in near:
            key = certificate, at > certificate.not_valid_after_utc
            last = self._told.get(key)
            if last is None or now - last >= _REPEAT_SECONDS:
                _tell(certificate, at)
                last = now
            told[key] = last
        self._told = told
        ahead = ((one.not_valid_after_utc - at).total_seconds() for one in near)
        # One microsecond after the end, when it has run out.
        soon = [left + 1e-6 for left in ahead if 0 <= left < _LOOK_SECONDS]
        self.due = now + min(soon, default=_LOOK_SECONDS)


def _tell(certificate: x509.Certificate, at: datetime) -> None:
    name, end = describe(certificate), certificate.not_valid_after_utc
    if at > end:
        _log.error(
            "the certificate of %s ran out on %s UTC and clients refuse it: renew it now",
            name, f"{end:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    else:
        _log.warning(
            "the certificate of %s expires in %s, on %s UTC: renew it",
            name, describe_left(end - at), f"{end:%Y-%m-%d %H:%M}",
        )  # fmt: skip
