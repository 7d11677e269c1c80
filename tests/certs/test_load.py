from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519
from cryptography.hazmat.primitives.serialization import pkcs12

from tlshttp import certs
from tlshttp.errors import CertificateError, ConfigurationError


def der(certificate: certs.Certificate) -> tuple[bytes, bytes]:
    """Return certificate and key in DER form."""
    return (
        certificate.leaf.public_bytes(serialization.Encoding.DER),
        certificate.private_key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def traditional(certificate: certs.Certificate, password: bytes | None = None) -> bytes:
    """Return the key in OpenSSL's older PEM form."""
    return certificate.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


def findings(*arguments: object, **options: object) -> tuple[str, ...]:
    """Load what cannot be loaded and return the findings."""
    with pytest.raises(CertificateError) as caught:
        certs.load(*arguments, **options)  # type: ignore[arg-type]
    return caught.value.findings


def test_from_one_or_two_files(tmp_path: Path, certificate: certs.Certificate) -> None:
    """Key and certificate load from one file in either order, and from two, as path or text."""
    both, cert, key = (tmp_path / name for name in ("both.pem", "cert.pem", "key.pem"))
    certificate.write(both)
    certificate.write(cert, key)
    assert certs.load(both) == certs.load(str(cert), key) == certificate
    text = certificate.to_pem() + certificate.key_to_pem()
    assert certs.load(text) == certs.load(text.decode()) == certificate


def test_older_and_binary_forms(certificate: certs.Certificate) -> None:
    """DER, the older key form, both encrypted and not, and text around the PEM all load."""
    certificate_der, key_der = der(certificate)
    assert certs.load(certificate_der, key_der) == certificate
    assert certs.load(certificate_der, key_der, "not needed") == certificate
    prose = b"Bag Attributes\n" + certificate.to_pem() + b"\n# and the key:\n"
    assert certs.load(prose + traditional(certificate)) == certificate
    assert certs.load(prose + traditional(certificate, b"pw"), password="pw") == certificate
    assert certs.load(prose, certificate.key_to_pem(), password="not needed") == certificate
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert certs.load(prose + parameters + traditional(certificate)) == certificate


def test_everything_is_found_at_once(tmp_path: Path) -> None:
    """One error tells that the certificate expired, the key is another's, and who can read it."""
    past = datetime.now(UTC) - timedelta(days=1)
    certs.self_signed("localhost", not_valid_after=past).write(
        tmp_path / "cert.pem", tmp_path / "x"
    )
    certs.self_signed("localhost").write(tmp_path / "y", tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o644)
    found = findings(tmp_path / "cert.pem", tmp_path / "key.pem")
    wanted = ["expired on", "does not belong", *(["chmod 600"] if os.name == "posix" else [])]
    assert all(any(word in sentence for sentence in found) for word in wanted)
    assert len(found) == len(wanted)


def test_both_files_missing_are_two_findings(tmp_path: Path) -> None:
    """A missing certificate file does not hide a missing key file."""
    found = findings(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert len(found) == 2
    assert "cert.pem" in found[0]
    assert "key.pem" in found[1]
    assert len(findings(tmp_path / "both.pem")) == 1
    assert "cannot be the path" in findings("nu\0ll")[0]


def test_parts_missing(certificate: certs.Certificate) -> None:
    """A file without certificate, without key, or with neither says so."""
    assert "no private key in" in findings(certificate.to_pem())[0]
    assert "no certificate in" in findings(certificate.key_to_pem())[0]
    assert len(findings(b"hello")) == 2
    assert len(findings(b"")) == 2
    certificate_der, _ = der(certificate)
    assert "no private key" in findings(certificate_der)[0]


def test_damaged_parts(certificate: certs.Certificate) -> None:
    """A PEM block that is cut off or not base64 is a finding, for certificate and key."""
    cut = certificate.to_pem()[:200]
    assert "cut off" in findings(cut, certificate.key_to_pem())[0]
    assert "cut off" in findings(certificate.to_pem(), certificate.key_to_pem()[:100])[0]
    broken = certificate.to_pem().replace(b"\nM", b"\n!", 1)
    assert "certificate 1" in findings(broken, certificate.key_to_pem())[0]
    key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert "damaged" in findings(certificate.to_pem(), key)[0]


def test_keys_that_serve_no_tls(certificate: certs.Certificate) -> None:
    """An OpenSSH key and a DSA key are named for what they are."""
    ssh = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    assert "ssh-keygen" in findings(certificate.to_pem(), ssh)[0]
    old = dsa.generate_private_key(1024).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    assert "type DSA" in findings(certificate.to_pem(), old)[0]


def test_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    """A file or bytes beyond 1 MiB are not even looked at."""
    huge = tmp_path / "huge.pem"
    huge.write_bytes(b"-----BEGIN A-----" * 70_000)
    assert "larger than 1 MiB" in findings(huge)[0]
    assert "more than 1 MiB" in findings(huge.read_bytes())[0]


def test_many_open_blocks_cost_no_time(certificate: certs.Certificate) -> None:
    """A megabyte of block beginnings is refused in one pass, not searched again for each."""
    assert "cut off" in findings(b"-----BEGIN CERTIFICATE-----\n" * 37_000)[0]


def test_tolerated_findings_are_logged(
    certificate: certs.Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """What is tolerated loads, and one warning says it."""
    pem = certificate.to_pem() + certificate.key_to_pem()
    later = certificate.not_valid_after + timedelta(days=1)
    assert "expired" in findings(pem, at=later)[0]
    with caplog.at_level(logging.WARNING, "tlshttp.certs"):
        assert certs.load(pem, at=later, tolerate=["expired"]) == certificate
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "expired" in caplog.text
    assert "PRIVATE" not in caplog.text
    earlier = certificate.not_valid_before - timedelta(seconds=1)
    assert "not valid before" in findings(pem, at=earlier, tolerate=["expired"])[0]


def test_unknown_code_cannot_be_tolerated(certificate: certs.Certificate) -> None:
    """A misspelt or hopeless code is an error that lists what can be tolerated."""
    with pytest.raises(ConfigurationError, match="'key-mismatch' cannot be tolerated"):
        certs.load(certificate.to_pem(), tolerate=["key-mismatch", "expired"])


def test_certificate_of_the_key_must_come_first(certificate: certs.Certificate) -> None:
    """A key that belongs to a later certificate is reported as wrong order, not as a stranger."""
    other = certs.self_signed("other.example")
    found = findings(other.to_pem() + certificate.to_pem(), certificate.key_to_pem())
    assert any("put that certificate first" in sentence for sentence in found)
    assert not any("is missing" in sentence for sentence in found)


@pytest.mark.parametrize("password", [None, b"secret"])
def test_pkcs12(tmp_path: Path, certificate: certs.Certificate, password: bytes | None) -> None:
    """A PKCS#12 file loads with its password, by load as by load_pkcs12."""
    path = tmp_path / "pair.p12"
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x",
            certificate.private_key,
            certificate.leaf,
            None,
            encryption,
        )
    )
    path.chmod(0o600)
    assert certs.load_pkcs12(path, password) == certificate
    assert certs.load_pkcs12(path.read_bytes(), password) == certificate
    with pytest.raises(CertificateError, match="or the password is wrong"):
        certs.load_pkcs12(path, "wrong")
    assert certs.load(path, password=password) == certificate
    assert certs.load(path, path, password) == certificate


def test_pkcs12_with_its_chain_in_any_order() -> None:
    """The chain of a PKCS#12 file is put in order, and the root is left out."""
    root = certs.CertificateAuthority.generate("Root")
    upper = root.issue_authority("Upper", path_length=1)
    issued = upper.issue_authority("Lower").issue_server("localhost")
    others = [root.certificate.leaf, *reversed(issued.chain)]
    content = pkcs12.serialize_key_and_certificates(
        None, issued.private_key, issued.leaf, others, serialization.NoEncryption()
    )
    assert certs.load_pkcs12(content) == issued


def test_pkcs12_without_parts(certificate: certs.Certificate) -> None:
    """A PKCS#12 file without key, or without certificate, says which is missing."""
    plain = serialization.NoEncryption()
    without_key = pkcs12.serialize_key_and_certificates(None, None, certificate.leaf, None, plain)
    with pytest.raises(CertificateError, match="no private key"):
        certs.load_pkcs12(without_key)
    without_certificate = pkcs12.serialize_key_and_certificates(
        None,
        certificate.private_key,
        None,
        None,
        plain,
    )
    with pytest.raises(CertificateError, match="no certificate"):
        certs.load_pkcs12(without_certificate)


def test_chain_and_trust_anchors_need_no_key(certificate: certs.Certificate) -> None:
    """Certificates alone load for a look at them, and as anchors."""
    pem = certificate.to_pem()
    assert certs.load_chain(pem).leaf == certificate.leaf
    assert certs.load_trust_anchors(pem * 3) == [certificate.leaf] * 3
    for load in (certs.load_chain, certs.load_trust_anchors):
        with pytest.raises(CertificateError, match="no certificate"):
            load(certificate.key_to_pem())


def test_wrong_types_stay_type_errors(certificate: certs.Certificate) -> None:
    """A path in bytes or a password of another type is the caller's mistake."""
    with pytest.raises(TypeError, match="password"):
        certs.load(certificate.to_pem(), certificate.key_to_pem(b"x"), 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        certs.load(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a path must be str"):
        certs.load_chain(BytesPath())  # type: ignore[arg-type]


class BytesPath:
    def __fspath__(self) -> bytes:
        """Return a path in bytes."""
        return b"cert.pem"
