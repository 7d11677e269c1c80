"""Where a test's server is reached, and what a client needs to trust it."""

from __future__ import annotations

import functools
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tlshttp.certs import Certificate
from tlshttp.errors import ConfigurationError
from tlshttp.testing._authority import Authority, ClientCertificate

__all__ = ["Answer", "Endpoint", "check_timeout"]


@dataclass(frozen=True)
class Answer:
    """What a server has answered."""

    status: int
    """The status code."""
    headers: Message
    """The header fields; names in any case."""
    body: bytes
    """The whole body."""

    @property
    def text(self) -> str:
        """The body in the charset of its Content-Type, UTF-8 where that names none."""
        return self.body.decode(self.headers.get_content_charset("utf-8"))

    def json(self) -> Any:
        """Return what the body says in JSON."""
        return json.loads(self.body)


class Endpoint:
    """A server's address, and what makes clients trust it.

    Args:
        url: Where it is reached.
        ca: The authority that an honest client would trust for it.
        timeout: Seconds that a request waits for any one thing.
    """

    url: str
    """Where the server is reached, without a slash at its end: ``"https://localhost:51234"``."""

    def __init__(self, url: str, ca: Authority, *, timeout: float) -> None:
        self.url = url
        self._ca = ca
        self._timeout = timeout

    @property
    def host(self) -> str:
        """The host of `url`."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port of `url`."""
        return urlsplit(self.url).port or 443

    @property
    def ca_pem(self) -> str:
        """The certificate of the authority to trust, as PEM text."""
        return self._ca.ca_pem

    @property
    def ca_path(self) -> Path:
        """The same as a file, there until the process ends."""
        return self._ca.ca_path

    def client_context(self, certificate: Certificate | None = None) -> ssl.SSLContext:
        """Return a new context for a client that trusts this server's authority and nobody else.

        Args:
            certificate: What the client shows where the server asks for a certificate, mostly from
                `client_certificate`; `None`: nothing.
        """
        return self._ca.client_context(certificate)

    def client_certificate(self, *names: str) -> ClientCertificate:
        """Issue a client's certificate that the server accepts, where it asks for one.

        Args:
            *names: Whom it is for: a name such as ``"alice"``, an e-mail address or a URI; at
                least one.

        Raises:
            CertificateError: A name is impossible.
        """
        return self._ca.client_certificate(*names)

    def get(
        self,
        path: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
        certificate: Certificate | None = None,
    ) -> Answer:
        """Make a GET request on a connection of its own, and return the answer of any status.

        Args:
            path: The path, with its query.
            headers: Further header fields; `None`: none.
            certificate: The client's certificate; `None`: none.

        Raises:
            OSError: There is no connection, no trust (`ssl.SSLError`) or no answer in time.
            http.client.HTTPException: The answer is not HTTP.
        """
        return self.request("GET", path, headers=headers, certificate=certificate)

    def request(
        self,
        method: str,
        path: str = "/",
        *,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        certificate: Certificate | None = None,
    ) -> Answer:
        """Make any request on a connection of its own, and return the answer of any status.

        Args:
            method: The method, such as ``"POST"``.
            path: The path, with its query.
            body: What to send, text as UTF-8; `None`: nothing.
            headers: Further header fields; `None`: none.
            certificate: The client's certificate; `None`: none.

        Raises:
            OSError: There is no connection, no trust (`ssl.SSLError`) or no answer in time.
            http.client.HTTPException: The answer is not HTTP.
        """
        context = self._context if certificate is None else self.client_context(certificate)
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=self._timeout, context=context
        )
        data = body.encode() if isinstance(body, str) else body
        try:
            connection.request(method, path, data, {"Connection": "close", **(headers or {})})
            with connection.getresponse() as response:
                return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        return self.client_context()


def check_timeout(timeout: float) -> None:
    """Refuse a time limit that leaves no time.

    Args:
        timeout: The seconds that somebody has chosen.

    Raises:
        ConfigurationError: It is not above zero.
    """
    if not timeout > 0:
        raise ConfigurationError(f"timeout is in seconds and above zero, not {timeout!r}")
