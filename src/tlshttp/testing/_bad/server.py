"""`bad_server`: a server that misbehaves as it is told, in threads of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tlshttp.certs import Certificate
from tlshttp.certs._memory import pem_path
from tlshttp.testing._authority import authority
from tlshttp.testing._bad.catalogue import find_fault
from tlshttp.testing._bad.conversation import Conversation
from tlshttp.testing._bad.engine import Engine
from tlshttp.testing._bad.fault import Fault
from tlshttp.testing._bad.requests import SeenRequest
from tlshttp.testing._bad.scenery import Scenery
from tlshttp.testing._bad.vocabulary import Show, Terms, Trait, check
from tlshttp.testing._endpoint import Endpoint

__all__ = ["BadServer", "bad_server"]

_MAXIMUM_CONNECTIONS = 100
"""At one time. A test has a few; whoever comes beyond is turned away, so that threads are few."""

_WAKING_SECONDS = 1.0


def bad_server(
    *faults: str | Fault | Trait, honest: bool = False, port: int = 0, timeout: float = 5.0
) -> BadServer:
    """Start an HTTPS server that misbehaves.

    It runs when this returns. Close it, best by ``with``: that ends every connection and joins
    every thread.

    Args:
        *faults: What is bad: names of `FAULTS`, and deeds such as `Reset`, in any combination.
            Without any it is good.
        honest: Whether the good twin is started instead, which does right what the faults do
            wrong: to show that a client fails for the fault and for nothing else.
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
        self.requests: list[SeenRequest] = []
        """The requests that have come, in their order."""
        self.connections: int = 0
        """How many connections have been accepted."""
        self.stopping = threading.Event()
        self._deeds = [one for one in traits if not honest and not isinstance(one, Show | Terms)]
        self._changed = threading.Condition()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._failures: list[BaseException] = []
        self._listener = _listen(host, port)
        try:
            self._scenery = Scenery(traits, honest=honest)
        except BaseException:
            self._listener.close()
            raise
        own_port = self._listener.getsockname()[1]
        super().__init__(f"https://{host}:{own_port}", authority(), timeout=timeout)
        self._acceptor = threading.Thread(target=self._accept, name="tlshttp-testing-bad")
        self._acceptor.start()

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

    def wait_for(self, number: int = 1, *, timeout: float | None = None) -> list[SeenRequest]:
        """Wait until so many requests have come, and return all that have.

        Args:
            number: How many.
            timeout: Seconds to wait; `None`: as long as the server's ``timeout``.

        Raises:
            TimeoutError: They have not come; the message tells what has.
        """
        limit = self._timeout if timeout is None else timeout
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= number, limit):
                raise TimeoutError(
                    f"waited {limit:g} s for {number} requests, and there were"
                    f" {len(self.requests)} on {self.connections} connections"
                )
            return list(self.requests)

    def close(self) -> None:
        """End every connection and join every thread. Calling it again does nothing.

        Raises:
            TimeoutError: A thread does not end.
            Exception: What went wrong in the server itself.
        """
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._wake_acceptor()
        self._listener.close()
        threads = self._end_conversations()
        self._scenery.close()
        stuck = [one.name for one in (self._acceptor, *threads) if one.is_alive()]
        if stuck:
            raise TimeoutError(f"close() has waited {self._timeout:g} s for {', '.join(stuck)}")
        if self._failures:
            raise self._failures[0]

    def __enter__(self) -> Self:
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
        return f"<BadServer {self.url}{' closed' if self.stopping.is_set() else ''}>"

    # For conversations ------------------------------------------------------------------------

    def enter(self, request: SeenRequest) -> int:
        """Note a request and return its number (for conversations)."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            return len(self.requests)

    def start_tls(self, connection: int) -> Engine:
        """Return the server side of TLS for a connection (for conversations)."""
        return self._scenery.engine(connection)

    # Threads ----------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                sock = self._listener.accept()[0]
            except OSError:
                return
            if self.stopping.is_set():
                sock.close()
                return
            with self._changed:
                if len(self._open) >= _MAXIMUM_CONNECTIONS:
                    sock.close()
                    continue
                self.connections += 1
                thread = threading.Thread(
                    target=self._converse,
                    args=(sock, self.connections),
                    name=f"tlshttp-testing-bad-{self.connections}",
                )
                self._open[thread] = sock
            thread.start()

    def _converse(self, sock: socket.socket, number: int) -> None:
        try:
            Conversation(sock, number, self._deeds, self).run()
        except Exception as error:  # noqa: BLE001 (it is raised by close())
            self._failures.append(error)
        finally:
            with self._changed:
                self._open.pop(threading.current_thread(), None)
                self._changed.notify_all()

    def _wake_acceptor(self) -> None:
        # Closing a socket does not wake who waits for it to accept, on every platform.
        with contextlib.suppress(OSError):
            address = self._listener.getsockname()[:2]
            socket.create_connection(address, timeout=_WAKING_SECONDS).close()
        self._acceptor.join(self._timeout)

    def _end_conversations(self) -> list[threading.Thread]:
        with self._changed:
            left = dict(self._open)
        for sock in left.values():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + self._timeout
        for thread in left:
            thread.join(max(0.0, deadline - time.monotonic()))
        return list(left)


def _listen(host: str, port: int) -> socket.socket:
    """Listen where a client looks first."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server((str(address[0]), port), family=family, backlog=128)
