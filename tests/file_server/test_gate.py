"""``--auth``: who is let in, and that nobody else is, whatever is asked for and how."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.file_server.conftest import Serve, Site
from tests.support import UNIT
from tlshttp._file_server.gate import CHALLENGE, Gate
from tlshttp.errors import CertificateError

HOST = "192.0.2.1"


@pytest.fixture
def gate() -> Gate:
    """Make a gate for one user."""
    return Gate("me", "s3cret ä:ö".encode)


def admits(gate: Gate, *fields: str) -> bool:
    """Return whether a request with these fields is let in."""
    return gate.judge(fields, HOST).admitted


def basic(user: str, password: str, scheme: str = "Basic") -> str:
    """Return the field that a client sends."""
    return f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.fixture
def site(serve: Serve) -> Site:
    """Serve a folder to one user."""
    return serve("--auth", "me", password="s3cret ä:ö".encode())


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_user_is_let_in(gate: Gate, scheme: str) -> None:
    """By name and password, colons and letters beyond ASCII in it; the scheme has no case."""
    assert admits(gate, basic("me", "s3cret ä:ö", scheme))


@pytest.mark.parametrize(
    "fields",
    [
        [], [""], ["Basic"], ["Basic "], [basic("me", "")], [basic("", "s3cret ä:ö")],
        [basic("me", "s3cret ä:ö ")], [basic("me", "s3cret")], [basic("ME", "s3cret ä:ö")],
        [basic("me:s3cret ä", "ö x")], ["Bearer " + basic("me", "s3cret ä:ö")[6:]],
        [basic("me", "s3cret ä:ö")[:-4]], [basic("me", "s3cret ä:ö") + "!"],
        ["Basic me:s3cret ä:ö"], [basic("me", "s3cret ä:ö")] * 2, ["Basic " + "A" * 100_000],
        ["Basic \xff\xfe"], [basic("me", "s3cret ä:ö").encode().decode("utf-16-le", "replace")],
    ],
)  # fmt: skip
def test_nobody_else_is(gate: Gate, fields: list[str]) -> None:
    """Less, more, another, twice, or what is no such field at all."""
    assert not admits(gate, *fields)


@given(st.lists(st.text() | st.text().map(lambda text: f"Basic {text}")))
def test_no_field_fails_or_opens(fields: list[str]) -> None:
    """Whatever is sent, the answer is no."""
    assert not admits(Gate("me", "s3cret ä:ö".encode), *fields)


def test_it_keeps_no_password(gate: Gate) -> None:
    """Neither its text nor what it holds has the password in it, nor what a stranger has sent."""
    admits(gate, basic("me", "guess3d"))
    held = f"{gate!r} {vars(gate)} {vars(gate._guesses)}"
    assert "s3cret" not in held
    assert "guess3d" not in held


def test_a_password_that_cannot_be_read_again_leaves_the_old_one() -> None:
    """After a failed reload nobody is let in who was not before, and who was still is."""
    answers = iter([b"first", b"second"])

    def read() -> bytes:
        try:
            return next(answers)
        except StopIteration:
            raise CertificateError("it has gone") from None

    gate = Gate("me", read)
    assert admits(gate, basic("me", "first"))
    gate.reload()
    assert (admits(gate, basic("me", "first")), admits(gate, basic("me", "second"))) == (
        False,
        True,
    )
    with pytest.raises(CertificateError):
        gate.reload()
    assert admits(gate, basic("me", "second"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/", "/hello.txt", "/nothing", "/.upload", "/sub", "*"])
def test_every_request_has_to_pass(site: Site, method: str, path: str) -> None:
    """There is a challenge for each method, known or not, and for what is not there, too."""
    reply = site.ask(path, method)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == CHALLENGE
    assert b"Hello" not in reply.body
    assert site.ask(path, method, Authorization=basic("me", "s3cret ä:ö")).status != 401


def test_who_passes_gets_the_file(site: Site) -> None:
    """And only for this request: the next one on the connection is asked again."""
    connection = site.connect()
    connection.request("GET", "/hello.txt", headers={"Authorization": basic("me", "s3cret ä:ö")})
    with connection.getresponse() as response:
        assert response.read() == b"Hello, world!\n"
    connection.request("GET", "/hello.txt")
    with connection.getresponse() as response:
        assert response.status == 401
    connection.close()


def test_no_body_is_asked_for_before(site: Site, tmp_path: Path) -> None:
    """Who may not come in is refused without being told to send what they announced."""
    raw = socket.create_connection(("127.0.0.1", site.server.server_port), timeout=50 * UNIT)
    with site.client.wrap_socket(raw, server_hostname="localhost") as connection:
        connection.sendall(
            b"POST /.upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_browsers_may_ask_whether_they_may_ask(serve: Serve) -> None:
    """With ``--cors`` the question before a request passes, since it has no password; no other."""
    site = serve("--auth", "me", "--cors", password=b"s3cret")
    asked = {"Origin": "https://a.example", "Access_Control_Request_Method": "GET"}
    assert site.ask("/hello.txt", "OPTIONS", **asked).status == 204
    assert site.ask("/hello.txt", "OPTIONS").status == 401
    assert site.ask("/hello.txt", "GET", **asked).status == 401
    reply = site.ask("/hello.txt", **asked, Authorization=basic("me", "s3cret"))
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, "*")
