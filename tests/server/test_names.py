"""No name that a user gives an attribute collides with one of ours."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

from tests.server.conftest import Serve
from tests.server.support import Client
from tlshttp import TLSRequestHandler

PUBLIC = {"allowed_hosts", "proxy", "refuse_misdirected", "stream_request", "take_over", "tls"}
"""The names that are ours and documented."""

INHERITED = {"_default_response_headers", "command", "request_version", "requestline"}
"""Names that the standard library's handlers give to instances, not to the class."""


def test_ours_are_public_or_mangled() -> None:
    """Whatever else the class has beyond the standard library's is out of a user's way."""
    ours = set(vars(TLSRequestHandler)) - set(dir(BaseHTTPRequestHandler))
    named = {name for name in ours if not name.startswith(("__", "_TLSRequestHandler__"))}
    assert named - INHERITED == PUBLIC


def test_a_handler_may_use_the_names_one_would_expect(serve: Serve, client: Client) -> None:
    """A class full of likely private names of its own is served as if it had none."""

    class Full(BaseHTTPRequestHandler):
        _head = _response = _reader = _writer = _transport = _limits = _serving = "mine"

        def _refuse(self, *arguments: object) -> None:
            raise LookupError

        _serve = _begin_request = _end_request = _end_response = _call_method = _refuse
        _read_section = _parse_request = _begin_body = _check_size = _apologise = _refuse

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self._head.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    assert client.get(serve(Full)).body == b"mine"
