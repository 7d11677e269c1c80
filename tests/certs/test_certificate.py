from __future__ import annotations

import copy
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from tlshttp import certs
from tlshttp.certs import _keys
from tlshttp.errors import CertificateError


def mode(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_fingerprint_is_the_one_that_browsers_show(certificate: certs.Certificate) -> None:
    """The fingerprint is SHA-256 over the leaf, in pairs of hexadecimal digits."""
    plain = certificate.leaf.fingerprint(hashes.SHA256()).hex()
    assert certificate.fingerprint().replace(":", "").lower() == plain
    assert certificate.fingerprint().count(":") == 31


def test_expires_in_counts_down_to_the_last_second() -> None:
    """The time left is positive before the end and negative after it."""
    now = datetime.now(UTC)
    left = certs.self_signed("localhost", not_valid_after=now + timedelta(hours=2)).expires_in
    assert timedelta(hours=1) < left <= timedelta(hours=2)
    soon = certs.self_signed("localhost", not_valid_after=now + timedelta(hours=3.5))
    assert "(3 hours left)" in str(soon)
    expired = certs.self_signed("localhost", not_valid_after=now - timedelta(hours=2))
    assert expired.expires_in < timedelta()
    assert "expired" in str(expired)


def test_text_is_for_people(certificate: certs.Certificate) -> None:
    """The text has the facts that one looks for, each in its line."""
    text = str(certificate)
    for fact in ("localhost, 127.0.0.1", "89 days left", "ECDSA P-256", certificate.fingerprint()):
        assert fact in text
    below = certs.CertificateAuthority.generate("Root").issue_authority("Below")
    assert "intermediate: CN=Below" in str(below.issue_server("localhost"))


def test_no_private_key_in_any_text(
    private_keys: dict[certs.KeyType, _keys.PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither repr nor str nor the public PEM of a certificate has any of its private key."""
    monkeypatch.setattr("tlshttp.certs._issue.generate_key", private_keys.__getitem__)
    for key_type in certs.KeyType:
        made = certs.self_signed("localhost", key_type=key_type)
        secret = made.key_to_pem().decode().splitlines()[1][40:60]
        for text in (repr(made), str(made), made.to_pem().decode(), f"{[made]}"):
            assert "PRIVATE" not in text
            assert secret not in text


def test_certificate_does_not_change(certificate: certs.Certificate) -> None:
    """A certificate is a value: it cannot be changed, and equal ones are equal."""
    with pytest.raises(AttributeError):
        certificate.leaf = certificate.leaf  # type: ignore[misc]
    again = certs.Certificate(certificate.leaf, certificate.chain, certificate.private_key)
    assert again == certificate
    assert hash(again) == hash(certificate)
    assert copy.copy(certificate) == certificate
    assert certificate != certs.self_signed("localhost", "127.0.0.1")


def test_key_must_belong_to_the_leaf(certificate: certs.Certificate) -> None:
    """A certificate with the key of another cannot be made."""
    other = certs.self_signed("other.example")
    with pytest.raises(CertificateError, match=r"does not belong to 'localhost'"):
        certs.Certificate(certificate.leaf, (), other.private_key)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_written_key_is_its_owners_only(tmp_path: Path, certificate: certs.Certificate) -> None:
    """The key file has mode 0600 and the certificate file 0644, whatever was there before."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    keyfile.write_bytes(b"old")
    keyfile.chmod(0o666)
    certificate.write(certfile, keyfile)
    assert (mode(certfile), mode(keyfile)) == (0o644, 0o600)
    assert b"PRIVATE" not in certfile.read_bytes()
    assert certs.load(certfile, keyfile) == certificate


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("same", [False, True])
def test_one_file_for_both(tmp_path: Path, certificate: certs.Certificate, same: bool) -> None:
    """Key and certificate written into one file make that file its owner's only."""
    path = tmp_path / "both.pem"
    certificate.write(path, path if same else None)
    assert mode(path) == 0o600
    assert certs.load(path) == certificate
    assert [entry.name for entry in tmp_path.iterdir()] == ["both.pem"]


def test_written_key_is_encrypted_when_asked(
    tmp_path: Path, certificate: certs.Certificate
) -> None:
    """A key written with a password opens with that password only."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write(certfile, keyfile, "secret")
    assert b"ENCRYPTED PRIVATE KEY" in keyfile.read_bytes()
    assert certs.load(certfile, keyfile, lambda: b"secret") == certificate
    with pytest.raises(CertificateError, match="password does not open"):
        certs.load(certfile, keyfile, "wrong")
    with pytest.raises(CertificateError, match="encrypted: give its password"):
        certs.load(certfile, keyfile)


def test_empty_password_is_refused(certificate: certs.Certificate) -> None:
    """An empty password, which would encrypt nothing, is an error."""
    with pytest.raises(CertificateError, match="empty password"):
        certificate.key_to_pem("")


def test_symbolic_link_stays(tmp_path: Path, certificate: certs.Certificate) -> None:
    """Writing through a symbolic link replaces what it points to, not the link."""
    target = tmp_path / "real.pem"
    target.write_bytes(b"old")
    link = tmp_path / "link.pem"
    link.symlink_to(target)
    certificate.write(link)
    assert link.is_symlink()
    assert certs.load(target) == certificate


def test_unwritable_folder_is_a_certificate_error(
    tmp_path: Path, certificate: certs.Certificate
) -> None:
    """A file that cannot be written is a CertificateError that names the path."""
    with pytest.raises(CertificateError, match=r"cannot write '.*nowhere.*cert.pem'"):
        certificate.write(tmp_path / "nowhere" / "cert.pem")


def test_failed_replacement_leaves_nothing_aside(
    tmp_path: Path, certificate: certs.Certificate
) -> None:
    """Where the file cannot be replaced, what was written aside is removed again."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(CertificateError, match="cannot write"):
        certificate.write(tmp_path / "folder")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_without_unnamed_files(
    tmp_path: Path, certificate: certs.Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no unnamed files, the same is written with the same modes."""
    monkeypatch.setattr("tlshttp.certs._files._write_unnamed", lambda *arguments: False)
    certificate.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert certs.load(tmp_path / "cert.pem", tmp_path / "key.pem") == certificate
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cert.pem", "key.pem"]
    if os.name == "posix":
        assert mode(tmp_path / "key.pem") == 0o600
