"""Commands around an authority: intermediates, requests, PKCS#12, verification, revocation."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certs import judges
from tests.certs.test_fetch import one_connection
from tlshttp import _certs_cli, certs

CA = ("--ca", "ca.pem", "--ca-key", "ca-key.pem")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with an authority and a password file in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("XDG_DATA_HOME", "TLSHTTP_AUTHORITY"):
        monkeypatch.delenv(variable, raising=False)
    certs.CertificateAuthority.generate("CA").write("ca.pem", "ca-key.pem")
    (tmp_path / "password").write_text("secret word\n")
    return tmp_path


def run(*argv: str) -> None:
    """Run a command that does what it should."""
    assert _certs_cli.main(argv) == 0


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run a command that is refused, and return what it says."""
    assert _certs_cli.main(argv) == 2
    return capsys.readouterr().err


def root() -> x509.Certificate:
    """Return the authority's certificate."""
    (anchor,) = certs.load_trust_anchors("ca.pem")
    return anchor


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_certificates_f10_password_files(
    bom: bytes, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file encrypts a new key, opens the authority's, or both; two where they differ."""
    (place / "password").write_bytes(bom + b"secret word\n")
    (place / "other").write_bytes(b"other word")
    run("ca", "Locked", "--encrypt", "--password-file", "password", "--certfile", "l.pem",
        "--keyfile", "lk.pem")  # fmt: skip
    locked = ("--ca", "l.pem", "--ca-key", "lk.pem")
    run("issue", "localhost", *locked, "--password-file", "password")
    assert b"ENCRYPTED" not in (place / "server-key.pem").read_bytes()
    run("issue", "localhost", *locked, "--password-file", "password", "--encrypt", "--force")
    certs.load(place / "server.pem", place / "server-key.pem", "secret word")
    both = ("--password-file", "other", "--ca-password-file", "password")
    run("issue", "localhost", *locked, *both, "--encrypt", "--force")
    certs.load(place / "server.pem", place / "server-key.pem", "other word")
    errors = refused(capsys, "issue", "a.test", *locked, "--ca-password-file", "other", "--force")
    assert "password does not open" in errors
    assert "other word" not in errors
    for command in (("ca", "X"), ("issue", "a.test"), ("client", "me@example.org")):
        files = ("--certfile", "x.pem", "--keyfile", "xk.pem", "--password-file", "password")
        assert "give --encrypt, too" in refused(capsys, *command, *files)
    assert not (place / "x.pem").exists()


@pytest.mark.parametrize(
    ("options", "lifetime"),
    [
        (("--lifetime", "30m"), timedelta(minutes=30)),
        (("--lifetime", "12h"), timedelta(hours=12)),
        (("--lifetime", "10d"), timedelta(days=10)),
        (("--lifetime", "4w"), timedelta(weeks=4)),
        (("--lifetime", "1y"), timedelta(days=365)),
        (("--lifetime", "3"), timedelta(days=3)),
        (("--days", "3"), timedelta(days=3)),
    ],
)
def test_lifetimes(options: tuple[str, ...], lifetime: timedelta, place: Path) -> None:
    """A lifetime may be given in minutes, hours, days, weeks and years."""
    run("issue", "localhost", *CA, *options)
    leaf = certs.load_chain(place / "server.pem").leaf
    length = leaf.not_valid_after_utc - leaf.not_valid_before_utc + timedelta(seconds=1)
    assert length == lifetime


@pytest.mark.parametrize("text", ["", "h", "12 h", "1.5d", "-3d", "12H", "1d12h", "12s"])
def test_lifetimes_that_are_none(
    text: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no lifetime is refused with examples."""
    assert "is not a lifetime such as" in refused(
        capsys, "issue", "localhost", *CA, f"--lifetime={text}"
    )


def test_intermediate_with_constraints(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An authority below another one issues what its root verifies, and nothing it may not."""
    run("ca", "Below", *CA, "--certfile", "b.pem", "--keyfile", "bk.pem", "--permit", "app.test",
        "--permit", "10.0.0.0/8", "--organization", "Example Inc.", "--unit", "Tools")  # fmt: skip
    below = ("--ca", "b.pem", "--ca-key", "bk.pem")
    run("issue", "www.app.test", "10.1.2.3", *below)
    issued = certs.load(place / "server.pem", place / "server-key.pem")
    assert len(issued.chain) == 1
    assert "O=Example Inc." in issued.chain[0].subject.rfc4514_string()
    for name in issued.names:
        assert judges.openssl(judges.Question(issued, [root()], name)) is None
    errors = refused(capsys, "issue", "other.test", "192.168.0.1", *below, "--force")
    assert "it may for app.test and *.app.test" in errors
    assert "it may for 10.0.0.0/8" in errors
    assert "path length 0" in refused(capsys, "ca", "Deeper", *below, "--force")
    for wrong in ("a b", "10.0.0.1/8", "https://x.test"):
        files = ("--certfile", "w.pem", "--keyfile", "wk.pem")
        assert "python -m tlshttp certs: " in refused(capsys, "ca", "X", *files, "--permit", wrong)
    assert "--ca-key needs --ca" in refused(capsys, "ca", "X", "--ca-key", "y", "--force")


def test_one_certificate_for_both_sides(place: Path) -> None:
    """``issue --client`` makes a certificate with both key usages."""
    run("issue", "localhost", *CA, "--client", "--crl-url", "http://ca.example.org/crl")
    leaf = certs.load_chain(place / "server.pem").leaf
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert "http://ca.example.org/crl" in repr(list(points))


def test_request_of_openssl(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A request made by openssl is signed, and its key fits the certificate."""
    make = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=app.test",
            "-addext", "subjectAltName=DNS:app.test,DNS:www.app.test"]  # fmt: skip
    subprocess.run(make, check=True, capture_output=True, timeout=60)
    (place / "key.pem").chmod(0o600)
    run("sign", "request.pem", *CA, "--certfile", "signed.pem")
    issued = certs.load(place / "signed.pem", place / "key.pem")
    assert issued.names == ("app.test", "www.app.test")
    assert judges.openssl(judges.Question(issued, [root()], "www.app.test")) is None
    assert "signed.pem exists" in refused(capsys, "sign", "request.pem", *CA)
    run("sign", "request.pem", "other.test", "--purpose", "both", "--force")  # by the local one
    assert certs.load_chain(place / "signed.pem").names == ("other.test",)
    assert "no certificate signing request" in refused(capsys, "sign", "ca.pem", *CA, "--force")


def test_key_that_one_has(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that exists is certified and left alone, encrypted or not."""
    key = certs.self_signed("x.test")
    (place / "mine.pem").write_bytes(key.key_to_pem("secret word"))
    (place / "mine.pem").chmod(0o600)
    before = (place / "mine.pem").read_bytes()
    options = ("--key", "mine.pem", "--password-file", "password")
    run("issue", "localhost", *CA, *options)
    issued = certs.load(place / "server.pem", place / "mine.pem", "secret word")
    assert issued.names == ("localhost",)
    assert not (place / "server-key.pem").exists()
    assert (place / "mine.pem").read_bytes() == before
    assert "stays as it is" in refused(
        capsys, "issue", "a.test", *CA, *options, "--encrypt", "--force"
    )
    assert "no private key" in refused(capsys, "issue", "a.test", *CA, "--key", "ca.pem", "--force")


def test_pkcs12_for_others(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """PKCS#12 is written when issuing or later, only its owner may read it, and openssl does."""
    run("client", "me@example.org", *CA, "--pkcs12", "me.p12", "--password-file", "password")
    run(
        "pkcs12",
        "client.pem",
        "client-key.pem",
        "--out",
        "later.p12",
        "--password-file",
        "password",
    )
    issued = certs.load(place / "client.pem", place / "client-key.pem")
    for name in ("me.p12", "later.p12"):
        assert certs.load_pkcs12(place / name, "secret word") == issued
        assert (place / name).stat().st_mode & 0o777 == 0o600
        read = ["openssl", "pkcs12", "-in", name, "-passin", "file:password", "-noout"]
        subprocess.run(read, check=True, capture_output=True, timeout=60)
    again = ("pkcs12", "client.pem", "client-key.pem", "--out", "me.p12")
    assert "me.p12 exists" in refused(capsys, *again, "--password-file", "password")
    assert "does not belong to" in refused(capsys, "pkcs12", "ca.pem", "client-key.pem")
    assert "no terminal" in refused(capsys, "pkcs12", "client.pem", "client-key.pem")
    (place / "client-key.pem").chmod(0o644)
    assert "tolerate 'key-exposed'" in refused(capsys, *again, "--force")
    run(*again, "--force", "--tolerate", "key-exposed", "--password-file", "password")


def test_verify(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file or a server is verified against roots and a host, with 1 for what is refused."""
    run("issue", "localhost", "127.0.0.1", *CA)
    run("verify", "server.pem", "--ca", "ca.pem", "--host", "localhost")
    assert "good for localhost" in capsys.readouterr().out
    assert _certs_cli.main(["verify", "server.pem", "--ca", "ca.pem", "--host", "a.test"]) == 1
    assert "is not for 'a.test'" in capsys.readouterr().out
    assert _certs_cli.main(["verify", "server.pem", "--host", "localhost"]) in {1, 2}
    assert "--host" in refused(capsys, "verify", "server.pem", "--ca", "ca.pem")
    run("client", "me@example.org", *CA)
    run("verify", "client.pem", "--ca", "ca.pem", "--purpose", "client")
    issued = certs.load(place / "server.pem", place / "server-key.pem")
    with one_connection(judges.server_context(issued)) as port:
        run("verify", f"127.0.0.1:{port}", "--ca", "ca.pem")
    with one_connection(judges.server_context(issued)) as port:
        command = ["verify", f"https://127.0.0.1:{port}/", "--ca", "ca.pem", "--host", "b.test"]
        assert _certs_cli.main(command) == 1


def test_show_as_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown for programs is one JSON object with everything of the leaf and the chain."""
    run("ca", "Below", *CA, "--certfile", "b.pem", "--keyfile", "bk.pem")
    run("issue", "localhost", "--ca", "b.pem", "--ca-key", "bk.pem")
    capsys.readouterr()
    run("show", "server.pem", "--json")
    shown = json.loads(capsys.readouterr().out)
    certificate = certs.load_chain(place / "server.pem")
    assert shown["names"] == ["localhost"]
    assert shown["fingerprint_sha256"] == certificate.fingerprint()
    assert int(shown["serial_number"], 16) == certificate.leaf.serial_number
    assert shown["not_valid_after"] == f"{certificate.not_valid_after:%Y-%m-%dT%H:%M:%SZ}"
    assert [above["subject"] for above in shown["chain"]] == ["CN=Below"]
    assert [above["authority"] for above in shown["chain"]] == [True]


def test_revoke_and_renew_the_list(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is revoked stays revoked in every list that follows, and OpenSSL refuses it."""
    run("client", "one@example.org", *CA, "--certfile", "one.pem", "--keyfile", "one-key.pem")
    run("client", "two@example.org", *CA, "--certfile", "two.pem", "--keyfile", "two-key.pem")
    run("crl", *CA)
    run("revoke", "one.pem", *CA, "--reason", "key-compromise", "--lifetime", "12h")
    serial = f"{certs.load_chain(place / 'two.pem').leaf.serial_number:x}"
    run("revoke", "--serial", serial, *CA)
    run("crl", *CA, "--lifetime", "30d")
    assert "2 certificates revoked" in capsys.readouterr().out
    crl = x509.load_pem_x509_crl((place / "ca.crl").read_bytes())
    assert len(list(crl)) == 2
    for name in ("one", "two"):
        shown = certs.load(place / f"{name}.pem", place / f"{name}-key.pem")
        question = judges.Question(shown, [root()], purpose=certs.Purpose.CLIENT, crls=[crl])
        assert "revoked" in (judges.openssl(question) or "")
    certs.CertificateAuthority.generate("Other").write("o.pem", "ok.pem")
    other = ("--ca", "o.pem", "--ca-key", "ok.pem")
    before = (place / "ca.crl").read_bytes()
    assert "not from this authority" in refused(capsys, "revoke", "one.pem", *other)
    assert "was not issued by" in refused(capsys, "revoke", "one.pem", *other, "--crl", "o.crl")
    for words, reason in (
        (CA, "give the certificate, or its serial"),
        (("one.pem", "--serial", "1", *CA), "give the certificate, or its serial"),
        (("--serial", "xyz", *CA), "is not a serial number"),
        (("--serial", "0", *CA), "is no serial number"),
        (("one.pem",), "--ca is missing"),
    ):
        assert reason in refused(capsys, "revoke", *words)
    assert (place / "ca.crl").read_bytes() == before
    assert not (place / "o.crl").exists()


def test_certificates_f28_a_key_that_browsers_refuse(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ed25519 is issued with a note of who does not take it; other keys without."""
    run("issue", "localhost", *CA, "--key-type", "ed25519")
    (line,) = capsys.readouterr().err.splitlines()
    assert "no browser accepts an Ed25519 key" in line
    run("issue", "localhost", *CA, "--force")
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock()")
def test_revocations_at_the_same_time_are_all_kept(place: Path) -> None:
    """Commands that run together wait for each other, so that none forgets another's work."""
    serials = range(1, 5)
    command = [sys.executable, "-m", "tlshttp", "certs", "revoke", *CA, "--serial"]
    running = [
        subprocess.Popen([*command, f"{serial:x}"], stdout=subprocess.DEVNULL) for serial in serials
    ]
    assert [process.wait(60) for process in running] == [0] * len(serials)
    crl = x509.load_pem_x509_crl((place / "ca.crl").read_bytes())
    assert {entry.serial_number for entry in crl} == set(serials)
