"""Decisions that could fail open: the rows of the table in docs/security.md that had no test."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from tests.context.support import VERSIONS, client_context, shake_hands
from tlshttp import certs, context
from tlshttp.context import ClientAuth
from tlshttp.errors import ClientCertificateError, ConfigurationError

Authority = certs.CertificateAuthority


def guarded(
    certificate: certs.Certificate, clients: Authority, **more: Any
) -> context.ServerContext:
    """Return a context that wants clients of an authority."""
    return context.create_server_context(
        certificate,
        client_auth=ClientAuth.REQUIRED,
        client_cas=[clients.certificate.leaf],
        **more,
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("where", ["_build_inner", "_create_front", "memfd_create", "poll"])
def test_revocation_survives_a_look_that_fails(
    authority: Authority, certificate: certs.Certificate, version: ssl.TLSVersion, where: str,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, engine: str,
) -> None:  # fmt: skip
    """What was to be revoked when there was, for instance, no descriptor left is revoked later."""
    if where == "memfd_create" and engine != "ssl":
        pytest.skip("this engine takes keys and lists as they are, and needs no file")
    clients = Authority.generate("clients")
    alice = clients.issue_client("alice@example.org")
    store = certs.CRLStore.from_crl(clients.crl())
    made = guarded(certificate, clients, crls=[store])
    client = client_context(authority, alice, version)
    session = shake_hands(made, client).client.session
    clients.revoke(alice)
    store.replace(clients.crl())

    def fail(*_arguments: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        if where == "memfd_create":
            patch.setattr(os, "memfd_create", fail, raising=False)
            patch.setattr("tempfile.mkstemp", fail)
        elif where == "poll":
            patch.setattr(made._material, "_set_lists", fail)
        else:
            patch.setattr(type(made), where, fail)
        made.maintain(1e9)
    assert "looking for new certificates failed" in caplog.text
    made.maintain(1e9 + 6)
    for old in (session, None):
        with pytest.raises(ssl.SSLError, match="certificate revoked"):
            shake_hands(made, client, session=old)


def test_lists_in_memory_never_grow_older(clients: Authority) -> None:
    """A program that hands over lists in the wrong order lets in nobody again."""
    first, second = clients.crl(), clients.crl()
    store = certs.CRLStore.from_crl(second)
    with pytest.raises(ConfigurationError, match="is older than the one in use"):
        store.replace(first)
    assert store.current == (second,)


def test_connection_that_nobody_has_looked_at_is_refused(
    authority: Authority, certificate: certs.Certificate, engine: str
) -> None:
    """Where the callback that chooses a certificate was not called there is no connection."""
    made = context.create_server_context(certificate)
    if engine == "ssl":
        made._front.sni_callback = None
    else:  # OpenSSL serves what it has by itself
        made._front = SSL.Context(SSL.TLS_SERVER_METHOD)
        certificate.configure(made._front)
    with pytest.raises((ClientCertificateError, ssl.SSLError)):
        shake_hands(made, client_context(authority))


@pytest.mark.only_engine("ssl", reason="a context of pyOpenSSL is finished, and cannot be tuned")
def test_tuning_does_not_turn_client_authentication_into_less(
    authority: Authority, certificate: certs.Certificate, clients: Authority
) -> None:
    """Whoever asks for no certificate by ``verify_mode`` still has the names that need one."""
    made = guarded(certificate, clients)
    made.verify_mode = ssl.CERT_NONE
    with pytest.raises(ClientCertificateError):
        shake_hands(made, client_context(authority))


@pytest.mark.parametrize("name", ["guarded.test.", "GUARDED.test", "Guarded.Test."])
def test_spelling_of_a_name_does_not_get_around_it(authority: Authority, name: str) -> None:
    """A guarded name is guarded however it is written."""
    clients = Authority.generate("clients")
    made = context.create_server_context(
        authority.issue_server("open.test", "guarded.test"),
        client_auth_by_name={"guarded.test": ClientAuth.REQUIRED},
        client_cas=[clients.certificate.leaf],
    )
    client = client_context(authority)
    client.check_hostname = False
    shake_hands(made, client, "open.test")
    with pytest.raises(ClientCertificateError):
        shake_hands(made, client, name)


TWICE = [
    ("a.example", "A.example"), ("*.a.example", "*.A.Example"),
    ("bücher.example", "xn--bcher-kva.example"), ("BÜCHER.example", "bücher.example"),
]  # fmt: skip


@pytest.mark.parametrize("names", TWICE)
def test_one_name_in_two_spellings_is_an_error(
    certificate: certs.Certificate, clients: Authority, names: tuple[str, str]
) -> None:
    """One of them would say who has to show a certificate, whichever comes last."""
    for one, other in (names, names[::-1]):
        by_name = {one: ClientAuth.REQUIRED, other: ClientAuth.NONE}
        words = f"client_auth_by_name: {one!r} and {other!r} are one name"
        with pytest.raises(ConfigurationError, match=re.escape(words)):
            guarded(certificate, clients, client_auth_by_name=by_name)


def test_each_row_of_the_table_is_held_by_a_test_that_there_is() -> None:
    """The table in docs/security.md names tests, at least one in a row, and none that has gone."""
    root = Path(__file__).parents[2]
    page = (root / "docs" / "security.md").read_text()
    section = page.partition("## What could fail open")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (root / file).read_text(), row
