"""Letting in one user, by name and password (Basic authentication, RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from tlshttp._file_server.guesses import Guesses, source_of
from tlshttp.handler import TLSRequestHandler
from tlshttp.handler._response import writes_interim_response
from tlshttp.server import ThreadingTLSHTTPServer

__all__ = ["Answer", "Gate", "GuardedMixIn"]

CHALLENGE = 'Basic realm="tlshttp", charset="UTF-8"'

_MOST_CHARACTERS = 8192
"""Of a field: more than name and password can have."""


@dataclass(frozen=True)
class Answer:
    """What becomes of a request."""

    admitted: bool
    wait: float = 0.0
    """Seconds until its sender may guess again; 0: at once."""
    known: bool = False
    """Whether its sender was let in before, and has brought the token."""


class Gate:
    """Knows who may come in. It keeps hashes only, which also makes all comparisons equally long.

    Args:
        user: The name; no colon is in it.
        password: Returns the password, at once and at each `reload`.
        guesses: Remembers who was wrong.
    """

    def __init__(
        self, user: str, password: Callable[[], bytes], guesses: Guesses | None = None
    ) -> None:
        self._user = user.encode()
        self._password = password
        self._guesses = Guesses() if guesses is None else guesses
        self._key = secrets.token_bytes()
        self.reload()

    def reload(self) -> None:
        """Ask for the password again. What that raises comes out, and the old one counts."""
        self._expected = self._digest(self._user + b":" + self._password())

    @property
    def token(self) -> str:
        """What shows that its bearer has had the present password; it lets in nobody by itself."""
        return self._digest(b"token" + self._expected).hex()

    def judge(self, fields: Sequence[str], host: str, token: str = "") -> Answer:
        """Judge a request.

        Args:
            fields: The values of its ``Authorization`` fields.
            host: The address it comes from.
            token: The `token` it brings; empty: none.
        """
        words = _words(fields)
        if words is None:  # no guess: a browser asks without a password first
            return Answer(admitted=False)
        given = self._digest(words)
        known = hmac.compare_digest(token.encode(), self.token.encode())
        source = source_of(host)
        with self._guesses.lock:
            if not known and (wait := self._guesses.wait(source)):
                return Answer(admitted=False, wait=wait)
            if hmac.compare_digest(given, self._expected):
                return Answer(admitted=True, known=known)
            self._guesses.count(source, given)
        return Answer(admitted=False)

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")


def _words(fields: Sequence[str]) -> bytes | None:
    """Return name and password, `None` where there are none, or what cannot be these."""
    if len(fields) != 1 or len(fields[0]) > _MOST_CHARACTERS:
        return None
    scheme, _, word = fields[0].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(word.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


class GuardedMixIn(TLSRequestHandler):
    """Answers 401 to every request, of whatever method, that the gate does not let in.

    Who was wrong too often is answered 429 (RFC 6585, section 4), and not judged. Who was let in
    gets a cookie, and is judged whatever others behind the same address do.
    """

    gate: Gate
    server: ThreadingTLSHTTPServer

    stream_request = True
    """Nobody is told to send a body before it is known who they are."""

    _is_new = False
    """Whether the client is to be given the cookie."""

    def parse_request(self) -> bool:
        """Parse the head of a request, and refuse it to who may not come in."""
        self._is_new = False
        if not super().parse_request():
            return False
        if self._is_open():
            return True
        fields = self.headers.get_all("Authorization", [])
        answer = self.gate.judge(fields, str(self.client_address[0]), self._token())
        if answer.admitted:
            self._is_new = not answer.known
            return True
        if answer.wait:
            seconds = str(math.ceil(answer.wait))
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": seconds})
        else:
            self._refuse(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": CHALLENGE})
        return False

    def end_headers(self) -> None:
        """Give the cookie to who does not have it."""
        if self._is_new and not writes_interim_response(self):
            cookie = f"{self._cookie_name()}={self.gate.token}"
            self.send_header("Set-Cookie", f"{cookie}; Path=/; Secure; HttpOnly; SameSite=Lax")
            self._is_new = False
        super().end_headers()

    def _refuse(self, status: HTTPStatus, fields: dict[str, str]) -> None:
        text = f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _token(self) -> str:
        field = self.headers.get("Cookie", "")
        if len(field) > _MOST_CHARACTERS:
            return ""
        found = re.search(rf"(?:^|; ?){self._cookie_name()}=([0-9a-f]+)(?:;|$)", field)
        return found[1] if found else ""

    def _cookie_name(self) -> str:
        # Cookies know no ports, so each server of a host has its own. With that prefix only this
        # host can set it, and only over HTTPS (RFC 6265bis, section 4.1.3).
        return f"__Host-tlshttp-{self.server.server_port}"

    def _is_open(self) -> bool:
        """Whether anybody may make this request."""
        return False
