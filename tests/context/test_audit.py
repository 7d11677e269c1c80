from __future__ import annotations

import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.context.support import RecordingServer, known_groups, refusing_port, running
from tlshttp import certs, context, profiles
from tlshttp._audit_cli import main
from tlshttp.certs._memory import pem_path
from tlshttp.context._peers import MemoryPeer
from tlshttp.context._probe import Offer, Reply
from tlshttp.profiles import INSECURE_OLD, INTERMEDIATE, MODERN, TLSProfile

MOST_HELLOS = 100
"""Of an audit in memory; it takes less than half a millisecond for one."""


@pytest.fixture(scope="module")
def ecdsa(authority: certs.CertificateAuthority) -> certs.Certificate:
    """Return a certificate that every client accepts."""
    return authority.issue_server("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def rsa(authority: certs.CertificateAuthority) -> certs.Certificate:
    """Return one with an RSA key."""
    return authority.issue_server("localhost", "127.0.0.1", key_type=certs.KeyType.RSA_2048)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Offer]:
    """Return a list of all hellos of the audits that follow."""
    offers: list[Offer] = []
    ask = MemoryPeer.ask

    def noting(peer: MemoryPeer, offer: Offer) -> Reply:
        offers.append(offer)
        return ask(peer, offer)

    monkeypatch.setattr(MemoryPeer, "ask", noting)
    return offers


def plain(certificate: certs.Certificate, ciphers: str | None = None) -> ssl.SSLContext:
    """Return a context as a user makes it, as strict as INTERMEDIATE at first."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pem_path(certificate.key_to_pem() + certificate.to_pem()) as path:
        made.load_cert_chain(path)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    made.set_ciphers(ciphers or ":".join(INTERMEDIATE.ciphers))
    if sys.version_info >= (3, 15):
        made.set_groups(":".join(known_groups(INTERMEDIATE)))
        made.set_server_sigalgs(":".join(INTERMEDIATE.signature_algorithms))
    return made


def with_old_versions(made: ssl.SSLContext) -> None:
    """Turn on TLS 1.0 and 1.1."""
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        made.minimum_version = ssl.TLSVersion.TLSv1
    made.set_ciphers(":".join((*INTERMEDIATE.ciphers, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")))


def without_new_version(made: ssl.SSLContext) -> None:
    """Turn off TLS 1.3."""
    made.maximum_version = ssl.TLSVersion.TLSv1_2


def with_cbc(made: ssl.SSLContext) -> None:
    """Add a cipher that is open to padding oracles."""
    made.set_ciphers(":".join((*INTERMEDIATE.ciphers, "ECDHE-ECDSA-AES128-SHA")))


def with_anonymous(made: ssl.SSLContext) -> None:
    """Add a cipher that proves nobody's identity."""
    made.set_ciphers(":".join((*INTERMEDIATE.ciphers, "AECDH-AES128-SHA:@SECLEVEL=0")))


def with_null(made: ssl.SSLContext) -> None:
    """Add a cipher that encrypts nothing."""
    made.set_ciphers(":".join((*INTERMEDIATE.ciphers, "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0")))


def without_a_cipher(made: ssl.SSLContext) -> None:
    """Leave one cipher out."""
    made.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")


def with_server_preference(made: ssl.SSLContext) -> None:
    """Let the server pick."""
    made.options |= ssl.OP_CIPHER_SERVER_PREFERENCE


def with_renegotiation(made: ssl.SSLContext) -> None:
    """Allow renegotiation."""
    made.options &= ~ssl.OP_NO_RENEGOTIATION


def with_weak_group(made: ssl.SSLContext) -> None:
    """Offer a single group that nobody should use."""
    made.set_ecdh_curve("secp256k1")
    made.maximum_version = ssl.TLSVersion.TLSv1_2


