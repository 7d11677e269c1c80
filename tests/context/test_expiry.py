"""Nothing runs out unannounced, and store and context agree on what is in use."""

from __future__ import annotations

import gc
import itertools
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.context.support import RecordingServer, client_context, running, shake_hands
from tests.support import wait_until
from tlshttp import certs, context, profiles
from tlshttp._engines.expiry import ExpiryWatch
from tlshttp.errors import CertificateError

DAY = timedelta(days=1)
DAY_SECONDS = 86400.0


def ending(left: timedelta, lifetime: timedelta = 90 * DAY) -> certs.Certificate:
    """Return a certificate that ends after a time from now."""
    end = datetime.now(UTC) + left
    return certs.self_signed("localhost", not_valid_before=end - lifetime, not_valid_after=end)


def expiry_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Return what was logged about ends, with its level."""
    words = ("expires in", "ran out")
    lines = [(one.levelno, one.getMessage()) for one in caplog.records]
    return [line for line in lines if any(word in line[1] for word in words)]


def fixed(certificate: certs.Certificate) -> certs.Certificate:
    """Return a certificate as it is."""
    return certificate


SOURCES: list[Callable[[certs.Certificate], certs.Certificate | certs.CertificateStore]] = [
    fixed,
    certs.CertificateStore.from_certificate,
]


@pytest.mark.parametrize("source", SOURCES)
def test_certificates_f03_once_a_day_until_the_end_and_after(
    source: Callable[[certs.Certificate], certs.Certificate],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line for each day, another when it has run out, whatever the certificate comes from."""
    certificate = ending(3 * DAY)
    watch = ExpiryWatch()
    begin = datetime.now(UTC)
    for hour in range(24 * 4):
        watch.look([certificate], hour * 3600.0, begin + timedelta(hours=hour))
    levels = [level for level, _ in expiry_lines(caplog)]
    assert levels == [logging.WARNING] * 3 + [logging.ERROR]
    caplog.clear()
    server_context = context.create_server_context(source(certificate))
    for later in (1e9, 1e9 + 100, 1e9 + DAY_SECONDS - 1, 1e9 + DAY_SECONDS + 100):
        server_context.maintain(later)
    assert len(expiry_lines(caplog)) == 2


def test_certificates_f03_silent_while_there_is_time(caplog: pytest.LogCaptureFixture) -> None:
    """Long before the end nothing is said, and short-lived certificates are no alarm."""
    week = certs.self_signed("week.test", lifetime=7 * DAY)
    watch = ExpiryWatch()
    watch.look([ending(30 * DAY), week], 0.0)
    assert expiry_lines(caplog) == []
    watch.look([ending(30 * DAY), week], 100.0, datetime.now(UTC) + 5 * DAY)
    (line,) = expiry_lines(caplog)
    assert "week.test" in line[1]


def test_certificates_f03_the_chain_counts_and_a_renewal_ends_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An intermediate is announced by its name; with the renewed certificate there is silence."""
    now = datetime.now(UTC)
    root = certs.CertificateAuthority.generate("root")
    middle = root.issue_authority(
        "middle", not_valid_before=now - 85 * DAY, not_valid_after=now + 5 * DAY
    )
    leaf = middle.issue_server("localhost", not_valid_after=now + 60 * DAY)
    watch = ExpiryWatch()
    watch.look([leaf], 0.0)
    assert ["'middle'" in text for _, text in expiry_lines(caplog)] == [True]
    watch.look([certs.self_signed("localhost")], 2 * DAY_SECONDS)
    assert len(expiry_lines(caplog)) == 1


def test_certificates_f03_the_very_second(caplog: pytest.LogCaptureFixture) -> None:
    """The next look is due when the certificate has run out, and not a minute later."""
    certificate = ending(10 * DAY)
    end = certificate.not_valid_after
    watch = ExpiryWatch()
    watch.look([certificate], 500.0, end - timedelta(seconds=20))
    assert watch.due == pytest.approx(520.0, abs=0.01)
    watch.look([certificate], watch.due, end + timedelta(milliseconds=1))
    assert [level for level, _ in expiry_lines(caplog)] == [logging.WARNING, logging.ERROR]


def test_certificates_f03_a_server_without_visitors_says_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server's own loop says it, for a static certificate; its counters have the end."""
    certificate = ending(2 * DAY)
    with running(RecordingServer(context.create_server_context(certificate))) as server:
        assert wait_until(lambda: bool(expiry_lines(caplog)))
        (in_use,) = server.stats().certificates
    assert in_use.names == ("localhost",)
    assert in_use.not_valid_after == certificate.not_valid_after
    assert in_use.fingerprint == certificate.fingerprint()


