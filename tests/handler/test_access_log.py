"""`AccessLogMixIn`: one line for each response, complete and not to be forged."""

from __future__ import annotations

import http.client
import http.server
import json
import logging
import re
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from tests.handler.conftest import Serve
from tests.support import UNIT, wait_until
from tlshttp import AccessLogMixIn, AccessRecord, TLSFileRequestHandler
from tlshttp.errors import ConfigurationError

# The Combined Log Format as its readers take it, and what follows.
COMBINED = re.compile(
    r'(?P<client>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] '
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<size>\d+|-) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
    r' (?P<version>\S+) (?P<cipher>\S+) "(?P<server_name>(?:[^"\\]|\\.)*)"'
    r' "(?P<client_name>(?:[^"\\]|\\.)*)" (?P<duration>\d+\.\d{6})'
)  # fmt: skip


class Log:
    """The lines of the access log so far."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def lines(self) -> list[str]:
        """All of them."""
        return [
            record.getMessage()
            for record in self._caplog.records
            if record.name == "tlshttp.access"
        ]

    def wait(self, count: int = 1) -> list[str]:
        """Wait until there are so many; they are written after the response has been sent."""
        assert wait_until(lambda: len(self.lines) >= count, timeout=30 * UNIT), self.lines
        assert len(self.lines) == count
        return self.lines

    def fields(self) -> dict[str, str]:
        """Return what the only line has, in the Combined format."""
        (line,) = self.wait()
        found = COMBINED.fullmatch(line)
        assert found, line
        return found.groupdict()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    """Collect the log."""
    with caplog.at_level(logging.INFO, "tlshttp.access"):
        yield Log(caplog)


class Hello(AccessLogMixIn, BaseHTTPRequestHandler):
    """Answers with six bytes; a handler that knows nothing of this package."""

    said: list[str]

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hel")
        self.wfile.write(b"lo\n")

    do_HEAD = do_GET

    def log_message(self, *arguments: Any) -> None:
        """Remember what is said otherwise."""
        self.said.append(arguments[0] % arguments[1:])


def hello(**names: Any) -> Any:
    """Return a subclass of it."""
    return type("H", (Hello,), {"said": [], **names})


@pytest.mark.smoke
def test_combined_line_tells_everything(serve: Serve, log: Log) -> None:
    """Request, response and TLS session are in one line that the usual readers take."""
    serve(hello()).get("/page", Referer="https://else.example/", User_Agent="tests/1.0")
    fields = log.fields()
    duration = float(fields.pop("duration"))
    assert 0 <= duration < 30 * UNIT
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", fields.pop("time"))
    assert re.fullmatch(r"TLS_\w+", fields.pop("cipher"))
    assert fields == {
        "client": "127.0.0.1", "ident": "-", "user": "-", "request": "GET /page HTTP/1.1",
        "status": "200", "size": "6", "referer": "https://else.example/", "agent": "tests/1.0",
        "version": "TLSv1.3", "server_name": "localhost", "client_name": "-",
    }  # fmt: skip


def test_json_line_tells_everything(serve: Serve, log: Log) -> None:
    """The same as an object, with numbers as numbers and null for what there is not."""
    serve(hello(access_log_format="json")).get("/page", User_Agent="tests/1.0")
    fields = json.loads(log.wait()[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields.pop("time"))
    assert 0 <= fields.pop("duration") < 30 * UNIT
    assert fields.pop("tls_cipher").startswith("TLS_")
    assert fields == {
        "client": "127.0.0.1", "request": "GET /page HTTP/1.1", "status": 200, "size": 6,
        "referer": None, "user_agent": "tests/1.0", "tls_version": "TLSv1.3",
        "server_name": "localhost", "client_name": None, "request_id": None, "trace_id": None,
    }  # fmt: skip


def test_client_certificate_is_named(serve: Serve, log: Log) -> None:
    """Who has shown a certificate is known by its first name."""
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    authority.issue_cert("robot.example", "second.example").configure_cert(client_context)
    site = serve(hello(), ssl_context=server_context)
    with urllib.request.urlopen(site.url + "/", context=client_context) as response:
        response.read()
    assert log.fields()["client_name"] == "robot.example"


def test_each_response_on_a_connection_has_its_own_line(serve: Serve, log: Log) -> None:
    """Sizes and fields do not carry over from one request to the next."""
    site = serve(hello())
    with site.connect() as connection:
        for request in (
            b"GET /1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: one\r\n\r\n",
            b"HEAD /2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ):
            connection.sendall(request)
        while connection.recv(4096):
            pass
    found = [COMBINED.fullmatch(line) for line in log.wait(3)]
    seen = [(row["request"].split()[1], row["size"], row["agent"]) for row in found if row]
    assert seen == [("/1", "6", "one"), ("/2", "-", "-"), ("/3", "6", "-")]


def test_request_that_cannot_be_read_is_logged(serve: Serve, log: Log) -> None:
    """A refused head has a line, and none of the fields of the request before."""
    site = serve(hello())
    with site.connect() as connection:
        connection.sendall(
            b"GET /1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: one\r\n\r\nGET /2 HTTP/x.y\r\n\r\n"
        )
        while connection.recv(4096):
            pass
    row = COMBINED.fullmatch(log.wait(2)[1])
    assert row
    assert (row["status"], row["agent"]) == ("400", "-")


def test_connection_without_a_request_has_no_line(serve: Serve, log: Log) -> None:
    """Nothing asked, nothing answered, nothing logged."""
    site = serve(hello())
    with site.connect():
        pass
    site.get("/")
    log.wait(1)


def test_failing_handler_is_logged_with_its_500(
    serve: Serve, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the client is told in the end is what the line says."""

    def fail(self: Any) -> None:
        raise RuntimeError("a mistake")

    site = serve(hello(do_GET=fail))
    monkeypatch.setattr(site.server, "handle_error", lambda *_: None)
    site.get("/broken", User_Agent="tests/1.0")
    fields = log.fields()
    assert (fields["status"], fields["request"]) == ("500", "GET /broken HTTP/1.1")
    assert fields["agent"] == "tests/1.0"


