"""Lists of the roots that stand in for those that are not trusted."""

from __future__ import annotations

import contextlib
import logging
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from tests.context.hierarchy import HOUR, KEYS, client_of, issue, trusting
from tests.context.support import client_context, shake_hands
from tests.revocation_lists import part
from tlshttp import certs
from tlshttp._engines.stand_in import StandInRoot


def this_second() -> datetime:
    """Return the beginning of the second that it is."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.mark.only_engine("ssl", reason="no engine is asked")
def test_list_counts_from_the_second_before() -> None:
    """The clock of OpenSSL lags, by 10 ms on Linux: it would not be valid yet, now and then."""
    root = StandInRoot(issue("below", issue("Root")).leaf)
    before = this_second()
    for since in (None, before - timedelta(minutes=1), before - timedelta(seconds=2)):
        made = root.publish(revoked=False, until=before + HOUR, since=since).last_update_utc
        assert (since or before - HOUR) < made < this_second()
    made = root.publish(revoked=False, since=before - timedelta(seconds=1)).last_update_utc
    assert before - timedelta(seconds=1) < made <= this_second()
    crl = root.publish(revoked=True, until=before - HOUR, since=before)
    assert crl.last_update_utc < before - HOUR == crl.next_update_utc


def test_list_of_the_same_name_is_not_taken_for_it(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """One that does not name its key, and is newer than others are."""
    root = issue("Root")
    below = issue("below", root)
    crls = [below.crl(), root.crl(since=this_second() - timedelta(seconds=2))]
    made = trusting(certificate, below, crls=crls)
    shake_hands(made, client_context(authority, client_of(below).as_client(below)))


def test_namesake_of_the_root_keeps_its_clients(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """Another authority may have the name of the one that is not trusted, and say little."""
    namesake = issue("Root", says="nothing", has_identifier=False, path_length=0)
    below = issue("below", issue("Root"))
    made = trusting(certificate, below, namesake, crls=[below.crl(), namesake.crl()])
    for one in (namesake, below):
        shake_hands(made, client_context(authority, client_of(one, says="nothing").as_client(one)))


@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize("kind", KEYS)
def test_issuer_that_is_no_anchor_keeps_its_clients(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    kind: str,
    depth: int | None,
) -> None:
    """It is below another one, and has issued an anchor; what it has issued may say nothing of it.

    So has what it has issued further. Where nobody above it is trusted, nor is it.
    """
    top = issue("Top")
    between = issue("Between", top, key=KEYS[kind]())
    below = issue("below", between, path_length=0)
    beside = issue("beside", between, says="nothing")
    clients = {
        "below": client_of(below, says="nothing").as_client(below),
        "between": client_of(between, says="nothing").as_client(between),
        "beside": client_of(beside, says="nothing").as_client(beside, between),
    }
    for anchors, let_in in (
        ((top, below), {"below", "between"} | (set() if depth else {"beside"})),
        ((below,), {"below"}),
    ):
        made = trusting(certificate, *anchors, verify_depth=depth)
        for name, client in clients.items():
            refused = contextlib.nullcontext() if name in let_in else pytest.raises(ssl.SSLError)
            with refused:
                shake_hands(made, client_context(authority, client))


def test_authority_that_no_list_is_for_is_said(
    authority: certs.CertificateAuthority, certificate: certs.Certificate,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Those of its issuer are for another place than it names."""
    place = x509.DistributionPoint([x509.UniformResourceIdentifier("http://b/")], None, None, None)
    root = issue("Root", more=[x509.CRLDistributionPoints([place])])
    places = [
        x509.DistributionPoint([x509.UniformResourceIdentifier("http://a/")], None, None, None)
    ]
    below = issue("below", root, more=[x509.CRLDistributionPoints(places)])
    own = root.crl(of=part(place="http://b/"))
    client = client_context(authority, client_of(below).as_client(below))
    with caplog.at_level(logging.WARNING, "tlshttp.context"):
        made = trusting(certificate, root, below, crls=[own, below.crl()])
    assert "there is none of 'Root' that 'below' could be in" in caplog.text
    with pytest.raises(ssl.SSLError, match="scope"):
        shake_hands(made, client)
    caplog.clear()
    crls = [own, below.crl(), root.crl(of=part(place="http://a/"))]
    shake_hands(trusting(certificate, root, below, crls=crls), client)
    assert not caplog.text
