from __future__ import annotations

import logging
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.context.hierarchy import client_of, issue
from tests.context.support import Handler, RecordingServer, client_context, running, visit
from tlshttp import StrictTransportSecurityMixIn, TLSRequestHandler, authorize, certs, context
from tlshttp.context import ClientAuth
from tlshttp.errors import ConfigurationError


@pytest.fixture(scope="module")
def server_context(
    certificate: certs.Certificate, clients: certs.CertificateAuthority
) -> context.ServerContext:
    """Return a context that asks for client certificates."""
    return context.create_server_context(
        certificate, client_auth=ClientAuth.OPTIONAL, client_cas=[clients.certificate.leaf]
    )


def conditions(
    kind: str, clients: certs.CertificateAuthority, alice: certs.Certificate
) -> dict[str, Any]:
    """Return arguments of authorize() by name."""
    stranger = certs.CertificateAuthority.generate("strangers").certificate.leaf
    by_kind: dict[str, dict[str, Any]] = {
        "any": {},
        "name": {"names": ["bob@example.org", "alice@example.org"]},
        "fingerprint": {"fingerprints": [alice.fingerprint().lower()]},
        "plain fingerprint": {"fingerprints": [alice.fingerprint().replace(":", "")]},
        "issuer": {"issuers": [stranger, clients.certificate.leaf]},
        "all": {"names": ["alice@example.org"], "issuers": [clients.certificate.leaf]},
        "other name": {"names": ["bob@example.org", "Alice@example.org"]},
        "other fingerprint": {"fingerprints": ["00" * 32]},
        "other issuer": {"issuers": [stranger]},
        "one of two": {"names": ["alice@example.org"], "issuers": [stranger]},
    }
    return by_kind[kind]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("any", None),
        ("name", None),
        ("fingerprint", None),
        ("plain fingerprint", None),
        ("issuer", None),
        ("all", None),
        ("other name", "has none of the names"),
        ("other fingerprint", "has another fingerprint"),
        ("other issuer", "is of another issuer"),
        ("one of two", "is of another issuer"),
    ],
)
def test_authorize(
    server_context: context.ServerContext,
    authority: certs.CertificateAuthority,
    clients: certs.CertificateAuthority,
    alice: certs.Certificate,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    expected: str | None,
) -> None:
    """Who fits is served; everybody else gets 403 and one log line, and no handler runs."""

    @authorize(**conditions(kind, clients, alice))
    class Guarded(Handler):
        """A plain handler."""

    with running(RecordingServer(server_context, Guarded)) as server:
        answer = visit(server, client_context(authority, alice), "localhost")
        assert answer.status == (200 if expected is None else 403)
        assert visit(server, client_context(authority), "localhost").status == 403
        assert len(server.served) == (expected is None)
    lines = [one.getMessage() for one in caplog.records if one.name == "tlshttp.handler"]
    assert len(lines) == 1 + (expected is not None)
    assert "'GET / HTTP/1.1' is forbidden: no client certificate" in lines[-1]
    assert expected is None or expected in lines[0]


@pytest.mark.parametrize("written", ["CLIENTS", "  clients ", "other"])
@pytest.mark.parametrize("key", ["same", "other"])
def test_authorize_knows_an_issuer_in_any_spelling(
    authority: certs.CertificateAuthority, certificate: certs.Certificate, written: str, key: str
) -> None:
    """As OpenSSL does, by which its clients are verified; name and key have to be right."""
    issuer = issue("clients")
    given = issue(written, key=issuer.key if key == "same" else None)
    ssl_context = context.create_server_context(
        certificate, client_auth=ClientAuth.REQUIRED, client_cas=[issuer.leaf]
    )
    is_let_in = key == "same" and written != "other"
    alice = client_context(authority, client_of(issuer).as_client())
    guarded = authorize(issuers=[given.leaf])(Handler)
    with running(RecordingServer(ssl_context, guarded)) as server:
        assert visit(server, alice, "localhost").status == (200 if is_let_in else 403)


