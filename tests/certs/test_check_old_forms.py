"""certificates F2: forms of old in a certificate, each with who refuses it."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certs.one_fault import usage
from tlshttp import certs
from tlshttp.certs import _der
from tlshttp.errors import CertificateError

OPENSSL = shutil.which("openssl") or "openssl"

NETSCAPE_TYPE = x509.ObjectIdentifier("2.16.840.1.113730.1.1")

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the judge is OpenSSL's command line"
)

NOW = datetime.now(UTC).replace(microsecond=0)

Key = ec.EllipticCurvePrivateKey


def build(
    subject: str,
    key: Key,
    issuer: str,
    issuer_key: Key,
    identifier: x509.AuthorityKeyIdentifier | None,
    *more: x509.ExtensionType,
    authority: bool = False,
) -> x509.Certificate:
    """Return a certificate as clients want it, with what is given besides."""
    name, above = (
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
        for text in (subject, issuer)
    )
    bits = ("key_cert_sign", "crl_sign") if authority else ("digital_signature",)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=authority, path_length=None), True),
        (usage(*bits), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        *((one, False) for one in more),
    ]
    if not authority:
        purposes = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
        extensions += [
            (x509.ExtendedKeyUsage(purposes), False),
            (x509.SubjectAlternativeName([x509.DNSName("localhost")]), False),
        ]
    if identifier is not None:
        extensions.append((identifier, False))
    builder = x509.CertificateBuilder(
        above, name, key.public_key(), x509.random_serial_number(),
        NOW - timedelta(days=1), NOW + timedelta(days=80),
    )  # fmt: skip
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def keyid(key: Key) -> x509.AuthorityKeyIdentifier:
    """Return what names an issuer by its key alone."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def whole(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return what names an issuer by its key, and by who issued it, under what number."""
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier(
        own.digest, [x509.DirectoryName(issuer.issuer)], issuer.serial_number
    )


@pytest.fixture(scope="module")
def keys() -> list[Key]:
    """Return keys of a root, of an intermediate and of a leaf."""
    return [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]


def codes(certificates: list[x509.Certificate], purpose: certs.Purpose) -> dict[str, str]:
    """Return the codes of what is found, with how bad it is."""
    leaf, *chain = certificates
    found = certs.CertificateChain(leaf, tuple(chain)).check(purpose=purpose)
    return {finding.code: finding.severity.value for finding in found}


def openssl(
    folder: Path, root: x509.Certificate, certificates: list[x509.Certificate], purpose: str
) -> str:
    """Ask OpenSSL strictly; return what it says against it, or nothing."""
    names = [folder / f"{number}.pem" for number in range(3)]
    leaf, *chain = certificates
    for name, group in zip(names, ([root], [leaf], [*chain, leaf]), strict=True):
        name.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in group))
    done = subprocess.run(
        [
            OPENSSL, "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(names[0]),
            "-untrusted", str(names[2]), str(names[1]),
        ],
        capture_output=True, check=False, timeout=30, text=True,
    )  # fmt: skip
    return done.stderr if done.returncode else ""


@needs_openssl
@pytest.mark.parametrize("purpose", [certs.Purpose.SERVER, certs.Purpose.CLIENT])
@pytest.mark.parametrize("leaf_by", ["keyid", "whole"])
@pytest.mark.parametrize("middle_by", ["keyid", "whole", "none of its key"])
@pytest.mark.parametrize("deep", [False, True])
def test_certificates_f02_issuer_named_by_name_and_number(
    tmp_path: Path, keys: list[Key], purpose: certs.Purpose, leaf_by: str, middle_by: str,
    deep: bool,
) -> None:  # fmt: skip
    """``authorityKeyIdentifier=keyid,issuer:always`` is as good to us as it is to OpenSSL."""
    root_key, middle_key, leaf_key = keys
    root = build("root", root_key, "root", root_key, keyid(root_key), authority=True)
    identifiers = {
        "keyid": keyid(root_key),
        "whole": whole(root),
        "none of its key": x509.AuthorityKeyIdentifier(
            None, [x509.DirectoryName(root.issuer)], root.serial_number
        ),
    }
    middle = build("middle", middle_key, "root", root_key, identifiers[middle_by], authority=True)
    if deep:
        issuer, issuer_key, chain = middle, middle_key, [middle]
    else:
        issuer, issuer_key, chain = root, root_key, []
    identifier = keyid(issuer_key) if leaf_by == "keyid" else whole(issuer)
    name = "middle" if deep else "root"
    leaf = build("leaf", leaf_key, name, issuer_key, identifier)
    refused = openssl(tmp_path, root, [leaf, *chain], f"ssl{purpose.value}")
    found = codes([leaf, *chain], purpose)
    assert ("error" in found.values()) is bool(refused), (refused, found)
    if not refused:
        assert found == {}


