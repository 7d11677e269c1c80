"""Which revocation lists replace which: by the key that has signed them, and what they are for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from cryptography import x509

from tests.revocation_lists import AUTHORITIES, CRL, FORMS, USERS, Authority, make_list, part
from tlshttp import certs
from tlshttp.errors import ConfigurationError

Make: TypeAlias = Callable[[Authority], list[CRL]]

STOLEN = x509.ReasonFlags.key_compromise


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Return an authority."""
    return Authority.generate("Acme")


@pytest.fixture(scope="module")
def namesake() -> Authority:
    """Return one of the same name, with another key."""
    return Authority.generate("Acme")


def whole(*, form: str, hours: float = -1, revokes: bool = False) -> Make:
    """Return what makes one list of an authority, for all."""
    return lambda issuer: [
        make_list(issuer, *[5] * revokes, hours=hours, form=form)
    ]  # fmt: skip


def parts(*, form: str, hours: float = -1, revokes: bool = False) -> Make:
    """Return what makes two lists of an authority, for users and for authorities."""
    return lambda issuer: [
        make_list(issuer, *[5] * revokes, hours=hours, form=form, of=USERS),
        make_list(issuer, hours=hours, form=form, of=AUTHORITIES),
    ]


def at_one_place(issuer: Authority) -> list[CRL]:
    """Return a list for some users alone."""
    return [make_list(issuer, hours=-5, of=part(users=True, place="http://a.test/"))]


def by_another_spelling(issuer: Authority) -> list[CRL]:
    """Return a list whose name is written as OpenSSL takes it for the same one."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, " ACME")])
    return [make_list(issuer, hours=-5, name=name)]


def _older() -> Iterator[tuple[str, Make, Make]]:
    """Yield pairs of lists of which the second are authentic, and older."""
    for new, old in itertools.product(FORMS, FORMS):
        yield (
            f"key by {new}, then by {old}",
            whole(form=new, revokes=True),
            whole(form=old, hours=-5),
        )
    for form in FORMS:
        first = {"form": "key", "revokes": True}
        then = {"form": form, "hours": -5}
        yield f"parts, then all by {form}", parts(**first), whole(**then)  # type: ignore[arg-type]
        yield f"all, then parts by {form}", whole(**first), parts(**then)  # type: ignore[arg-type]
    yield (
        "all, then the same by another spelling",
        whole(form="key", revokes=True),
        by_another_spelling,
    )
    yield "all, then users of one place", whole(form="key", revokes=True), at_one_place


OLDER = {kind: (before, after) for kind, before, after in _older()}


@pytest.mark.parametrize("kind", OLDER)
def test_older_list_is_not_taken_however_it_is_written(
    authority: Authority, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What counts is the key that signed it, and what it is for; log and store say so."""
    before, after = OLDER[kind]
    first = before(authority)
    store = certs.CRLStore.from_crl(*first)
    store.require(lambda crl: None, [authority.certificate.leaf])
    with pytest.raises(ConfigurationError, match="is older than the one in use"):
        store.replace(*after(authority))
    assert list(store.current) == first
    assert "is older than" in str(store.last_error)
    assert str(store.last_error) in caplog.text


@pytest.mark.parametrize("kind", [kind for kind in OLDER if "place" not in kind])
def test_newer_list_replaces_the_older_however_it_is_written(
    authority: Authority, kind: str
) -> None:
    """The other way round there is nothing to say."""
    new, old = OLDER[kind]
    store = certs.CRLStore.from_crl(*old(authority))
    store.require(lambda crl: None, [authority.certificate.leaf])
    lists = new(authority)
    store.replace(*lists)
    assert list(store.current) == lists
    assert store.last_error is None


@pytest.mark.parametrize("form", ["key", "nothing"])
def test_stores_without_a_context_go_by_the_key_that_lists_name(
    authority: Authority, namesake: Authority, form: str
) -> None:
    """Nobody knows the keys there; where lists name several, one that names none replaces none."""
    first = [make_list(authority, hours=-3), make_list(namesake, hours=-3)]
    store = certs.CRLStore.from_crl(*first)
    new = make_list(namesake, form=form)
    with pytest.raises(ConfigurationError, match="any more"):
        store.replace(new)
    assert set(map(id, store.current)) >= {id(new), id(first[0])}
    alone = certs.CRLStore.from_crl(first[1])
    alone.replace(new)
    assert alone.current == (new,)


@pytest.mark.parametrize(
    "of", [part(indirect=True), part(reasons=frozenset([STOLEN]))], ids=["indirect", "some reasons"]
)
def test_list_that_openssl_does_not_read_is_an_error(
    authority: Authority, of: x509.IssuingDistributionPoint
) -> None:
    """Whoever is revoked in it alone would be let in."""
    lists = [make_list(authority), make_list(authority, 5, of=of)]
    with pytest.raises(ConfigurationError, match=r"for some reasons only|for several authorities"):
        certs.CRLStore.from_crl(*lists)


def test_stores_are_given_lists_one_by_one(authority: Authority) -> None:
    """A list of lists is none."""
    store = certs.CRLStore.from_crl(authority.crl())
    for give in (store.replace, certs.CRLStore.from_crl):
        with pytest.raises(TypeError, match="several are several arguments"):
            give([authority.crl()])  # type: ignore[arg-type]
    assert store.current
