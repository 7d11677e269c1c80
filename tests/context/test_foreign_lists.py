"""certificates F4: revocation lists by which nobody could be verified are never taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import client_context, shake_hands
from tlshttp import certs, context
from tlshttp._engines.crls import RevocationLists
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError

CRL = x509.CertificateRevocationList
Authority = certs.CertificateAuthority


def signed(name: Authority, key: Authority, begin: timedelta = timedelta(minutes=-1)) -> CRL:
    """Return an empty list in somebody's name, signed with somebody's key."""
    now = datetime.now(UTC)
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name.certificate.leaf.subject)
        .last_update(now + begin)
        .next_update(now + timedelta(days=9))
        .add_extension(x509.CRLNumber(10**9 * 5), critical=False)
        .sign(key.certificate.private_key, hashes.SHA256())
    )


# Each makes, for an authority and a stranger, what nobody can use, with the words for it.
WRONG: dict[str, tuple[Callable[[Authority, Authority], CRL], str]] = {
    "not valid for two hours": (
        lambda mine, other: signed(mine, mine, timedelta(hours=2)), "is not valid before"
    ),
    "not valid for a minute": (
        lambda mine, other: signed(mine, mine, timedelta(minutes=1)), "is not valid before"
    ),
    "of a stranger": (
        lambda mine, other: other.crl(), "none of client_cas|there is none of"
    ),
    "of a stranger, not valid yet": (
        lambda mine, other: signed(other, other, timedelta(hours=2)), "is not valid before"
    ),
    "signed by a stranger": (signed, "is not signed by"),
    "signed by an intermediate": (
        lambda mine, other: signed(mine, mine.issue_authority("below")), "is not signed by"
    ),
}  # fmt: skip

FORMS: dict[str, Callable[[CRL, Path], object]] = {
    "object": lambda crl, path: crl,
    "PEM": lambda crl, path: write(path, crl, Encoding.PEM),
    "DER": lambda crl, path: write(path, crl, Encoding.DER),
    "store of a file": lambda crl, path: certs.CRLStore(write(path, crl, Encoding.DER)),
    "store of an object": lambda crl, path: certs.CRLStore.from_crl(crl),
}


def write(path: Path, crl: CRL, encoding: Encoding = Encoding.PEM) -> Path:
    """Put a list into a file."""
    path.write_bytes(crl.public_bytes(encoding))
    return path


def guarded(
    certificate: certs.Certificate, *anchors: Authority, crls: list[object]
) -> context.ServerContext:
    """Return a context that verifies clients of some authorities against lists."""
    return context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=[anchor.certificate.leaf for anchor in anchors],
        crls=crls,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", WRONG)
def test_certificates_f04_is_an_error_at_start_up(
    certificate: certs.Certificate, clients: Authority, tmp_path: Path, kind: str, form: str
) -> None:
    """It is named, in whatever form it comes."""
    make, words = WRONG[kind]
    crl = make(clients, Authority.generate("stranger"))
    with pytest.raises(ConfigurationError, match=words) as caught:
        guarded(certificate, clients, crls=[FORMS[form](crl, tmp_path / "a.crl")])
    assert any(name in str(caught.value) for name in ("stranger", "clients"))


@pytest.mark.parametrize("kind", WRONG)
def test_certificates_f04_is_not_swapped_in(
    authority: Authority, certificate: certs.Certificate, clients: Authority,
    alice: certs.Certificate, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str,
) -> None:  # fmt: skip
    """Put where the right one was it locks nobody out; store and log, once, say what it is."""
    make, words = WRONG[kind]
    revoked = clients.issue_client("mallory@example.org")
    clients.revoke(revoked)
    path = write(tmp_path / "a.crl", clients.crl())
    store = certs.CRLStore(path, poll_interval=0.001)
    made = guarded(certificate, clients, crls=[store])
    write(path, make(clients, Authority.generate("stranger")))
    for number in range(4):
        store.poll(1e9 + number)
    error = store.last_error
    assert error is not None
    with pytest.raises(ConfigurationError, match=words):
        store.reload()
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert str(error) in warnings[0].getMessage()
    shake_hands(made, client_context(authority, alice))
    with pytest.raises(OSError, match="revoked"):
        shake_hands(made, client_context(authority, revoked))
    write(path, clients.crl())
    if kind == "of a stranger":  # who may be an authority below: what came is not dropped
        with pytest.raises(ConfigurationError, match="there is none of 'CN=stranger' any more"):
            store.reload()
    else:
        assert store.reload()
        assert store.last_error is None
    shake_hands(made, client_context(authority, alice))


@pytest.mark.parametrize("kind", WRONG)
def test_certificates_f04_replace_refuses_it_too(
    certificate: certs.Certificate, clients: Authority, kind: str
) -> None:
    """A list that a program hands over is looked at like one in a file."""
    make, words = WRONG[kind]
    first = clients.crl()
    store = certs.CRLStore.from_crl(first)
    made = guarded(certificate, clients, crls=[store])
    with pytest.raises(ConfigurationError, match=words):
        store.replace(make(clients, Authority.generate("stranger")))
    assert [crl for crl in store.current if crl.issuer == first.issuer] == [first]
    assert made is not None


def test_certificates_f04_a_file_of_two_keeps_both(
    certificate: certs.Certificate, clients: Authority, tmp_path: Path
) -> None:
    """Where one of two lists is gone, or is a stranger's, the old one stays, and it says so."""
    other, stranger = Authority.generate("other"), Authority.generate("stranger")

    def put(*crls: CRL) -> None:
        path.write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in crls))

    path = tmp_path / "a.crl"
    second = other.crl()
    put(clients.crl(), second)
    store = certs.CRLStore(path)
    made = guarded(certificate, clients, other, crls=[store])
    for lists in ([clients.crl()], [clients.crl(), stranger.crl()]):
        put(*lists)
        with pytest.raises(ConfigurationError, match="there is none of 'CN=other' any more"):
            store.reload()
        assert store.current == (*lists, second)
    put(other.crl(), clients.crl(), stranger.crl())
    assert store.reload()
    assert made is not None


