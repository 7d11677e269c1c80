from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.certs import judges
from tests.context.hierarchy import client_of, issue, named, refusal_of_openssl
from tlshttp import certs
from tlshttp.errors import CertificateError


@pytest.fixture
def authority() -> certs.CertificateAuthority:
    """Return an authority that has revoked nothing yet."""
    return certs.CertificateAuthority.generate("Root")


def number(crl: x509.CertificateRevocationList) -> int:
    """Return the number of a CRL."""
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def entries(crl: x509.CertificateRevocationList) -> list[tuple[object, ...]]:
    """Return what a CRL says of each certificate."""
    return [
        (entry.serial_number, entry.revocation_date_utc, *map(repr, entry.extensions))
        for entry in crl
    ]


def test_new_authority_has_an_empty_list(authority: certs.CertificateAuthority) -> None:
    """A list of nothing is signed, dated, numbered and due in a week."""
    crl = authority.crl()
    assert list(crl) == []
    assert crl.is_signature_valid(authority.certificate.private_key.public_key())
    assert crl.last_update_utc < datetime.now(UTC)
    assert crl.next_update_utc is not None
    assert timedelta(days=6) < crl.next_update_utc - datetime.now(UTC) <= timedelta(days=7)
    identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = authority.certificate.leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert identifier.key_identifier == own.value.digest


def test_revoked_certificates_are_listed(authority: certs.CertificateAuthority) -> None:
    """Each revoked certificate stands in the list once, with its reason if one was given."""
    plain, reasoned = authority.issue_server("a.test"), authority.issue_client("b.test")
    authority.revoke(plain)
    authority.revoke(reasoned.leaf, reason=x509.ReasonFlags.key_compromise)
    authority.revoke(reasoned)
    crl = authority.crl()
    assert len(list(crl)) == 2
    entry = crl.get_revoked_certificate_by_serial_number(reasoned.leaf.serial_number)
    assert entry is not None
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.key_compromise
    silent = crl.get_revoked_certificate_by_serial_number(plain.leaf.serial_number)
    assert silent is not None
    assert list(silent.extensions) == []


def test_numbers_rise(authority: certs.CertificateAuthority) -> None:
    """Each list has a higher number than the one before, within one second, too."""
    numbers = [number(authority.crl()) for _ in range(3)]
    assert numbers == sorted(set(numbers))


def test_revocations_survive_on_disk(tmp_path: Path, authority: certs.CertificateAuthority) -> None:
    """An authority loaded with its last CRL goes on from there; dates and numbers stay."""
    issued = authority.issue_server("localhost")
    authority.revoke(issued, reason=x509.ReasonFlags.superseded)
    files = tmp_path / "ca.pem", tmp_path / "ca-key.pem"
    authority.write(*files, crlfile=tmp_path / "ca.crl")
    loaded = certs.CertificateAuthority.load(*files, crlfile=tmp_path / "ca.crl")
    before, after = authority.crl(), loaded.crl()
    assert entries(after) == entries(before)
    assert len(entries(after)) == 1
    written = x509.load_pem_x509_crl((tmp_path / "ca.crl").read_bytes())
    assert number(after) > number(written)
    assert certs.CertificateAuthority.load(
        *files, crlfile=after.public_bytes(Encoding.DER)
    ).ocsp_response(issued).certificate_status is (ocsp.OCSPCertStatus.REVOKED)


def test_list_of_another_authority_is_refused(authority: certs.CertificateAuthority) -> None:
    """A CRL that another authority signed, or that is damaged, cannot be gone on from."""
    own = authority.certificate
    pem = own.to_pem() + own.key_to_pem()
    other = certs.CertificateAuthority.generate("Root").crl().public_bytes(Encoding.PEM)
    with pytest.raises(CertificateError, match="not from this authority"):
        certs.CertificateAuthority.load(pem, crlfile=other)
    with pytest.raises(CertificateError, match="no readable CRL"):
        certs.CertificateAuthority.load(pem, crlfile=b"garbage")


def test_only_own_certificates(authority: certs.CertificateAuthority) -> None:
    """An authority neither revokes nor vouches for what it has not issued."""
    foreign = certs.CertificateAuthority.generate("Root").issue_server("localhost")
    for ask in (authority.revoke, authority.ocsp_response):
        with pytest.raises(CertificateError, match="'localhost' was not issued by 'Root'"):
            ask(foreign)


def test_reasons_and_lifetimes_that_make_no_sense(authority: certs.CertificateAuthority) -> None:
    """A reason that takes revocation back, and statements over at once, are refused."""
    issued = authority.issue_server("localhost")
    with pytest.raises(CertificateError, match="remove_from_crl"):
        authority.revoke(issued, reason=x509.ReasonFlags.remove_from_crl)
    with pytest.raises(CertificateError, match="over before it begins"):
        authority.crl(lifetime=timedelta())
    with pytest.raises(CertificateError, match="over before it begins"):
        authority.ocsp_response(issued, lifetime=timedelta(days=-1))


@pytest.mark.usefixtures("cached_keys")
@pytest.mark.parametrize("key_type", certs.KeyType)
@pytest.mark.parametrize("revoked", [False, True])
def test_openssl_reads_the_ocsp_response(
    tmp_path: Path, key_type: certs.KeyType, revoked: bool
) -> None:
    """OpenSSL verifies the response with the authority's certificate and reads the status."""
    authority = certs.CertificateAuthority.generate("Root", key_type=key_type)
    issued = authority.issue_server("localhost")
    if revoked:
        authority.revoke(issued, reason=x509.ReasonFlags.key_compromise)
    response = authority.ocsp_response(issued)
    (tmp_path / "response").write_bytes(response.public_bytes(Encoding.DER))
    (tmp_path / "root").write_bytes(judges.pem([authority.certificate.leaf]))
    (tmp_path / "leaf").write_bytes(judges.pem([issued.leaf]))
    command = "openssl ocsp -respin response -CAfile root -issuer root -cert leaf -no_nonce"
    done = subprocess.run(
        command.split(), cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )
    assert "Response verify OK" in done.stderr
    assert f"leaf: {'revoked' if revoked else 'good'}" in done.stdout
    assert ("keyCompromise" in done.stdout) is revoked


def test_ocsp_response_of_another_key_is_not_believed(tmp_path: Path) -> None:
    """OpenSSL refuses a response signed by a namesake of the authority."""
    authority, namesake = (certs.CertificateAuthority.generate("Root") for _ in range(2))
    response = namesake.ocsp_response(namesake.issue_server("localhost"))
    (tmp_path / "response").write_bytes(response.public_bytes(Encoding.DER))
    (tmp_path / "root").write_bytes(judges.pem([authority.certificate.leaf]))
    command = "openssl ocsp -respin response -CAfile root -issuer root -no_nonce"
    done = subprocess.run(
        command.split(), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )
    assert "Response Verify Failure" in done.stderr


def test_what_spells_the_authoritys_name_otherwise_can_be_revoked() -> None:
    """OpenSSL finds it in the list: to it both are one name."""
    root = issue("Root")
    authority = certs.CertificateAuthority(root.as_client())
    client = client_of(root, spelled=named("ROOT"))
    assert refusal_of_openssl([root], client.as_client(), [authority.crl()]) is None
    authority.revoke(client.leaf)
    refusal = refusal_of_openssl([root], client.as_client(), [authority.crl()])
    assert "revoked" in (refusal or "")