def test_authorize_covers_subclasses_and_every_method(
    server_context: context.ServerContext, authority: certs.CertificateAuthority
) -> None:
    """A method that a subclass adds or overrides is guarded, too; the class keeps its name."""

    @authorize()
    class Guarded(TLSRequestHandler):
        """Has no methods."""

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    class Open(Guarded):
        """Adds one."""

        def do_GET(self) -> None:
            """Never get here."""
            raise AssertionError

    assert (Guarded.__name__, Guarded.__doc__) == ("Guarded", "Has no methods.")
    with running(RecordingServer(server_context, Open)) as server:
        assert visit(server, client_context(authority), "localhost").status == 403


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"names": []}, "nobody would be let in"),
        ({"fingerprints": ["12:34"]}, "not a SHA-256 fingerprint"),
        ({"issuers": []}, "nobody would be let in"),
    ],
)
def test_authorize_without_sense(wrong: dict[str, Any], message: str) -> None:
    """A rule that nobody could fulfil is refused at once."""
    with pytest.raises(ConfigurationError, match=message):
        authorize(**wrong)
    with pytest.raises(TypeError, match="not one str"):
        authorize(names="alice")


class WithHSTS(StrictTransportSecurityMixIn, BaseHTTPRequestHandler):
    """Answers with the header it sends, in the body."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()

    def send_header(self, keyword: str, value: str) -> None:
        """Take note of headers."""
        self.server.served.append(f"{keyword}: {value}")  # type: ignore[attr-defined]
        super().send_header(keyword, value)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


class OwnAge(WithHSTS):
    """Has an age of its own."""

    hsts_max_age = 60
    hsts_include_subdomains = True


@pytest.mark.parametrize(
    ("handler", "host", "self_signed", "expected"),
    [
        (WithHSTS, "localhost", False, "max-age=63072000"),
        (WithHSTS, "localhost:8443", False, "max-age=63072000"),
        (OwnAge, "localhost", False, "max-age=60; includeSubDomains"),
        (WithHSTS, "127.0.0.1", False, None),
        (WithHSTS, "[::1]:443", False, None),
        (WithHSTS, "localhost", True, None),
        (OwnAge, "localhost", True, None),
    ],
)
def test_strict_transport_security(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    handler: type[BaseHTTPRequestHandler],
    host: str,
    self_signed: bool,
    expected: str | None,
) -> None:
    """The header is sent for names and real certificates only, of the profile or our own age."""
    shown = certs.self_signed("localhost") if self_signed else certificate
    client = client_context(shown if self_signed else authority)
    with running(RecordingServer(context.create_server_context(shown), handler)) as server:
        assert visit(server, client, "localhost", host=host).status == 200
        sent = [line for line in server.served if line.startswith("Strict")]
    assert sent == ([] if expected is None else [f"Strict-Transport-Security: {expected}"])


class WithHints(WithHSTS):
    """Sends an interim response before the other."""

    def do_GET(self) -> None:
        """Answer twice."""
        self.send_response_only(103)
        self.send_header("Link", "</style.css>; rel=preload")
        self.end_headers()
        super().do_GET()


def test_interim_responses_have_no_such_header(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """It is sent once, with the response that the client has asked for."""
    server_context = context.create_server_context(certificate)
    with running(RecordingServer(server_context, WithHints)) as server:
        assert visit(server, client_context(authority), "localhost").status == 103  # the first
    names = [line.partition(":")[0] for line in server.served if ":" in line]
    assert names == ["Link", "Server", "Date", "Strict-Transport-Security"]


def test_no_header_with_a_context_that_does_not_tell(
    authority: certs.CertificateAuthority, certificate: certs.Certificate
) -> None:
    """A user's own SSLContext serves; it is not known what it shows."""
    import ssl

    from tlshttp.certs._memory import pem_path

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pem_path(certificate.key_to_pem() + certificate.to_pem()) as path:
        made.load_cert_chain(path)
    with running(RecordingServer(made, WithHSTS)) as server:
        assert visit(server, client_context(authority), "localhost").status == 200
        assert not [line for line in server.served if line.startswith("Strict")]


def test_quiet_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of all this logs by itself."""
    with caplog.at_level(logging.DEBUG):
        authorize(names=["a"])
    assert caplog.records == []
