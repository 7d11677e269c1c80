"""The words that faults are made of: schedules, places, combinations."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support import UNIT
from tests.testing.bad_outcomes import GOOD, LONG, Patience, by_http_client
from tests.testing.bad_peers import (
    FORGOTTEN,
    answer_to_hello,
    connection_to,
    end_of_connection,
    get,
    tls_of,
)
from tlshttp import testing
from tlshttp.testing import At, Close, Refuse, Reply, Reset, Send, Show, Stall, Terms

NO_HELLO = b"\x16\x03\x01\x00\x05hello"
BODY = b"0123456789abcde\n" * 64


def test_second_request_reset_after_100_bytes() -> None:
    """The first request is answered; the second gets 100 bytes of its body and a reset."""
    with testing.bad_server(Reset(At.BODY, 100, request=2)) as server:
        assert server.get("/").body == BODY
        data, end = end_of_connection(server)
        assert data.partition(b"\r\n\r\n")[2] == BODY[:100]
        assert end == "reset"
        assert server.get("/").body == BODY
        assert [seen.connection for seen in server.wait_for(3)] == [1, 2, 3]


@pytest.mark.parametrize("place", [0, 1, 63, 64, 1023, 1024])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_body_is_cut_at_any_byte(place: int, version: ssl.TLSVersion) -> None:
    """Exactly so many bytes come, in either version of TLS, and then the end that was chosen."""
    terms = Terms(maximum_version=version)
    for deed, end in (
        (Close(At.BODY, place), "close_notify"),
        (Close(At.BODY, place, notify=False), "end"),
        (Reset(At.BODY, place), "reset"),
    ):
        with testing.bad_server(terms, deed) as server:
            data, ended = end_of_connection(server)
        assert data.partition(b"\r\n\r\n")[2] == BODY[:place]
        assert ended == end


@pytest.mark.parametrize("place", [1, 5, 6, 60, 100])
def test_the_handshake_is_cut_at_any_byte(place: int) -> None:
    """Exactly so many bytes of the server's part of the handshake come."""
    with testing.bad_server(Close(At.HANDSHAKE, place)) as server:
        assert len(answer_to_hello(server)) == place


@FORGOTTEN
def test_a_deed_for_one_connection() -> None:
    """The first and the third connection are good, the second one is not."""
    with testing.bad_server(Reset(At.ACCEPT, connection=2)) as server:
        assert server.get("/").status == 200
        with pytest.raises(ConnectionResetError):
            server.get("/")
        assert server.get("/").status == 200


def test_deeds_and_names_combine() -> None:
    """A deed and the names of two faults do all that they say."""
    with testing.bad_server(
        "unavailable-then-success", "dripped-body", Reset(At.REQUEST, request=3)
    ) as server:
        reports = by_http_client(server, Patience())
        assert reports == ["503 6", GOOD]
        with pytest.raises(ConnectionResetError):
            server.get("/")


def test_deeds_at_one_place_come_in_their_order() -> None:
    """What is written first is done first."""
    with testing.bad_server(
        Send(At.BODY, 2, data=b"[one]"), Send(At.BODY, 2, data=b"[two]"), Send(At.BODY, data=b"[0]")
    ) as server:
        data, _ = _first_bytes(server, 200)
    assert data.startswith(b"[0]01[one][two]23")


def test_a_fault_of_ones_own_has_a_name() -> None:
    """A Fault is made of deeds, and served as those in the catalogue are."""
    mine = testing.Fault(
        "teapot", testing.FaultKind.BEHAVIOUR, "answers 418", "418", (Reply(418, body=b"short"),)
    )
    with testing.bad_server(mine) as server:
        answer = server.get("/")
    assert (answer.status, answer.body) == (418, b"short")


def test_certificates_are_renewed_by_the_connection() -> None:
    """A certificate of the caller's is shown from its connection on, and one by name after it."""
    own = testing.authority().issue_server("localhost")
    with testing.bad_server(Show(own, connection=2), Show("wrong-host", connection=3)) as server:
        assert server.get("/").status == 200
        connection = connection_to(server)
        assert get(connection) == GOOD
        shown = tls_of(connection).getpeercert(binary_form=True)
        assert shown == own.leaf.public_bytes(Encoding.DER)
        connection.close()
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            server.get("/")


def test_requests_are_recorded() -> None:
    """Method, path, fields and body of what has come can be looked at."""
    with testing.bad_server("unavailable-then-success") as server:
        server.request("POST", "/a?b", body="text", headers={"X-Mine": "yes"})
        (seen,) = server.wait_for(1)
        assert (seen.method, seen.path, seen.body, seen.connection) == ("POST", "/a?b", b"text", 1)
        assert seen.headers["x-mine"] == "yes"
        with pytest.raises(TimeoutError, match="for 2 requests, and there were 1 on 1 connections"):
            server.wait_for(2, timeout=0.05 * UNIT)


@pytest.mark.parametrize("size", [0, 1, 70_000, 2_000_000])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_of_a_request_is_read(size: int, chunked: bool) -> None:
    """Uploads are read to their end, in chunks too, and the connection serves on."""
    body = bytes(index % 251 for index in range(1000)) * (size // 1000) + b"x" * (size % 1000)
    with testing.bad_server() as server:
        connection = connection_to(server)
        pieces = (body[start : start + 9999] for start in range(0, size, 9999))
        headers = {"Transfer-Encoding": "chunked"} if chunked else {}
        connection.request("PUT", "/", pieces if chunked else body, headers, encode_chunked=chunked)
        with connection.getresponse() as response:
            assert response.read() == BODY
        assert get(connection) == GOOD
        connection.close()
        assert server.requests[0].body == body
        assert server.connections == 1


def test_who_expects_100_continue_is_told_to_go_on() -> None:
    """A client that waits before its body gets the interim response first."""
    with testing.bad_server() as server:
        connection = connection_to(server)
        connection.putrequest("PUT", "/")
        connection.putheader("Expect", "100-continue")
        connection.putheader("Content-Length", "4")
        connection.endheaders()
        assert tls_of(connection).recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"body")
        with connection.getresponse() as response:
            assert response.status == 200
        connection.close()
        assert server.requests[0].body == b"body"