def test_stats_follow_the_store_and_the_chain() -> None:
    """Each certificate has its own end, the first in its chain, and a renewed one another."""
    now = datetime.now(UTC)
    middle = certs.CertificateAuthority.generate("root").issue_authority(
        "middle", not_valid_after=now + 5 * DAY
    )
    store = certs.CertificateStore.from_certificate(certs.self_signed("a.test"))
    leaf = middle.issue_server("b.test", not_valid_after=now + 60 * DAY)
    server_context = context.create_server_context(store, leaf)
    first, second = server_context.certificates_in_use()
    assert first.names == ("a.test",)
    assert second.not_valid_after == middle.certificate.not_valid_after
    store.replace(certs.self_signed("c.test"))
    server_context.maintain(1e9)
    assert server_context.certificates_in_use()[0].names == ("c.test",)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are for POSIX systems")
@pytest.mark.parametrize(("left", "taken"), [(60 * DAY, False), (2 * DAY, True)])
def test_certificates_f13_a_renewal_weighs_more_than_permissions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: timedelta, taken: bool
) -> None:
    """A renewed key that a deploy hook left open is taken when the old one's end is near."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    old, new = ending(left), certs.self_signed("new.test")
    old.write(certfile, keyfile)
    store = certs.CertificateStore(certfile, keyfile)
    new.write(certfile, keyfile)
    keyfile.chmod(0o644)
    for later in (1e9, 2e9, 3e9):
        store.poll(later)
    assert (store.current == new) is taken
    assert (store.last_error is None) is taken
    assert len([one for one in caplog.records if "every user of this machine" in one.message]) == 1


@pytest.mark.skipif(os.name != "posix", reason="modes of files are for POSIX systems")
def test_certificates_f13_taken_as_soon_as_time_presses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left alone for its permissions is taken when the old one comes near its end."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    ending(60 * DAY).write(certfile, keyfile)
    store = certs.CertificateStore(certfile, keyfile)
    new = certs.self_signed("new.test")
    new.write(certfile, keyfile)
    keyfile.chmod(0o644)
    for later in (1e9, 2e9):
        assert not store.poll(later)
    monkeypatch.setattr("tlshttp.certs._store.is_near_end", lambda *_: True)
    assert store.poll(3e9)
    assert store.current == new
    assert store.last_error is None


@pytest.mark.skipif(os.name != "posix", reason="modes of files are for POSIX systems")
def test_certificates_f13_nothing_else_is_waved_through(tmp_path: Path) -> None:
    """An open key of another certificate, or an expired pair, stays out however near the end."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    old = ending(DAY)
    old.write(certfile, keyfile)
    store = certs.CertificateStore(certfile, keyfile)
    keyfile.write_bytes(certs.self_signed("other.test").key_to_pem())
    keyfile.chmod(0o644)
    looks = itertools.count(1)

    def says(words: str) -> bool:
        """Tell, after another look, what is said to be wrong; a look may be slower than a poll."""
        assert not store.poll(next(looks) * 1e9)
        return words in str(store.last_error)

    assert wait_until(lambda: says("does not belong"))
    assert store.current == old
    ending(-DAY).write(certfile, keyfile)
    assert wait_until(lambda: says("expired"))
    assert store.current == old