def with_sha1(made: ssl.SSLContext) -> None:
    """Sign with SHA-1."""
    made.set_ciphers(":".join((*INTERMEDIATE.ciphers, "@SECLEVEL=0")))
    if sys.version_info >= (3, 15):
        made.set_server_sigalgs(":".join(INSECURE_OLD.signature_algorithms))


def with_loose_alpn(made: ssl.SSLContext) -> None:
    """Let in clients whose protocols are none of ours, as the ssl module does."""
    made.set_alpn_protocols(["http/1.1"])


PLANTED = [
    (with_old_versions, {"version-unexpected"}),
    (without_new_version, {"version-missing"}),
    (with_cbc, {"cipher-unexpected"}),
    (with_anonymous, {"cipher-unexpected"}),
    (with_null, {"cipher-unexpected"}),
    (without_a_cipher, {"cipher-missing"}),
    (with_server_preference, {"cipher-order"}),
    (with_renegotiation, {"option-missing"}),
    (with_weak_group, {"groups-unexpected", "group-missing"}),
    (with_sha1, {"signature-algorithms-unexpected"}),
    (with_loose_alpn, {"alpn-not-strict"}),
]


@pytest.mark.parametrize(("plant", "codes"), PLANTED)
def test_planted_weakness_is_found(
    ecdsa: certs.Certificate, plant: Callable[[ssl.SSLContext], None], codes: set[str],
    asked: list[Offer],
) -> None:  # fmt: skip
    """A context that is as it should be has no deviation; one thing changed, it is named."""
    made = plain(ecdsa)
    assert context.audit(made).deviations == ()
    changed = plain(ecdsa)
    plant(changed)
    asked.clear()
    report = context.audit(changed)
    assert len(asked) < MOST_HELLOS
    assert not report.ok
    assert codes <= {one.code for one in report.deviations}, str(report)


def test_weak_certificates_are_found(authority: certs.CertificateAuthority) -> None:
    """Expired, of the wrong kind of key, without forward secrecy: each is named."""
    now = datetime.now(UTC)
    old = authority.issue_server(
        "localhost", not_valid_before=now - timedelta(9), not_valid_after=now - timedelta(1)
    )
    assert "certificate-expired" in {one.code for one in context.audit(plain(old)).deviations}
    rsa = authority.issue_server("localhost", key_type=certs.KeyType.RSA_2048)
    made = plain(rsa)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    codes = {one.code for one in context.audit(made, profile=MODERN).deviations}
    assert codes == {"certificate-key"}
    static = plain(rsa, ":".join((*INTERMEDIATE.ciphers, "AES128-GCM-SHA256")))
    report = context.audit(static)
    assert [str(one) for one in report.deviations] == [
        "cipher AES128-GCM-SHA256 is negotiated (cipher-unexpected)"
    ]


@pytest.mark.parametrize("profile", [MODERN, INTERMEDIATE, INSECURE_OLD], ids=lambda one: one.name)
def test_profiles_have_no_deviations(
    ecdsa: certs.Certificate, rsa: certs.Certificate, profile: TLSProfile, engine: str,
    asked: list[Offer],
) -> None:  # fmt: skip
    """Each profile as this package sets it is what it says, found by a few hellos."""
    shown = {
        MODERN: [ecdsa],
        INTERMEDIATE: [ecdsa, rsa],
        INSECURE_OLD: [rsa],
    }[profile]
    made = context.create_server_context(*shown, profile=profile)
    report = context.audit(made, profile=profile)
    assert len(asked) < MOST_HELLOS
    assert report.deviations == (), str(report)
    assert set(report.ciphers["TLSv1.3"]) == set(profile.ciphersuites)
    text = str(report)
    assert text.endswith("  ok")
    can = engine != "ssl" or sys.version_info >= (3, 15)
    assert report.enforced == {
        "ciphersuites": can, "groups": True, "signature_algorithms": can,
    }  # fmt: skip
    for field in ("ciphersuites", "signature algorithms"):
        assert f"\n  {field:<20} {'enforced' if can else 'not enforced: '}" in text
    assert "\n  groups               enforced\n" in text
    assert set(report.groups) == set(profile.groups) & set(known_groups(engine=engine))
    if can:
        assert set(report.signature_algorithms) <= set(profile.signature_algorithms)
        assert "beyond the profile" not in text


