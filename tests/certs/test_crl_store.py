"""Revocation lists that are replaced while they are in use."""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp import certs
from tlshttp.errors import ConfigurationError

CRL = x509.CertificateRevocationList


@pytest.fixture(scope="module")
def issuer() -> certs.CertificateAuthority:
    """Return an authority that issues lists."""
    return certs.CertificateAuthority.generate("issuer")


def of(
    issuer: certs.CertificateAuthority, begin: timedelta, end: timedelta = timedelta(days=1)
) -> CRL:
    """Return an empty list without a number, from a time to another, as seen from now."""
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.leaf.subject)
        .last_update(datetime.now(UTC) + begin)
        .next_update(datetime.now(UTC) + end)
        .sign(issuer.certificate.private_key, hashes.SHA256())
    )


def pem(*crls: CRL) -> bytes:
    """Return lists as a file has them."""
    return b"".join(crl.public_bytes(Encoding.PEM) for crl in crls)


class Watched:
    """A file, a store of it, and looks that are an interval apart."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        path.write_bytes(content)
        self.store = certs.CRLStore(path)
        self._times = itertools.count(1e9, self.store.poll_interval)

    def write(self, content: bytes) -> None:
        """Replace the file."""
        self.path.write_bytes(content)

    def look(self) -> bool:
        """Let the store look once more."""
        return self.store.poll(next(self._times))


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_new_list_is_taken_at_the_next_look(
    issuer: certs.CertificateAuthority, tmp_path: Path, encoding: Encoding,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A newer list counts from the next look on, one line says so, and subscribers hear of it."""
    caplog.set_level(logging.INFO, logger="tlshttp.certs")
    first, second = issuer.crl(), issuer.crl()
    watched = Watched(tmp_path / "a.crl", first.public_bytes(encoding))
    assert watched.store.current == (first,)
    seen: list[tuple[CRL, ...]] = []
    watched.store.subscribe(seen.append)
    assert not watched.look()
    watched.write(second.public_bytes(encoding))
    assert watched.look()
    assert not watched.look()
    assert watched.store.current == (second,)
    assert seen == [(second,)]
    assert [one.getMessage() for one in caplog.records] == [
        f"now using the CRL of 'CN=issuer' of {second.last_update_utc:%Y-%m-%d %H:%M:%S} UTC"
    ]


def test_file_may_have_many_lists(issuer: certs.CertificateAuthority, tmp_path: Path) -> None:
    """Lists of several authorities are one after the other in PEM."""
    other = certs.CertificateAuthority.generate("other")
    lists = issuer.crl(), other.crl()
    assert Watched(tmp_path / "a.crl", b"# two\n" + pem(*lists)).store.current == lists


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("damaged", "is not a CRL in PEM or DER"),
        ("empty", "is not a CRL in PEM or DER"),
        ("missing", "cannot read CRL"),
        ("expired", "expired at"),
        ("older", "is older than the one in use"),
        ("older number", "is older than the one in use"),
    ],
)
def test_old_list_stays(
    issuer: certs.CertificateAuthority, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    kind: str, message: str,
) -> None:  # fmt: skip
    """What cannot be used is not taken, and one line and last_error say why, until it is mended."""
    before, current, newer = issuer.crl(), issuer.crl(), issuer.crl()
    watched = Watched(tmp_path / "a.crl", pem(current))
    errors: list[ConfigurationError] = []
    watched.store.subscribe(lambda crls: None, errors.append)
    assert watched.store.last_error is None
    watched.write(
        {
            "damaged": pem(newer)[:-100],
            "empty": b"",
            "missing": b"",
            "expired": pem(of(issuer, timedelta(days=-2), timedelta(days=-1))),
            "older": pem(of(issuer, timedelta(days=-1))),
            "older number": pem(before),
        }[kind]
    )
    if kind == "missing":
        watched.path.unlink()
    for _ in range(4):
        assert not watched.look()
    assert watched.store.current == (current,)
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("keeping the CRL of 'CN=issuer' of ")
    assert message in warnings[0]
    assert message in str(watched.store.last_error)
    assert errors == [watched.store.last_error]
    with pytest.raises(ConfigurationError, match=message):
        watched.store.reload()
    assert watched.store.current == (current,)
    watched.write(pem(newer))
    assert watched.look()
    assert watched.store.last_error is None
    assert watched.store.current == (newer,)


def test_reload_does_not_wait_for_the_interval(
    issuer: certs.CertificateAuthority, tmp_path: Path
) -> None:
    """reload() loads now and tells whether there was something new."""
    watched = Watched(tmp_path / "a.crl", pem(issuer.crl()))
    assert not watched.store.reload()
    newer = issuer.crl()
    watched.write(pem(newer))
    assert watched.store.reload()
    assert watched.store.current == (newer,)
    assert repr(watched.store).startswith("<CRLStore the CRL of 'CN=issuer' of 2")


def test_lists_in_memory(issuer: certs.CertificateAuthority) -> None:
    """A store without a file has what it was given last, and takes nothing that has expired."""
    first, second = issuer.crl(), issuer.crl()
    expired = of(issuer, timedelta(days=-2), timedelta(days=-1))
    store = certs.CRLStore.from_crl(first)
    assert store.current == (first,)
    assert not store.poll(1e9)
    store.replace(second)
    assert store.current == (second,)
    with pytest.raises(ConfigurationError, match="the CRL given expired at"):
        store.replace(expired)
    assert store.current == (second,)
    with pytest.raises(ConfigurationError, match="the CRL given expired at"):
        certs.CRLStore.from_crl(expired)


def test_mistakes_show_at_the_beginning(tmp_path: Path) -> None:
    """A file that cannot be used, and an interval that is none, are refused at once."""
    for path in (tmp_path / "missing", tmp_path, "a\0b"):
        with pytest.raises(ConfigurationError, match="CRL"):
            certs.CRLStore(path)
    (tmp_path / "damaged").write_bytes(b"-----BEGIN X509 CRL-----\nAAAA")
    with pytest.raises(ConfigurationError, match="is not a CRL"):
        certs.CRLStore(tmp_path / "damaged")
    with pytest.raises(ConfigurationError, match="is no interval"):
        certs.CRLStore(tmp_path / "damaged", poll_interval=0)


def test_lists_have_to_pass_the_checks_of_their_users(issuer: certs.CertificateAuthority) -> None:
    """A check refuses lists for as long as it is asked for; the old ones stay, and it says why."""
    first, second = issuer.crl(), issuer.crl()
    store = certs.CRLStore.from_crl(first)
    seen: list[CRL] = []

    def refuse(crl: CRL) -> None:
        seen.append(crl)
        raise ConfigurationError("too short")

    end = store.require(refuse)
    with pytest.raises(ConfigurationError, match="too short"):
        store.replace(second)
    assert store.current == (first,)
    end()
    end()
    store.replace(second)
    assert store.current == (second,)
    assert seen == [second]
