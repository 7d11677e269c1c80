"""Applications that are served, by either server, and what is reported of them."""

from __future__ import annotations

import ssl
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from tests.server.conftest import Serve, certificate, client, client_context, serve, server_class
from tests.server.support import Answer, Client, ServerBase
from tlshttp import TLSHTTPServer, certs, context, wsgi

__all__ = ["certificate", "client", "client_context", "serve", "server_class"]

Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]


def answering(
    returned: Iterable[bytes], status: str = "200 OK", *fields: tuple[str, str]
) -> Application:
    """Return an application that answers this."""

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start(status, list(fields))
        return returned

    return application


class Reporting(ServerBase):
    """Notes down what handlers raise, as the text of its traceback."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.reported: list[str] = []
        super().__init__(*arguments, **options)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        assert error is not None
        self.reported.append("".join(traceback.format_exception(error)))


@dataclass(frozen=True)
class Site:
    """A server that runs, and who asks it."""

    server: Any
    client: Client

    def get(self, path: str = "/", **headers: str) -> Answer:
        """Make a GET request on a connection of its own."""
        return self.client.get(self.server, path, **headers)

    def ask(self, method: str, path: str = "/", **options: Any) -> Answer:
        """Make any request likewise."""
        return self.client.ask(self.server, method, path, **options)

    def exchange(self, request: bytes) -> bytes:
        """Send bytes and return all that comes until the server closes."""
        return self.client.exchange(self.server, request)

    def connection(self) -> Any:
        """Return a connection of `http.client`, for several requests."""
        return self.client.http(self.server)

    def end(self) -> None:
        """End it, so that all that was begun has come to its end."""
        self.server.shutdown()
        self.server.server_close()

    @property
    def reported(self) -> list[str]:
        """What handlers have raised, to the end of the server, which this is."""
        self.end()
        reported: list[str] = self.server.reported
        return reported


class Run(Protocol):
    """Serves an application until the test ends."""

    def __call__(
        self, application: Application, *mixins: type, script_name: str = "", **attributes: Any
    ) -> Site: ...


@pytest.fixture(scope="session")
def server_context(certificate: certs.Certificate) -> ssl.SSLContext:
    """Return the context of every server that needs no special one."""
    return context.create_server_context(certificate)


@pytest.fixture
def run(serve: Serve, client: Client) -> Run:
    """Return what serves applications."""

    def run(
        application: Application, *mixins: type, script_name: str = "", **attributes: Any
    ) -> Site:
        options = attributes.pop("options", {})
        made = wsgi.handler(application, script_name=script_name)
        quiet = {"log_message": lambda *_: None, **attributes}
        server: TLSHTTPServer = serve(type("Quiet", (*mixins, made), quiet), Reporting, **options)
        return Site(server, client)

    return run
