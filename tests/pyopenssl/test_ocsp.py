from __future__ import annotations

import logging
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.context.support import RecordingServer, running
from tests.engines import NEEDS_GROUPS
from tests.must_staple import must_staple
from tests.pyopenssl.conftest import Create
from tests.pyopenssl.peer import client_of, shake_hands
from tests.support import UNIT
from tlshttp import certs, pyopenssl
from tlshttp.certs import CertificateAuthority
from tlshttp.errors import ConfigurationError
from tlshttp.pyopenssl._ocsp import parse_response
from tlshttp.pyopenssl._staples import Staples

HOUR = timedelta(hours=1)


def response_of(
    authority: CertificateAuthority, certificate: certs.Certificate, lifetime: timedelta = HOUR
) -> bytes:
    """Return what an authority says of a certificate, in DER."""
    return authority.ocsp_response(certificate, lifetime=lifetime).public_bytes(Encoding.DER)


def stapled(
    ssl_context: pyopenssl.ServerContext, authority: CertificateAuthority, version: str = "TLSv1.3"
) -> bytes:
    """Return what a client gets that asks."""
    ends = shake_hands(ssl_context, client_of(authority, version=version), asks_for_staple=True)
    assert ends.staple is not None
    return ends.staple


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("kind", ["file", "callable", "authority"])
def test_response_is_stapled_from_every_kind_of_source(
    create: Create,
    authority: CertificateAuthority,
    certificate: certs.Certificate,
    tmp_path: Path,
    kind: str,
    version: str,
) -> None:
    """A client that asks gets the response for the certificate; one that does not gets none."""
    der = response_of(authority, certificate)
    path = tmp_path / "response.der"
    path.write_bytes(der)
    source = {"file": path, "callable": lambda _shown: der, "authority": authority}[kind]
    made = create(certificate, ocsp_staple=source)
    got = ocsp.load_der_ocsp_response(stapled(made, authority, version))
    assert got.serial_number == certificate.leaf.serial_number
    assert got.certificate_status is ocsp.OCSPCertStatus.GOOD
    ends = shake_hands(made, client_of(authority, version=version))
    assert ends.staple is None
    assert ends.server.version() == version


def test_each_certificate_gets_its_own(create: Create, authority: CertificateAuthority) -> None:
    """Of certificates by name, and of two kinds of keys for one, the response is of the shown."""
    ec, rsa, other = (
        authority.issue_server("localhost"),
        authority.issue_server("localhost", key_type=certs.KeyType.RSA_2048),
        authority.issue_server("other.test"),
    )
    made = create(ec, rsa, other, ocsp_staple=authority)
    for name, signatures, shown in (
        ("localhost", "ecdsa_secp256r1_sha256", ec),
        ("localhost", "rsa_pss_rsae_sha256", rsa),
        ("other.test", None, other),
    ):
        client = client_of(authority, signatures=signatures and f"{signatures}:rsa_pkcs1_sha256")
        ends = shake_hands(made, client, name, asks_for_staple=True)
        assert ends.staple
        got = ocsp.load_der_ocsp_response(ends.staple)
        assert got.serial_number == shown.leaf.serial_number


def test_what_must_not_be_stapled_is_not(
    create: Create,
    authority: CertificateAuthority,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another certificate's response, a revoked, an old and a broken one are logged, not sent."""
    mine, other = authority.issue_server("localhost"), authority.issue_server("localhost")
    gone = authority.issue_server("localhost")
    old = response_of(authority, mine)
    authority.revoke(gone)
    for shown, der, reason in (
        (mine, response_of(authority, other), "not about the certificate"),
        (gone, response_of(authority, gone), "is revoked"),
        (mine, b"nonsense", "no OCSP response"),
        (mine, ocsp.OCSPResponseBuilder.build_unsuccessful(
            ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER), "try later"),
    ):  # fmt: skip
        caplog.clear()
        made = create(shown, ocsp_staple=lambda _shown, der=der: der)
        assert stapled(made, authority) == b""
        (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
        assert reason in line
    with pytest.raises(ValueError, match="and not now"):
        parse_response(old, mine, datetime.now(UTC) + 2 * HOUR)


def test_response_of_another_authority_is_foreign() -> None:
    """Neither its name nor its key is the issuer's; a forger with the same name has another key."""
    root = CertificateAuthority.generate("root")
    below = root.issue_authority("below")
    shown = below.issue_server("localhost")
    forger = CertificateAuthority.generate("root").issue_authority("below")
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=shown.leaf,
        issuer=below.certificate.leaf,
        algorithm=_sha1(),
        cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=datetime.now(UTC) - HOUR,
        next_update=datetime.now(UTC) + HOUR,
        revocation_time=None,
        revocation_reason=None,
    )
    forged = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, forger.certificate.leaf).sign(
        forger.certificate.private_key, _sha256()
    )
    assert shown.chain
    parse_response(response_of(below, shown), shown)
    with pytest.raises(ValueError, match="not signed by its issuer"):
        parse_response(forged.public_bytes(Encoding.DER), shown)


