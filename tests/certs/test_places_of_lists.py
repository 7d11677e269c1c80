"""Lists for one of several places: which authorities are in them, and until when they hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest
from cryptography import x509

from tests.context.hierarchy import HOUR, NOW, client_of, issue, named, refusal_of_openssl
from tests.revocation_lists import USERS, part
from tlshttp._engines.standing import standing
from tlshttp.certs._crl_scope import Scope
from tlshttp.certs._crl_succession import newest_lists

NAME = x509.NameOID.COMMON_NAME
RELATIVE = x509.RelativeDistinguishedName([x509.NameAttribute(NAME, "part")])


def below_the_issuer(last: str) -> x509.DirectoryName:
    """Return the name of a place below the issuer's, in full."""
    parts = [
        x509.RelativeDistinguishedName([x509.NameAttribute(NAME, one)]) for one in ("Root", last)
    ]
    return x509.DirectoryName(x509.Name(parts))


def url(last: str) -> x509.UniformResourceIdentifier:
    """Return the name of a place in the web."""
    return x509.UniformResourceIdentifier(f"http://{last}/")


Point = x509.DistributionPoint
ANYWHERE = "the issuer's, anywhere"
ISSUER, OTHER = x509.DirectoryName(named("ROOT")), x509.DirectoryName(named("Other"))

NAMED: dict[str, Sequence[Point] | None] = {
    "none": None,
    "a": [Point([url("a")], None, None, None)],
    "A": [Point([url("A")], None, None, None)],
    "b": [Point([url("b")], None, None, None)],
    "a or b": [Point([url("b"), url("a")], None, None, None)],
    "b and a": [Point([url("b")], None, None, None), Point([url("a")], None, None, None)],
    "a directory": [Point([below_the_issuer("part")], None, None, None)],
    "a directory, otherwise": [Point([below_the_issuer(" PART")], None, None, None)],
    "another directory": [Point([below_the_issuer("party")], None, None, None)],
    "relative": [Point(None, RELATIVE, None, None)],
    ANYWHERE: [Point(None, None, None, [ISSUER])],
    "the issuer's, at a": [Point([url("a")], None, None, [ISSUER])],
    "another one's": [Point([url("a")], None, None, [OTHER])],
    "another one's, anywhere": [Point(None, None, None, [OTHER])],
}
"""What a certificate says of where its list is."""

LISTS = {
    "all": None,
    "users": USERS,
    "a": part(place="http://a/"),
    "directory": x509.IssuingDistributionPoint(
        [below_the_issuer("Part")], None, False, False, None, False, False
    ),
    "relative": x509.IssuingDistributionPoint(None, RELATIVE, False, False, None, False, False),
}
"""What a list says that it is for."""


@pytest.mark.parametrize("of", LISTS)
@pytest.mark.parametrize("place", NAMED)
def test_an_authority_is_in_a_list_where_openssl_looks_there(place: str, of: str) -> None:
    """However the place is written."""
    points = NAMED[place]
    more = [] if points is None else [x509.CRLDistributionPoints(points)]
    own = [Point([url("root")], None, None, None)]
    root = issue("Root", more=[x509.CRLDistributionPoints(own)])
    below = issue("below", root, more=more)
    crl = root.crl(of=LISTS[of])
    lists = [crl, root.crl(of=part(place="http://root/")), below.crl()]
    refusal = refusal_of_openssl([root], client_of(below).as_client(below), lists)
    is_about = any(Scope.of(one).is_about(below.leaf) for one in lists[:2])
    assert is_about is (refusal is None), refusal
    assert Scope.of(crl).is_about(below.leaf) is is_about or points == NAMED[ANYWHERE]


@pytest.mark.parametrize("spelled", ["part", "PART "])
def test_standing_holds_until_the_list_of_its_place_runs_out(spelled: str) -> None:
    """A list for another place says nothing of it, however long; but who is in any list is out."""
    root = issue("Root")
    places = x509.CRLDistributionPoints([Point([below_the_issuer(spelled)], None, None, None)])
    below = issue("below", root, more=[places])
    own, other = LISTS["directory"], LISTS["a"]
    soon, late = NOW + HOUR, NOW + 9 * HOUR

    def until(*lists: x509.CertificateRevocationList) -> datetime | None:
        found = standing(below.leaf, lambda _: (), lists)
        assert found.known
        assert not found.revoked
        return found.until

    assert until(root.crl(of=own, until=soon), root.crl(of=other, until=late)) == soon
    assert until(root.crl(of=own, until=soon), root.crl(until=late)) == late
    assert until(root.crl(of=other, until=soon)) is None
    assert until(root.crl(of=own, until=late), root.crl(of=USERS, until=soon)) == late
    for of in (own, other, None):
        assert standing(below.leaf, lambda _: (), [root.crl(below, of=of)]).revoked


def test_newer_list_for_a_place_replaces_the_older_one_however_it_is_written() -> None:
    """Two spellings of a place are one."""
    root = issue("Root")
    older = root.crl(of=LISTS["relative"])
    newer = root.crl(of=LISTS["directory"], since=NOW)
    assert newest_lists((older, newer)) == (newer,)
    assert str(Scope.of(newer)) == "at CN=Part,CN=Root"
