"""The rows of the catalogue about certificates."""

from __future__ import annotations

from tlshttp.testing._bad.fault import Fault, FaultKind
from tlshttp.testing._bad.vocabulary import Show, Terms, Trait

__all__ = ["CERTIFICATE_FAULTS"]


def _fault(name: str, does: str, report: str, *more: Trait, host: str | None = None) -> Fault:
    return Fault(name, FaultKind.CERTIFICATE, does, report, (Show(name), *more), host)


CERTIFICATE_FAULTS = (
    _fault("expired", "shows a certificate that ended yesterday", "certificate has expired"),
    _fault(
        "not-yet-valid",
        "shows a certificate that begins tomorrow",
        "certificate is not yet valid",
    ),
    _fault(
        "expired-while-connected",
        "shows a certificate that ends three seconds after the first connection",
        "success at first and on the kept connection, then: certificate has expired",
    ),
    _fault(
        "expired-intermediate",
        "shows a good certificate below an intermediate that ended yesterday",
        "certificate has expired",
    ),
    _fault("wrong-host", "shows the certificate of wrong.example", "hostname mismatch"),
    _fault(
        "common-name-only",
        "has its name in the subject only, not in the subject alternative name",
        "hostname mismatch (RFC 9525, section 2)",
    ),
    _fault(
        "no-names", "shows a certificate without any name", "an empty subject, or hostname mismatch"
    ),
    _fault(
        "malformed-names",
        "shows an address of five bytes, and DNS names with a space and an empty label",
        "hostname mismatch",
    ),
    _fault(
        "nul-in-name",
        "shows a certificate for localhost, a NUL and .example",
        "hostname mismatch",
    ),
    _fault(
        "address-as-name",
        "is reached by 127.0.0.1, which its certificate has as a DNS name",
        "IP address mismatch",
        host="127.0.0.1",
    ),
    _fault("bare-wildcard", "shows a certificate for *", "hostname mismatch"),
    _fault("self-signed", "shows a certificate signed by its own key", "self-signed certificate"),
    _fault(
        "untrusted-root",
        "shows a certificate, and the root above it, that nobody trusts",
        "self-signed certificate in the chain",
    ),
    _fault(
        "incomplete-chain",
        "does not show the intermediate",
        "unable to get local issuer certificate",
    ),
    _fault(
        "reversed-chain",
        "shows its two intermediates in the wrong order",
        "nothing, most of them: clients put chains in order (RFC 8446, section 4.4.2)",
    ),
    _fault(
        "wrong-signature",
        "shows a certificate that another key than its issuer's has signed",
        "certificate signature failure",
    ),
    _fault(
        "revoked",
        "shows a certificate that is revoked, by CRL and by OCSP",
        "certificate revoked, where the client asks",
    ),
    _fault(
        "revoked-stapled",
        "shows a certificate and staples the OCSP response that it is revoked",
        "certificate revoked, where the client asks",
        Terms(staple=True),
    ),
    _fault(
        "name-constraint-violated",
        "shows a certificate for localhost below an authority for internal.example",
        "permitted subtree violation",
    ),
    _fault(
        "path-length-violated",
        "shows two intermediates where the upper one allows none below it",
        "path length constraint exceeded",
    ),
    _fault(
        "issuer-not-an-authority",
        "shows a certificate that another server has issued",
        "invalid CA certificate",
    ),
    _fault(
        "client-usage-only",
        "shows a certificate that is for clients only",
        "unsuitable certificate purpose",
    ),
    _fault(
        "no-signature-usage",
        "shows a certificate whose key must not sign handshakes",
        "unsuitable certificate purpose, or a bad key usage",
    ),
    _fault(
        "no-key-identifier",
        "shows a certificate without an authority key identifier",
        "missing authority key identifier, where the client is strict, as Python 3.13 is",
    ),
    _fault("sha1", "shows a certificate that is signed with SHA-1", "CA md too weak"),
    _fault("rsa-1024", "shows a certificate for an RSA key of 1024 bits", "EE key too small"),
    _fault(
        "lifetime-too-long",
        "shows a certificate that holds ten years",
        "nothing, but for Safari and public authorities: the certificate holds too long",
    ),
)
"""In the order of the documentation."""
