"""Sessions end with any certificate by which their clients were verified, not their own alone."""

from __future__ import annotations

import contextlib
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.context.support import VERSIONS, client_context, shake_hands
from tests.support import wait_until
from tlshttp import certs, context
from tlshttp._engines import chain_ends
from tlshttp._engines.moments import refused_from
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError

Authority = certs.CertificateAuthority
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def chains() -> dict[str, tuple[Authority, certs.Certificate]]:
    """Return trusted authorities, each with a client, of which something ends in two hours."""
    end = datetime.now(UTC) + 2 * HOUR
    root = Authority.generate("root")
    short = Authority.generate("short", not_valid_after=end)
    below = root.issue_authority("below", not_valid_after=end)
    return {
        "intermediate": (root, below.issue_client("a@example.org", not_valid_after=end)),
        "root": (short, short.issue_client("b@example.org", not_valid_after=end)),
        "authority below one": (below, below.issue_client("c@example.org", not_valid_after=end)),
        "nothing": (root, root.issue_client("d@example.org")),
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["intermediate", "root", "authority below one", "nothing"])
def test_session_ends_with_any_certificate_of_its_chain(
    authority: Authority, certificate: certs.Certificate, kind: str, version: ssl.TLSVersion,
    chains: dict[str, tuple[Authority, certs.Certificate]], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Before that it is resumed; afterwards there is a whole handshake, for OpenSSL to judge."""
    trusted, own = chains[kind]
    made = context.create_server_context(
        certificate, client_auth=ClientAuth.REQUIRED, client_cas=[trusted.certificate.leaf]
    )
    client = client_context(authority, own, version)

    def visit_in(hours: float, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
        monkeypatch.setattr(chain_ends, "_now", lambda: time.time() + hours * 3600)
        made.maintain(time.monotonic() + 3600 * hours)
        peer = shake_hands(made, client, session=session).client
        assert peer.session is not None
        return bool(peer.session_reused), peer.session

    resumed, session = visit_in(0, None)
    assert not resumed
    resumed, session = visit_in(1, session)
    assert resumed
    resumed, session = visit_in(3, session)
    assert resumed is (kind == "nothing")


def test_only_the_first_end_is_waited_for(
    chains: dict[str, tuple[Authority, certs.Certificate]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes once; then the next one of the authorities, and what has been noted since."""
    clock = [0.0]
    monkeypatch.setattr(chain_ends, "_now", lambda: clock[0])
    monkeypatch.setattr(chain_ends, "_end_of", float)
    short, long = (chains[kind][0].certificate.leaf for kind in ("root", "nothing"))
    ends = chain_ends.ChainEnds([long, short])

    def has_come(now: float) -> bool:
        clock[0] = now
        return ends.have_come()

    for noted in ([b"1"], [b"1", b"9", b"7"], [b"2", b"8"]):
        ends.note(noted)
    assert [has_come(now) for now in (6, 7, 7.5, 8.5)] == [False, True, False, False]
    ends.note([b"3", b"9"])
    root = refused_from(short.not_valid_after_utc)
    assert [has_come(now) for now in (8.9, 9, root, 1e11, 1e12)] == [False, True, True, True, False]


Pairs = dict[tuple[ssl.SSLContext, ssl.SSLContext], ssl.SSLSession | None]


def test_session_of_the_last_moment_ends_too(
    authority: Authority, certificate: certs.Certificate
) -> None:
    """What OpenSSL lets in until the last second is over does not go on by its session.

    OpenSSL 4.0 takes the second of the end as valid, 3.0 does not.
    """
    last: Pairs = {}
    for seconds in (3, 8, 20):  # a busy machine needs its time to let all of them in
        with contextlib.suppress(ConfigurationError):  # a list has run out already
            last = ending_in(timedelta(seconds=seconds), authority, certificate)
            if not any([is_refused(last, pair, resume=False) for pair in last]):  # noqa: C419
                break
    assert all(last.values())
    assert wait_until(lambda: are_refused(last, resume=False))
    assert wait_until(lambda: are_refused(last, resume=True))


def ending_in(left: timedelta, authority: Authority, certificate: certs.Certificate) -> Pairs:
    """Return servers with clients, of which a certificate or a list ends soon; and no sessions."""
    end = datetime.now(UTC) + left
    root = Authority.generate("root")
    lists = [root.crl(lifetime=left)]
    below = root.issue_authority("below", not_valid_after=end)
    brief = below.issue_client("a@example.org", not_valid_after=end + HOUR)
    lasting = root.issue_client("b@example.org")
    found: Pairs = {}
    for own, crls in ((brief, None), (lasting, lists)):
        made = context.create_server_context(
            certificate, client_auth=ClientAuth.REQUIRED, client_cas=[root.certificate.leaf],
            crls=crls,
        )  # fmt: skip
        found |= {(made, client_context(authority, own, version)): None for version in VERSIONS}
    return found


def are_refused(last: Pairs, *, resume: bool) -> bool:
    """Try all; tell whether none is let in any more. Those that are get a new session."""
    return all([is_refused(last, pair, resume=resume) for pair in last])  # noqa: C419  # each time


def is_refused(last: Pairs, pair: tuple[ssl.SSLContext, ssl.SSLContext], *, resume: bool) -> bool:
    """Try one."""
    try:
        last[pair] = shake_hands(*pair, session=last[pair] if resume else None).client.session
    except ssl.SSLCertVerificationError as error:
        return "expired" in str(error)
    return False
