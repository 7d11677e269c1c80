"""The environment of a request: what it says, what it keeps to itself, and whose it is."""

from __future__ import annotations

import io
import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.server.support import ask, read_all, read_until
from tests.support import UNIT, serving
from tests.wsgi.conftest import Run, Site
from tlshttp import ForwardedMixIn, ThreadingTLSHTTPServer, TLSInfo, certs, context, wsgi
from tlshttp.wsgi._environ import path_and_query
from tlshttp.wsgi._streams import ErrorStream


class Seen:
    """An application that keeps the environments it is called with."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.all.append(environ.copy())
        environ["wsgi.input"].read()
        environ["HTTP_LEFT"] = environ["wsgi.errors"] = "by the application before"
        start("204 No Content", [])
        return []

    @property
    def last(self) -> dict[str, Any]:
        """The newest."""
        return self.all[-1]


@pytest.fixture
def seen() -> Seen:
    """Return an application that remembers."""
    return Seen()


def request(*lines: str, target: str = "/") -> bytes:
    """Return a request that is the last one of its connection."""
    head = (f"GET {target} HTTP/1.1", "Host: localhost", *lines, "Connection: close")
    return "".join(f"{line}\r\n" for line in (*head, "")).encode("latin-1")


def test_it_says_who_asks_whom_for_what(run: Run, seen: Seen) -> None:
    """All that PEP 3333 and CGI have, and the TLS of the connection by mod_ssl's names."""
    site = run(seen)
    site.exchange(request("Accept: text/plain", target="/a%20%C3%BC/b?c=%20&d"))
    environ = seen.last
    assert environ["REQUEST_METHOD"] == "GET"
    assert (environ["SCRIPT_NAME"], environ["QUERY_STRING"]) == ("", "c=%20&d")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/a ü/b"
    assert environ["REQUEST_URI"] == "/a%20%C3%BC/b?c=%20&d"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(site.server.server_port)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REMOTE_PORT"].isdecimal()
    assert environ["HTTP_ACCEPT"] == "text/plain"
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["wsgi.multithread"] is isinstance(site.server, ThreadingTLSHTTPServer)
    assert environ["wsgi.multiprocess"] is environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert isinstance(environ["tlshttp.tls"], TLSInfo)
    assert (environ["HTTPS"], environ["SSL_PROTOCOL"]) == ("on", "TLSv1.3")
    assert environ["SSL_CIPHER"].startswith("TLS_")
    assert (environ["SSL_TLS_SNI"], environ["SSL_CLIENT_VERIFY"]) == ("localhost", "NONE")
    assert environ["SSL_SESSION_RESUMED"] == "Initial"
    assert not [name for name in environ if name.startswith("SSL_CLIENT_S")]


def test_each_request_has_an_environment_of_its_own(run: Run, seen: Seen) -> None:
    """Requests of a connection that repeat line or fields, or neither, are told apart."""
    site = run(seen)
    connection = site.connection()
    for path, field in ("/a", "1"), ("/a", "1"), ("/b?c", "1"), ("/b", "2"), ("/b", "2"):
        ask(connection, "GET", path, headers={"X-Field": field})
    ask(connection, "POST", "/b", body=b"text", headers={"X-Field": "2"})
    ask(connection, "GET", "/b")
    connection.close()
    told = [(it["PATH_INFO"], it["QUERY_STRING"], it.get("HTTP_X_FIELD")) for it in seen.all]
    assert told == [
        ("/a", "", "1"), ("/a", "", "1"), ("/b", "c", "1"), ("/b", "", "2"), ("/b", "", "2"),
        ("/b", "", "2"), ("/b", "", None),
    ]  # fmt: skip
    assert [it.get("CONTENT_LENGTH") for it in seen.all[-3:]] == [None, "4", None]
    assert not any("HTTP_LEFT" in it for it in seen.all)
    assert all(hasattr(it["wsgi.errors"], "write") for it in seen.all)
    assert len({it["REMOTE_PORT"] for it in seen.all}) == 1