def test_server_can_be_audited(ecdsa: certs.Certificate) -> None:
    """A server is as its context is, and hears nothing of it; another object is refused."""
    with running(RecordingServer(context.create_server_context(ecdsa))) as server:
        report = context.audit(server)
        assert report.ok
        assert report.versions == ("TLSv1.2", "TLSv1.3")
        assert server.stats().accepted == 0
    with pytest.raises(TypeError, match="wants an ssl"):
        context.audit(object())  # type: ignore[arg-type]


def test_report_of_the_command_line(
    ecdsa: certs.Certificate, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over the network the same is found, in a table; the exit status tells the outcome."""
    made = context.create_server_context(ecdsa)
    with running(RecordingServer(made)) as server:
        port = server.server_port
        assert main([f"127.0.0.1:{port}"]) == 0
        in_memory, table = context.audit(made), capsys.readouterr().out
        for name in (*in_memory.ciphers["TLSv1.2"], *in_memory.groups, "localhost", "  ok"):
            assert name in table
        assert main([f"127.0.0.1:{port}", "--profile", "modern", "--name", "localhost"]) == 1
        assert "DEVIATION: TLSv1.2 is negotiated (version-unexpected)" in capsys.readouterr().out
        assert server.failures
        assert server.served == []


def test_plain_server_over_the_network(ecdsa: certs.Certificate) -> None:
    """Weaknesses of a server that is not ours are found, too."""
    made = plain(ecdsa)
    with_server_preference(made)
    with_loose_alpn(made)
    with running(RecordingServer(made)) as server:
        report = context.audit_host("127.0.0.1", server.server_port, profile=profiles.INTERMEDIATE)
    assert {one.code for one in report.deviations} == {"cipher-order", "alpn-not-strict"}


def test_command_line_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be asked is named, with status 2; --help has an example."""
    with refusing_port() as port:
        assert main([f"127.0.0.1:{port}"]) == 2
    assert f"127.0.0.1:{port}: Connection refused" in capsys.readouterr().err
    for wrong in (["a:b"], ["host/path"], [":1"], ["h", "--timeout", "0"], ["h", "--timeout", "x"]):
        assert main(wrong) == 2
    capsys.readouterr()
    assert main(["--help"]) == 0
    assert "example: python -m tlshttp audit localhost:8443" in capsys.readouterr().out


def test_server_that_says_nothing_of_sense(capsys: pytest.CaptureFixture[str]) -> None:
    """A peer that is no TLS server negotiates nothing; one that is silent is an error."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert main([f"127.0.0.1:{port}", "--timeout", "0.2"]) == 2
    assert "timed out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x03\x00\x02\x02\x28",  # handshake_failure
        b"\x15\x03\x03\x00\x02\x02\x70",  # unrecognized_name
        b"\x15\x03\x03\x00\x05hello",
        b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",  # a ServerHello of nothing
        b"\x16\x03\x03\x00\x08\x02\x00\x00\x04abcd",
        b"\x17\x03\x03\x00\x02ab",
        b"\x16",
    ],
    ids=lambda answer: answer.hex(),
)
def test_certificates_f26_server_that_only_ever_refuses(
    capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    """Whoever answers all with an alert or junk cannot be asked: status 2 and a sentence."""
    served = []

    class Refusing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.sendall(answer)
            served.append(self.client_address)

    with socketserver.TCPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert main([f"127.0.0.1:{server.server_address[1]}"]) == 2
        finally:
            server.shutdown()
            thread.join()
    captured = capsys.readouterr()
    assert "it answers no hello but with alerts" in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert served
