"""Mutated files end in a CertificateError, or load as what they were; nothing else happens."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tlshttp import certs
from tlshttp.errors import CertificateError

pytestmark = pytest.mark.thorough

MUTATIONS = 200


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Change, remove, insert, repeat or cut off a few bytes."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        position = chance.randrange(len(changed)) if changed else 0
        match chance.randrange(5):
            case 0 if changed:
                changed[position] = chance.randrange(256)
            case 1:
                del changed[position : position + chance.randint(1, 8)]
            case 2:
                changed[position:position] = chance.randbytes(chance.randint(1, 8))
            case 3:
                changed += changed[position : position + 40]
            case _ if chance.random() < 0.2:
                del changed[position:]
            case _:
                changed[position:position] = b"-----BEGIN CERTIFICATE-----\n"
    return bytes(changed)


def pkcs12_of(certificate: certs.Certificate, password: bytes | None) -> bytes:
    """Return key and certificate as PKCS#12."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = (
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(100)
            .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            .build(password)
        )
    return pkcs12.serialize_key_and_certificates(
        b"name", certificate.private_key, certificate.leaf, None, encryption
    )


def encoded_key(certificate: certs.Certificate, encoding: serialization.Encoding) -> bytes:
    """Return the open key."""
    return certificate.private_key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def intact() -> certs.Certificate:
    """Return a certificate with a chain and many kinds of names."""
    root = certs.CertificateAuthority.generate("Root", crl_url="http://ca.test/crl")
    names = ("localhost", "::1", "spiffe://a/b", "me@a.test")
    return root.issue_authority("Below").issue_server(*names)


Way = Callable[[certs.Certificate, random.Random], object]


def _pem(intact: certs.Certificate, chance: random.Random) -> object:
    return certs.load(mutate(intact.to_pem() + intact.key_to_pem(), chance))


def _pem_encrypted(intact: certs.Certificate, chance: random.Random) -> object:
    return certs.load(intact.to_pem(), mutate(intact.key_to_pem("pw"), chance), "pw")


def _der_certificate(intact: certs.Certificate, chance: random.Random) -> object:
    der = intact.leaf.public_bytes(serialization.Encoding.DER)
    return certs.load(mutate(der, chance), intact.key_to_pem())


def _der_key(intact: certs.Certificate, chance: random.Random) -> object:
    der = encoded_key(intact, serialization.Encoding.DER)
    return certs.load(intact.to_pem(), mutate(der, chance))


def _pkcs12(intact: certs.Certificate, chance: random.Random) -> object:
    return certs.load_pkcs12(mutate(pkcs12_of(intact, None), chance))


def _pkcs12_encrypted(intact: certs.Certificate, chance: random.Random) -> object:
    return certs.load_pkcs12(mutate(pkcs12_of(intact, b"pw"), chance), "pw")


def _trust_anchors(intact: certs.Certificate, chance: random.Random) -> object:
    return certs.load_trust_anchors(mutate(intact.to_pem(), chance))


def _trusted(intact: certs.Certificate, chance: random.Random) -> object:
    settings = bytes.fromhex("3010a00a06082b060105050703040c026d65")  # not for mail, "me"
    der = intact.leaf.public_bytes(serialization.Encoding.DER) + settings
    body = base64.encodebytes(mutate(der, chance))
    label = b"TRUSTED CERTIFICATE-----\n"
    return certs.load_trust_anchors(b"-----BEGIN " + label + body + b"-----END " + label)


def _structure(intact: certs.Certificate, chance: random.Random) -> object:
    """Reach what is read before a password is: the list of keys in PKCS#12."""
    return certs.load(mutate(pkcs12_of(intact, b"pw"), chance))


def _chain(intact: certs.Certificate, chance: random.Random) -> object:
    der = intact.leaf.public_bytes(serialization.Encoding.DER)
    loaded = certs.load_chain(mutate(der, chance))
    return str(loaded), loaded.check()


def _crl(intact: certs.Certificate, chance: random.Random) -> object:
    root = certs.CertificateAuthority.generate("Root")
    root.revoke(root.issue_server("localhost"))
    own = root.certificate
    crl = mutate(root.crl().public_bytes(serialization.Encoding.DER), chance)
    return certs.CertificateAuthority.load(own.to_pem(), own.key_to_pem(), crlfile=crl)


WAYS: list[Way] = [
    _pem,
    _pem_encrypted,
    _der_certificate,
    _der_key,
    _pkcs12,
    _pkcs12_encrypted,
    _trust_anchors,
    _trusted,
    _structure,
    _chain,
    _crl,
]


def refusal(way: Way, intact: certs.Certificate, chance: random.Random) -> str | None:
    """Load something mutated; return how it was refused, or `None` if it was not."""
    try:
        way(intact, chance)
    except CertificateError as error:
        return f"{error!r} {error.__cause__!r}"
    return None


# What cryptography says of PKCS#12 with superfluous bytes, before it reads it all the same.
@pytest.mark.filterwarnings("ignore:PKCS#12 bundle could not be parsed as DER")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_mutated_input(way: Way, intact: certs.Certificate) -> None:
    """Two hundred mutations of each format: a CertificateError each, and none shows the key."""
    secret = intact.key_to_pem().decode().splitlines()[2][:20]
    refused = 0
    for seed in range(MUTATIONS):
        text = refusal(way, intact, random.Random(seed))
        refused += text is not None
        assert secret not in str(text)
        assert "PRIVATE KEY--" not in str(text)
    assert refused > MUTATIONS // 2
