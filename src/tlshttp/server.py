"""`TLSHTTPServer` and `ThreadingTLSHTTPServer`."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import math
import os
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

from tlshttp._binding import (
    BoundPath,
    accept,
    address_family,
    given_address,
    given_host,
    host_with_zone,
    is_listening,
    names_of,
    plain_address,
    require_listening_socket,
    socket_address,
    socket_options,
    url_of,
    warn_if_nobody_can_connect,
)
from tlshttp._computed import computed
from tlshttp._machinery.closing import close_loop
from tlshttp._machinery.lent import Lent
from tlshttp._machinery.listener import WRAPPED
from tlshttp._machinery.loop import Loop
from tlshttp._machinery.registry import Phase
from tlshttp._machinery.report import Reports
from tlshttp._machinery.settings import Settings
from tlshttp._machinery.stream import Stream
from tlshttp._members import require_instance
from tlshttp._second_bases import adopt, default_handler, set_up_wsgi
from tlshttp._ssl_arguments import given_context
from tlshttp._temporary_file import warn_without_files
from tlshttp._tls import ShowsCertificates
from tlshttp._trusted_proxies import TrustedProxies
from tlshttp.errors import ConfigurationError, ConnectionCut, HandshakeError
from tlshttp.handler._compose import Composition, Mode, compose
from tlshttp.handler._exchange import HTTPExchange
from tlshttp.limits import Limits
from tlshttp.stats import Latencies, Stats

if TYPE_CHECKING:
    from tlshttp._tls import TLSContext
    from tlshttp.certs import Certificate, CertificateStore

__all__ = ["TLSHTTPServer", "ThreadingTLSHTTPServer"]

_DEFAULT_WORKERS = 200
"""Handlers at work at once: Tomcat's ``maxThreads``. An idle one costs nothing, and one that waits
for an event, as those of event streams do, has its place all the time."""

_WAITING_THREADS = 800
"""Threads that handlers may have besides, which wait for their peers: about 40 KiB each, and what
they are about to write."""

_SLICE_SECONDS = 0.5

_ACCEPTING_HOOKS = ("get_request", "verify_request")


class TLSHTTPServer(http.server.HTTPServer):
    """An HTTPS server for any request handler.

    Everything happens in the thread that calls `serve_forever`, one request at a time: handshakes,
    too, but never a wait for a peer. Request bodies have been collected when a handler is called,
    and what a client has not taken of a response is kept for it, so that no client, however slow,
    keeps others waiting. A handler that computes for long, or waits for something else, does.
    Handlers that have to wait for their peers, since they override ``handle()``, are made by a
    function or have ``stream_request`` set, get threads of their own.

    It takes the arguments of Python 3.14's ``http.server.HTTPSServer`` and more.

    Args:
        server_address: Host and port to listen on, as for `socketserver.TCPServer`; a host with
            a colon is an IPv6 address, ``"::"`` all of IPv6 and IPv4, ``"fe80::1%eth0"`` one that
            is good on one network only. A path (`str`) is an
            ``AF_UNIX`` socket.
        RequestHandlerClass: A `~http.server.BaseHTTPRequestHandler` subclass, a
            `functools.partial` of one, or a function that makes one. `None`: that of the other
            server this one is derived from (`xmlrpc.server.SimpleXMLRPCServer`).
        bind_and_activate: Whether to bind and listen at once.
        certfile: File with the certificate and its chain, and the private key unless ``keyfile``
            is given; PEM, DER or PKCS#12, as for `tlshttp.certs.load`.
        keyfile: File with the private key.
        password: The password of the private key or of PKCS#12, or a function that returns it.
        alpn_protocols: Application protocols to offer by ALPN (RFC 7301), in order of preference;
            `None`: ``["http/1.1", "http/1.0"]``.
        ssl_context: A finished context instead of all these: an `ssl.SSLContext` of your own or
            from `tlshttp.context.create_server_context`. It is not changed.
        certificate: The short way, instead of all these: a `tlshttp.certs.Certificate`, or a
            `tlshttp.certs.CertificateStore`, which reloads, in a hardened context
            (`tlshttp.profiles.INTERMEDIATE`) on the default engine. ``alpn_protocols`` may stand
            beside it.
        engine: What does the work for ``certificate``: ``"ssl"``, Python's own, or
            ``"pyopenssl"``; `None`: the one that is faster and closer to the profile with this
            Python and these versions, see "The two engines".
        limits: Deadlines and sizes.
        redirect_plain_http: Whether GET and HEAD requests that come without TLS are answered with
            308 to the https URL, instead of 400.
        listening_socket: A bound socket to take over instead of binding one: from systemd, from the
            process that this one replaces, or from a test. The host in ``server_address`` is then
            what the server is known by, and may be left out: `None`. It is closed with the server.
        trusted_proxies: Addresses and networks of proxies, such as ``"127.0.0.1"`` or
            ``"10.0.0.0/8"``, and ``"unix:"`` for those on an ``AF_UNIX`` socket. A connection from
            there must begin with a PROXY protocol header, version 1 or 2, before TLS and within
            ``Limits.handshake_timeout``; ``client_address`` is what that says. From anywhere else
            such a header is no TLS.
        more: Arguments of the other server this one is derived from, if any.

    Raises:
        ConfigurationError: The arguments do not fit together; all that is wrong is named.
        TypeError: ``certificate`` or ``engine`` is of another kind; what to do instead is named.
        CertificateError: The certificate or key cannot be used.
        OSError: The address cannot be bound.
    """

    server_address: Any
    server_name: str
    server_port: int
    address_family: int = socket.AF_INET

    request_queue_size: int = 1024
    """Connections the system may queue before they are accepted. (The standard library has 5, which
    a page of a browser already exceeds.) The system has a limit of its own, 4096 on Linux."""

    # On Windows SO_REUSEADDR lets another process take over the port (cpython #85307).
    allow_reuse_address: bool = os.name != "nt"
    allow_reuse_port: bool = False

    daemon_threads: bool = True
    """Whether the interpreter may exit, and `server_close` return, while a handler is still running
    in a thread of its own."""

    block_on_close: bool = True
    """Whether `server_close` waits for running handlers: with `daemon_threads` for five seconds,
    otherwise for as long as it takes."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Get along with other servers as second base."""
        super().__init_subclass__(**arguments)
        adopt(cls, TLSHTTPServer)

    def __init__(
        self,
        server_address: Any,
        RequestHandlerClass: Callable[..., Any] | None = None,
        bind_and_activate: bool = True,
        *,
        certfile: Any = None,
        keyfile: Any = None,
        password: Any = None,
        alpn_protocols: Iterable[str] | None = None,
        ssl_context: TLSContext | None = None,
        limits: Limits = Limits(),
        redirect_plain_http: bool = False,
        listening_socket: socket.socket | None = None,
        trusted_proxies: Iterable[str] = (),
        certificate: Certificate | CertificateStore | None = None,
        engine: Literal["ssl", "pyopenssl"] | None = None,
        **more: Any,
    ) -> None:
        if RequestHandlerClass is None:
            RequestHandlerClass = default_handler(super().__init__)
        if not callable(RequestHandlerClass):
            raise TypeError(f"RequestHandlerClass must be a class, not {RequestHandlerClass!r}")
        require_instance("limits", limits, Limits, "a tlshttp.Limits")
        require_instance("redirect_plain_http", redirect_plain_http, bool, "True or False")
        if listening_socket is not None:
            require_listening_socket(listening_socket)
        self.limits = limits
        self.ssl_context: TLSContext = given_context(
            certfile, keyfile, password, alpn_protocols, ssl_context, certificate, engine
        )
        self.__reports = Reports()
        self.__composed: tuple[object, Composition] | None = None
        self.__stopped = threading.Event()
        self.__stopped.set()
        self.__stop_requested = False
        self.__loop_thread: threading.Thread | None = None
        self.__path = BoundPath()
        self.__closed = self.__is_active = False
        self.__socket_timeout: float | None = None
        self.__making = threading.local()
        self.__end_serving: Callable[[], None] | None = None
        self.__handler_class = RequestHandlerClass
        if listening_socket is not None:
            self.address_family = listening_socket.family
        else:
            server_address = given_address(server_address)
            self.address_family = address_family(server_address, self.address_family)
        self.__limits = limits
        self.__threads = isinstance(self, ThreadingTLSHTTPServer)
        self.__redirects = redirect_plain_http
        self.__trusted_proxies = TrustedProxies(trusted_proxies)
        self.__loop = self.__create_loop()
        try:
            super().__init__(
                server_address,
                RequestHandlerClass,
                bind_and_activate=bind_and_activate and listening_socket is None,
                **more,
            )
            if listening_socket is not None:
                self.__take_over(listening_socket, server_address)
                if bind_and_activate:
                    self.server_activate()
            self.__own_socket = None if listening_socket is not None else self.socket
        except BaseException:
            self.__loop.close()
            raise

    def __create_loop(self) -> Loop:
        workers = getattr(self, "max_workers", None) if self.__threads else None
        workers = workers or _DEFAULT_WORKERS
        phases = self.__worker_phases()
        self.__collects_all = not (self.__threads or phases or self.__hands_on())
        return Loop(
            self,
            Settings(
                limits=self.__limits,
                ssl_context=self.ssl_context,
                redirect_plain_http=self.__redirects,
                leaders=self.__threads,
                leaders_accept=all(_is_ours(self, hook) for hook in _ACCEPTING_HOOKS),
                goodbye_with_response=_is_ours(self, "shutdown_request"),
                worker_phases=phases,
                lends=_may_let_go(self),
                max_workers=workers,
                max_threads=workers + _WAITING_THREADS,
                processes=self.processes,
                daemon_workers=lambda: self.daemon_threads,
                create_exchange=self.__create_exchange,
                first_timeout=self.__composition().first_timeout,
                url=self.__own_url,
                is_work_over=self.__is_work_over,
                stop_listening=self.stop_listening,
                trusted_proxies=self.__trusted_proxies,
            ),
        )

    def __is_work_over(self) -> bool:
        """Return whether no coroutine goes on after its response."""
        return self.handler_loop is None or self.handler_loop.afterwards.is_over()

    def __is_called_by_coroutine(self) -> bool:
        """Return whether the caller is part of a coroutine that `drain` waits for."""
        return self.handler_loop is not None and self.handler_loop.afterwards.has_caller()

    def __worker_phases(self) -> frozenset[Phase]:
        """Return in which phases connections are not advanced by the loop's own thread."""
        mixed = isinstance(self, (socketserver.ThreadingMixIn, _forking_mix_in()))
        if self.__threads or (mixed and not _is_ours(self, "process_request")):
            return frozenset()  # process_request() itself hands on
        if self.__mode() is not Mode.CLASSIC and not self.__hands_on():
            return frozenset()
        return frozenset({Phase.HANDLER})

    def __hands_on(self) -> bool:
        """Return whether a hook of the user's takes each connection, for as long as it lasts."""
        return not all(_is_ours(self, hook) for hook in ("process_request", "finish_request"))

    def __mode(self) -> Mode:
        """Return how handlers are run."""
        composition = self.__composition()
        return composition.threaded_mode if self.__threads else composition.mode

    def __create_exchange(self, stream: Any) -> HTTPExchange:
        return HTTPExchange(
            stream,
            self.__limits,
            self.__composition(),
            collects_all=self.__collects_all,
            ending=self.__loop.draining,
        )

    @property
    def RequestHandlerClass(self) -> Callable[..., Any]:
        """What makes the handlers, as it was given.

        Within ``finish_request()`` it is what has been composed of that: so a server may override
        the hook to pass its handlers further arguments, as ``python -m http.server`` does.
        """
        if getattr(self.__making, "a_handler", False):
            return self.__composition().factory
        return self.__handler_class

    @RequestHandlerClass.setter
    def RequestHandlerClass(self, handler: Callable[..., Any]) -> None:
        self.__handler_class = handler

    def __composition(self) -> Composition:
        """Return how handlers are made, as `RequestHandlerClass` now stands."""
        if self.__composed is None or self.__composed[0] is not self.__handler_class:
            self.__composed = (self.__handler_class, compose(self.__handler_class))
        return self.__composed[1]

    # What can be asked ------------------------------------------------------------------------

    @computed
    def url(self) -> str:
        """Where the server is to be reached, usable as it stands: ``"https://localhost:8443"``.

        An address that stands for all of the machine's is given as ``localhost``; a path is given
        percent-encoded after ``https+unix://``.
        """
        return self.__own_url()

    def __own_url(self) -> str:
        if not hasattr(self, "server_name"):  # the socket was put there by the user
            self.__take_names()
        return url_of(self.server_address, self.server_name, self.server_port)

    def stats(self) -> Stats:
        """Return the counters as they stand now."""
        stats = self.__loop.stats()
        if isinstance(self.ssl_context, ShowsCertificates):
            in_use = self.ssl_context.certificates_in_use()
            return dataclasses.replace(stats, certificates=in_use)
        return stats

    def latencies(self) -> Latencies:
        """Return how long handlers and handshakes have taken so far."""
        return self.__loop.counters.latencies()

    shared_counters: Any = None
    """What is counted in other processes that serve the same; `None`: this one is alone.
    `tlshttp.service.run` sets it."""

    processes: int = 1
    """How many processes serve the same, this one included, and so share the machine's cores.
    `tlshttp.service.run` sets it."""

    is_succeeded: bool = False
    """Whether others serve the same when this server drains, so that clients may still be sent
    here: `leave_socket_to_others` sets it, and `tlshttp.service.run` does."""

    handler_loop: Any = None
    """Where coroutines of handlers run; `tlshttp.aio` sets it."""

    # Binding ----------------------------------------------------------------------------------

    def server_bind(self) -> None:
        """Bind the socket; the name is the host as given, without asking any DNS server."""
        for level, option, value in socket_options(self.address_family, self.server_address):
            self.socket.setsockopt(level, option, value)
        if not isinstance(self.server_address, tuple):
            path = os.fsdecode(self.server_address)
            self.__path.bind(path, lambda: socketserver.TCPServer.server_bind(self))
            self.server_name, self.server_port = "localhost", 0
        else:
            host = str(self.server_address[0])
            self.server_address = socket_address(self.server_address)
            socketserver.TCPServer.server_bind(self)
            self.server_name = host_with_zone(host, self.server_address)
            self.server_port = int(self.server_address[1])
        set_up_wsgi(self)

    def __take_over(self, listening_socket: socket.socket, server_address: Any) -> None:
        self.socket.close()
        self.socket = listening_socket
        self.__take_names(given_host(server_address))
        set_up_wsgi(self)

    def __take_names(self, host: str | None = None) -> None:
        names = names_of(self.socket, host)
        self.server_address, self.server_name, self.server_port = names

    def server_activate(self) -> None:
        """Listen."""
        if not is_listening(self.socket):  # else it has a queue of the length it was given
            super().server_activate()
        self.socket.setblocking(False)
        if not self.__is_active:
            warn_without_files()
        self.__is_active = True
        self.__loop.listener.listen(self.socket.fileno())

    # Several processes ------------------------------------------------------------------------

    def after_fork_in_child(self) -> None:
        """Have a child process serve what was made before `os.fork`, and never served there.

        Children share the listening socket and the context, so that sessions resume with each of
        them. Call it in the child, before `serve_forever`. `tlshttp.service.run` does all this.
        """
        self.__loop.abandon()
        self.__path.leave()  # the parent removes it
        self.__loop = self.__create_loop()
        if self.__is_active:
            self.__loop.listener.listen(self.socket.fileno())

    def stop_listening(self) -> None:
        """Close the listening socket, unless it was given as ``listening_socket``.

        Whoever connects then is refused, unless another process has the same socket: that goes on
        to accept. `drain` does this as soon as nobody else is let in.
        """
        if self.socket is self.__own_socket:
            self.__loop.listener.stop()
            self.socket.close()

    def leave_socket_to_others(self) -> None:
        """Have `server_close` not remove the path of an ``AF_UNIX`` socket: others serve there."""
        self.__path.leave()
        self.is_succeeded = True

    # Running ----------------------------------------------------------------------------------

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until `shutdown` or `drain`.

        Args:
            poll_interval: Seconds between two calls of ``service_actions()`` at most.
        """
        with self._serving():
            while self._turn(poll_interval) is not None:
                pass

    @contextlib.contextmanager
    def _serving(self) -> Iterator[None]:
        """Be ready for turns of the loop, in this thread; where all goes well, see to its end."""
        self.__take_socket()
        warn_if_nobody_can_connect(self.socket)
        with self.__running(), self.__loop.answers.not_counting():
            try:
                yield
            except BaseException:  # such as a second Ctrl-C
                if self.__loop.draining.begun:
                    self.__loop.draining.give_up()
                raise
            if not self.__threads and self.__composition().finishes:
                self.__loop.end_idle_handlers()
            if self.__loop.draining.is_over:
                self.__loop.draining.give_up()

    def _turn(self, poll_interval: float, *, waits: bool = True) -> float | None:
        """Have one turn of the loop; return when the next one is due, `None` if there is none.

        Args:
            poll_interval: Seconds between two calls of ``service_actions()`` at most.
            waits: Whether to wait for something to do. If not, the next turn is to be asked for
                when `_poller_fileno` is readable, or after as many seconds as were returned.
        """
        draining = self.__loop.draining
        if self.__stop_requested or (draining.begun and draining.is_over):
            return None
        self.__loop.turn(poll_interval, waits=waits)
        if self.__reports.has_some:
            self.__reports.flush()
        if not self.__stop_requested:
            self.service_actions()
        return 0.0 if waits else self.__loop.due(poll_interval)

    def _poller_fileno(self) -> int | None:
        """Return what is readable when there is something to do; `None` where nothing tells."""
        return self.__loop.fileno()

    def handle_request(self) -> None:
        """Serve until one request has been answered, refused or handed on.

        Where several are answered at once, as many calls return. After ``timeout`` seconds without
        one (`None`: never) it calls ``handle_timeout()``. Connections that stay open are served
        further by the next call.
        """
        self.__take_socket()
        timeout = min(
            (limit for limit in (self.timeout, self.__socket_timeout) if limit is not None),
            default=math.inf,
        )
        end = time.monotonic() + timeout
        with self.__running():
            while not (self.__loop.answers.take() or self.__stop_requested):
                left = end - time.monotonic()
                self.__loop.turn(max(0.0, min(left, _SLICE_SECONDS)))
                if left <= 0:  # all that could be done without waiting has been done
                    self.handle_timeout()
                    return

    def __take_socket(self) -> None:
        """Listen on the socket as it now is: it may have been put there by the user.

        Raises:
            ConfigurationError: It is an `ssl.SSLSocket`.
        """
        if hasattr(self.socket, "do_handshake"):
            raise ConfigurationError(WRAPPED.format("server.socket"))
        if not hasattr(self, "server_name"):
            self.__take_names()
        self.__take_socket_timeout()
        self.__loop.listener.listen(self.socket.fileno())

    def __take_socket_timeout(self) -> None:
        """Make the listening socket non-blocking again, and remember the timeout somebody has set.

        ``server.socket.settimeout()`` is how ``handle_request()`` was bounded of old.
        """
        timeout = self.socket.gettimeout()
        if timeout != 0:
            self.socket.setblocking(False)
            self.__socket_timeout = timeout

    @contextlib.contextmanager
    def __running(self) -> Any:
        """Take note of which thread is the loop."""
        self.__begin_serving()
        self.__stopped.clear()
        self.__loop_thread = threading.current_thread()
        self.__loop.running = True
        try:
            yield
        finally:
            self.__loop.running = False
            self.__loop_thread = None
            self.__stop_requested = False
            self.__stopped.set()

    def _composed_handler(self) -> Any:
        """Return the class that handlers are made of, where that is known."""
        return self.__composition().handler_class

    def __begin_serving(self) -> None:
        """Tell the handler class, once, if it wants to know."""
        begin = getattr(self.__composition().handler_class, "_begin_serving", None)
        if begin is not None and self.__end_serving is None:
            self.__end_serving = begin(self)

    def shutdown(self) -> None:
        """Make `serve_forever` return, and wait until it has.

        A request that `TLSHTTPServer` is in the middle of is answered before. Connections stay
        open until `server_close`. Called from a handler on the loop's own thread, it does not wait;
        called before `serve_forever`, it makes that return at once.
        """
        self.__stop_requested = True
        self.__loop.wake()
        if self.__loop_thread is not threading.current_thread():
            self.__stopped.wait()

    def drain(self, timeout: float | None = 30.0) -> None:
        """Make `serve_forever` return when all that has been begun is answered, and wait for that.

        Nobody new is accepted: the listening socket is closed, which is nothing to other processes
        that share it. One that was given as ``listening_socket`` is left open until `server_close`,
        and connections wait there, for whoever else may have it. Requests under way, and those that
        come on connections that are kept, are answered; their responses announce by ``Connection:
        close`` that they are the last ones. Idle connections are closed. Connections that have not
        come to an end in time are named in the log ``tlshttp.server`` and broken. What coroutines
        and ASGI applications do after their responses is under way, too: it is waited for within
        the time, and what is left is named in the log and cancelled by `server_close`. Tasks that
        they have begun, and that go on alone, have five seconds of it.

        It may be called from any thread. Called on the loop's own thread, as from a signal handler
        while the main thread serves, by a handler, whose own request is under way, or before
        `serve_forever`, it does not wait. Calling it again can only shorten the time. A server that
        has been drained serves no more.

        Args:
            timeout: Seconds; `None`: as long as it takes. Thirty are what Kubernetes gives a
                container between SIGTERM and SIGKILL (``terminationGracePeriodSeconds``).
        """
        if timeout is not None:
            require_instance("timeout", timeout, (int, float), "seconds, or None")
        draining = self.__loop.draining
        draining.begin(timeout)
        self.__loop.wake()
        if self.__loop_thread is threading.current_thread() or self.__loop.on_worker:
            return
        if self.__is_called_by_coroutine():
            return
        if self.__stopped.wait(timeout):
            return
        draining.give_up()  # the loop may be at work in a handler that waits for its peer
        self.__stopped.wait()

    @computed
    def draining(self) -> bool:
        """Whether `drain` has been called: nobody new should be sent here."""
        return self.__loop.draining.begun

    def server_close(self) -> None:
        """Close the listening socket and every connection, and wait for running handlers.

        A handler that is still at work gets the time `block_on_close` describes; then its
        connection is broken, so that its next read or write fails. Calling it again does nothing.
        """
        if self.__closed:
            return
        self.__closed = True
        if self.__loop_thread is not None:
            self.shutdown()
        self.__loop.listener.stop()
        super().server_close()
        self.__path.remove()
        close_loop(self.__loop, waits=self.block_on_close, daemon_threads=self.daemon_threads)
        if self.__end_serving is not None:
            self.__end_serving()
        self.__reports.flush(at_once=True)

    # Hooks ------------------------------------------------------------------------------------

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection (hook); its peer has not said anything yet."""
        request, address = accept(self.socket)
        return request, plain_address(address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Make a handler for a connection whose request is ready (hook)."""
        mode, exchange = self.__mode(), request.exchange
        is_driven, is_classic = mode is Mode.DRIVEN, mode is Mode.CLASSIC
        request.driven = is_driven
        exchange.one_shot = mode is Mode.ONE_SHOT
        exchange.blocking = is_classic
        self.__making.a_handler = True
        try:
            self.finish_request(request, client_address)
        finally:
            self.__making.a_handler = request.driven = False
        if is_classic or (is_driven and request.handler is None):
            self.shutdown_request(request)
            if request.fileno() < 0:  # it is closed, and the handler has returned
                request.forget_exchange()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Call the handler class, composed with `~tlshttp.TLSRequestHandler` (hook)."""
        try:
            self.__composition().factory(request, client_address, self)
        except Exception:
            if isinstance(request, Lent):  # whoever called this may not even end the connection
                request.exchange.doubt()
            raise

    def shutdown_request(self, request: Any) -> None:
        """Close a connection in an orderly way: ``close_notify``, end, then the socket (hook)."""
        if isinstance(request, (Stream, Lent)):
            request.owner.begin_close()
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an exception of a handler (hook): its traceback on standard error."""
        failure = request.failure if isinstance(request, (Stream, Lent)) else None
        if sys.stderr is None:
            return  # socketserver would take standard output instead
        if failure is None or sys.exception() is not failure:
            # Closed, full or gone: then there is nowhere to report it.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                super().handle_error(request, client_address)

    def handle_handshake_error(self, exc: HandshakeError, client_address: Any) -> None:
        """Report a connection that did not become a TLS connection (hook): one line in the log.

        Lines go to the logger ``tlshttp.handshake``, at level INFO where the peer has just left and
        at WARNING otherwise, of each address and reason twenty in ten seconds at most, and of all
        above fifty of these twenty together; then one line tells how many were left out.

        Args:
            exc: What happened; its class and ``reason`` tell the kind.
            client_address: The peer, as ``get_request()`` returned it.
        """
        self.__reports.failed_handshake(exc, client_address)

    def handle_connection_cut(self, exc: ConnectionCut, client_address: Any) -> None:
        """Report a connection that ended in the middle of a request or response (hook).

        Lines go to the logger ``tlshttp.connection``, as for `handle_handshake_error`.

        Args:
            exc: What happened; its class and ``reason`` tell the kind.
            client_address: The peer, as ``get_request()`` returned it.
        """
        self.__reports.cut_connection(exc, client_address)

    if TYPE_CHECKING:

        def __enter__(self) -> Self: ...


class ThreadingTLSHTTPServer(TLSHTTPServer):
    """The same, with handlers and handshakes in a bounded pool of threads.

    A connection occupies a thread only while there is something to do for it: not before its first
    byte, not between the flights of its handshake, not between two requests. Quick handlers run one
    after the other in one thread, which costs least; as soon as one waits for its peer, or has
    taken a few milliseconds, others run beside it.

    Args:
        max_workers: How many handlers may be at work at once; `None`: 200. One that waits for its
            peer to send or to take something does not count; 800 of these are borne besides, then
            the one that has waited longest is cut. Of 8 or more, a quarter more are for others
            while one address holds an eighth of them or more. Threads are started when needed and
            end after ten idle seconds.

    All other arguments are those of `TLSHTTPServer`.
    """

    def __init__(
        self,
        server_address: Any,
        RequestHandlerClass: Callable[..., Any] | None = None,
        bind_and_activate: bool = True,
        *,
        certfile: Any = None,
        keyfile: Any = None,
        password: Any = None,
        alpn_protocols: Iterable[str] | None = None,
        ssl_context: TLSContext | None = None,
        limits: Limits = Limits(),
        redirect_plain_http: bool = False,
        listening_socket: socket.socket | None = None,
        trusted_proxies: Iterable[str] = (),
        certificate: Certificate | CertificateStore | None = None,
        engine: Literal["ssl", "pyopenssl"] | None = None,
        max_workers: int | None = None,
        **more: Any,
    ) -> None:
        if max_workers is not None:
            require_instance("max_workers", max_workers, int, "a number, or None")
            if max_workers < 1:
                raise ConfigurationError(f"max_workers must be at least 1, not {max_workers}")
        self.max_workers: int = max_workers or _DEFAULT_WORKERS
        super().__init__(
            server_address,
            RequestHandlerClass,
            bind_and_activate,
            certfile=certfile,
            keyfile=keyfile,
            password=password,
            alpn_protocols=alpn_protocols,
            ssl_context=ssl_context,
            limits=limits,
            redirect_plain_http=redirect_plain_http,
            listening_socket=listening_socket,
            trusted_proxies=trusted_proxies,
            certificate=certificate,
            engine=engine,
            **more,
        )


def _forking_mix_in() -> type:
    """Return `socketserver.ForkingMixIn`, or on platforms without it a class nobody has."""
    return getattr(socketserver, "ForkingMixIn", type("NoForking", (), {}))


def _may_let_go(server: TLSHTTPServer) -> bool:
    """Return whether ``process_request()`` is the user's own, who may forget what it was given."""
    hook: Any = type(server).process_request
    if hook is getattr(socketserver.ThreadingMixIn, "process_request"):  # noqa: B009
        in_thread: Any = getattr(type(server), "process_request_thread")  # noqa: B009
        return in_thread is not socketserver.ThreadingMixIn.process_request_thread
    forks: Any = getattr(_forking_mix_in(), "process_request", None)
    return hook not in (TLSHTTPServer.process_request, forks)


def _is_ours(server: TLSHTTPServer, hook: str) -> bool:
    """Return whether a hook is as this module defines it."""
    return getattr(type(server), hook) is getattr(TLSHTTPServer, hook)
