"""What is asked of a certificate, and which clients ask it: rows only, which `_check` reads.

For OpenSSL, Python and cryptography the tests compare the rows with what these really do. Chromium
and GnuTLS were tried by hand for names, keys and usages (2026-11); what is said of Apple, rustls
and Go has not been tried. The table in the reference is made of the same rows.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from tlshttp.certs._findings import Severity


class Client(enum.Enum):
    """A way of verifying certificates that many programs share."""

    OPENSSL = "OpenSSL"
    """curl, nginx, Node.js, and Python before 3.13."""
    STRICT = "Python 3.13"
    """OpenSSL with ``VERIFY_X509_STRICT``, the default of Python since 3.13."""
    PYCA = "cryptography"
    """``cryptography.x509.verification``, close to the Baseline Requirements."""
    GNUTLS = "GnuTLS"
    """wget and GNOME on many systems."""
    CHROMIUM = "Chromium"
    """And, where a key or a signature is concerned, other browsers."""
    APPLE = "Apple"
    """Safari, and all that asks the system on macOS and iOS."""
    RUSTLS = "rustls"
    """Programs in Rust; Firefox judges likewise, with more words."""
    GO = "Go"
    """``crypto/x509``: kubectl, Docker, Caddy."""


EVERYBODY = tuple(Client)

UNCOMMON = frozenset({Client.PYCA, Client.GNUTLS, Client.RUSTLS})
"""If only these refuse, it is a warning: a server may well have no such clients."""


@dataclass(frozen=True)
class Rule:
    """One kind of finding."""

    code: str
    meaning: str
    refused_by: tuple[Client, ...]
    """Empty where nobody refuses it yet."""

    @property
    def severity(self) -> Severity:
        """An error where a common client refuses, else a warning."""
        common = set(self.refused_by) - UNCOMMON
        return Severity.ERROR if common else Severity.WARNING


Said = Iterator[tuple[str, str]]
"""Codes of rules that a certificate breaks, each with a sentence."""

_O, _S, _P, _G, _C, _A, _R, _GO = Client

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.code: rule
        for rule in (
            # Names
            Rule("no-names", "no subject alternative name", EVERYBODY),
            Rule("common-name-only", "a name in the common name only", EVERYBODY),
            Rule("no-host-name", "names, but none of a host (URI, e-mail)", (_P, _G, _C, _A, _GO)),
            Rule("bare-wildcard", "the name `*`, which matches nothing", EVERYBODY),
            Rule("wide-wildcard", "a wildcard right below a top level: `*.localhost`", ()),
            Rule(
                "impossible-name",
                "a DNS name that no client asks for: an IP address, a port, a scheme, a blank, a"
                " final dot, an asterisk elsewhere than for the first label",
                EVERYBODY,
            ),
            # Time
            Rule("expired", "the leaf or an intermediate is past its time", EVERYBODY),
            Rule("not-yet-valid", "the leaf or an intermediate is before its time", EVERYBODY),
            Rule("expires-soon", "the end is near: 21 days, or a third of the lifetime", ()),
            Rule("lifetime-apple", "more than 825 days, under private roots, too", (_A,)),
            Rule(
                "lifetime-public",
                "under a public root more than 200 days (100 from 2027-03-15, 47 from 2029-03-15)",
                (),
            ),
            Rule("time-form", "a time before 2050 written as GeneralizedTime", (_P,)),
            # Keys and signatures
            Rule("weak-key", "RSA below 2048 bits, curves below 256", EVERYBODY),
            Rule("weak-signature", "SHA-1 or MD5", EVERYBODY),
            Rule("key-kind", "a key that browsers do not take, see the next table", (_C,)),
            Rule("signature-kind", "a signature by such a key, or with a rare hash", (_P, _C)),
            # Purpose
            Rule("no-server-auth", "an extended key usage for something else, or none", EVERYBODY),
            Rule("no-client-auth", "likewise, for `--purpose client`", EVERYBODY),
            Rule("no-digital-signature", "a keyUsage without digitalSignature", (_C,)),
            Rule("netscape-type", "Netscape's own extension says another purpose", (_O, _S)),
            Rule("signs-certificates", "a keyUsage of an authority in a leaf", (_S, _P)),
            Rule("leaf-is-authority", "a leaf that is an authority", (_P, _R)),
            # Extensions
            Rule("damaged-extension", "an extension twice, or that cannot be read", EVERYBODY),
            Rule("unknown-critical", "a critical extension that clients do not know", EVERYBODY),
            Rule("old-version", "extensions, or an authority, below version 3", (_S, _P)),
            Rule("no-authority-key-identifier", "none, below the root", (_S, _P)),
            Rule("self-signed-no-identifier", "self-signed, without that extension", (_P,)),
            Rule("no-subject-key-identifier", "none in an authority", (_S, _P)),
            Rule("basic-constraints-not-critical", "in an authority", (_S, _P)),
            Rule("no-key-usage", "none in an authority", (_S, _P)),
            Rule("empty-subject", "no subject, and names that are not critical", (_S, _P)),
            Rule("empty-issuer", "no issuer", (_S, _P)),
            # Chain
            Rule("chain-order", "an issuer missing, or before what it issued", EVERYBODY),
            Rule("chain-incomplete", "a public leaf without an intermediate", ()),
            Rule("chain-repetition", "a certificate twice", ()),
            Rule("chain-twins", "an authority in several versions", ()),
            Rule("chain-root", "the root, of which clients have a copy", ()),
            Rule("chain-stranger", "a certificate that issued no other of the chain", ()),
            Rule("chain-long", "more than 32 certificates after the leaf", ()),
            Rule("issuer-no-authority", "an issuer that is no authority", EVERYBODY),
            Rule("issuer-may-not-sign", "an issuer whose keyUsage lacks keyCertSign", EVERYBODY),
            Rule("other-issuer-key", "a key identifier that is not the issuer's", (_O, _S)),
            Rule("path-length", "more authorities below one than it permits", EVERYBODY),
            Rule("name-constraints", "a name that an authority above may not issue for", EVERYBODY),
            Rule("issuer-usage", "an authority above that is for something else", EVERYBODY),
            Rule("no-authority", "`--purpose authority`: the certificate is none", EVERYBODY),
            Rule("too-large", "a chain above 100 KiB", (_O, _S)),
            # Odds and ends
            Rule("negative-serial", "a serial number below zero", (_P, _GO)),
            Rule("odd-serial", "a serial number of zero, or above 20 bytes", (_P,)),
            Rule("refused-openssl", "anything else that OpenSSL's strict verifier refuses", (_S,)),
            Rule("refused-cryptography", "anything else that cryptography's refuses", (_P,)),
        )
    }
)


@dataclass(frozen=True)
class KeyKind:
    """One kind of public key, and who does not take it from a server."""

    name: str
    kind: type[object]
    refused_by: tuple[Client, ...]
    curves: frozenset[str] = frozenset()
    """OpenSSL's names; empty where the kind has none, or for all others."""