def test_certificates_f04_lists_of_those_below_are_taken(
    authority: Authority, certificate: certs.Certificate, clients: Authority
) -> None:
    """Only where nobody can be below an authority is a list in another name a stranger's."""
    below = clients.issue_authority("below")
    made = guarded(certificate, clients, crls=[clients.crl(), below.crl()])
    shake_hands(made, client_context(authority, below.issue_client("bob@example.org")))
    flat = Authority.generate("flat", path_length=0)
    with pytest.raises(ConfigurationError, match="have no authorities below them"):
        guarded(certificate, flat, crls=[flat.crl(), below.crl()])


def test_certificates_f04_authority_without_a_list_is_named(
    certificate: certs.Certificate, clients: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says whose clients nobody can verify, where there are others."""
    guarded(certificate, clients, Authority.generate("unlisted"), crls=[clients.crl()])
    assert [one.getMessage() for one in caplog.records] == [
        "crls: there is none of 'unlisted': its clients will be refused"
    ]


def test_certificates_f04_a_context_that_is_gone_checks_nothing(
    certificate: certs.Certificate, clients: Authority
) -> None:
    """A store outlives its contexts, and then only its own rules count."""
    import gc

    store = certs.CRLStore.from_crl(clients.crl())
    made = guarded(certificate, clients, crls=[store])
    foreign = signed(clients, Authority.generate("stranger"))
    with pytest.raises(ConfigurationError, match="is not signed by"):
        store.replace(foreign)
    del made
    gc.collect()
    store.replace(foreign)
    assert store.current == (foreign,)


def test_certificates_f23_whatever_a_parser_says_is_ours(
    clients: Authority, tmp_path: Path
) -> None:
    """With any byte of a list changed a store loads it or raises our error, at any time."""
    revoked = clients.issue_client("mallory@example.org")
    clients.revoke(revoked)
    der = clients.crl().public_bytes(Encoding.DER)
    path, refused = tmp_path / "a.crl", 0
    for position in range(0, len(der) - 70, 3):
        for value in (0, 2, 0x30, 0x7F, 0xFF):
            path.write_bytes(der[:position] + bytes((value,)) + der[position + 1 :])
            try:
                store = certs.CRLStore(path)
            except ConfigurationError:
                refused += 1
            else:
                _use(store)
    assert refused > 100


def _use(store: certs.CRLStore) -> None:
    """Do with a list whatever is done with one."""
    repr(store)
    lists = RevocationLists([store])
    assert not lists.revoke_more(lists.in_force(), lists.in_force())
