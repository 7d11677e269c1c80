"""The answer to an HTTP request that came without TLS.

It is the one thing this server ever says unencrypted: where the same thing is to be had over TLS.
Nothing in the request is believed but the host and the target it names, and these only in the
forms RFC 9112, section 3.2, gives them.
"""

from __future__ import annotations

import re
from http import HTTPStatus

__all__ = ["MAX_REQUEST_SIZE", "answer", "is_complete", "may_be_request"]

MAX_REQUEST_SIZE = 8192
"""Bytes of a plain request that are read before the answer is given anyway; nginx's
``large_client_header_buffers`` are of this size."""

_METHOD = re.compile(rb"[A-Za-z]{1,20}( |\Z)")
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]+) HTTP/1\.[01]\r?\n")
_HOST = re.compile(
    rb"\nHost:[ \t]*([A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?[ \t]*\r?\n",
    re.IGNORECASE,
)
_ABSOLUTE = re.compile(rb"http://[^/?#]*", re.IGNORECASE)


def may_be_request(data: bytes) -> bool:
    """Return whether `data` can still become an HTTP request line."""
    if b"\n" in data:
        return _REQUEST_LINE.match(data) is not None
    return _METHOD.match(data) is not None


def is_complete(data: bytes) -> bool:
    """Return whether all of the request head that will be read is there."""
    return b"\n\r\n" in data or b"\n\n" in data or len(data) >= MAX_REQUEST_SIZE


def answer(data: bytes, *, url: str, redirect: bool) -> bytes:
    """Return the whole response to a plain request.

    Args:
        data: The request head.
        url: This server's own https URL, for a request that names no host.
        redirect: Answer GET and HEAD with 308 (RFC 9110, section 15.4.9) instead of 400.
    """
    line = _REQUEST_LINE.match(data)
    method, target = line.groups() if line else (b"", b"/")
    location = _base(data, url) + _path(target)
    status = HTTPStatus.BAD_REQUEST
    if redirect and method in (b"GET", b"HEAD"):
        status = HTTPStatus.PERMANENT_REDIRECT
    body = f"This port speaks HTTPS only. Use {location}\n".encode("ascii")
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/plain; charset=us-ascii",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if status is HTTPStatus.PERMANENT_REDIRECT:
        head.append(f"Location: {location}")
    return "\r\n".join([*head, "", ""]).encode("ascii") + (b"" if method == b"HEAD" else body)


def _base(data: bytes, url: str) -> str:
    host = _HOST.search(data)
    if host is None:
        return url
    # The peer reached this port by the name and number it gives, maybe through a port mapping
    # that is not known here; a number left out is that of http.
    name, port = host[1].decode("ascii"), (host[2] or b":80").decode("ascii")
    return f"https://{name}" if port == ":443" else f"https://{name}{port}"


def _path(target: bytes) -> str:
    path = _ABSOLUTE.sub(b"", target, count=1).decode("ascii")
    if path.startswith("?"):
        return "/" + path
    return path if path.startswith("/") else "/"