def test_response_that_breaks_off_is_logged_as_begun(
    serve: Serve, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that fails in the middle has sent its status and so many bytes."""

    def fail(self: Any) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hel")
        raise RuntimeError("a mistake")

    site = serve(hello(do_GET=fail))
    monkeypatch.setattr(site.server, "handle_error", lambda *_: None)
    with pytest.raises(http.client.IncompleteRead):
        site.get("/broken")
    fields = log.fields()
    assert (fields["status"], fields["size"]) == ("200", "3")


def test_informational_response_is_not_the_answer(serve: Serve, log: Log) -> None:
    """Early hints have no line of their own, and do not hide the final status."""

    def answer(self: Any) -> None:
        self.send_response(103)
        self.end_headers()
        Hello.do_GET(self)

    with serve(hello(do_GET=answer)).connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while connection.recv(4096):
            pass
    fields = log.fields()
    assert (fields["status"], fields["size"]) == ("200", "6")


def test_overridden_handle_one_request_is_logged(serve: Serve, log: Log) -> None:
    """Who serves requests in a way of their own still has a line for each."""

    def handle_one_request(self: Any) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self.do_GET()

    site = serve(hello(handle_one_request=handle_one_request))
    assert site.get("/own").body == b"hello\n"
    assert log.fields()["size"] == "6"


def test_log_message_gets_everything_else(serve: Serve, log: Log) -> None:
    """Errors go where they went; requests do not go there any more."""
    handler = hello()
    serve(handler).get("/", "BREW")
    assert log.fields()["status"] == "501"
    assert handler.said == ["code 501, message Unsupported method ('BREW')"]


def test_record_can_be_taken_instead_of_the_line(serve: Serve, log: Log) -> None:
    """``log_access`` is the hook for another destination."""
    records: list[AccessRecord] = []
    serve(hello(log_access=lambda self, record: records.append(record))).get("/page")
    assert wait_until(lambda: bool(records))
    assert (records[0].status, records[0].size, records[0].server_name) == (200, 6, "localhost")
    assert log.lines == []


def test_nothing_is_made_up_when_nobody_listens(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """With the logger at its default level no record is made."""
    records: list[AccessRecord] = []
    handler = hello(log_access=lambda self, record: records.append(record))
    assert serve(handler).get("/page").status == 200
    assert records == []


def test_size_of_a_file(serve: Serve, log: Log, tmp_path: Path) -> None:
    """Large bodies written in pieces count in full, the head does not."""
    (tmp_path / "large").write_bytes(b"x" * 1_000_000)

    class Files(AccessLogMixIn, TLSFileRequestHandler):
        """Serves files."""

    serve(Files, directory=str(tmp_path)).get("/large")
    assert log.fields()["size"] == "1000000"


def test_other_order_is_refused() -> None:
    """Behind the handler it would be without effect, so that is said at once."""
    with pytest.raises(TypeError, match="method resolution"):
        type("H", (BaseHTTPRequestHandler, AccessLogMixIn), {})


@pytest.mark.parametrize("name", ["common", "JSON", ""])
def test_unknown_format_is_refused(name: str) -> None:
    """A misspelt format is found when the class is made, not at the first request."""
    with pytest.raises(ConfigurationError, match="access_log_format"):
        hello(access_log_format=name)


def test_it_works_on_the_standard_server_without_tls(log: Log, tmp_path: Path) -> None:
    """There is no TLS to tell of, and the rest is the same."""
    (tmp_path / "file").write_bytes(b"content")

    class Files(AccessLogMixIn, SimpleHTTPRequestHandler):
        """Serves files."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

    with http.server.HTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with closing(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/file")) as got:
            assert got.read() == b"content"
        thread.join()
    fields = log.fields()
    assert (fields["status"], fields["size"]) == ("200", "7")
    assert (fields["version"], fields["cipher"], fields["server_name"]) == ("-", "-", "-")


# What must not be in there -----------------------------------------------------------------------


def test_secrets_are_not_logged(serve: Serve, log: Log) -> None:
    """Neither queries nor credentials nor cookies are in a line, in either format."""
    for name in ("combined", "json"):
        serve(hello(access_log_format=name)).get(
            "https://user:pass@localhost/page?token=SECRET",
            Authorization="Bearer SECRET",
            Cookie="session=SECRET",
            Referer="https://user:pass@else.example/page?token=SECRET",
        )
    for line in log.wait(2):
        assert "SECRET" not in line
        assert "pass" not in line
        assert "/page?" in line


def test_query_is_logged_where_wanted(serve: Serve, log: Log) -> None:
    """The switch shows target and referer as they came."""
    site = serve(hello(access_log_query=True))
    site.get("/page?a=b", Referer="https://else.example/?c=d")
    fields = log.fields()
    assert fields["request"] == "GET /page?a=b HTTP/1.1"
    assert fields["referer"] == "https://else.example/?c=d"


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        ('quo"te', r"quo\"te"),
        ("back\\slash", r"back\\slash"),
        ("next\x85line", r"next\x85line"),
        ("\xff", r"\xff"),
        ("tab\there", r"tab\x09here"),
    ],
)
def test_field_cannot_forge_a_line(serve: Serve, log: Log, sent: str, logged: str) -> None:
    """What could end a field or a line is escaped, where it is a legal field at all."""
    serve(hello()).get("/", User_Agent=sent)
    assert log.fields()["agent"] == logged


ANYTHING = st.text(max_size=30)
RECORDS = st.builds(
    AccessRecord,
    time=st.floats(0, 4e9),
    client=ANYTHING,
    request=ANYTHING,
    status=st.integers(100, 599),
    size=st.integers(0, 2**40),
    referer=st.none() | ANYTHING,
    user_agent=st.none() | ANYTHING,
    tls_version=st.none() | ANYTHING,
    tls_cipher=st.none() | ANYTHING,
    server_name=st.none() | ANYTHING,
    client_name=st.none() | ANYTHING,
    duration=st.floats(0, 1e6),
)


@given(RECORDS)
def test_any_record_is_one_readable_line(record: AccessRecord) -> None:
    """Whatever it is made of, both forms are one line of printable ASCII that can be read back."""
    combined, as_json = record.combined(), record.json()
    assert combined.isascii()
    assert combined.isprintable()
    assert COMBINED.fullmatch(combined)
    assert as_json.isascii()
    assert "\n" not in as_json
    assert json.loads(as_json)["user_agent"] == record.user_agent
