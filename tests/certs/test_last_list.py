"""Going on from an authority's last list: nothing that it, or its file, says is lost."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.hierarchy import Node, client_of, named
from tests.revocation_lists import AUTHORITIES, NOW, USERS, make_list, part
from tlshttp import _certs_cli, certs
from tlshttp._certs_cli import _revoking
from tlshttp.certs import _last_list, _revocation
from tlshttp.errors import CertificateError

CRL = x509.CertificateRevocationList

OURS = ("--ca", "ca.pem", "--ca-key", "ca-key.pem")
COMMANDS = [("crl", *OURS), ("revoke", "alice.pem", *OURS)]


@pytest.fixture(scope="module")
def authority() -> certs.CertificateAuthority:
    """Return an authority."""
    return certs.CertificateAuthority.generate("CA")


@pytest.fixture(scope="module")
def alice(authority: certs.CertificateAuthority) -> certs.Certificate:
    """Return the certificate of a client."""
    return authority.issue_client("alice@example.org")


@pytest.fixture
def place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    authority: certs.CertificateAuthority,
    alice: certs.Certificate,
) -> Path:
    """Return the current folder, with the authority and the client in it."""
    monkeypatch.chdir(tmp_path)
    for name, one in (("ca", authority.certificate), ("alice", alice)):
        Path(f"{name}.pem").write_bytes(one.to_pem())
        Path(f"{name}-key.pem").touch(mode=0o600)
        Path(f"{name}-key.pem").write_bytes(one.key_to_pem())
    return tmp_path


def pem(*lists: CRL) -> bytes:
    """Return a file with several lists."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in lists)