def test_names_with_an_underscore_are_nobodys(run: Run, seen: Seen) -> None:
    """What looks like a proxy's field to an application, and not to the proxy, is dropped."""
    run(seen).exchange(
        request("X_Forwarded_For: 192.0.2.1", "X-Forwarded-For: 198.51.100.1", "Content_Type: x")
    )
    assert seen.last["HTTP_X_FORWARDED_FOR"] == "198.51.100.1"
    assert "CONTENT_TYPE" not in seen.last
    assert "" not in seen.last


def test_no_field_is_taken_for_a_proxy(run: Run, seen: Seen) -> None:
    """CVE-2016-5385: HTTP clients look for theirs in HTTP_PROXY."""
    run(seen).exchange(request("Proxy: http://192.0.2.1/", "pRoXy: http://192.0.2.2/"))
    assert "HTTP_PROXY" not in seen.last


def test_fields_of_one_name_are_joined(run: Run, seen: Seen) -> None:
    """In order, and cookies as cookies are."""
    run(seen).exchange(request("X-A: 1", "Cookie: a=1", "x-a: 2", "Cookie: b=2"))
    assert (seen.last["HTTP_X_A"], seen.last["HTTP_COOKIE"]) == ("1,2", "a=1; b=2")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("https://localhost/a?b", "/a", "b"),
        ("https://localhost", "/", ""),
        ("https://localhost?b", "/", "b"),
        ("https://localhost//a", "/a", ""),
        ("//other/a", "/other/a", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/%2e%2e/%00", "/../\0", ""),
        ("/a;b=c", "/a;b=c", ""),
    ],
)
def test_targets_of_every_form(run: Run, seen: Seen, target: str, path: str, query: str) -> None:
    """The absolute form has the path behind its host; only a path is decoded."""
    run(seen).exchange(request(target=target))
    assert (seen.last["PATH_INFO"], seen.last["QUERY_STRING"]) == (path, query)
    assert seen.last["HTTP_HOST"] == "localhost"


