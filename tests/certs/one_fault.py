"""Certificates that are right but for one thing, a few hundred of them, made by one table.

Built with `cryptography`'s builder and not with ours, which makes no bad ones.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
    ObjectIdentifier,
)

from tests.certs import judges
from tlshttp import certs

NOW = datetime.now(UTC).replace(microsecond=0)
_DAY = timedelta(days=1)
_OIDS = ExtendedKeyUsageOID
HOST = "leaf.test"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def usage(*bits: str) -> x509.KeyUsage:
    """Build a keyUsage of some bits."""
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{bit: bit in bits for bit in every})


@dataclass(frozen=True)
class Plan:
    """What a certificate is to be like; one of its parts is wrong."""

    subject: str
    key: Any
    extensions: dict[str, tuple[x509.ExtensionType, bool]]
    serial: int = 0x1234567890ABCDEF
    begin: datetime = NOW - _DAY
    end: datetime = NOW + 80 * _DAY
    hash: Any = field(default_factory=hashes.SHA256)
    issuer: str | None = None

    def without(self, name: str) -> Plan:
        """Return the plan less an extension."""
        return replace(self, extensions={k: v for k, v in self.extensions.items() if k != name})

    def with_(self, name: str, value: x509.ExtensionType, *, critical: bool = False) -> Plan:
        """Return the plan with an extension, or with another one of the name."""
        return replace(self, extensions={**self.extensions, name: (value, critical)})

    def flipped(self, name: str) -> Plan:
        """Return the plan with an extension critical that was not, or the other way round."""
        value, critical = self.extensions[name]
        return self.with_(name, value, critical=not critical)

    def sign(self, issuer: Plan) -> x509.Certificate:
        """Make the certificate."""
        builder = x509.CertificateBuilder(
            _name(issuer.subject if self.issuer is None else self.issuer),
            _name(self.subject),
            self.key.public_key(),
            self.serial,
            self.begin,
            self.end,
        )
        for value, critical in self.extensions.values():
            builder = builder.add_extension(value, critical=critical)
        signs_by_itself = isinstance(issuer.key, ed25519.Ed25519PrivateKey)
        return builder.sign(issuer.key, None if signs_by_itself else self.hash)


@dataclass(frozen=True)
class Case:
    """A certificate with one fault, and the host a client asks for."""

    fault: str
    leaf: Plan
    middle: Plan | None
    root: Plan
    purpose: certs.Purpose = certs.Purpose.SERVER
    host: str = HOST

    def make(self) -> tuple[certs.Certificate, x509.Certificate]:
        """Return what is shown, and the root that clients trust."""
        root = self.root.sign(self.root)
        if self.middle is None:
            return certs.Certificate(self.leaf.sign(self.root), (), self.leaf.key), root
        middle = self.middle.sign(self.root)
        leaf = self.leaf.sign(self.middle)
        return certs.Certificate(leaf, (middle,), self.leaf.key), root


_KEYS = {
    "root": ec.generate_private_key(ec.SECP256R1()),
    "middle": ec.generate_private_key(ec.SECP256R1()),
    "leaf": ec.generate_private_key(ec.SECP256R1()),
}


def _authority(name: str, issuer: str, path_length: int | None) -> Plan:
    public, above = _KEYS[name].public_key(), _KEYS[issuer].public_key()
    return Plan(
        name,
        _KEYS[name],
        {
            "constraints": (x509.BasicConstraints(ca=True, path_length=path_length), True),
            "usage": (usage("digital_signature", "key_cert_sign", "crl_sign"), True),
            "own": (x509.SubjectKeyIdentifier.from_public_key(public), False),
            "issuer": (x509.AuthorityKeyIdentifier.from_issuer_public_key(above), False),
        },
        end=NOW + 2000 * _DAY,
    )


def _leaf(issuer: str, purpose: certs.Purpose) -> Plan:
    above = _KEYS[issuer].public_key()
    wanted = _OIDS.SERVER_AUTH if purpose is certs.Purpose.SERVER else _OIDS.CLIENT_AUTH
    return Plan(
        "leaf.test",
        _KEYS["leaf"],
        {
            "constraints": (x509.BasicConstraints(ca=False, path_length=None), True),
            "usage": (usage("digital_signature"), True),
            "extended": (x509.ExtendedKeyUsage([wanted]), False),
            "own": (x509.SubjectKeyIdentifier.from_public_key(_KEYS["leaf"].public_key()), False),
            "issuer": (x509.AuthorityKeyIdentifier.from_issuer_public_key(above), False),
            "names": (x509.SubjectAlternativeName([x509.DNSName(HOST)]), False),
        },
    )


def _unknown() -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")


def _names(*names: x509.GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(names)


def _dns(*names: str) -> x509.SubjectAlternativeName:
    return _names(*map(x509.DNSName, names))


def _anywhere(good: Plan) -> Iterator[tuple[str, Plan]]:
    """Change what certificates of all kinds have."""
    for name in good.extensions:
        yield f"no {name}", good.without(name)
        yield f"{name} the other criticality", good.flipped(name)
    yield "unknown extension", good.with_("unknown", _unknown())
    yield "unknown critical extension", good.with_("unknown", _unknown(), critical=True)
    features = x509.TLSFeature([x509.TLSFeatureType.status_request])
    yield "TLS feature", good.with_("feature", features)
    yield "critical TLS feature", good.with_("feature", features, critical=True)
    location = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://o.test/")
    )
    access = x509.AuthorityInformationAccess([location])
    yield "access", good.with_("access", access)
    yield "critical access", good.with_("access", access, critical=True)
    point = x509.DistributionPoint(
        [x509.UniformResourceIdentifier("http://o.test/crl")], None, None, None
    )
    yield (
        "critical CRL points",
        good.with_("points", x509.CRLDistributionPoints([point]), critical=True),
    )
    policies = x509.CertificatePolicies(
        [x509.PolicyInformation(ObjectIdentifier("2.23.140.1.2.1"), None)]
    )
    yield "policies", good.with_("policies", policies)
    yield "critical policies", good.with_("policies", policies, critical=True)
    yield (
        "require policy",
        good.with_("policy constraints", x509.PolicyConstraints(0, None), critical=True),
    )
    yield "inhibit any policy", good.with_("inhibit", x509.InhibitAnyPolicy(0), critical=True)
    yield (
        "issuer alternative name",
        good.with_("other name", x509.IssuerAlternativeName([x509.DNSName("ca.test")])),
    )
    foreign = x509.AuthorityKeyIdentifier(b"\1" * 20, None, None)
    yield "foreign key identifier", good.with_("issuer", foreign)
    named = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(_name("other"))], 7)
    yield "issuer named by serial", good.with_("issuer", named)
    yield "long serial", replace(good, serial=(1 << 159) - 1)
    yield "short serial", replace(good, serial=1)
    yield "expired", replace(good, begin=NOW - 20 * _DAY, end=NOW - _DAY)
    yield "expired just now", replace(good, begin=NOW - 20 * _DAY, end=NOW - timedelta(seconds=5))
    yield "not yet valid", replace(good, begin=NOW + _DAY, end=NOW + 20 * _DAY)
    yield "other issuer name", replace(good, issuer="someone else")
    for algorithm in (hashes.SHA224(), hashes.SHA384(), hashes.SHA512(), hashes.SHA3_256()):
        yield f"signed with {algorithm.name}", replace(good, hash=algorithm)


def _leaves(good: Plan) -> Iterator[tuple[str, Plan]]:
    """Change what leaves have."""
    yield "nothing", good
    for combination in (
        [_OIDS.ANY_EXTENDED_KEY_USAGE],
        [_OIDS.CODE_SIGNING],
        [_OIDS.SERVER_AUTH],
        [_OIDS.CLIENT_AUTH],
        [_OIDS.SERVER_AUTH, _OIDS.CLIENT_AUTH],
        [_OIDS.SERVER_AUTH, _OIDS.ANY_EXTENDED_KEY_USAGE],
        [_OIDS.EMAIL_PROTECTION, _OIDS.OCSP_SIGNING],
        [ObjectIdentifier("1.3.6.1.4.1.55555.2")],
    ):
        words = "+".join(one.dotted_string for one in combination)
        yield f"for {words}", good.with_("extended", x509.ExtendedKeyUsage(combination))
    for bits in (
        ("key_encipherment",),
        ("key_agreement",),
        ("digital_signature", "key_encipherment"),
        ("digital_signature", "key_cert_sign"),
        ("digital_signature", "crl_sign"),
        ("digital_signature", "content_commitment"),
        ("content_commitment",),
        ("key_cert_sign", "crl_sign"),
    ):
        yield f"usage {'+'.join(bits)}", good.with_("usage", usage(*bits), critical=True)
    for ca, length in ((True, None), (True, 0)):
        constraints = x509.BasicConstraints(ca=ca, path_length=length)
        yield f"authority {length}", good.with_("constraints", constraints, critical=True)
    yield (
        "an authority's usage",
        good.with_(
            "constraints", x509.BasicConstraints(ca=True, path_length=None), critical=True
        ).with_("usage", usage("digital_signature", "key_cert_sign"), critical=True),
    )
    yield "empty subject", replace(good, subject="")
    yield "empty subject, critical names", replace(good, subject="").flipped("names")
    permitted = x509.NameConstraints([x509.DNSName("test")], None)
    yield "constraints on names", good.with_("name constraints", permitted, critical=True)
    keys: dict[str, Callable[[], Any]] = {
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
        "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
        "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate,
        "Ed448": ed448.Ed448PrivateKey.generate,
        "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
        "RSA 1024": lambda: rsa.generate_private_key(65537, 1024),
    }
    for name, generate in keys.items():
        yield f"key {name}", replace(good, key=generate())


_HOSTS: dict[str, tuple[x509.SubjectAlternativeName, str]] = {
    "another kind: URI": (_names(x509.UniformResourceIdentifier(f"https://{HOST}")), HOST),
    "another kind: e-mail": (_names(x509.RFC822Name("me@leaf.test")), HOST),
    "another kind: directory": (_names(x509.DirectoryName(_name(HOST))), HOST),
    "URI beside": (_dns(HOST), HOST),
    "address as address": (_names(x509.IPAddress(ipaddress.ip_address("192.0.2.1"))), "192.0.2.1"),
    "address as IPv6 address": (_names(x509.IPAddress(ipaddress.ip_address("::1"))), "::1"),
    "address as name": (_dns("192.0.2.1"), "192.0.2.1"),
    "IPv6 address as name": (_dns("2001:db8::1"), "2001:db8::1"),
    "port": (_dns("leaf.test:443"), HOST),
    "scheme": (_dns("https://leaf.test"), HOST),
    "path": (_dns("leaf.test/"), HOST),
    "blank before": (_dns(" leaf.test"), HOST),
    "blank inside": (_dns("leaf .test"), HOST),
    "final dot": (_dns("leaf.test."), HOST),
    "leading dot": (_dns(".leaf.test"), "www.leaf.test"),
    "empty label": (_dns("leaf..test"), HOST),
    "empty name": (_dns(""), HOST),
    "long label": (_dns(f"{'a' * 64}.test"), f"{'a' * 64}.test"),
    "leading hyphen": (_dns("-leaf.test"), "-leaf.test"),
    "trailing hyphen": (_dns("leaf-.test"), "leaf-.test"),
    "underscore": (_dns("my_leaf.test"), "my_leaf.test"),
    "upper case": (_dns("LEAF.test"), HOST),
    "one label": (_dns("leaf"), "leaf"),
    "wildcard": (_dns("*.leaf.test"), "www.leaf.test"),
    "wildcard at the top": (_dns("*.test"), HOST),
    "wildcard alone": (_dns("*"), HOST),
    "wildcard in a label": (_dns("www*.leaf.test"), "www1.leaf.test"),
    "wildcard before a label": (_dns("*www.leaf.test"), "1www.leaf.test"),
    "wildcard inside": (_dns("a.*.test"), "a.leaf.test"),
    "two wildcards": (_dns("*.*.test"), "a.leaf.test"),
    "digits": (_dns("10.leaf.test"), "10.leaf.test"),
    "some hundred names": (_dns(HOST, *(f"n{n}.leaf.test" for n in range(500))), HOST),
    "3000 names": (_dns(HOST, *(f"{'n' * 40}{n}.leaf.test" for n in range(3000))), HOST),
}


def _middles(good: Plan) -> Iterator[tuple[str, Plan]]:
    """Change what intermediates have."""
    yield (
        "no authority",
        good.with_("constraints", x509.BasicConstraints(ca=False, path_length=None), critical=True),
    )
    yield "may not sign", good.with_("usage", usage("digital_signature", "crl_sign"), critical=True)
    yield "may sign only", good.with_("usage", usage("key_cert_sign"), critical=True)
    for combination in (
        [_OIDS.SERVER_AUTH],
        [_OIDS.CLIENT_AUTH],
        [_OIDS.SERVER_AUTH, _OIDS.CLIENT_AUTH],
        [_OIDS.ANY_EXTENDED_KEY_USAGE],
        [_OIDS.CODE_SIGNING],
    ):
        words = "+".join(one.dotted_string for one in combination)
        yield f"issues for {words}", good.with_("extended", x509.ExtendedKeyUsage(combination))
    for kind, subtree in (
        ("its own names", x509.DNSName("test")),
        ("its own name", x509.DNSName(HOST)),
        ("other names", x509.DNSName("example.org")),
        ("names with a leading dot", x509.DNSName(".leaf.test")),
        ("addresses", x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))),
        ("mail", x509.RFC822Name("example.org")),
    ):
        for where in ("permitted", "excluded"):
            constraints = x509.NameConstraints(
                [subtree] if where == "permitted" else None,
                [subtree] if where == "excluded" else None,
            )
            yield f"{where}: {kind}", good.with_("name constraints", constraints, critical=True)
    yield "empty subject", replace(good, subject="")


def cases() -> Iterator[Case]:
    """Make every plan: leaves at two depths and for two purposes, names, and intermediates."""
    root = _authority("root", "root", None)
    middle = _authority("middle", "root", 0)
    for purpose in (certs.Purpose.SERVER, certs.Purpose.CLIENT):
        for above in (None, middle):
            good = _leaf("middle" if above else "root", purpose)
            for table in (_anywhere, _leaves):
                for fault, plan in table(good):
                    if above is None or table is _anywhere or purpose is certs.Purpose.SERVER:
                        yield Case(f"leaf: {fault}", plan, above, root, purpose)
        good = _leaf("middle", purpose)
        for table in (_anywhere, _middles):
            for fault, plan in table(middle):
                yield Case(f"intermediate: {fault}", good, plan, root, purpose)
    good = _leaf("root", certs.Purpose.SERVER)
    for fault, (names, host) in _HOSTS.items():
        yield Case(f"names: {fault}", good.with_("names", names), None, root, host=host)


def refusals(case: Case, shown: certs.Certificate, root: x509.Certificate) -> dict[str, str]:
    """Ask the three judges; return what each refuses, by its name."""
    question = judges.Question(shown, [root], case.host, case.purpose)
    found: dict[str, str | None] = {"openssl": judges.openssl(question)}
    try:
        found["pyca"] = judges.pyca(question)
    except ValueError as error:  # a name that it cannot even be asked for
        found["pyca"] = str(error)
    if case.purpose is certs.Purpose.SERVER:
        try:
            found["python"] = judges.python_client(question)
        except (ssl.SSLError, ValueError) as error:  # not the verification, but before it
            found["python"] = str(error)
    return {name: refusal for name, refusal in found.items() if refusal is not None}