def test_certificates_f14_what_the_context_refuses_the_store_has_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An Ed25519 pair in the files: store and context both keep the old one, with one line."""
    caplog.set_level(logging.INFO, "tlshttp")
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority = certs.CertificateAuthority.generate("root")
    old = authority.issue_server("localhost")
    old.write(certfile, keyfile)
    store = certs.CertificateStore(certfile, keyfile)
    told: list[CertificateError] = []
    store.subscribe(lambda _: None, told.append)
    server_context = context.create_server_context(store)
    refused = authority.issue_server("localhost", key_type=certs.KeyType.ED25519)
    refused.write(certfile, keyfile)
    for later in (1e9, 2e9, 3e9):
        server_context.maintain(later)
    assert store.current == old
    assert "wants a certificate with a key of" in str(store.last_error)
    assert [str(error) for error in told] == [str(store.last_error)]
    lines = [one.getMessage() for one in caplog.records]
    assert [line.startswith("keeping") for line in lines] == [True]
    with pytest.raises(CertificateError, match="wants a certificate with a key of"):
        store.reload()
    shown = shake_hands(server_context, client_context(authority)).client.getpeercert(True)
    assert shown is not None
    good = authority.issue_server("localhost")
    good.write(certfile, keyfile)
    server_context.maintain(4e9)
    assert store.current == good
    assert store.last_error is None
    assert server_context.certificates_in_use()[0].fingerprint == good.fingerprint()


def test_certificates_f14_every_context_has_a_say_while_it_lives() -> None:
    """Of two contexts on one store the stricter one decides, until it is gone."""
    store = certs.CertificateStore.from_certificate(certs.self_signed("localhost"))
    lenient = context.create_server_context(store)
    strict = context.create_server_context(store, profile=profiles.MODERN)
    rsa = certs.self_signed("localhost", key_type=certs.KeyType.RSA_2048)
    with pytest.raises(CertificateError, match="ECDSA"):
        store.replace(rsa)
    del strict
    gc.collect()
    store.replace(rsa)
    lenient.maintain(1e9)
    assert lenient.certificates_in_use()[0].fingerprint == rsa.fingerprint()


def test_a_function_can_be_required_as_well() -> None:
    """Whatever a function has against a certificate keeps it out, and is said."""
    store = certs.CertificateStore.from_certificate(certs.self_signed("a.test"))
    store.require(lambda new: [] if "a.test" in new.names else ["it must be for a.test"])
    with pytest.raises(CertificateError, match=r"it must be for a\.test"):
        store.replace(certs.self_signed("b.test"))
    assert "b.test" not in store.current.names
    store.replace(certs.self_signed("a.test", "b.test"))
    assert "b.test" in store.current.names


SUPERFLUOUS = ("an expired root", "an expired stranger", "an expired twin first")


def with_superfluous(kind: str) -> certs.Certificate:
    """Return a good pair, with an expired certificate behind it that no client needs."""
    long_ago = datetime.now(UTC) - 400 * DAY
    root = certs.CertificateAuthority.generate("Root")
    authority = root.issue_authority("Intermediate")
    pair = authority.issue_server("localhost")
    made = {
        "an expired root": lambda: (*pair.chain, again(root, root, long_ago)),
        "an expired stranger": lambda: (
            *pair.chain,
            again(certs.CertificateAuthority.generate("Stranger"), root, long_ago),
        ),
        "an expired twin first": lambda: (again(authority, root, long_ago), *pair.chain),
    }
    return certs.Certificate(pair.leaf, made[kind](), pair.private_key)


def again(
    authority: certs.CertificateAuthority, issuer: certs.CertificateAuthority, begin: datetime
) -> x509.Certificate:
    """Return the certificate of an authority as it was, good for a month."""
    one = authority.certificate.leaf
    builder = x509.CertificateBuilder(
        issuer.certificate.leaf.subject, one.subject, one.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(begin).not_valid_after(begin + 30 * DAY)
    for extension in one.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(issuer.certificate.private_key, hashes.SHA256())


@pytest.mark.parametrize("kind", SUPERFLUOUS)
def test_certificates_f03_f12_what_no_client_needs_is_no_alarm(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is superfluous in a chain (F12) may end: nobody is told to renew it, and no counter."""
    certificate = with_superfluous(kind)
    assert not certificate.ends_within(20 * DAY)
    server_context = context.create_server_context(certificate)
    server_context.maintain(1e9)
    assert expiry_lines(caplog) == []
    (in_use,) = server_context.certificates_in_use()
    assert in_use.not_valid_after == certificate.not_valid_after
    assert certificate.ends_within(100 * DAY)
