"""Letting in one user, by name and password (Basic authentication, RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from http import HTTPStatus

from tlshttp.handler import TLSRequestHandler

__all__ = ["Gate", "GuardedMixIn"]

CHALLENGE = 'Basic realm="tlshttp", charset="UTF-8"'

_MOST_CHARACTERS = 8192
"""Of the field: more than name and password can have."""


class Gate:
    """Knows who may come in. What it keeps is a hash, which also makes all comparisons as long.

    Args:
        user: The name; no colon is in it.
        password: Returns the password, at once and at each `reload`.
    """

    def __init__(self, user: str, password: Callable[[], bytes]) -> None:
        self._user = user.encode()
        self._password = password
        self.reload()

    def reload(self) -> None:
        """Ask for the password again. What that raises comes out, and the old one counts."""
        self._expected = _digest(self._user + b":" + self._password())

    def admits(self, fields: Sequence[str]) -> bool:
        """Return whether a request is let in.

        Args:
            fields: The values of its ``Authorization`` fields.
        """
        if len(fields) != 1 or len(fields[0]) > _MOST_CHARACTERS:
            return False
        scheme, _, word = fields[0].partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(word.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(_digest(given), self._expected)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


class GuardedMixIn(TLSRequestHandler):
    """Answers 401 to every request, of whatever method, that the gate does not let in."""

    gate: Gate

    stream_request = True
    """Nobody is told to send a body before it is known who they are."""

    def parse_request(self) -> bool:
        """Parse the head of a request, and refuse it to who may not come in."""
        if not super().parse_request():
            return False
        if self._is_open() or self.gate.admits(self.headers.get_all("Authorization", [])):
            return True
        self._refuse()
        return False

    def _refuse(self) -> None:
        text = b"401 Unauthorized\n"
        self.send_response(HTTPStatus.UNAUTHORIZED)
        self.send_header("WWW-Authenticate", CHALLENGE)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _is_open(self) -> bool:
        """Whether anybody may make this request."""
        return False
