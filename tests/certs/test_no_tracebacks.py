"""certificates F20: what is wrong with input is said in one sentence, with status 2."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certs.test_cli import place, run, run_wrong
from tlshttp import TLSHTTPServer, certs
from tlshttp.context import audit
from tlshttp.errors import CertificateError, ConfigurationError

__all__ = ["place"]

VERSION_3 = b"\xa0\x03\x02\x01\x02"
"""How a certificate of version 3 begins: RFC 5280, section 4.1.2.1."""


def of_version(number: int) -> tuple[bytes, bytes]:
    """Return a certificate in DER that says that it is of another version, and its key in PEM."""
    good = certs.self_signed("localhost")
    der = good.leaf.public_bytes(Encoding.DER)
    return der.replace(VERSION_3, VERSION_3[:-1] + bytes((number - 1,)), 1), good.key_to_pem()


@pytest.mark.parametrize("version", [2, 4, 100])
@pytest.mark.parametrize("form", ["PEM", "DER", "trusted PEM"])
def test_certificates_f20_impossible_version(
    place: Path, capsys: pytest.CaptureFixture[str], version: int, form: str
) -> None:
    """A certificate of a version that nobody reads is called that, wherever it is read."""
    der, key = of_version(version)
    pem = ssl.DER_cert_to_PEM_cert(der)
    if form == "trusted PEM":
        pem = pem.replace(" CERTIFICATE", " TRUSTED CERTIFICATE")
    Path("a.pem").write_bytes(der if form == "DER" else pem.encode())
    Path("key.pem").write_bytes(key)
    Path("key.pem").chmod(0o600)
    for command in ("show", "check"):
        said = run_wrong(capsys, command, "a.pem")
        assert f"is of X.509 version {version}, which nobody reads" in said
        assert said.count("\n") == 1
    with pytest.raises(CertificateError, match=f"X.509 version {version}"):
        certs.load("a.pem", "key.pem")
    with pytest.raises(CertificateError, match=f"X.509 version {version}"):
        certs.load_trust_anchors("a.pem")
    with pytest.raises(ConfigurationError, match=f"X.509 version {version}"):
        TLSHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler, certfile="a.pem", keyfile="key.pem")


def test_certificates_f20_audit_of_an_impossible_version(tmp_path: Path) -> None:
    """An audit says so, too: OpenSSL shows what it is given."""
    der, key = of_version(4)
    (tmp_path / "all.pem").write_bytes(key + ssl.DER_cert_to_PEM_cert(der).encode())
    ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ssl_context.load_cert_chain(tmp_path / "all.pem")
    with pytest.raises(ConfigurationError, match=r"X\.509 version 4"):
        audit(ssl_context)


@pytest.fixture
def made(place: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a folder with an authority, its list, and a server's certificate."""
    assert run("ca", "Test") == 0
    assert run("issue", "a_b.example.com", "--ca", "ca.pem", "--ca-key", "ca-key.pem") == 0
    capsys.readouterr()
    return place


SIGNER = ("--ca", "ca.pem", "--ca-key", "ca-key.pem")

WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "underscore in a host": (
        ("verify", "server.pem", "--ca", "ca.pem", "--host", "a_b.example.com"),
        "a_b.example.com cannot be verified",
    ),
    "path length": (
        ("ca", "x", "--path-length", "99999999999999999999", "--force"), "cannot be 9999"
    ),
    "path length below": (
        ("ca", "x", "--path-length", "256", *SIGNER, "--certfile", "x.pem", "--keyfile", "k.pem"),
        "cannot be 256",
    ),
    "lifetime": (("crl", *SIGNER, "--lifetime", "100000y"), "is too long|after the year 9999"),
    "lifetime of a list": (("crl", *SIGNER, "--lifetime", "9000y"), "after the year 9999"),
    "serial number": (("revoke", "--serial", "f" * 5000, *SIGNER), "is no serial number"),
    "serial number of 21 octets": (("revoke", "--serial", "f" * 42, *SIGNER), "no serial number"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_certificates_f20_one_sentence_and_status_two(
    made: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Nothing is written, either."""
    before = {path.name: path.read_bytes() for path in made.glob("*.*")}
    words, sentence = WRONG[kind]
    said = run_wrong(capsys, *words)
    assert any(part in said for part in sentence.split("|")), said
    assert said.count("\n") == 1
    assert len(said) < 400
    assert {path.name: path.read_bytes() for path in made.glob("*.*")} == before


def test_certificates_f20_name_that_is_no_text(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the shell gives as a byte that is no UTF-8."""
    (made / "password").write_text("secret")
    said = run_wrong(
        capsys, "pkcs12", "server.pem", "server-key.pem", "--name", os.fsdecode(b"\xff"),
        "--password-file", "password",
    )  # fmt: skip
    assert "cannot be a name" in said
    assert said.count("\n") == 1


def test_certificates_f20_verify_of_a_chain_that_cannot_be_read() -> None:
    """Extensions that mean nothing, in what a program has put together, are a finding."""
    key = ec.generate_private_key(ec.SECP256R1())
    root = certs.CertificateAuthority.generate("root")
    leaf = root.issue_server("localhost").leaf
    builder = x509.CertificateBuilder(
        leaf.issuer, leaf.subject, key.public_key(), 5,
        leaf.not_valid_before_utc, leaf.not_valid_after_utc,
    )  # fmt: skip
    for extension in leaf.extensions:
        value: x509.ExtensionType = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            # The name's form is x400Address, which cryptography does not read.
            value = x509.UnrecognizedExtension(value.oid, b"\x30\x04\xa3\x02\x30\x00")
        builder = builder.add_extension(value, extension.critical)
    signed = builder.sign(root.certificate.private_key, hashes.SHA256())
    with pytest.raises(CertificateError):
        certs.CertificateChain(signed, ()).verify([root.certificate.leaf], "localhost")


@pytest.fixture
def terminal() -> Iterator[str]:
    """Return the path of a terminal of our own: a device that nobody could replace by a file."""
    ours, theirs = os.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("by_link", [False, True])
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        ("issue", "x.test", "--certfile", "special", *SIGNER),
        ("issue", "x.test", "--certfile", "new.pem", "--keyfile", "special", *SIGNER),
        ("ca", "y", "--certfile", "special"),
        ("pkcs12", "server.pem", "server-key.pem", "--out", "special", "--password-file", "secret"),
    ],
    ids=["certificate", "key", "authority", "PKCS#12"],
)
def test_certificates_f21_pipes_are_not_replaced(
    made: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], force: bool,
    by_link: bool,
) -> None:  # fmt: skip
    """A pipe stays, with --force or without, by a link or not; and no key is left beside it."""
    (made / "secret").write_text("secret")
    os.mkfifo(made / "pipe")
    if by_link:
        (made / "special").symlink_to("pipe")
    else:
        (made / "pipe").rename(made / "special")
    before = sorted(made.iterdir())
    said = run_wrong(capsys, *words, *(["--force"] if force else []))
    assert ("it is a device, pipe or socket, not a file" if force else "exists") in said
    assert stat.S_ISFIFO((made / "special").stat().st_mode)
    assert sorted(made.iterdir()) == before


def test_certificates_f21_writing_spares_what_is_no_file(made: Path, terminal: str) -> None:
    """So it is for programs: devices, pipes, folders, and links to them."""
    certificate = certs.self_signed("localhost")
    (made / "folder").mkdir()
    os.mkfifo(made / "pipe")
    (made / "link").symlink_to(terminal)
    for place_, what in (("link", "a device"), ("pipe", "pipe"), ("folder", "a folder")):
        with pytest.raises(CertificateError, match=f"{what}.*not a file"):
            certificate.write(made / place_)
    assert stat.S_ISCHR((made / "link").stat().st_mode)
    assert stat.S_ISFIFO((made / "pipe").stat().st_mode)
