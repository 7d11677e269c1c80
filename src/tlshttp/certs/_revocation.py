"""Revocation: what an authority has taken back, as CRL (RFC 5280) and as OCSP (RFC 6960)."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from tlshttp._forked import begin_anew_in_children
from tlshttp.certs._crl_scope import find_in_list, is_taken_back
from tlshttp.certs._issue import Issuer
from tlshttp.certs._keys import signature_hash
from tlshttp.certs._validity import BACKDATING
from tlshttp.errors import CertificateError

_log = logging.getLogger("tlshttp.certs")


@dataclass(frozen=True)
class Revocation:
    """That one certificate is revoked."""

    date: datetime
    reason: x509.ReasonFlags


class Statement(NamedTuple):
    """What the next CRL says."""

    number: int
    since: datetime
    """When it begins."""
    revocations: dict[int, Revocation]


class Ledger:
    """The revocations of one authority, and what its last CRL was. Threads may share it."""

    def __init__(self, crl: x509.CertificateRevocationList | None = None) -> None:
        self._renew_lock()
        begin_anew_in_children(self, Ledger._renew_lock)
        self._revocations: dict[int, Revocation] = {}
        self._crl_number = 0
        self._crl_since: datetime | None = None
        if crl is not None:
            self._crl_since = crl.last_update_utc
            self._revocations = {
                entry.serial_number: _read_entry(entry) for entry in crl if not is_taken_back(entry)
            }
            number = find_in_list(crl, x509.CRLNumber)
            self._crl_number = 0 if number is None else number.crl_number

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def add(self, serial: int, reason: x509.ReasonFlags) -> None:
        """Note a revocation; the first one of a certificate stays."""
        now = datetime.now(UTC).replace(microsecond=0)
        with self._lock:
            self._revocations.setdefault(serial, Revocation(now, reason))

    def find(self, serial: int) -> Revocation | None:
        """Return the revocation of a certificate, or `None`."""
        with self._lock:
            return self._revocations.get(serial)

    def next_crl(self) -> Statement:
        """Return what the next CRL says.

        The number is the time of issue, so that numbers rise even where the last one was lost. The
        list begins earlier than that, but no earlier than the last one, or servers would take it
        for the older of the two, and go on with that.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        with self._lock:
            last, since = self._crl_since, now - BACKDATING
            if last is not None:
                since = max(since, min(last, now))
            self._crl_since = since
            self._crl_number = max(self._crl_number + 1, int(now.timestamp()))
            statement = Statement(self._crl_number, since, dict(self._revocations))
        if last is not None and last > now:
            _log.warning(
                "the last CRL of the authority begins at %s UTC, which is later than now: look at"
                " this machine's clock. Servers that have it take the new one for older",
                f"{last:%Y-%m-%d %H:%M:%S}",
            )  # fmt: skip
        return statement


def sign_crl(
    issuer: Issuer, statement: Statement, lifetime: timedelta
) -> x509.CertificateRevocationList:
    """Sign a list of everything that is revoked."""
    _, next_update = _updates(lifetime)
    entries = [_build_entry(*one) for one in sorted(statement.revocations.items())]
    builder = (
        # One by one they would take time with the square of their number.
        x509.CertificateRevocationListBuilder(revoked_certificates=entries)
        .issuer_name(issuer.name)
        .last_update(statement.since)
        .next_update(next_update)
        .add_extension(issuer.key_identifier, critical=False)
        .add_extension(x509.CRLNumber(statement.number), critical=False)
    )
    return builder.sign(issuer.private_key, signature_hash(issuer.private_key))


def sign_ocsp_response(
    issuer: Issuer,
    issuer_certificate: x509.Certificate,
    certificate: x509.Certificate,
    revocation: Revocation | None,
    lifetime: timedelta,
) -> ocsp.OCSPResponse:
    """Sign the status of one certificate, with the authority's own key."""
    this_update, next_update = _updates(lifetime)
    status = ocsp.OCSPCertStatus.GOOD if revocation is None else ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=certificate,
        issuer=issuer_certificate,
        # SHA-1 only identifies the issuer here and protects nothing; some clients know no other:
        # RFC 5019, 2.1.1.
        algorithm=hashes.SHA1(),  # noqa: S303
        cert_status=status,
        this_update=this_update,
        next_update=next_update,
        revocation_time=revocation.date if revocation else None,
        revocation_reason=_stated_reason(revocation) if revocation else None,
    )
    return builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer_certificate).sign(
        issuer.private_key, signature_hash(issuer.private_key)
    )


def _updates(lifetime: timedelta) -> tuple[datetime, datetime]:
    """Return when a statement begins, with back-dating, and when the next one is due."""
    now = datetime.now(UTC).replace(microsecond=0)
    if lifetime <= timedelta():
        raise CertificateError(f"a lifetime of {lifetime} is over before it begins")
    try:
        return now - BACKDATING, now + lifetime
    except OverflowError:
        raise CertificateError(f"a lifetime of {lifetime} ends after the year 9999") from None


def _build_entry(serial: int, revocation: Revocation) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revocation.date)
    )
    reason = _stated_reason(revocation)
    if reason is not None:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()


def _read_entry(entry: x509.RevokedCertificate) -> Revocation:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        reason = x509.ReasonFlags.unspecified
    return Revocation(entry.revocation_date_utc, reason)


def _stated_reason(revocation: Revocation) -> x509.ReasonFlags | None:
    """Return the reason to state; "unspecified" is said by silence (RFC 5280, 5.3.1)."""
    return None if revocation.reason is x509.ReasonFlags.unspecified else revocation.reason