def test_response_that_has_run_out_is_not_stapled(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What nobody has renewed is left out from the moment at which it ends."""
    der = response_of(authority, certificate)
    made = create(certificate, ocsp_staple=lambda _shown: der)
    assert stapled(made, authority) == der
    staples = made._staples
    assert staples is not None
    (key,) = staples._responses
    ended = parse_response(der, certificate)
    staples._responses[key] = type(ended)(der, ended.this_update, datetime.now(UTC))
    assert stapled(made, authority) == b""


def test_half_of_the_validity_brings_a_new_one_without_waiting(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate
) -> None:
    """A thread asks when it is time; until it has the answer the old one is stapled."""
    asked, answered = threading.Event(), threading.Event()
    answers = [response_of(authority, certificate, hours * HOUR) for hours in (1, 2)]
    calls: list[certs.Certificate] = []

    def ask(shown: certs.Certificate) -> bytes:
        calls.append(shown)
        if len(calls) > 1:
            asked.set()
            assert answered.wait(30 * UNIT)
        return answers[min(len(calls), 2) - 1]

    made = create(certificate, ocsp_staple=ask)
    staples = made._staples
    assert staples is not None
    (due,) = staples._next_look.values()
    made.maintain(due - 1)
    assert len(calls) == 1
    made.maintain(due + 20)  # which returns, although nobody has answered
    assert asked.wait(30 * UNIT)
    assert stapled(made, authority) == answers[0]
    answered.set()
    staples.join(30 * UNIT)
    assert stapled(made, authority) == answers[1]
    assert calls == [certificate, certificate]


def test_source_that_fails_later_leaves_what_there_is(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The last response stays as long as it counts, with a warning."""
    der = response_of(authority, certificate)
    answers = iter([der])
    made = create(certificate, ocsp_staple=lambda _shown: next(answers))
    made.maintain(1e9)
    assert made._staples is not None
    made._staples.join(30 * UNIT)
    assert stapled(made, authority) == der
    (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert "no new OCSP response" in line


def test_certificate_that_is_renewed_gets_a_response(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate
) -> None:
    """What a store brings is asked for as soon as it is shown, and what has gone is forgotten."""
    store = certs.CertificateStore.from_certificate(certificate)
    made = create(store, ocsp_staple=authority)
    renewed = authority.issue_server("localhost")
    store.replace(renewed)
    made.maintain(1e9)
    assert made._staples is not None
    made._staples.join(30 * UNIT)
    got = ocsp.load_der_ocsp_response(stapled(made, authority))
    assert got.serial_number == renewed.leaf.serial_number
    assert len(made._staples._responses) == 1


@NEEDS_GROUPS
def test_must_staple_without_a_response_is_an_error(authority: CertificateAuthority) -> None:
    """A certificate that clients refuse without one does not start."""
    shown = must_staple(authority)
    with pytest.raises(ConfigurationError, match=r"must be stapled \(RFC 7633\): give ocsp_staple"):
        pyopenssl.create_server_context(shown)
    with pytest.raises(ConfigurationError, match=r"must be stapled .* has no response"):
        pyopenssl.create_server_context(shown, ocsp_staple=lambda _shown: None)
    with pytest.raises(ConfigurationError, match=r"must be stapled .* No such file"):
        pyopenssl.create_server_context(shown, ocsp_staple="/missing")
    with pytest.raises(TypeError, match="ocsp_staple must be"):
        Staples(7)  # type: ignore[arg-type]
    made = pyopenssl.create_server_context(shown, ocsp_staple=authority)
    assert stapled(made, authority)


def _sha1() -> hashes.SHA1:
    return hashes.SHA1()


def _sha256() -> hashes.SHA256:
    return hashes.SHA256()


@NEEDS_GROUPS
def test_openssl_verifies_what_is_stapled(
    authority: CertificateAuthority, certificate: certs.Certificate, tmp_path: Path
) -> None:
    """``openssl s_client -status`` gets the response from a server, and finds that it is good."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    cafile = tmp_path / "ca.pem"
    cafile.write_bytes(authority.certificate.to_pem())
    made = pyopenssl.create_server_context(certificate, ocsp_staple=authority)
    with running(RecordingServer(made)) as server:
        done = subprocess.run(
            [program, "s_client", "-connect", f"127.0.0.1:{server.server_port}", "-servername",
             "localhost", "-status", "-CAfile", str(cafile), "-verify_return_error"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=50 * UNIT, check=True,
        )  # fmt: skip
    assert b"OCSP Response Status: successful" in done.stdout
    assert b"Cert Status: good" in done.stdout
    assert b"Verify return code: 0 (ok)" in done.stdout
