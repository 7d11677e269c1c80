"""`bad_server`: a server that misbehaves as it is told, in threads of its own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tlshttp.certs import Certificate
from tlshttp.certs._memory import pem_path
from tlshttp.testing._authority import authority
from tlshttp.testing._bad.catalogue import find_fault
from tlshttp.testing._bad.check import check
from tlshttp.testing._bad.crew import Crew
from tlshttp.testing._bad.fault import Fault
from tlshttp.testing._bad.requests import SeenRequest
from tlshttp.testing._bad.scenery import Scenery
from tlshttp.testing._bad.vocabulary import Show, Terms, Trait
from tlshttp.testing._endpoint import Endpoint, check_timeout

__all__ = ["BadServer", "bad_server"]


def bad_server(
    *faults: str | Fault | Trait, honest: bool = False, port: int = 0, timeout: float = 5.0
) -> BadServer:
    """Start an HTTPS server that misbehaves.

    It runs when this returns. Close it, best by ``with``: that ends every connection and joins
    every thread.

    Args:
        *faults: What is bad: names of `FAULTS`, and deeds such as `Reset`, in any combination.
            Without any it is good.
        honest: Whether to start the good twin instead, which does right what the faults do wrong.
            It shows that a client fails because of the fault and of nothing else.
        port: The port; 0: one that the system chooses.
        timeout: Seconds that `~BadServer.wait_for`, `~BadServer.get` and `~BadServer.close` wait
            before they raise.

    Raises:
        ConfigurationError: There is no such fault, or it cannot be combined so.
        OSError: The port cannot be had.
    """
    named = [find_fault(one) if isinstance(one, str) else one for one in faults]
    traits: list[Trait] = []
    for one in named:
        traits.extend(one.traits if isinstance(one, Fault) else (one,))
    hosts = [one.host for one in named if isinstance(one, Fault) and one.host is not None]
    check(tuple(traits), hosts)
    check_timeout(timeout)
    host = hosts[0] if hosts else "localhost"
    return BadServer(traits, host=host, honest=honest, port=port, timeout=timeout)


class BadServer(Endpoint):
    """A running server of `bad_server`. Its client's side trusts what an honest one would."""

    def __init__(
        self,
        traits: Sequence[Trait],
        *,
        host: str,
        honest: bool,
        port: int,
        timeout: float,
    ) -> None:
        listener = _listen(host, port)
        try:
            self._scenery = Scenery(traits, honest=honest)
        except BaseException:
            listener.close()
            raise
        own_port = listener.getsockname()[1]
        super().__init__(f"https://{host}:{own_port}", authority(), timeout=timeout)
        self._closed = False
        deeds = [one for one in traits if not honest and not isinstance(one, Show | Terms)]
        self._crew = Crew(listener, deeds, self._scenery.engine, timeout)

    # For clients ------------------------------------------------------------------------------

    def client_context(self, certificate: Certificate | None = None) -> ssl.SSLContext:
        """Return a new context for a client, as strict as that of Python 3.13.

        It trusts the authority of the process and nobody else, offers ``http/1.1``, does not take
        a subject for a host name (RFC 9525, section 2), and knows the revocation list where there
        is one.

        Args:
            certificate: What the client shows where the server asks for a certificate, mostly from
                ``server.client_certificate()``; `None`: nothing.
        """
        context = super().client_context(certificate)
        context.set_alpn_protocols(["http/1.1"])
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.hostname_checks_common_name = False
        crls = self.crl_pem
        if crls is not None:
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
            with pem_path(crls.encode("ascii")) as path:
                context.load_verify_locations(path)
        return context

    @property
    def crl_pem(self) -> str | None:
        """The revocation lists about what it shows, as PEM text; `None`: there are none."""
        return self._scenery.crl_pem()

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The certificates that the first connection is shown, in DER and in their order."""
        return self._scenery.certificates()

    # For tests --------------------------------------------------------------------------------

    @property
    def requests(self) -> list[SeenRequest]:
        """The requests that have come, in their order."""
        return list(self._crew.requests)

    @property
    def connections(self) -> int:
        """How many connections have been accepted."""
        return self._crew.connections

    def wait_for(self, number: int = 1, *, timeout: float | None = None) -> list[SeenRequest]:
        """Wait until so many requests have come, and return all that have.

        Args:
            number: How many.
            timeout: Seconds to wait; `None`: as long as the server's ``timeout``.

        Raises:
            TimeoutError: They have not come; the message tells what has.
        """
        limit = self._timeout if timeout is None else timeout
        if not self._crew.wait_for(number, limit):
            raise TimeoutError(
                f"waited {limit:g} s for {number} requests, and there were"
                f" {len(self.requests)} on {self.connections} connections"
            )
        return self.requests

    def close(self) -> None:
        """End every connection and join every thread. Calling it again does nothing.

        Raises:
            TimeoutError: A thread does not end.
            Exception: What went wrong in the server itself.
        """
        if self._closed:
            return
        self._closed = True
        stuck = self._crew.close()
        self._scenery.close()
        if stuck:
            raise TimeoutError(f"close() has waited {self._timeout:g} s for {', '.join(stuck)}")
        if self._crew.failures:
            raise self._crew.failures[0]

    def __enter__(self) -> Self:
        """Return the server itself.

        Raises:
            RuntimeError: It has been closed.
        """
        if self._closed:
            raise RuntimeError(f"{self!r} cannot be started again: make another")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        return f"<BadServer {self.url}{' closed' if self._closed else ''}>"


def _listen(host: str, port: int) -> socket.socket:
    """Listen where a client looks first."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server((str(address[0]), port), family=family, backlog=128)