@pytest.mark.parametrize("length", ["lots", "-1", "99999999999"])
def test_a_request_that_is_too_much_is_hung_up_on(length: str) -> None:
    """A length that is none, or is beyond 16 MiB, ends the connection and nothing else."""
    with testing.bad_server() as server:
        with pytest.raises(ConnectionResetError):
            server.request("PUT", "/", headers={"Content-Length": length})
        assert server.get("/").status == 200


def test_the_most_special_reply_is_given() -> None:
    """What is for one request goes before what is for all, in whichever order they are written."""
    for replies in ((Reply(500), Reply(404, request=2)), (Reply(404, request=2), Reply(500))):
        with testing.bad_server(*replies) as server:
            assert [server.get("/").status for _ in range(3)] == [500, 404, 500]


@pytest.mark.parametrize(
    ("moment", "end", "requests"), [(At.HANDSHAKE, "end", 0), (At.HEAD, "close_notify", 1)]
)
def test_a_place_after_the_end_is_the_end(moment: At, end: str, requests: int) -> None:
    """No deed is lost: where fewer bytes are sent, it is done after the last one."""
    with testing.bad_server(Close(moment, 1_000_000)) as server:
        assert end_of_connection(server)[1] == end
        assert len(server.requests) == requests


@pytest.mark.parametrize("alpn", [None, "http/1.1"])
def test_a_client_certificate_is_wanted_by_either_engine(alpn: str | None) -> None:
    """Who shows none is refused, whichever engine the other terms need."""
    with testing.bad_server(Terms(client_certificate=True, alpn=alpn)) as server:
        with pytest.raises((ssl.SSLError, OSError)):
            server.get("/")
        assert not server.requests
        assert server.get("/", certificate=server.client_certificate("alice")).status == 200


def test_head_has_no_body() -> None:
    """A HEAD request is answered with the head alone, and the connection is kept."""
    with testing.bad_server() as server:
        connection = connection_to(server)
        connection.request("HEAD", "/")
        with connection.getresponse() as response:
            assert (response.status, response.headers["Content-Length"]) == (200, "1024")
            assert response.read() == b""
        assert get(connection) == GOOD
        connection.close()
        assert server.connections == 1


def test_close_ends_every_connection() -> None:
    """Thirty clients that wait in every phase are let go at once, and nothing is left behind."""
    deeds = (Stall(At.ACCEPT, connection=1), Stall(At.HELLO, connection=2), Stall(At.REQUEST))
    server = testing.bad_server(*deeds)
    socks = [socket.create_connection((server.host, server.port), timeout=LONG) for _ in range(30)]
    busy = threading.Thread(target=_swallow, args=(server,))
    busy.start()
    server.wait_for(1)
    server.close()
    server.close()  # a second time is nothing
    busy.join(LONG)
    assert not busy.is_alive()
    for sock in socks:
        with sock:
            assert sock.recv(1) == b""


def test_a_client_that_does_not_read_does_not_keep_the_server() -> None:
    """The server closes although a client takes nothing of a response without an end."""
    with testing.bad_server("endless-headers") as server:
        connection = connection_to(server)
        connection.request("GET", "/")
        server.wait_for(1)
    connection.close()


def test_it_turns_away_more_connections_than_a_test_has() -> None:
    """The hundred and first connection at one time is closed, and the others are kept."""
    with testing.bad_server(Stall(At.ACCEPT)) as server:
        address = (server.host, server.port)
        socks = [socket.create_connection(address, timeout=LONG) for _ in range(101)]
        assert socks[100].recv(1) == b""
        for sock in socks:
            sock.close()


def test_garbage_from_a_client_ends_its_connection_only() -> None:
    """Plain text, nothing and half a hello leave the server as it was."""
    with testing.bad_server() as server:
        for data in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"",
            b"\x16\x03\x01\xff\xff",
            b"\x16\x03\x01\x00\x05hello",
        ):
            with socket.create_connection((server.host, server.port), timeout=LONG) as sock:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
        assert server.get("/").status == 200


def test_its_repr_tells_where_it_is() -> None:
    """What a failing test prints names the URL, and no secret."""
    with testing.bad_server("expired") as server:
        assert repr(server) == f"<BadServer {server.url}>"
    assert repr(server) == f"<BadServer {server.url} closed>"


def test_refusing_one_connection() -> None:
    """An alert may be for one connection only."""
    alert = ssl.AlertDescription.ALERT_DESCRIPTION_USER_CANCELLED
    with testing.bad_server(Refuse(alert, connection=1)) as server:
        with pytest.raises(ssl.SSLError, match=r"(?i)user.cancel"):
            server.get("/")
        assert server.get("/").status == 200


def _swallow(server: testing.BadServer) -> None:
    """Make a request that is never answered."""
    try:
        server.get("/")
    except OSError:
        return


def _first_bytes(server: testing.BadServer, size: int) -> tuple[bytes, int]:
    connection = connection_to(server)
    connection.request("GET", "/")
    with connection.getresponse() as response:
        data = response.read(size)
    connection.close()
    return data, response.status
