"""Sessions end with any certificate by which their clients were verified, not their own alone."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.context.support import VERSIONS, client_context, shake_hands
from tlshttp import certs, context
from tlshttp._engines import chain_ends
from tlshttp.context import ClientAuth

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
    root = short.not_valid_after_utc.timestamp()
    assert [has_come(now) for now in (8.9, 9, root, 1e11, 1e12)] == [False, True, True, True, False]