@needs_openssl
@pytest.mark.parametrize("purpose", [certs.Purpose.SERVER, certs.Purpose.CLIENT])
@pytest.mark.parametrize("bits", [0x80, 0x40, 0xC0, 0x20, 0x04])
def test_certificates_f02_netscape_type(
    tmp_path: Path, keys: list[Key], purpose: certs.Purpose, bits: int
) -> None:
    """Where OpenSSL refuses for Netscape's extension there is an error, and only there."""
    root_key, _, leaf_key = keys
    root = build("root", root_key, "root", root_key, keyid(root_key), authority=True)
    extension = x509.UnrecognizedExtension(NETSCAPE_TYPE, bytes((3, 2, 0, bits)))
    leaf = build("leaf", leaf_key, "root", root_key, keyid(root_key), extension)
    refused = openssl(tmp_path, root, [leaf], f"ssl{purpose.value}")
    assert codes([leaf], purpose) == ({"netscape-type": "error"} if refused else {})


@needs_openssl
@pytest.mark.parametrize("kind", ["its own", "another's", "none"])
def test_certificates_f02_self_signed_and_its_identifier(
    tmp_path: Path, keys: list[Key], kind: str
) -> None:
    """One that names another key is an error, as it is to OpenSSL; none is to cryptography."""
    key, other, _ = keys
    identifier = {"its own": keyid(key), "another's": keyid(other), "none": None}[kind]
    leaf = build("leaf", key, "leaf", key, identifier)
    refused = openssl(tmp_path, leaf, [leaf], "sslserver")
    found = codes([leaf], certs.Purpose.SERVER)
    assert ("error" in found.values()) is bool(refused), (refused, found)
    assert ("other-issuer-key" in found) is (kind == "another's")
    assert ("self-signed-no-identifier" in found) is (kind == "none")


def build_faulty(keys: list[Key], fault: str) -> list[x509.Certificate]:
    """Return a root, and a leaf below an intermediate, with one fault in one of them."""
    root_key, middle_key, leaf_key = keys
    named = x509.AuthorityKeyIdentifier
    no_key = named(None, [x509.DirectoryName(x509.Name([]))], 1)
    root = build("root", root_key, "root", root_key, keyid(root_key), authority=True)
    if fault == "another root's key":
        root = build("root", root_key, "root", root_key, keyid(leaf_key), authority=True)
    middle_names = None if fault == "middle without identifier" else keyid(root_key)
    middle = build("middle", middle_key, "root", root_key, middle_names, authority=True)
    names = {"leaf without identifier": None, "no key": no_key, "another": keyid(root_key)}
    leaf = build("leaf", leaf_key, "middle", middle_key, names.get(fault, keyid(middle_key)))
    return [root, leaf, middle]


@needs_openssl
@pytest.mark.parametrize("purpose", [certs.Purpose.SERVER, certs.Purpose.CLIENT])
@pytest.mark.parametrize(
    "fault",
    [
        "none", "leaf without identifier", "middle without identifier", "no key", "another",
        "another root's key",
    ],
)  # fmt: skip
def test_certificates_f02_verify_is_as_strict_as_openssl(
    tmp_path: Path, keys: list[Key], fault: str, purpose: certs.Purpose
) -> None:
    """What ``openssl verify -x509_strict`` refuses is not called good."""
    root, leaf, middle = build_faulty(keys, fault)
    refused = openssl(tmp_path, root, [leaf, middle], f"ssl{purpose.value}")
    name = "localhost" if purpose is certs.Purpose.SERVER else None
    chain = certs.CertificateChain(leaf, (middle,))
    if fault == "none":
        assert not refused
        for anchors in ([root], [middle], [root, middle]):
            chain.verify(anchors, name, purpose=purpose)
        return
    assert refused
    with pytest.raises(CertificateError):
        chain.verify([root], name, purpose=purpose)


@pytest.mark.parametrize("which", ["leaf", "middle"])
def test_certificates_f02_generalized_time_before_2050(keys: list[Key], which: str) -> None:
    """A time in the form of later ones is a finding, in whatever certificate it stands."""
    root_key, middle_key, leaf_key = keys
    root = build("root", root_key, "root", root_key, keyid(root_key), authority=True)
    middle = build("middle", middle_key, "root", root_key, keyid(root_key), authority=True)
    leaf = build("leaf", leaf_key, "middle", middle_key, keyid(middle_key))
    assert codes([leaf, middle], certs.Purpose.SERVER) == {}
    if which == "leaf":
        leaf = with_long_times(leaf, middle_key)
    else:
        middle = with_long_times(middle, root_key)
    assert codes([leaf, middle], certs.Purpose.SERVER) == {"time-form": "warning"}
    store = verification.Store([root])
    verifier = (
        verification.PolicyBuilder().store(store).build_server_verifier(x509.DNSName("localhost"))
    )
    with pytest.raises(verification.VerificationError):
        verifier.verify(leaf, [middle])


def with_long_times(certificate: x509.Certificate, key: Key) -> x509.Certificate:
    """Return a certificate with its times written in full, signed anew."""
    fields = _der.children(_der.read(certificate.tbs_certificate_bytes))
    times = [
        _der.encode(0x18, f"{moment:%Y%m%d%H%M%S}Z".encode())
        for moment in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    ]
    pieces = [field.encoded for field in fields]
    pieces[4] = _der.encode(_der.SEQUENCE, *times)
    body = _der.encode(_der.SEQUENCE, *pieces)
    signature = b"\0" + key.sign(body, ec.ECDSA(hashes.SHA256()))
    der = _der.encode(
        _der.SEQUENCE, body, fields[2].encoded, _der.encode(_der.BIT_STRING, signature)
    )
    return x509.load_der_x509_certificate(der)
