"""The bad certificates: one recipe each, which also makes its honest twin.

An honest chain is leaf, intermediate, root, the root in the client's hands. A recipe spoils one
thing and leaves all others good, so that a client that refuses it has found that one thing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlshttp.certs._keys import PrivateKey, key_to_pem
from tlshttp.testing._authority import now
from tlshttp.testing._bad.workshop import (
    Paper,
    Signer,
    authority_paper,
    issue,
    leaf_paper,
    new_key,
    root,
    rsa_key,
)

if TYPE_CHECKING:
    from tlshttp.testing._bad.revocation import Registry

__all__ = ["RECIPES", "Bench", "Shown", "honest"]

_DAY = timedelta(days=1)

EXPIRES_SOON_SECONDS = 3
"""Seconds that `expired-while-connected` is valid: two would be too few, since only whole ones
count."""


@dataclass(frozen=True)
class Shown:
    """What a server shows: the certificates in the order of the wire, and the key of the first."""

    certificates: tuple[x509.Certificate, ...]
    key: PrivateKey
    issuer: Signer

    @property
    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return self.certificates[0]

    def to_pem(self) -> bytes:
        """Return key and certificates for a TLS engine."""
        chain = [one.public_bytes(Encoding.PEM) for one in self.certificates]
        return key_to_pem(self.key) + b"".join(chain)


@dataclass(frozen=True)
class Bench:
    """What recipes are given.

    Args:
        good: Whether the honest twin is wanted.
        registry: Where revocation is published; `None`: nowhere.
    """

    good: bool
    registry: Registry | None = None


Recipe: TypeAlias = Callable[[Bench], Shown]


def honest(bench: Bench | None = None) -> Shown:
    """Make a certificate that every client accepts."""
    del bench  # there is only one kind
    return _chain(leaf_paper())


def _chain(leaf: Paper, intermediate: Signer | None = None) -> Shown:
    """Issue a leaf below an intermediate, and show both."""
    issuer = intermediate or _intermediate()
    made = issue(leaf, issuer)
    return Shown((made.certificate, issuer.certificate), made.key, issuer)


def _intermediate(paper: Paper | None = None, above: Signer | None = None) -> Signer:
    return issue(paper or authority_paper("tlshttp testing intermediate"), above or root())


def _spoil_leaf(spoil: Callable[[Paper], Paper]) -> Recipe:
    """Make a recipe that spoils the leaf."""

    def make(bench: Bench) -> Shown:
        paper = leaf_paper()
        return _chain(paper if bench.good else spoil(paper))

    return make


def _spoil_intermediate(spoil: Callable[[Paper], Paper]) -> Recipe:
    """Make a recipe that spoils the certificate above the leaf."""

    def make(bench: Bench) -> Shown:
        paper = authority_paper("tlshttp testing intermediate")
        return _chain(leaf_paper(), _intermediate(paper if bench.good else spoil(paper)))

    return make


def _named(names: list[x509.GeneralName]) -> Callable[[Paper], Paper]:
    return lambda paper: paper.having(names=(x509.SubjectAlternativeName(names), False))


# Dates ------------------------------------------------------------------------------------------


def _ended(paper: Paper) -> Paper:
    today = now()
    return dataclasses.replace(paper, begin=today - 30 * _DAY, end=today - _DAY)


def _not_begun(paper: Paper) -> Paper:
    today = now()
    return dataclasses.replace(paper, begin=today + _DAY, end=today + 5 * _DAY)


def _long_lived(paper: Paper) -> Paper:
    today = now()
    return dataclasses.replace(paper, begin=today - _DAY, end=today + 3650 * _DAY)


def _expired_while_connected(bench: Bench) -> Shown:
    paper = leaf_paper()
    if not bench.good:
        soon = now() + timedelta(seconds=EXPIRES_SOON_SECONDS)
        paper = dataclasses.replace(paper, end=soon.replace(microsecond=0))
    return _chain(paper)


# The chain --------------------------------------------------------------------------------------


def _self_signed(bench: Bench) -> Shown:
    if bench.good:
        return honest()
    made = issue(leaf_paper(), None)
    return Shown((made.certificate,), made.key, made)


def _untrusted_root(bench: Bench) -> Shown:
    if bench.good:
        return honest()
    stranger = issue(authority_paper("a root that nobody trusts"), None)
    made = issue(leaf_paper(), stranger)
    return Shown((made.certificate, stranger.certificate), made.key, stranger)


def _incomplete_chain(bench: Bench) -> Shown:
    whole = honest()
    return whole if bench.good else dataclasses.replace(whole, certificates=(whole.leaf,))


def _reversed_chain(bench: Bench) -> Shown:
    upper = _intermediate()
    lower = _intermediate(authority_paper("tlshttp testing lower intermediate"), upper)
    made = issue(leaf_paper(), lower)
    above = [lower.certificate, upper.certificate]
    if not bench.good:
        above.reverse()
    return Shown((made.certificate, *above), made.key, lower)


def _constrained(bench: Bench) -> Shown:
    allowed = ["localhost"] if bench.good else ["internal.example"]
    constraints = x509.NameConstraints([x509.DNSName(name) for name in allowed], None)
    paper = authority_paper("tlshttp testing intermediate").having(constrained=(constraints, True))
    return _chain(leaf_paper(), _intermediate(paper))


def _path_length(bench: Bench) -> Shown:
    upper = _intermediate(
        authority_paper("tlshttp testing intermediate", path_length=1 if bench.good else 0)
    )
    lower = _intermediate(authority_paper("tlshttp testing lower intermediate"), upper)
    made = issue(leaf_paper(), lower)
    return Shown((made.certificate, lower.certificate, upper.certificate), made.key, lower)


def _no_authority(paper: Paper) -> Paper:
    """Have somebody issue who has the certificate of a server."""
    server = leaf_paper(("issuer.example",))
    return dataclasses.replace(server, key=paper.key)


def _wrong_signature(bench: Bench) -> Shown:
    whole = honest()
    if bench.good:
        return whole
    impostor = Signer(whole.issuer.certificate, new_key())
    made = issue(leaf_paper(), impostor)
    return Shown((made.certificate, whole.issuer.certificate), made.key, impostor)


# Revocation -------------------------------------------------------------------------------------


def _revoked(bench: Bench) -> Shown:
    if bench.registry is None:
        raise ValueError("a certificate cannot be revoked where nobody publishes that")
    issuer = _intermediate()
    made = issue(leaf_paper().having(**bench.registry.addresses()), issuer)
    bench.registry.enter(issuer, made.certificate, revoked=not bench.good)
    return Shown((made.certificate, issuer.certificate), made.key, issuer)


# Algorithms -------------------------------------------------------------------------------------


def _sha1(bench: Bench) -> Shown:
    paper = authority_paper("tlshttp testing intermediate")
    issuer = _intermediate(dataclasses.replace(paper, key=rsa_key(2048)))
    return _chain(dataclasses.replace(leaf_paper(), sha1=not bench.good), issuer)


def _rsa_1024(bench: Bench) -> Shown:
    return _chain(dataclasses.replace(leaf_paper(), key=rsa_key(2048 if bench.good else 1024)))


# Names ------------------------------------------------------------------------------------------


def _client_only(paper: Paper) -> Paper:
    return paper.having(purpose=(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False))


def _no_signature_usage(paper: Paper) -> Paper:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return paper.having(usage=(usage, True))


def _nameless(paper: Paper) -> Paper:
    return dataclasses.replace(paper.lacking("names"), subject=x509.Name([]))


def _malformed(paper: Paper) -> Paper:
    """Have an address of five bytes, and DNS names with a space and with an empty label.

    DER that cannot be read at all is nothing that OpenSSL would show.
    """
    broken = b"\x30\x1f\x87\x05\x7f\x00\x00\x01\x01\x82\x0alocal host\x82\x0a.localhost"
    identifier = x509.SubjectAlternativeName.oid
    return paper.having(names=(x509.UnrecognizedExtension(identifier, broken), False))


RECIPES: dict[str, Recipe] = {
    "honest": honest,
    "expired": _spoil_leaf(_ended),
    "not-yet-valid": _spoil_leaf(_not_begun),
    "expired-while-connected": _expired_while_connected,
    "expired-intermediate": _spoil_intermediate(_ended),
    "wrong-host": _spoil_leaf(_named([x509.DNSName("wrong.example")])),
    "common-name-only": _spoil_leaf(lambda paper: paper.lacking("names")),
    "no-names": _spoil_leaf(_nameless),
    "malformed-names": _spoil_leaf(_malformed),
    "nul-in-name": _spoil_leaf(_named([x509.DNSName("localhost\0.example")])),
    "address-as-name": _spoil_leaf(_named([x509.DNSName("127.0.0.1")])),
    "bare-wildcard": _spoil_leaf(_named([x509.DNSName("*")])),
    "self-signed": _self_signed,
    "untrusted-root": _untrusted_root,
    "incomplete-chain": _incomplete_chain,
    "reversed-chain": _reversed_chain,
    "wrong-signature": _wrong_signature,
    "revoked": _revoked,
    "revoked-stapled": _revoked,
    "name-constraint-violated": _constrained,
    "path-length-violated": _path_length,
    "issuer-not-an-authority": _spoil_intermediate(_no_authority),
    "client-usage-only": _spoil_leaf(_client_only),
    "no-signature-usage": _spoil_leaf(_no_signature_usage),
    "no-key-identifier": _spoil_leaf(
        lambda paper: dataclasses.replace(paper, key_identifier=False)
    ),
    "sha1": _sha1,
    "rsa-1024": _rsa_1024,
    "lifetime-too-long": _spoil_leaf(_long_lived),
}
"""Each recipe by the name of its fault."""
