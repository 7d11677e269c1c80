"""What a context does for processes that are forked from one."""

from __future__ import annotations

from pathlib import Path
from typing import Never

import pytest

from tests.machinery.conftest import RecordingThreading, serving
from tests.machinery.handlers import Plain
from tests.machinery.peers import client_context, handshake
from tlshttp import certs, context
from tlshttp.errors import ConfigurationError

_MAKERS = ("_make_front", "_create_front", "_create_inner")
"""What makes contexts: the first is of the engine that is Python's own, the others of both."""


@pytest.mark.only_engine("ssl", reason="pyOpenSSL makes all connections from one context")
def test_all_that_connections_begin_from_is_there_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After prepare_to_fork() no connection makes a context, whatever groups its client has."""
    ssl_context = context.create_server_context(certs.self_signed("localhost"))
    ssl_context.prepare_to_fork()

    def never(*_arguments: object) -> Never:
        raise AssertionError("a context is made, with ticket keys of its own")

    makers = [name for name in _MAKERS if hasattr(ssl_context, name)]
    assert makers
    for name in makers:
        monkeypatch.setattr(ssl_context, name, never)
    server = RecordingThreading(("127.0.0.1", 0), Plain, ssl_context=ssl_context)
    with serving(server):
        for curve in (None, "prime256v1", "secp384r1", "X25519"):
            client = client_context()
            if curve is not None:
                client.set_ecdh_curve(curve)
            with handshake(server.server_address, client) as sock:
                assert sock.version()
    assert not server.events


def test_a_child_leaves_ticket_keys_to_its_parent() -> None:
    """The parent renews when it is time and counts it; a child does not."""
    certificate = certs.self_signed("localhost")
    parent = context.create_server_context(certificate)
    child = context.create_server_context(certificate)
    child.leave_renewal()
    for one, renewals in ((parent, 1), (child, 0)):
        one.maintain(one._next_renewal if one is parent else 1e12)
        assert one.renewals == renewals
    parent.renew_tickets()
    assert parent.renewals == 2


def test_reload_takes_what_is_there_now(tmp_path: Path) -> None:
    """Without waiting for a look; what cannot be used is raised, and the old one stays."""
    path = tmp_path / "both.pem"
    certs.self_signed("localhost", "one.test").write(path)
    ssl_context = context.create_server_context(certs.CertificateStore(path, poll_interval=3600))
    certs.self_signed("localhost", "two.test").write(path)
    ssl_context.reload()
    assert "two.test" in ssl_context.certificates_in_use()[0].names
    path.write_text("nonsense")
    with pytest.raises(ConfigurationError):
        ssl_context.reload()
    assert "two.test" in ssl_context.certificates_in_use()[0].names