def with_extension(
    authority: certs.CertificateAuthority, extension: x509.ExtensionType, *, in_entry: bool = False
) -> CRL:
    """Return a list that has a critical extension, or an entry that has one."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.leaf.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
    )
    entry = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(NOW)
    if in_entry:
        entry = entry.add_extension(extension, critical=True)
    else:
        builder = builder.add_extension(extension, critical=True)
    key = authority.certificate.private_key
    return builder.add_revoked_certificate(entry.build()).sign(key, hashes.SHA256())


OTHER_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other")])
STRANGER = x509.CertificateIssuer([x509.DirectoryName(OTHER_NAME)])
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"\x05\x00")

REFUSED: dict[str, tuple[Callable[[certs.CertificateAuthority], bytes], str]] = {
    "old and new": (
        lambda own: pem(make_list(own, hours=-3), make_list(own, 7, hours=-2)), "there are 2 CRLs"
    ),
    "two parts": (
        lambda own: pem(make_list(own, of=AUTHORITIES), make_list(own, 7, of=USERS)),
        "there are 2 CRLs",
    ),
    "two authorities": (
        lambda own: pem(make_list(own, 7), make_list(certs.CertificateAuthority.generate("Other"))),
        "there are 2 CRLs",
    ),
    "users": (lambda own: pem(make_list(own, 7, of=USERS)), "for a part of the certificates"),
    "a place": (
        lambda own: pem(make_list(own, 7, of=part(place="http://a.test/1"))),
        "for a part of the certificates",
    ),
    "indirect": (
        lambda own: pem(make_list(own, 7, of=part(indirect=True))), "for several authorities"
    ),
    "delta": (lambda own: pem(with_extension(own, x509.DeltaCRLIndicator(3))), "is a delta"),
    "of others": (
        lambda own: pem(with_extension(own, STRANGER, in_entry=True)), "for several authorities"
    ),
    "unknown": (
        lambda own: pem(with_extension(own, UNKNOWN)), "critical extension that is unknown here"
    ),
    "renamed": (
        lambda own: pem(make_list(own, 7, name=OTHER_NAME)), "is not from this authority"
    ),
    "two in DER": (
        lambda own: 2 * make_list(own, 7).public_bytes(Encoding.DER), "there is no readable CRL"
    ),
    "cut off": (lambda own: pem(make_list(own, 7), make_list(own))[:-20], "has no end"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_file_that_says_more_than_the_next_list_would_is_refused(
    kind: str,
    place: Path,
    authority: certs.CertificateAuthority,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And it stays as it is; whoever loads the authority from Python is told so, too."""
    make, reason = REFUSED[kind]
    content = make(authority)
    (place / "ca.crl").write_bytes(content)
    for command in COMMANDS:
        assert _certs_cli.main(command) == 2
        assert reason in capsys.readouterr().err
    assert (place / "ca.crl").read_bytes() == content
    with pytest.raises(CertificateError, match=reason):
        certs.CertificateAuthority.load("ca.pem", "ca-key.pem", crlfile="ca.crl")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_lies_beside_the_list_is_not_lost(
    command: tuple[str, ...],
    place: Path,
    authority: certs.CertificateAuthority,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A certificate or key in the same file: these commands write the list alone."""
    content = (place / "ca-key.pem").read_bytes() + pem(make_list(authority, 7))
    (place / "ca.crl").write_bytes(content)
    assert _certs_cli.main(command) == 2
    assert "has more in it than a CRL" in capsys.readouterr().err
    assert (place / "ca.crl").read_bytes() == content


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_list_without_a_number_is_gone_on_from(
    encoding: Encoding,
    command: tuple[str, ...],
    place: Path,
    authority: certs.CertificateAuthority,
    alice: certs.Certificate,
) -> None:
    """As from one before the first; it stays in DER where it was. It lost nothing, and has one."""
    (place / "ca.crl").write_bytes(make_list(authority, 7).public_bytes(encoding))
    assert _certs_cli.main(command) == 0
    content = (place / "ca.crl").read_bytes()
    read = x509.load_der_x509_crl if encoding is Encoding.DER else x509.load_pem_x509_crl
    found = read(content)
    revoked = {7, alice.leaf.serial_number} if command[0] == "revoke" else {7}
    assert {entry.serial_number for entry in found} == revoked
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > 0


def test_list_that_goes_on_from_none_is_said_to_be_new(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a wrong path, or in another folder, it would take the place of one that has more."""
    for command in COMMANDS:
        (place / "ca.crl").unlink(missing_ok=True)
        for words in (1, 0):
            assert _certs_cli.main(command) == 0
            assert capsys.readouterr().out.count("a new list: there was no such file") == words


@pytest.mark.parametrize("seconds", [0, -1, -299, -301, -3600])
def test_servers_take_the_next_list_whoever_made_the_last_one(
    seconds: int,
    place: Path,
    authority: certs.CertificateAuthority,
    alice: certs.Certificate,
) -> None:
    """``openssl ca -gencrl`` begins its lists now, we some minutes ago: none may seem the older."""
    (place / "ca.crl").write_bytes(pem(make_list(authority, 7, hours=seconds / 3600)))
    store = certs.CRLStore("ca.crl")
    for command in (COMMANDS[1], COMMANDS[0]):
        assert _certs_cli.main(command) == 0
        assert store.reload()
    (found,) = store.current
    assert {entry.serial_number for entry in found} == {7, alice.leaf.serial_number}


def test_last_list_of_another_time_is_said(
    place: Path, authority: certs.CertificateAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    """A server whose clock goes as that of whoever made it would keep it; all others take ours."""
    (place / "ca.crl").write_bytes(pem(make_list(authority, 7, hours=2)))
    assert _certs_cli.main(COMMANDS[1]) == 0
    assert "later than now" in caplog.text
    assert len(list(certs.CRLStore("ca.crl").current[0])) == 2
    caplog.clear()
    assert _certs_cli.main(COMMANDS[1]) == 0
    assert not caplog.records


def test_lists_never_begin_before_the_last_one(
    authority: certs.CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the clock is put back a little."""

    class Clock(datetime):
        ahead = timedelta()

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time() + cls.ahead.total_seconds(), tz)

    monkeypatch.setattr(_revocation, "datetime", Clock)
    store = None
    for Clock.ahead in (timedelta(), timedelta(minutes=-2), timedelta(minutes=-4)):
        crl = authority.crl()
        if store is not None:
            store.replace(crl)
        store = store or certs.CRLStore.from_crl(crl)
        assert store.current == (crl,)


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_long_list_is_gone_on_from(
    encoding: Encoding,
    place: Path,
    authority: certs.CertificateAuthority,
    alice: certs.Certificate,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It may be as long as servers take it. What nobody could read again is not written."""
    note = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), bytes(400_000))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.leaf.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
    )
    for serial in (7, 8, 9):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW)
        builder = builder.add_revoked_certificate(entry.add_extension(note, critical=False).build())
    last = builder.sign(authority.certificate.private_key, hashes.SHA256())
    content = last.public_bytes(encoding)
    assert len(content) > 1024 * 1024
    (place / "ca.crl").write_bytes(content)
    loaded = certs.CertificateAuthority.load("ca.pem", "ca-key.pem", crlfile=content)
    assert {entry.serial_number for entry in loaded.crl()} == {7, 8, 9}
    assert _certs_cli.main(COMMANDS[1]) == 0
    (found,) = certs.CRLStore("ca.crl").current
    assert {entry.serial_number for entry in found} == {7, 8, 9, alice.leaf.serial_number}
    before = (place / "ca.crl").read_bytes()
    monkeypatch.setattr(_last_list, "MAXIMUM_LIST_SIZE", 300)
    capsys.readouterr()
    assert _certs_cli.main(COMMANDS[0]) == 2
    assert "which nobody here reads: 'ca.crl' stays as it is" in capsys.readouterr().err
    with pytest.raises(CertificateError, match="nobody here reads"):
        loaded.write("ca.pem", "ca-key.pem", crlfile="ca.crl")
    assert (place / "ca.crl").read_bytes() == before


