"""The bad certificates, judged by others than Python's clients."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from tests.support import UNIT
from tlshttp import certs, testing
from tlshttp.testing._bad import recipes

REFUSALS = {
    "expired": "certificate has expired",
    "not-yet-valid": "certificate is not yet valid",
    "expired-intermediate": "certificate has expired",
    "wrong-host": "hostname mismatch",
    "no-names": "Subject empty and Subject Alt Name extension not critical|subject name empty",
    "malformed-names": "hostname mismatch",
    "nul-in-name": "hostname mismatch",
    "address-as-name": "IP address mismatch",
    "bare-wildcard": "hostname mismatch",
    "self-signed": "self.signed certificate",
    "untrusted-root": "self.signed certificate in certificate chain",
    "incomplete-chain": "unable to get local issuer certificate",
    "wrong-signature": "certificate signature failure",
    "revoked": "certificate revoked",
    "revoked-stapled": "certificate revoked",
    "name-constraint-violated": "permitted subtree violation",
    "path-length-violated": "path length constraint exceeded",
    "issuer-not-an-authority": "invalid CA certificate",
    "client-usage-only": "unsuitable certificate purpose",
    "no-signature-usage": "unsuitable certificate purpose",
    "no-key-identifier": "Missing Authority Key Identifier",
    "sha1": "CA signature digest algorithm too weak",
    "rsa-1024": "EE certificate key too weak",
}
"""Why ``openssl s_client`` refuses each, in the words of OpenSSL's verification errors."""

NOT_REFUSED_BY_OPENSSL = {
    "expired-while-connected": "is good at first; see test_bad_outcomes.py",
    "common-name-only": "s_client falls back on the subject, and has no option against it",
    "reversed-chain": "OpenSSL puts chains in order, as RFC 8446, section 4.4.2, recommends",
    "lifetime-too-long": "only browsers and Apple limit lifetimes",
}

CERTIFICATES = [
    name for name, fault in testing.FAULTS.items() if fault.kind is testing.FaultKind.CERTIFICATE
]


def openssl() -> str:
    """Return the path of openssl, or skip the test."""
    path = shutil.which("openssl")
    if path is None:
        pytest.skip("openssl is not installed")
    return path


def s_client(server: testing.BadServer, folder: Path) -> tuple[int, str]:
    """Have ``openssl s_client`` verify strictly; return its exit status and what it says."""
    kind = "-verify_ip" if server.host == "127.0.0.1" else "-verify_hostname"
    command = [
        openssl(), "s_client", "-connect", f"{server.host}:{server.port}", "-verify_return_error",
        "-x509_strict", "-CAfile", str(server.ca_path), kind, server.host, "-servername",
        "localhost", "-cipher", "DEFAULT@SECLEVEL=2", "-no-CApath", "-no-CAstore",
    ]  # fmt: skip
    if server.crl_pem is not None:
        (folder / "crl.pem").write_text(server.crl_pem)
        command += ["-crl_check", "-CRL", str(folder / "crl.pem")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=30 * UNIT, input=""
    )
    return done.returncode, done.stdout + done.stderr


def chain_of(server: testing.BadServer) -> list[x509.Certificate]:
    """Return what a server shows first."""
    return [x509.load_der_x509_certificate(der) for der in server.certificates]


def test_every_certificate_is_judged() -> None:
    """Each bad certificate is refused by OpenSSL, or it is said here why not."""
    assert {*REFUSALS, *NOT_REFUSED_BY_OPENSSL} == set(CERTIFICATES)
    assert len(CERTIFICATES) >= 20


@pytest.mark.parametrize("name", REFUSALS)
def test_openssl_refuses_it_for_that_reason(name: str, tmp_path: Path) -> None:
    """``openssl s_client -verify_return_error`` ends with the stated reason."""
    with testing.bad_server(name) as server:
        status, said = s_client(server, tmp_path)
    assert status != 0
    reasons = re.findall(r"verify error:num=\d+:(.*)", said)
    assert len(reasons) == 1, said
    assert re.fullmatch(REFUSALS[name], reasons[0], re.IGNORECASE), said


@pytest.mark.parametrize("name", CERTIFICATES)
def test_openssl_accepts_its_twin(name: str, tmp_path: Path) -> None:
    """The honest twin is accepted by the very same command."""
    with testing.bad_server(name, honest=True) as server:
        status, said = s_client(server, tmp_path)
    assert "verify error" not in said
    assert "Verify return code: 0 (ok)" in said
    assert status == 0


