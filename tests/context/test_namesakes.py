"""Revocation lists of authorities of one name, and for parts: whose each is, and what it is for."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
from cryptography import x509

from tests.context.support import VERSIONS, client_context, shake_hands
from tests.revocation_lists import AUTHORITIES, CRL, FORMS, USERS, Authority, make_list, part
from tlshttp import certs, context
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError


@dataclass(frozen=True)
class Pair:
    """Two authorities of one name, with other keys, and a client of each."""

    one: Authority = field(default_factory=lambda: Authority.generate("Acme"))
    two: Authority = field(default_factory=lambda: Authority.generate("Acme"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "alice", self.one.issue_client("alice@example.org"))
        object.__setattr__(self, "bob", self.two.issue_client("bob@example.org"))

    alice: certs.Certificate = field(init=False)
    bob: certs.Certificate = field(init=False)

    @property
    def serial(self) -> int:
        """The serial number of the second one's client."""
        return self.bob.leaf.serial_number


Make: TypeAlias = Callable[[Pair], list[CRL]]

REMOVED, STOLEN = x509.ReasonFlags.remove_from_crl, x509.ReasonFlags.key_compromise


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Return the two."""
    return Pair()


@pytest.fixture
def guarded(certificate: certs.Certificate, pair: Pair) -> Callable[..., context.ServerContext]:
    """Return what makes a context that trusts both."""
    return lambda *crls: context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=[pair.one.certificate.leaf, pair.two.certificate.leaf],
        crls=crls,
    )


def outcome(
    made: context.ServerContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[str, ssl.SSLSession | None]:
    """Return how a handshake ends, and the session that it leaves."""
    try:
        peer = shake_hands(made, client, session=session).client
    except ssl.SSLError as error:
        return str(error), None
    return "resumed" if peer.session_reused else "new", peer.session


# What there is before and after the second one's client is revoked.
REVOCATIONS: dict[str, tuple[Make, Make]] = {
    "a serial number that the other one has revoked": (
        lambda pair: [make_list(pair.one, pair.serial, hours=-3), make_list(pair.two, hours=-3)],
        lambda pair: [make_list(pair.one, pair.serial), make_list(pair.two, pair.serial)],
    ),
    "the same, and only the second one has a new list": (
        lambda pair: [make_list(pair.one, pair.serial, hours=-3), make_list(pair.two, hours=-3)],
        lambda pair: [
            make_list(pair.one, pair.serial, hours=-3), make_list(pair.two, pair.serial)
        ],
    ),
    "the same, with both keys named by their certificates": (
        lambda pair: [
            make_list(pair.one, pair.serial, hours=-3, form="certificate"),
            make_list(pair.two, hours=-3, form="certificate"),
        ],
        lambda pair: [
            make_list(pair.one, pair.serial, form="certificate"),
            make_list(pair.two, pair.serial, form="certificate"),
        ],
    ),
    "what had been taken back": (
        lambda pair: [
            make_list(pair.one), make_list(pair.two, pair.serial, hours=-3, reason=REMOVED)
        ],
        lambda pair: [make_list(pair.one), make_list(pair.two, pair.serial, reason=STOLEN)],
    ),
    "a serial number that an authority below it had": (
        lambda pair: [
            make_list(pair.one),
            make_list(pair.two, pair.serial, hours=-3, of=AUTHORITIES),
            make_list(pair.two, hours=-3, of=USERS),
        ],
        lambda pair: [
            make_list(pair.one),
            make_list(pair.two, pair.serial, of=AUTHORITIES),
            make_list(pair.two, pair.serial, of=USERS),
        ],
    ),
    "the same, in one list for all": (
        lambda pair: [
            make_list(pair.one),
            make_list(pair.two, pair.serial, hours=-3, of=AUTHORITIES),
            make_list(pair.two, hours=-3, of=USERS),
        ],
        lambda pair: [make_list(pair.one), make_list(pair.two, pair.serial)],
    ),
    "in a list for all, newer than one for users that does not": (
        lambda pair: [
            make_list(pair.one),
            make_list(pair.two, pair.serial, hours=-5),
            make_list(pair.two, hours=-3, of=USERS),
        ],
        lambda pair: [make_list(pair.one), make_list(pair.two, pair.serial)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", REVOCATIONS)
def test_revocation_ends_sessions_whatever_another_list_says(
    authority: Authority, pair: Pair, guarded: Callable[..., context.ServerContext], kind: str,
    version: ssl.TLSVersion,
) -> None:  # fmt: skip
    """Each list is judged by whose it is, and for which certificates."""
    before, after = REVOCATIONS[kind]
    store = certs.CRLStore.from_crl(*before(pair))
    made, client = guarded(store), client_context(authority, pair.bob, version)
    session = outcome(made, client)[1]
    how, session = outcome(made, client, session)
    assert how == "resumed"
    store.replace(*after(pair))
    for old in (None, session):
        assert "revoked" in outcome(made, client, old)[0]


def test_sessions_go_on_where_nobody_is_revoked(
    authority: Authority, pair: Pair, guarded: Callable[..., context.ServerContext]
) -> None:
    """The same lists in other forms, for parts together, or anew, end none."""
    store = certs.CRLStore.from_crl(make_list(pair.one, 5, hours=-9), make_list(pair.two, hours=-9))
    made, client = guarded(store), client_context(authority, pair.bob)
    session = outcome(made, client)[1]
    for lists in (
        [make_list(pair.one, 5, hours=-8), make_list(pair.two, hours=-8)],
        [make_list(pair.one, hours=-7), make_list(pair.two, 5, hours=-7, reason=REMOVED)],
        [
            make_list(pair.one, hours=-6, form="key and certificate"),
            make_list(pair.two, hours=-6, of=USERS),
            make_list(pair.two, hours=-6, of=AUTHORITIES),
        ],
        [make_list(pair.one, hours=-5), make_list(pair.two, hours=-5, form="certificate")],
    ):
        store.replace(*lists)
        how, session = outcome(made, client, session)
        assert how == "resumed"
        assert {id(crl) for crl in made._material._crls.current} == {id(crl) for crl in lists}


OLDER: dict[str, tuple[Make, Make]] = {
    "by the same key, named in another way": (
        lambda pair: [make_list(pair.two, pair.serial)],
        lambda pair: [make_list(pair.two, hours=-5, form="key and certificate")],
    ),
    "for all, after lists for parts": (
        lambda pair: [
            make_list(pair.two, pair.serial, of=USERS), make_list(pair.two, of=AUTHORITIES)
        ],
        lambda pair: [make_list(pair.two, hours=-5)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", OLDER)
def test_older_list_is_not_taken_however_it_is_written(
    authority: Authority, certificate: certs.Certificate, pair: Pair, kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """What counts is the key that signed it, and what it is for: nobody revoked is let in again."""
    before, after = OLDER[kind]
    first = before(pair)
    store = certs.CRLStore.from_crl(*first)
    made = context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=[pair.two.certificate.leaf],
        crls=[store],
    )
    with pytest.raises(ConfigurationError, match="is older than the one in use"):
        store.replace(*after(pair))
    assert list(store.current) == first
    assert "is older than" in str(store.last_error)
    assert str(store.last_error) in caplog.text
    assert "revoked" in outcome(made, client_context(authority, pair.bob))[0]


# What is there first, what comes then, who goes on, and what is said of the list that stays.
GONE: dict[str, tuple[Make, Make, str]] = {
    "one of two keys": (
        lambda pair: [make_list(pair.one, hours=-3), make_list(pair.two, hours=-3)],
        lambda pair: [make_list(pair.two)],
        "there is none of 'CN=Acme' by the key [0-9a-f]{40} any more",
    ),
    "one of two keys, while the other one's is damaged": (
        lambda pair: [make_list(pair.one, hours=-3), make_list(pair.two, hours=-3)],
        lambda pair: [make_list(pair.two, of=part(indirect=True))],
        "there is none of 'CN=Acme' by the key [0-9a-f]{40} any more",
    ),
    "that of users": (
        lambda pair: [
            make_list(pair.one, hours=-3, of=USERS), make_list(pair.one, hours=-3, of=AUTHORITIES),
            make_list(pair.two, hours=-3),
        ],
        lambda pair: [make_list(pair.one, of=AUTHORITIES), make_list(pair.two)],
        "there is none of 'CN=Acme' by the key [0-9a-f]{40} for users any more",
    ),
    "that of authorities": (
        lambda pair: [make_list(pair.one, hours=-3), make_list(pair.two, hours=-3)],
        lambda pair: [make_list(pair.one, of=USERS), make_list(pair.two)],
        "there is none of 'CN=Acme' by the key [0-9a-f]{40} any more",
    ),
    "one that does not name its key": (
        lambda pair: [make_list(pair.one, hours=-3), make_list(pair.two, hours=-3)],
        lambda pair: [make_list(pair.one, hours=-2), make_list(pair.two, form="nothing")],
        "does not say by its authorityKeyIdentifier",
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", GONE)
def test_old_list_stays_until_others_are_for_all_that_it_was_for(
    authority: Authority, pair: Pair, guarded: Callable[..., context.ServerContext], kind: str,
    version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """One of that name may be another authority's; the log and the store say what is gone."""
    before, after, words = GONE[kind]
    store = certs.CRLStore.from_crl(*before(pair))
    made = guarded(store)
    with pytest.raises(ConfigurationError, match=words):
        store.replace(*after(pair))
    assert str(store.last_error) in caplog.text
    for who in (pair.alice, pair.bob):
        assert outcome(made, client_context(authority, who, version))[0] == "new"
    # What the one that stays revokes is still revoked, also when it comes again.
    store.replace(
        make_list(pair.one, pair.alice.leaf.serial_number, hours=-0.5),
        make_list(pair.two, hours=-0.5),
    )
    assert store.last_error is None
    assert "revoked" in outcome(made, client_context(authority, pair.alice, version))[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_list_that_came_beside_a_bad_one_stays(
    authority: Authority, pair: Pair, guarded: Callable[..., context.ServerContext],
    version: ssl.TLSVersion,
) -> None:  # fmt: skip
    """What has been taken counts like all others: an older one does not replace it later."""
    store = certs.CRLStore.from_crl(make_list(pair.one, hours=-9))
    made, client = guarded(store), client_context(authority, pair.bob, version)
    bad = make_list(pair.one, hours=-8, of=part(indirect=True))
    with pytest.raises(ConfigurationError, match="for several authorities"):
        store.replace(make_list(pair.two, pair.serial), bad)
    with pytest.raises(ConfigurationError, match="there is none of 'CN=Acme' by the key"):
        store.replace(make_list(pair.one, hours=-7))
    with pytest.raises(ConfigurationError, match="is older than the one in use"):
        store.replace(make_list(pair.one, hours=-6), make_list(pair.two, hours=-5))
    assert "revoked" in outcome(made, client)[0]


def test_list_that_may_be_another_ones_is_an_error(
    pair: Pair, guarded: Callable[..., context.ServerContext]
) -> None:
    """OpenSSL would take it for both, since both have one name."""
    with pytest.raises(ConfigurationError, match="does not say by its authorityKeyIdentifier"):
        guarded(make_list(pair.one), make_list(pair.two, form="nothing"))
    for one, two in itertools.product(FORMS[:3], FORMS[:3]):
        assert guarded(make_list(pair.one, form=one), make_list(pair.two, form=two)) is not None


def test_list_of_a_new_key_is_nothing_to_what_the_old_one_has_issued(
    authority: Authority, pair: Pair, guarded: Callable[..., context.ServerContext]
) -> None:
    """Two keys of a name may be one authority's or two, which nothing tells: each has its list."""
    store = certs.CRLStore.from_crl(make_list(pair.one, hours=-3), make_list(pair.two, hours=-3))
    made, client = guarded(store), client_context(authority, pair.alice)
    serial = pair.alice.leaf.serial_number
    store.replace(make_list(pair.one, hours=-3), make_list(pair.two, serial, hours=-2))
    assert outcome(made, client)[0] == "new"
    store.replace(make_list(pair.one, serial), make_list(pair.two, serial))
    assert "revoked" in outcome(made, client)[0]


def _glob(*names: str) -> Iterator[str]:
    yield from names


NO_SOURCE: Sequence[Callable[[], object]] = (list, tuple, set, frozenset, _glob, lambda: iter([]))


@pytest.mark.parametrize("make", NO_SOURCE)
def test_no_lists_at_all_is_said_by_leaving_them_out(
    guarded: Callable[..., context.ServerContext], make: Callable[[], object],
    certificate: certs.Certificate, pair: Pair,
) -> None:  # fmt: skip
    """A pattern without a match, for one, would turn revocation off without a word."""
    named = {"client_auth": ClientAuth.REQUIRED, "client_cas": [pair.one.certificate.leaf]}
    with pytest.raises(ConfigurationError, match="crls is empty"):
        context.create_server_context(certificate, **named, crls=make())  # type: ignore[arg-type]
    context.create_server_context(certificate, **named, crls=None)  # type: ignore[arg-type]


SINGLE: dict[str, Callable[[Authority], object]] = {
    "list": lambda authority: authority.crl(),
    "store": lambda authority: certs.CRLStore.from_crl(authority.crl()),
    "text": lambda authority: "a.crl",
    "mapping": lambda authority: {"a.crl": authority.crl()},
    "empty mapping": lambda authority: {},
    "authority": lambda authority: authority,
    "number": lambda authority: 0,
}


@pytest.mark.parametrize("kind", SINGLE)
def test_one_list_alone_is_not_taken_for_its_entries(
    certificate: certs.Certificate, pair: Pair, kind: str
) -> None:
    """A list of nobody is empty, and may be looked through: as if there were no list."""
    with pytest.raises(TypeError, match="crls must be several"):
        context.create_server_context(
            certificate,
            client_auth=ClientAuth.REQUIRED,
            client_cas=[pair.one.certificate.leaf],
            crls=SINGLE[kind](pair.one),  # type: ignore[arg-type]
        )