def test_list_that_is_too_long_is_said_to_be_no_list(place: Path) -> None:
    """By the limit of servers, and by its own name."""
    with (place / "ca.crl").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(CertificateError, match="larger than 64 MiB: that is no revocation list"):
        certs.CertificateAuthority.load("ca.pem", "ca-key.pem", crlfile="ca.crl")


def test_what_counts_again_can_be_revoked(
    place: Path, authority: certs.CertificateAuthority, alice: certs.Certificate
) -> None:
    """An entry that says so (``removeFromCRL``) does not stay in the place of the new one."""
    serial = alice.leaf.serial_number
    back = make_list(authority, serial, reason=x509.ReasonFlags.remove_from_crl)
    (place / "ca.crl").write_bytes(pem(back))
    assert _certs_cli.main(("revoke", "alice.pem", *OURS)) == 0
    (entry,) = x509.load_pem_x509_crl((place / "ca.crl").read_bytes())
    assert entry.serial_number == serial
    assert not list(entry.extensions)


def test_one_of_several_certificates_is_not_guessed(
    place: Path,
    authority: certs.CertificateAuthority,
    alice: certs.Certificate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor is the authority's own taken for a client's; a chain has one that is meant."""
    bob = authority.issue_client("bob@example.org")
    (place / "two.pem").write_bytes(alice.to_pem() + bob.to_pem())
    (place / "ca-first.pem").write_bytes(authority.certificate.to_pem() + alice.to_pem())
    for name, reason in (("two", "there are 2 certificates"), ("ca-first", "the authority itself")):
        assert _certs_cli.main(("revoke", f"{name}.pem", *OURS)) == 2
        assert reason in capsys.readouterr().err
    spelled = named("ca")
    other = client_of(
        Node(authority.certificate.leaf, authority.certificate.private_key, None), spelled=spelled
    )
    for two in (alice.leaf, other.leaf), (other.leaf, alice.leaf):
        (place / "two.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in two))
        assert _certs_cli.main(("revoke", "two.pem", *OURS)) == 2
        assert "there are 2 certificates" in capsys.readouterr().err
    assert not (place / "ca.crl").exists()
    (place / "chain.pem").write_bytes(2 * alice.to_pem() + authority.certificate.to_pem())
    assert _certs_cli.main(("revoke", "chain.pem", *OURS)) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock()")
@pytest.mark.parametrize("ca", ["ca.pem", "copy.pem"])
def test_list_is_kept_from_commands_with_a_copy_of_the_authority(
    ca: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that read it at the same time, the later one would forget what the other revokes."""
    import fcntl

    shutil.copy("ca.pem", "copy.pem")
    (place / "lists").mkdir()
    (place / "ca.crl").symlink_to("lists/ca.crl")
    load = _revoking._authority

    def look_and_load(arguments: Any) -> Any:
        folder = os.open("lists", os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(folder)
        return load(arguments)

    monkeypatch.setattr(_revoking, "_authority", look_and_load)
    assert _certs_cli.main(("revoke", "alice.pem", "--ca", ca, *OURS[2:])) == 0
    assert (place / "lists" / "ca.crl").exists()


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (("client", "a@b.test", *OURS, "--key", "alice-key.pem", "--certfile", "alice-key.pem"),
         "alice-key.pem"),
        (("client", "a@b.test", *OURS, "--keyfile", "./ca-key.pem"), "ca-key.pem"),
        (("client", "a@b.test", *OURS, "--pkcs12", "ca.pem"), "ca.pem"),
        (("ca", "Below", *OURS, "--certfile", "ca.pem"), "ca.pem"),
        (("sign", "alice-key.pem", *OURS, "--certfile", "link"), "alice-key.pem"),
        (("pkcs12", "alice.pem", "alice-key.pem", "--out", "alice-key.pem"), "alice-key.pem"),
        (("pkcs12", "alice.pem", "alice-key.pem", "--password-file", "ca.pem", "--out", "ca.pem"),
         "ca.pem"),
    ],
)  # fmt: skip
def test_force_replaces_no_file_that_the_command_reads(
    command: tuple[str, ...], file: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key would be gone: ``--force`` is for what was made before."""
    (place / "link").symlink_to("alice-key.pem")
    before = (place / file).read_bytes()
    assert _certs_cli.main((*command, "--force")) == 2
    assert "is read by this command" in capsys.readouterr().err
    assert (place / file).read_bytes() == before
