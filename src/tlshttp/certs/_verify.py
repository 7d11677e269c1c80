"""Verification as a client does it: chain, names, purpose, time."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509 import verification

from tlshttp._members import require_member
from tlshttp.certs._check import check_chain
from tlshttp.certs._findings import Purpose, Severity
from tlshttp.certs._inspect import describe, is_self_signed, names_of
from tlshttp.certs._names import parse_name
from tlshttp.certs._verifiers import refusal_of_openssl
from tlshttp.errors import CertificateError, ConfigurationError


def verify_chain(
    leaf: x509.Certificate,
    chain: Sequence[x509.Certificate],
    anchors: Iterable[x509.Certificate],
    name: str | None,
    purpose: Purpose,
    at: datetime,
) -> None:
    """Verify a certificate by two verifiers; both have to accept it.

    `cryptography`'s holds to RFC 5280 and webpki, and knows names and purpose. OpenSSL's, as strict
    as in Python since 3.13, is asked for the rest of what most clients would say.

    Raises:
        CertificateError: A client would refuse it; the findings say why, as far as is known.
        ConfigurationError: The verifier takes no such name.
    """
    require_member(Purpose, "purpose", purpose)
    trusted = list(anchors)
    if not trusted:
        raise CertificateError("there is no trust anchor to verify against")
    subject = None
    if purpose is Purpose.SERVER:
        if name is None:
            raise CertificateError("a server's certificate is verified for a name: give one")
        subject = _subject(name)
    builder = verification.PolicyBuilder().store(verification.Store(trusted)).time(at)
    verifier = builder.build_client_verifier() if subject is None else _verifier(builder, subject)
    try:
        verifier.verify(leaf, list(chain))
    except Exception as error:
        # Mostly a VerificationError; of extensions without meaning whatever `cryptography` raises.
        try:
            findings = [*_explain(leaf, chain, trusted, name), *_refusals(leaf, chain, purpose, at)]
            findings = findings or [f"{describe(leaf)}: {error}"]
        except Exception:  # noqa: BLE001 (for the same reason)
            findings = [f"a certificate of the chain cannot be read: {error}"]
        raise CertificateError(*findings) from error
    refusal = refusal_of_openssl(trusted, (leaf, *chain), at)
    if refusal is not None:
        raise CertificateError(
            f"{describe(leaf)}: OpenSSL's strict verifier, as in Python 3.13, refuses it: {refusal}"
        )


def _verifier(
    builder: verification.PolicyBuilder, subject: x509.DNSName | x509.IPAddress
) -> verification.ServerVerifier:
    try:
        return builder.build_server_verifier(subject)
    except ValueError:
        raise ConfigurationError(
            f"{subject.value!s} cannot be verified: cryptography's verifier takes only letters,"
            " digits and hyphens in a host name, as RFC 1123 has it"
        ) from None


def fits(leaf: x509.Certificate, name: str) -> bool:
    """Tell whether a name is one of a certificate's (RFC 9525, section 6.3).

    Args:
        leaf: The certificate.
        name: A host name or an IP address.

    Raises:
        CertificateError: It is neither.
    """
    try:
        wanted: str = str(ipaddress.ip_address(name))
    except ValueError:
        parsed = _subject(name)
        wanted = str(parsed.value)
    for own in names_of(leaf):
        if own.lower() == wanted:
            return True
        if own.startswith("*.") and "." in wanted and own[2:].lower() == wanted.partition(".")[2]:
            return True
    return False


def _subject(name: str) -> x509.DNSName | x509.IPAddress:
    parsed = parse_name(name)
    if not isinstance(parsed, x509.DNSName | x509.IPAddress):
        raise CertificateError(f"{name!r} is neither a host name nor an IP address")
    return parsed


def _explain(
    leaf: x509.Certificate,
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    name: str | None,
) -> Iterable[str]:
    """Say what the verifier's error does not: which name, whose signature."""
    if name is not None and not fits(leaf, name):
        names = ", ".join(names_of(leaf)) or "nobody"
        yield f"{describe(leaf)} is not for {name!r}, but for {names}"
    subjects = {anchor.subject for anchor in anchors}
    issuers = [certificate.issuer for certificate in (leaf, *chain)]
    if leaf not in anchors and not subjects.intersection(issuers):
        if is_self_signed(leaf):
            yield f"{describe(leaf)} is self-signed and not itself trusted"
        else:
            last = chain[-1] if chain else leaf
            issuer = last.issuer.rfc4514_string()
            yield f"{issuer!r}, which issued {describe(last)}, is not trusted"


def _refusals(
    leaf: x509.Certificate, chain: Sequence[x509.Certificate], purpose: Purpose, at: datetime
) -> Iterable[str]:
    return (
        finding.sentence
        for finding in check_chain(leaf, chain, purpose, at)
        if finding.severity is Severity.ERROR
    )