KEY_KINDS = (
    KeyKind("RSA", rsa.RSAPublicKey, ()),
    KeyKind(
        "ECDSA P-256, P-384", ec.EllipticCurvePublicKey, (), frozenset({"secp256r1", "secp384r1"})
    ),
    KeyKind("ECDSA P-521", ec.EllipticCurvePublicKey, (_C,), frozenset({"secp521r1"})),
    KeyKind("ECDSA, any other curve", ec.EllipticCurvePublicKey, (_C, _A, _R, _GO)),
    KeyKind("Ed25519", ed25519.Ed25519PublicKey, (_C, _A)),
    KeyKind("Ed448", ed448.Ed448PublicKey, (_C, _A, _R, _GO)),
    KeyKind("DSA", dsa.DSAPublicKey, EVERYBODY),
)
"""The first row that fits counts. Whatever fits none is refused by everybody."""

RSA_PSS = KeyKind("RSA-PSS", rsa.RSAPublicKey, (_C, _A, _R, _GO))
"""Told by the algorithm of the key alone (RFC 4055, section 1.2); else it looks like RSA."""

USUAL_HASHES: tuple[type[hashes.HashAlgorithm], ...] = (
    hashes.SHA256,
    hashes.SHA384,
    hashes.SHA512,
)
"""CA/Browser Forum Baseline Requirements 2.1 (2025), section 7.1.3.2."""

UNDERSTOOD: frozenset[x509.ObjectIdentifier] = frozenset(
    x509.ObjectIdentifier(f"2.5.29.{number}") for number in (15, 17, 19, 30, 32, 33, 36, 37, 54)
)
"""Extensions that may be critical: RFC 5280, section 4.2, as far as it wants them understood."""

PUBLIC_LIMITS = (
    (datetime(2029, 3, 15, tzinfo=UTC), timedelta(days=47)),
    (datetime(2027, 3, 15, tzinfo=UTC), timedelta(days=100)),
    (datetime(2026, 3, 15, tzinfo=UTC), timedelta(days=200)),
    (datetime(2020, 9, 1, tzinfo=UTC), timedelta(days=398)),
)
"""Longest lifetime of a public certificate by its first day (CA/Browser Forum ballot SC-081v3)."""

APPLE_LIMIT = timedelta(days=825)
"""Longest lifetime that Apple's systems accept under any root (support.apple.com/103769)."""

MAXIMUM_CHAIN_BYTES = 100 * 1024
"""``SSL_MAX_CERT_LIST_DEFAULT`` of OpenSSL, with three bytes of length for each certificate."""

MAXIMUM_SERIAL_BITS = 160
"""Twenty bytes (RFC 5280, section 4.1.2.2), without the sign, as large public authorities count."""
