"""Large forms, and clients for applications."""

from __future__ import annotations

import hashlib
import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from tests.support import UNIT

MIB = 1 << 20
SIZE = 64 * MIB
_BLOCK = bytes(range(256)) * 4096  # 1 MiB
_BOUNDARY = "a-boundary-of-a-form"


def digest(size: int = SIZE) -> str:
    """Return the SHA-256 of the file that is sent."""
    found = hashlib.sha256()
    for piece in _content(size):
        found.update(piece)
    return found.hexdigest()


def upload(size: int = SIZE, *, chunked: bool) -> tuple[dict[str, str], Iterator[bytes]]:
    """Return fields and body of a request with a form that has a file in it."""
    begin = (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nlarge\r\n"
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()  # fmt: skip
    end = f"\r\n--{_BOUNDARY}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        yield begin
        yield from _content(size)
        yield end

    fields = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    if not chunked:
        fields["Content-Length"] = str(len(begin) + size + len(end))
    return fields, pieces()


def _content(size: int) -> Iterator[bytes]:
    for _ in range(size // MIB):
        yield _BLOCK


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    headers: Message
    text: str


@dataclass
class Browser:
    """A client that keeps its connection and its cookies."""

    url: str
    context: ssl.SSLContext = field(default_factory=ssl._create_unverified_context)
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self._connection = http.client.HTTPSConnection(
            str(parts.hostname), parts.port, context=self.context, timeout=60 * UNIT
        )

    def ask(self, method: str, path: str, body: Any = None, **fields: str) -> Reply:
        """Make a request with fields named as ``If_None_Match=...``."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={it}" for name, it in self.cookies.items())
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        for text in response.headers.get_all("Set-Cookie", []):
            name, _, value = text.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Reply(response.status, response.headers, response.read().decode())

    def get(self, path: str, **fields: str) -> Reply:
        """Make a GET request."""
        return self.ask("GET", path, **fields)

    def post_form(self, path: str, text: str, **fields: str) -> Reply:
        """Send a form as a page does."""
        return self.ask(
            "POST", path, text, Content_Type="application/x-www-form-urlencoded", **fields
        )

    def post_file(self, path: str, *, chunked: bool, **more: str) -> Reply:
        """Send the large form."""
        fields, body = upload(chunked=chunked)
        return self.ask("POST", path, body, **{**fields, **more})

    def first_piece(self, path: str) -> tuple[bytes, http.client.HTTPResponse]:
        """Begin to read a response: return what comes first, and the rest to be read."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response.read1(100), response

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
