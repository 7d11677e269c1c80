"""The loop: it accepts, takes up what is ready or overdue, and waits on nothing but the poller."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tlshttp._front.connection import Connection
from tlshttp._front.counters import Counters
from tlshttp._front.door import RETRY_SECONDS, Door
from tlshttp._front.leader import LOOK_SECONDS, Leaders
from tlshttp._front.parking import Parking
from tlshttp._front.poller import READ, create_poller
from tlshttp._front.registry import Phase, Registry
from tlshttp._front.workers import Workers
from tlshttp._tls import ManagedContext
from tlshttp.errors import ConnectionCut, HandshakeError
from tlshttp.stats import Stats

if TYPE_CHECKING:
    from tlshttp._front.settings import Hooks, Settings

__all__ = ["Front"]

_log = logging.getLogger("tlshttp.server")

_SWEEP_SECONDS = 0.25
"""How often overdue connections are looked for: a deadline is kept to a quarter of a second."""

_LINGER_SECONDS = 0.005
"""How long a leader waits for more before it leaves that to the loop.

A client that answers within this time is spared two changes of thread. DESIGN measured 1 to 10 ms
to be equally good.
"""

_ACCEPTS_AT_ONCE = 64
"""How many the loop lets in on each tick while all workers are busy."""

_EVICTION_ORDER = (Phase.HELLO, Phase.CLOSING, Phase.IDLE, Phase.REQUEST, Phase.BODY)
"""Whose place is taken when there are too many; the first stands for all unfinished handshakes."""

_NO_PHASES: frozenset[Phase] = frozenset()


class Front:
    """All connections of one server.

    Args:
        hooks: The server.
        settings: What it is made from.
    """

    def __init__(self, hooks: Hooks, settings: Settings) -> None:
        self.hooks = hooks
        self.limits = settings.limits
        self.max_connections = settings.limits.connections()
        self.ssl_context = settings.ssl_context
        managed = settings.ssl_context
        self.managed = managed if isinstance(managed, ManagedContext) else None
        """The context where it is one that has to be looked after."""
        self.redirect_plain_http = settings.redirect_plain_http
        self.goodbye_with_response = settings.goodbye_with_response
        self.worker_phases = settings.worker_phases
        self.find_request = settings.find_request
        self.counters = Counters()
        self.registry = Registry()
        self.pid = os.getpid()
        self.closing = False
        self._poller = create_poller()
        """What the loop waits on."""
        self._lane = self._poller
        """What connections wait in: a poller of their own where a worker asks it."""
        self._workers = Workers(
            settings.max_workers, name="tlshttp-worker", daemon=settings.daemon_workers
        )
        self._leaders: Leaders | None = None
        self._ready: collections.deque[Connection] = collections.deque()
        if settings.leaders:
            self._leaders = Leaders(
                self._workers.submit, self._ask, self._advance_on_worker, self._leader_resigned
            )
            self._ready = self._leaders.ready
            if self._poller.waits_in_poller:
                self._lane = create_poller()
                self._poller.add(self._lane.fileno(), READ)
        leaders = self._leaders
        self.before_handler = leaders.before_handler if leaders else _do_nothing
        """Called by a connection: this thread is about to run a handler."""
        self.before_handshake = leaders.before_handshake if leaders else _do_nothing
        """Called by a connection: this thread is about to compute."""
        self._lane_fd = self._lane.fileno() if self._lane is not self._poller else None
        self.parking = Parking(self.registry, self._lane)
        self._leader_accepts = settings.leaders_accept and self._lane_fd is not None
        self.door = Door(self, self._lane if self._leader_accepts else self._poller)
        self.running = False
        """Whether somebody serves; otherwise nobody is accepted."""
        self._next_sweep = 0.0
        self.counts_answers = True
        """Whether `answered` is of any use: not where nobody calls ``handle_request()``."""
        self._answers = 0  # that no handle_request() has returned for
        self._answers_lock = threading.Lock()

    # Called by the server ---------------------------------------------------------------------

    def turn(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for something to do, and do it."""
        self._take_up(self._poller.wait(self._shortest(timeout)))
        if self._leaders is None:
            for _ in range(len(self._ready)):
                if self._ready:  # a handler may close the server
                    self._advance(self._ready.popleft())
        elif self._ready:
            self._call_leader()
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_SECONDS
            if self.managed is not None:
                self.managed.maintain(now)
            self._sweep()
        if self._leaders is not None:
            self._leaders.watch(now)
            if self._leader_accepts and self._leaders.is_vacant(now):
                # No worker is free, and nobody shall be kept waiting by that.
                self.door.accept(_ACCEPTS_AT_ONCE)
        self.door.reopen(now)

    def wake(self) -> None:
        """Make `turn` return soon, from any thread."""
        self._poller.wake()

    def stats(self) -> Stats:
        """Return all counters."""
        streams = [connection.stream for connection in self.registry if connection.stream]
        return self.counters.snapshot(self.registry.count(), streams)

    def busy(self) -> list[Connection]:
        """Return the connections that are in a handler."""
        return [connection for connection in self.registry if connection.phase is Phase.HANDLER]

    def leave(self) -> None:
        """End every connection that waits for its peer or its turn; let requests be answered."""
        self.closing = True
        self._end_parked()
        with contextlib.suppress(IndexError):
            while True:  # a leader may be taking them, too
                connection = self._ready.popleft()
                self._guard(connection.leave_with_server, connection)
        self._workers.close()
        self._hang_up(connection for connection in self.busy() if _is_idle(connection))

    def join(self, timeout: float | None) -> bool:
        """Wait for the handlers, up to `timeout` seconds (`None`: for ever); tell if all ended."""
        return self._workers.join(timeout)

    def hang_up(self) -> None:
        """Break the connections that are still in a handler, so that its next read or write fails.

        The socket is not closed here: it belongs to the handler's thread.
        """
        self._hang_up(self.busy())

    def _hang_up(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            try:
                with socket.fromfd(connection.fd, socket.AF_INET, socket.SOCK_STREAM) as double:
                    double.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has just ended by itself

    def close(self) -> None:
        """Give back everything; after `leave`, and with the loop stopped."""
        self.parking.close()
        self._end_parked()
        for connection in self.registry:
            if connection.phase is not Phase.HANDLER:
                connection.abort()
        self._lane.close()
        self._poller.close()

    # Called by connections ---------------------------------------------------------------------

    def step_aside(self) -> None:
        """Take note that this thread may be kept waiting by a peer."""
        if self._leaders is not None and os.getpid() == self.pid:  # a forked child has no workers
            self._leaders.step_aside()

    def submit(self, connection: Connection) -> None:
        """Have a worker advance the connection."""
        self._delegate(lambda: self._advance_on_worker(connection), connection)

    def resume_later(self, connection: Connection) -> None:
        """Advance a connection that need not wait, after others have had their turn."""
        if connection.phase in self.worker_phases:
            self.submit(connection)
            return
        self._ready.append(connection)
        if self._leaders is not None and not self._leaders.present:
            self._call_leader()
            self._poller.wake()  # for it to watch the leader

    def answered(self) -> None:
        """Take note that a request was answered, refused or handed on."""
        if self.counts_answers:
            with self._answers_lock:
                self._answers += 1
            self._poller.wake()

    def take_answer(self) -> bool:
        """Return whether `answered` has been called once more than this has returned true."""
        with self._answers_lock:
            if not self._answers:
                return False
            self._answers -= 1
            return True

    @contextlib.contextmanager
    def not_counting_answers(self) -> Iterator[None]:
        """Spare ``serve_forever()`` the counting."""
        self.counts_answers = False
        try:
            yield
        finally:
            with self._answers_lock:
                self._answers = 0
            self.counts_answers = True

    def report_handshake(self, error: HandshakeError, address: object) -> None:
        """Count a failed handshake and call its hook."""
        self.counters.failure(error)
        self._call_hook(self.hooks.handle_handshake_error, error, address)

    def report_cut(self, cut: ConnectionCut, address: object) -> None:
        """Count a connection that was cut and call its hook."""
        self.counters.cut(cut)
        self._call_hook(self.hooks.handle_connection_cut, cut, address)

    def forget(self, connection: Connection) -> None:
        """Let go of a connection whose socket is being closed."""
        if os.getpid() != self.pid:
            return
        if connection.stream is not None:
            self.counters.take(connection.stream)
        self.parking.forget(connection)
        self.door.make_way()

    # The loop -----------------------------------------------------------------------------------

    def _shortest(self, timeout: float) -> float:
        if self.door.is_closed:
            timeout = min(timeout, RETRY_SECONDS)
        elif len(self.registry):
            timeout = min(timeout, _SWEEP_SECONDS)
        if self._leaders is None:
            return 0.0 if self._ready else timeout
        return min(timeout, LOOK_SECONDS) if self._leaders.present else timeout

    def _take_up(self, fds: Iterable[int]) -> None:
        """Do what the poller's reports ask for."""
        others = []
        for fd in fds:
            if fd == self._lane_fd:
                self._poller.remove(fd)
                if self._leader_accepts and self.counts_answers:
                    # handle_request() may be over before a leader is there to accept.
                    self.door.accept()
                self._call_leader()
            elif fd == self.door.listener:
                self.door.accept()
            else:
                others.append(fd)
        self._ready.extend(self.parking.take(others))

    def _ask(self) -> None:
        """Take up what is ready, waiting a moment for it; called by the leader."""
        accepted = self._lane is not self._poller
        while accepted and not (self._ready or self.closing):
            try:
                fds = self._lane.wait(_LINGER_SECONDS)
            except (OSError, ValueError):
                return  # the server has been closed meanwhile
            accepted = self.running and self.door.listener in fds
            if accepted:
                self.door.accept()
            self._ready.extend(self.parking.take(fds))

    def _call_leader(self) -> None:
        if self._leaders is None:
            return
        try:
            self._leaders.call()
        except RuntimeError as error:  # dismissed, or not one thread to be had
            self._ask()
            while self._ready:
                self._leave_unserved(self._ready.popleft(), error)
            self._leader_resigned()

    def _leader_resigned(self) -> None:
        """Have the loop see to what is ready from now on."""
        if self._lane_fd is not None:
            with contextlib.suppress(OSError):  # it sees to it already, or is closed
                self._poller.add(self._lane_fd, READ)
        if self._ready and not self.closing:
            self._call_leader()

    def _advance(self, connection: Connection) -> None:
        """Advance a connection; a mistake of ours ends that connection and nothing else."""
        try:
            connection.advance(self.worker_phases)
        except Exception:
            _log.exception("connection with %s ended by an internal error", connection.address)

    def _advance_on_worker(self, connection: Connection) -> None:
        """Do the same on a worker, of which a handler that exits is not the end."""
        try:
            connection.advance(_NO_PHASES)
        except Exception:
            _log.exception("connection with %s ended by an internal error", connection.address)
        except SystemExit:
            _log.info("a handler ended its worker's task with SystemExit")

    def _sweep(self) -> None:
        for connection in self.registry.take_overdue(time.monotonic()):
            self._dismiss(connection, connection.expire)

    def _dismiss(self, connection: Connection, how: Callable[[], None]) -> None:
        """End a parked connection; where a handler has to finish, where handlers run."""
        has_handler = connection.stream is not None and connection.stream.handler is not None
        on_worker = self._leaders is not None or Phase.HANDLER in self.worker_phases
        if not (has_handler and on_worker):
            self._guard(how, connection)
        else:
            self._delegate(lambda: self._guard(how, connection), connection)

    def _delegate(self, task: Callable[[], None], connection: Connection) -> None:
        try:
            self._workers.submit(task)
        except RuntimeError as error:
            self._leave_unserved(connection, error)

    def _leave_unserved(self, connection: Connection, error: RuntimeError) -> None:
        """End a connection because there is no worker: all dismissed, or not one to be had."""
        if not self.closing:
            _log.error("connection with %s ended: %s", connection.address, error)
        self._guard(connection.leave_with_server, connection)

    def _guard(self, how: Callable[[], None], connection: Connection) -> None:
        try:
            how()
        except Exception:
            _log.exception("connection with %s ended by an internal error", connection.address)
            connection.abort()

    def _end_parked(self) -> None:
        for connection in self.registry.take_all():
            self._guard(connection.leave_with_server, connection)

    def _call_hook(self, hook: Callable[[Any, Any], None], error: Any, address: object) -> None:
        try:
            hook(error, address)
        except Exception:
            _log.exception("%s raised an exception", getattr(hook, "__name__", hook))

    # Room ---------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Return whether there is a place, or one that can be made.

        One too many is there while a worker ends the one that it replaces; not more than that.
        """
        missing = self.max_connections - len(self.registry)
        return missing > 0 or (missing == 0 and self.registry.has_parked(_EVICTION_ORDER))

    def is_full(self) -> bool:
        """Return whether another connection can only take the place of one."""
        return len(self.registry) >= self.max_connections

    def make_room(self) -> None:
        """Close the connection that can best be spared, if there is one."""
        connection = self.registry.take_oldest(_EVICTION_ORDER)
        if connection is not None:
            self._dismiss(connection, connection.crowd_out)


def _is_idle(connection: Connection) -> bool:
    return connection.stream is not None and connection.stream.idle


def _do_nothing() -> None:
    pass