def test_targets_without_a_path_are_refused(run: Run, seen: Seen) -> None:
    """``http.server`` takes them; no application can."""
    answer = run(seen).exchange(request(target="admin"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not seen.all
    assert path_and_query("*") == ("/", "")


def test_there_is_one_host(run: Run, seen: Seen) -> None:
    """Target and Host field that differ reach no application; a target's alone is the field's."""
    site = run(seen)
    assert site.exchange(request(target="https://other/")).startswith(b"HTTP/1.1 400 ")
    assert not seen.all
    site.exchange(b"GET https://localhost/ HTTP/1.0\r\n\r\n")
    assert seen.last["HTTP_HOST"] == "localhost"
    refused = run(seen, allowed_hosts=["example.org"]).exchange(request())
    assert refused.startswith(b"HTTP/1.1 421 ")
    assert len(seen.all) == 1


def test_the_host_of_a_target_is_not_that_of_the_one_before(run: Run, seen: Seen) -> None:
    """Two requests with the same fields, of which none is a Host."""
    site = run(seen)
    with site.client.connect(site.server) as sock:
        for host in "localhost", "other", "localhost":
            sock.sendall(f"GET https://{host}/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
            read_until(sock, b"\r\n\r\n")
    assert [it["HTTP_HOST"] for it in seen.all] == ["localhost", "other", "localhost"]


def test_what_a_handler_makes_of_a_request_counts(run: Run, seen: Seen) -> None:
    """A path that it rewrites, and a field that it takes away, each for one request."""

    class Rewriting:
        def do_GET(self: Any) -> None:
            if self.path == "/old":
                self.path = "/new?from=old"
                del self.headers["X-Secret"]
            super().do_GET()  # type: ignore[misc]

    connection = (site := run(seen, Rewriting)).connection()
    for path in "/old", "/old", "/other":
        assert ask(connection, "GET", path, headers={"X-Secret": "1"}).status == 204
    connection.close()
    site.end()
    told = [(it["PATH_INFO"], it["QUERY_STRING"], it.get("HTTP_X_SECRET")) for it in seen.all]
    assert told == [("/new", "from=old", None), ("/new", "from=old", None), ("/other", "", "1")]


def test_a_path_of_its_own(run: Run, seen: Seen) -> None:
    """Below ``script_name`` is the application's, all else is nobody's."""
    site = run(seen, script_name="/shöp")
    for path in "/sh%C3%B6p", "/sh%C3%B6p/a":
        assert site.get(path).status == 204
    names = [(it["SCRIPT_NAME"], it["PATH_INFO"]) for it in seen.all]
    assert names == [("/sh\xc3\xb6p", ""), ("/sh\xc3\xb6p", "/a")]
    for path in "/", "/sh%C3%B6pping", "/other":
        assert site.get(path).status == 404
    assert len(seen.all) == 2


def test_a_chunked_body_has_a_length(run: Run, seen: Seen) -> None:
    """As behind nginx: frameworks ask for the length."""
    site = run(seen)
    site.ask("POST", body=iter([b"abc", b"de"]), headers={"Content-Type": "text/plain"})
    site.ask("POST", body=iter([b"abc"]))
    assert [it["CONTENT_LENGTH"] for it in seen.all] == ["5", "3"]
    assert seen.all[0]["CONTENT_TYPE"] == "text/plain"
    assert not any("HTTP_TRANSFER_ENCODING" in it for it in seen.all)


def test_the_body_of_a_request_stays_its_own(run: Run) -> None:
    """An application that keeps ``wsgi.input`` reads nothing of the next request."""
    kept: list[Any] = []

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        late = [body.read(100) for body in kept]
        kept.append(environ["wsgi.input"])
        start("200 OK", [])
        return late

    site = run(application)
    connection = site.connection()
    for size in 10, 100_000, 0:
        assert ask(connection, "POST", "/", body=b"x" * size).status == 200
    # A small one is the application's, whole; of a large one that was not read nothing is left.
    assert ask(connection, "POST", "/", body=b"secret" * 20_000).body == b""
    connection.close()


def test_a_streamed_body_is_read_as_it_comes(run: Run) -> None:
    """With ``stream_request`` the application is called before the body is there."""
    called = threading.Event()

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        called.set()
        assert environ["wsgi.multithread"]
        start("200 OK", [])
        body = environ["wsgi.input"]
        return [body.read(3), body.readline(), body.read1(), body.read()]

    site = run(application, stream_request=True)
    with site.client.connect(site.server) as sock:
        sock.sendall(request("Content-Length: 9").replace(b"GET", b"POST"))
        assert called.wait(30 * UNIT)
        sock.sendall(b"abc\nd")
        sock.sendall(b"efgh")
        assert read_all(sock).endswith(b"\r\n\r\nabc\ndefgh")


# The client --------------------------------------------------------------------------------------


def test_a_clients_certificate_is_told(run: Run, seen: Seen, tmp_path: Path) -> None:
    """By mod_ssl's names, each from the certificate itself."""
    authority = certs.CertificateAuthority.generate("Authority")
    own = authority.issue_client("zoe@example.org", "client.example.org", organization="Zoë")
    server = authority.issue_server("localhost")
    ssl_context = context.create_server_context(
        server, client_auth=context.ClientAuth.REQUIRED, client_cas=[authority.certificate.leaf]
    )
    site = run(seen, options={"ssl_context": ssl_context})
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    own.write(cert, key)
    client = ssl.create_default_context(cadata=authority.certificate.to_pem().decode())
    client.load_cert_chain(cert, key)
    with (
        site.client.dial(site.server) as plain,
        client.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(request())
        read_all(sock)
    told, leaf = seen.last, own.leaf
    assert told["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert x509.load_pem_x509_certificate(told["SSL_CLIENT_CERT"].encode()) == leaf
    assert int(told["SSL_CLIENT_M_SERIAL"], 16) == leaf.serial_number
    assert told["SSL_CLIENT_S_DN_O"].encode("latin-1").decode() == "Zoë"
    assert told["SSL_CLIENT_S_DN_O_0"] == told["SSL_CLIENT_S_DN_O"]
    assert told["SSL_CLIENT_S_DN"].encode("latin-1").decode() == leaf.subject.rfc4514_string()
    assert told["SSL_CLIENT_I_DN_CN"] == "Authority"
    assert told["SSL_CLIENT_SAN_Email_0"] == "zoe@example.org"
    assert told["SSL_CLIENT_SAN_DNS_0"] == "client.example.org"
    end = ssl.cert_time_to_seconds(told["SSL_CLIENT_V_END"])
    assert end == leaf.not_valid_after_utc.timestamp()


def test_what_a_proxy_says_counts_where_it_is_trusted(run: Run, seen: Seen) -> None:
    """With `ForwardedMixIn` before it; else it is a field like any other."""
    site: Site = run(
        seen,
        ForwardedMixIn,
        forwarded_from=["127.0.0.1"],
        forwarded_fields=["X-Forwarded-For", "X-Forwarded-Proto"],
    )
    connection = site.connection()
    for address, scheme in ("192.0.2.1", "http"), ("192.0.2.2", "https"):
        fields = {"X-Forwarded-For": address, "X-Forwarded-Proto": scheme}
        ask(connection, "GET", "/", headers=fields)
    ask(connection, "GET", "/")
    connection.close()
    told = [(it["REMOTE_ADDR"], it["wsgi.url_scheme"], "HTTPS" in it) for it in seen.all]
    assert told == [
        ("192.0.2.1", "http", False), ("192.0.2.2", "https", True), ("127.0.0.1", "https", True),
    ]  # fmt: skip
    run(seen).get("/", **{"X-Forwarded-For": "192.0.2.3", "X-Forwarded-Proto": "http"})
    assert (seen.last["REMOTE_ADDR"], seen.last["wsgi.url_scheme"]) == ("127.0.0.1", "https")


def test_a_socket_with_a_path(seen: Seen, tmp_path: Path, server_context: ssl.SSLContext) -> None:
    """Its server and its clients have no port; no variable is empty."""
    made = type("Quiet", (wsgi.handler(seen),), {"log_message": lambda *_: None})
    server = ThreadingTLSHTTPServer(str(tmp_path / "s"), made, ssl_context=server_context)
    with serving(server), _dial(str(tmp_path / "s")) as sock:
        sock.sendall(request())
        read_all(sock)
    environ = seen.last
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "443")
    assert environ["REMOTE_ADDR"] == "unix:"


def _dial(path: str) -> ssl.SSLSocket:
    import socket

    plain = socket.socket(socket.AF_UNIX)
    plain.connect(path)
    return ssl._create_unverified_context().wrap_socket(plain)


def test_several_processes_are_told(run: Run, seen: Seen) -> None:
    """Of a server that `tlshttp.service` runs in each of its workers."""
    site = run(seen)
    site.server.shared_counters = object()
    site.get()
    assert seen.last["wsgi.multiprocess"] is True


# Errors ------------------------------------------------------------------------------------------


def test_complaints_go_where_standard_error_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To what it is now; and to nobody where there is none, or it is closed."""
    errors = ErrorStream()
    assert errors.write("one\n") == 4
    errors.writelines(["two\n", "three\n"])
    errors.flush()
    assert capsys.readouterr().err == "one\ntwo\nthree\n"
    closed = io.StringIO()
    closed.close()
    for stream in None, closed:
        monkeypatch.setattr("sys.stderr", stream)
        errors.write("lost")
        errors.flush()
