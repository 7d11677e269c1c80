"""What a loop is made from: the server's hooks, and how it is to work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from tlshttp._interfaces import CreateExchange
    from tlshttp._machinery.registry import Phase
    from tlshttp._tls import TLSContext
    from tlshttp._trusted_proxies import TrustedProxies
    from tlshttp.errors import ConnectionCut, HandshakeError
    from tlshttp.limits import Limits

__all__ = ["Hooks", "Settings"]


class Hooks(Protocol):
    """The server, as far as the loop calls it: `socketserver`'s hooks and our own two."""

    def get_request(self) -> tuple[Any, Any]: ...
    def verify_request(self, request: Any, client_address: Any) -> bool: ...
    def process_request(self, request: Any, client_address: Any) -> None: ...
    def shutdown_request(self, request: Any) -> None: ...
    def close_request(self, request: Any) -> None: ...
    def handle_error(self, request: Any, client_address: Any) -> None: ...
    def handle_handshake_error(self, exc: HandshakeError, client_address: Any) -> None: ...
    def handle_connection_cut(self, exc: ConnectionCut, client_address: Any) -> None: ...


class Settings(NamedTuple):
    """What a loop is made from."""

    limits: Limits
    ssl_context: TLSContext
    redirect_plain_http: bool
    leaders: bool
    """Whether workers lead by turns, and the loop itself advances no connection."""
    leaders_accept: bool
    """Whether the leader may also accept: not where hooks of the user's are called for that, which
    are not called from several threads."""
    goodbye_with_response: bool
    """Whether the goodbye may leave with the last response of a connection: not where
    ``shutdown_request()`` is the user's own, who may not want to say any."""
    worker_phases: frozenset[Phase]
    """Without leaders: the phases in which a connection is advanced by a worker of its own."""
    lends: bool
    """Whether ``process_request()`` is the user's own, who may forget what it has been given."""
    max_workers: int
    max_threads: int
    processes: int
    """How many serve the same, this one included."""
    daemon_workers: Callable[[], bool]
    url: Callable[[], str]
    """Where the server is to be reached."""
    is_work_over: Callable[[], bool]
    """Whether nothing goes on after its response."""
    stop_listening: Callable[[], None]
    """Called when nobody else is to be let in."""
    create_exchange: CreateExchange
    """Makes the protocol's side of a connection."""
    first_timeout: float | None
    """Seconds that handlers give their peers for the first request, by their class."""
    trusted_proxies: TrustedProxies
    """Who begins connections with a PROXY protocol header."""
