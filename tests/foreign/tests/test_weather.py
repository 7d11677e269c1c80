"""The project's own tests, with everything that tlshttp's plugin gives."""

import contextlib
from http.server import BaseHTTPRequestHandler

import pytest
import requests
import time_machine
from weather import Weather

from tlshttp import errors
from tlshttp.context import ClientAuth
from tlshttp.testing import Response


@contextlib.contextmanager
def client(server, **options):
    weather = Weather(server.url, ca_file=server.ca_path, **options)
    try:
        yield weather
    finally:
        weather.close()


def test_temperature(tls_server):
    tls_server.responses["/cities/oslo"] = Response.json({"temperature": -3})
    with client(tls_server) as weather:
        assert weather.temperature("oslo") == -3
    assert tls_server.requests[0].headers["Accept"] == "*/*"


def test_report(tls_server):
    tls_server.responses["POST /cities/oslo"] = Response(status=204)
    with client(tls_server) as weather:
        weather.report("oslo", 4)
    assert tls_server.requests[0].json() == {"temperature": 4}


def test_service_that_is_busy_is_asked_again(tls_server):
    answers = [Response(status=503), Response(status=503), Response.json({"temperature": 1})]
    tls_server.responses["/cities/oslo"] = lambda request: answers.pop(0)
    with client(tls_server) as weather:
        assert weather.temperature("oslo") == 1
    assert len(tls_server.requests) == 3


def test_service_that_nobody_vouches_for_is_not_believed(tls_server):
    weather = Weather(tls_server.url)
    with pytest.raises(requests.exceptions.SSLError):
        weather.temperature("oslo")
    weather.close()
    tls_server.wait_for_peer_error(errors.PeerRejected)
    assert tls_server.requests == []


def test_service_trusted_by_the_environment(tls_server, tls_trust):
    tls_server.responses["/cities/oslo"] = Response.json({"temperature": 9})
    weather = Weather(tls_server.url)
    assert weather.temperature("oslo") == 9
    weather.close()


class Station(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"temperature": 7}')


@pytest.mark.tls_server(served=Station)
def test_a_real_handler(tls_server):
    with client(tls_server) as weather:
        assert weather.temperature("anywhere") == 7


def test_two_services(tls_server_factory, tls_ca):
    first = tls_server_factory({"/cities/oslo": Response.json({"temperature": 1})})
    second = tls_server_factory(Station)
    assert first.ca_path == second.ca_path == tls_ca.ca_path
    for server, expected in ((first, 1), (second, 7)):
        with client(server) as weather:
            assert weather.temperature("oslo") == expected


@pytest.mark.tls_server(served=Station, client_auth=ClientAuth.REQUIRED)
def test_members_only(tls_server):
    member = tls_server.client_certificate("member")
    certificate = (str(member.certfile), str(member.keyfile))
    with client(tls_server, certificate=certificate) as weather:
        assert weather.temperature("oslo") == 7
    assert tls_server.requests[0].tls.peer_names == ("member",)
    with client(tls_server) as weather, pytest.raises(requests.exceptions.ConnectionError):
        weather.temperature("oslo")
    tls_server.wait_for_peer_error(errors.ClientCertificateError)


@pytest.mark.parametrize("when", ["2001-01-01", "2099-12-31"])
def test_at_another_time(tls_server_factory, when):
    with time_machine.travel(when, tick=False):
        server = tls_server_factory({"/": "trusted"})
        assert server.get("/").text == "trusted"


@pytest.mark.xfail(
    raises=ZeroDivisionError, strict=True, reason="what a handler raises is ours"
)
def test_service_with_a_mistake(tls_server):
    tls_server.responses["/"] = lambda request: str(1 / 0)
    assert tls_server.get("/").status == 500
