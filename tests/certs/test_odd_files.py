"""certificates F18, F21: odd files that load, and sentences for those that do not."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certs.test_cli import place, run, run_wrong
from tlshttp import certs
from tlshttp.certs import _der
from tlshttp.certs._pkcs8 import encrypt
from tlshttp.errors import CertificateError

__all__ = ["place"]


@pytest.fixture(scope="module")
def good() -> certs.Certificate:
    """Return a certificate with its key."""
    return certs.self_signed("localhost")


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        (b"RSA PRIVATE KEY", certs.KeyType.RSA_2048),
        (b"EC PRIVATE KEY", certs.KeyType.ECDSA_P256),
    ],
)
def test_certificates_f21_other_body_than_the_label_says(
    tmp_path: Path, label: bytes, kind: certs.KeyType
) -> None:
    """PKCS#8 under the label of an older form loads, as it does with the ssl module."""
    good = certs.self_signed("localhost", key_type=kind)
    key = good.key_to_pem().replace(b"PRIVATE KEY", label)
    path = tmp_path / "all.pem"
    path.write_bytes(key + good.to_pem())
    path.chmod(0o600)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    assert certs.load(path) == good
    path.write_bytes(key.replace(b"\nM", b"\nA", 1) + good.to_pem())
    with pytest.raises(CertificateError, match=r"the private key in .* is damaged"):
        certs.load(path)


def test_certificates_f21_damage_is_named(good: certs.Certificate) -> None:
    """Where an extension cannot be read the sentence has what the parser says of it."""
    der = good.leaf.public_bytes(Encoding.DER)
    names = _der.encode(0x82, b"localhost")
    assert names in der
    with pytest.raises(CertificateError, match=r"is damaged: .*x400Address") as caught:
        certs.load_chain(der.replace(names, b"\xa3" + names[1:]))
    assert "(ValueError)" not in str(caught.value)


def locked_without_password(good: certs.Certificate) -> bytes:
    """Return the key, encrypted with an empty password, which cryptography does not do."""
    der = good.private_key.private_bytes(
        Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _der.to_pem(encrypt(der, b""), "ENCRYPTED PRIVATE KEY")


@pytest.mark.parametrize("content", ["", "\n", "\ufeff\r\n"])
def test_certificates_f10_empty_password(
    place: Path, capsys: pytest.CaptureFixture[str], good: certs.Certificate, content: str
) -> None:
    """An empty file opens a key with an empty password; it protects none, and opens no other."""
    Path("password").write_text(content, encoding="utf-8")
    Path("secret").write_text("secret")
    Path("key.pem").write_bytes(locked_without_password(good))
    Path("key.pem").chmod(0o600)
    Path("cert.pem").write_bytes(good.to_pem())
    assert run("ca", "Locked", "--encrypt", "--password-file", "secret") == 0
    words = "issue", "a.test", "--ca", "ca.pem", "--ca-key", "ca-key.pem", "--password-file"
    said = run_wrong(capsys, *words, "password")
    assert "is empty, and that does not open it" in said
    assert certs.load("cert.pem", "key.pem", "") == good
    issue = "issue", "b.test", "--key", "key.pem", "--force", *words[2:]
    assert run(*issue, "password", "--ca-password-file", "secret") == 0
    said = run_wrong(capsys, "ca", "Other", "--encrypt", "--force", "--password-file", "password")
    assert "there is no password in 'password'" in said


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-32", "UTF-32"), ("utf-32-le", "UTF-32"), ("utf-32-be", "UTF-32"), ("utf-16", "UTF-16")],
)
def test_certificates_f18_wide_text(good: certs.Certificate, encoding: str, name: str) -> None:
    """Text in UTF-32 is not taken for UTF-16, and has its own command."""
    with pytest.raises(CertificateError, match=f"it is text in {name}") as caught:
        certs.load_chain(good.to_pem().decode().encode(encoding))
    assert f"iconv -f {name} " in str(caught.value)


@pytest.mark.parametrize(
    ("after", "words"),
    [(b"\0", "with 1 byte after its end"), (b"\r\n\x1a", "with 3 bytes after its end")],
)
def test_certificates_f18_bytes_after_der(
    good: certs.Certificate, after: bytes, words: str
) -> None:
    """A certificate in DER with something behind it is called that, and no key is asked for."""
    with pytest.raises(CertificateError, match=words) as caught:
        certs.load_chain(good.leaf.public_bytes(Encoding.DER) + after)
    assert "private key" not in str(caught.value)