@pytest.mark.parametrize("name", NOT_REFUSED_BY_OPENSSL)
def test_openssl_accepts_what_it_has_no_rule_against(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These are accepted: who relies on OpenSSL to refuse them shall know."""
    monkeypatch.setattr(recipes, "EXPIRES_SOON_SECONDS", 3600)  # openssl may take long to begin
    with testing.bad_server(name) as server:
        assert s_client(server, tmp_path)[0] == 0


def test_a_common_name_is_refused_by_the_verifier_of_cryptography() -> None:
    """A verifier by the Baseline Requirements wants a subject alternative name."""
    with pytest.raises(verification.VerificationError, match="no subjectAltName"):
        _verify("common-name-only", honest=False)
    _verify("common-name-only", honest=True)


@pytest.mark.parametrize(
    ("name", "code"), [("reversed-chain", "chain-order"), ("lifetime-too-long", "lifetime-apple")]
)
def test_our_own_check_finds_what_openssl_tolerates(name: str, code: str) -> None:
    """`certs.CertificateChain.check` names them, and nothing of the kind about the twins."""
    assert code in _codes(name, honest=False)
    assert code not in _codes(name, honest=True)


def test_a_reversed_chain_is_reversed() -> None:
    """The order on the wire is leaf, upper, lower: no certificate but the first is in its place."""
    with testing.bad_server("reversed-chain") as server:
        leaf, second, third = chain_of(server)
    assert leaf.issuer == third.subject != second.subject
    assert third.issuer == second.subject
    leaf.verify_directly_issued_by(third)
    third.verify_directly_issued_by(second)


def test_the_revocation_list_is_served(tmp_path: Path) -> None:
    """OpenSSL fetches the list from the address in the certificate, and finds it revoked there."""
    for honest, expected in ((False, "certificate revoked"), (True, "OK")):
        with testing.bad_server("revoked", honest=honest) as server:
            leaf, issuer = _written(server, tmp_path)
            command = [
                openssl(), "verify", "-crl_check", "-crl_download", "-CAfile",
                str(server.ca_path), "-untrusted", str(issuer), str(leaf),
            ]  # fmt: skip
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=30 * UNIT
            )
        assert expected in done.stdout + done.stderr


@pytest.mark.parametrize("by_post", [True, False])
def test_ocsp_is_answered(by_post: bool, tmp_path: Path) -> None:
    """``openssl ocsp`` is told that it is revoked, and that the twin is good, by either method."""
    for honest, expected in ((False, "revoked"), (True, "good")):
        with testing.bad_server("revoked", honest=honest) as server:
            leaf, issuer = _written(server, tmp_path)
            url = _ocsp_url(chain_of(server)[0])
            asked = ["-issuer", str(issuer), "-cert", str(leaf), "-no_nonce"]
            trust = ["-CAfile", str(server.ca_path), "-verify_other", str(issuer)]
            if by_post:
                said = _ocsp(*asked, *trust, "-url", url)
            else:
                said = _ocsp(*asked, *trust, "-respin", str(_by_get(asked, url, tmp_path)))
        assert f"leaf.pem: {expected}" in said
        assert "Response verify OK" in said


def test_the_stapled_response_says_that_it_is_revoked(tmp_path: Path) -> None:
    """A client that asks for a staple is shown one that says revoked; the twin's says good."""
    for honest, expected in ((False, "Cert Status: revoked"), (True, "Cert Status: good")):
        with testing.bad_server("revoked-stapled", honest=honest) as server:
            done = subprocess.run(
                [openssl(), "s_client", "-connect", f"{server.host}:{server.port}", "-status"],
                capture_output=True, text=True, check=False, timeout=30 * UNIT, input="",
            )  # fmt: skip
        assert expected in done.stdout


def _verify(name: str, *, honest: bool) -> None:
    with testing.bad_server(name, honest=honest) as server:
        leaf, *chain = chain_of(server)
    root = testing.authority().certificate.leaf
    builder = verification.PolicyBuilder().store(verification.Store([root]))
    verifier = builder.time(datetime.now(UTC)).build_server_verifier(x509.DNSName("localhost"))
    verifier.verify(leaf, chain)


def _codes(name: str, *, honest: bool) -> set[str]:
    with testing.bad_server(name, honest=honest) as server:
        leaf, *chain = chain_of(server)
    return {finding.code for finding in certs.CertificateChain(leaf, tuple(chain)).check()}


def _written(server: testing.BadServer, folder: Path) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives.serialization import Encoding

    paths = folder / "leaf.pem", folder / "issuer.pem"
    for path, certificate in zip(paths, chain_of(server), strict=True):
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return paths


def _ocsp_url(leaf: x509.Certificate) -> str:
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    (place,) = access
    assert isinstance(place.access_location, x509.UniformResourceIdentifier)
    return place.access_location.value


def _ocsp(*arguments: str) -> str:
    done = subprocess.run(
        [openssl(), "ocsp", *arguments],
        capture_output=True, text=True, check=False, timeout=30 * UNIT,
    )  # fmt: skip
    return done.stdout + done.stderr


def _by_get(asked: list[str], url: str, folder: Path) -> Path:
    """Ask as RFC 6960, appendix A.1, has it: by GET, with the request in the path."""
    import base64
    import urllib.parse
    import urllib.request

    _ocsp(*asked, "-reqout", str(folder / "request"))
    encoded = base64.b64encode((folder / "request").read_bytes()).decode("ascii")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    path = f"{url}/{urllib.parse.quote(encoded, safe='')}"
    with opener.open(path, timeout=30 * UNIT) as response:
        (folder / "response").write_bytes(response.read())
    return folder / "response"


@pytest.mark.parametrize("name", ["wrong-host", "expired", "sha1"])
def test_a_list_of_revocations_leaves_other_faults_as_they_are(name: str) -> None:
    """Beside a revoked certificate, others are refused for their own fault."""
    shows = testing.Show(name), testing.Show("revoked", connection=2)
    with testing.bad_server(*shows) as server:
        with pytest.raises(ssl.SSLCertVerificationError) as first:
            server.get("/")
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate revoked"):
            server.get("/")
    assert "CRL" not in str(first.value)
    assert "revoked" not in str(first.value)


def test_a_good_certificate_is_accepted_until_a_revoked_one_comes() -> None:
    """An honest server has a list of revocations, too, where a later connection is revoked."""
    shows = testing.Show("honest"), testing.Show("revoked", connection=2)
    with testing.bad_server(*shows) as server:
        assert server.get("/").status == 200
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate revoked"):
            server.get("/")
