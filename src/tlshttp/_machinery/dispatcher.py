"""Who works on the connections of a server, and when: its one thread in order, or workers."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tlshttp._budget import Budget
from tlshttp._machinery.connection import Connection
from tlshttp._machinery.leader import Leaders
from tlshttp._machinery.order import Order
from tlshttp._machinery.places import Hold, Places
from tlshttp._machinery.poller import READ, create_poller
from tlshttp._machinery.registry import Phase, Registry
from tlshttp._machinery.waiting import Waiting
from tlshttp._machinery.workers import Workers

if TYPE_CHECKING:
    from tlshttp._machinery.parking import Parking
    from tlshttp._machinery.settings import Settings

__all__ = ["Dispatcher"]

_log = logging.getLogger("tlshttp.server")


class Dispatcher:
    """What gives connections to threads.

    Args:
        settings: What the server is made from.
        budget: What all connections have together.
    """

    # What each request looks up: see `Loop`.
    __slots__ = (
        "__dict__", "__weakref__", "_has_turn", "_leader_lingers", "_leaders", "_ready", "closing",
        "places", "registry", "worker_phases",
    )  # fmt: skip

    parking: Parking
    """Where those wait that are not to be taken up."""

    def __init__(self, settings: Settings, budget: Budget) -> None:
        self.pid = os.getpid()
        self.closing = False
        self.registry = Registry()
        self.worker_phases = settings.worker_phases
        self.places = Places(settings.max_workers, self._resume)
        self._waiting = Waiting(self.places)
        self._loop_thread: int | None = None
        self._has_turn = False
        """Whether that thread is in `Loop.turn`, and looks once more before it waits."""
        self._leader_lingers = False
        """Whether the leader waits for more, and sees nothing but what its poller reports."""
        self._employ(settings, budget)

    def _employ(self, settings: Settings, budget: Budget) -> None:
        """Make the workers, and what they and the loop wait on."""
        self._poller = create_poller()
        """What the loop waits on."""
        self._lane = self._poller
        """What connections wait in: a poller of their own where a worker asks it."""
        self._workers = Workers(
            settings.max_threads,
            name="tlshttp-worker",
            daemon=settings.daemon_workers,
            exhausted=lambda: self._waiting.cut_longest(self._workers),
        )
        self._leaders: Leaders | None = None
        self._order = Order(to_write=budget.to_write)
        """Without leaders: who comes when."""
        self._ready, self._again = self._order.ready, self._order.again
        if settings.leaders:
            self._leaders = Leaders(
                self._workers.submit,
                self._ask,
                self._advance_on_worker,
                self._leader_resigned,
                self.places,
                settings.processes,
            )
            self._ready, self._again = self._leaders.ready, self._leaders.again
            if self._poller.waits_in_poller:
                self._lane = create_poller()
                self._poller.add(self._lane.fileno(), READ)
        self._lane_fd = self._lane.fileno() if self._lane is not self._poller else None
        self.before_handshake: Callable[[], None] | None = None
        """Called by a connection: this thread is about to compute; `None`: nobody minds."""
        if self._leaders is not None:
            self.before_handshake = self._leaders.before_handshake
        self._leader_accepts = settings.leaders_accept and self._lane_fd is not None

    @property
    def on_worker(self) -> bool:
        """Whether this is a worker's thread, which a handler runs in."""
        return self._workers.has_this_thread

    # Whose turn it is ---------------------------------------------------------------------------

    def may_handle(self, connection: Connection) -> bool:
        """Tell whether a handler may be called now; else do it when there is a place for it."""
        if self._leaders is not None:
            places = self.places
            if (places.waiting or places.taken >= places.maximum) and places.queue_up(connection):
                return False
            self._leaders.before_handler()
        elif self._order.known:
            return self._order.may_begin(connection)
        return True

    def note_large(self, connection: Connection) -> None:
        """Take note that a handler has left a large response to be sent."""
        if self._leaders is None:
            self._order.note(connection)

    def submit(self, connection: Connection) -> None:
        """Have a worker advance the connection, when there is a place for its handler."""
        if self.places.queue_up(connection):
            return
        hold = Hold(connection)
        self.places.take(hold)
        self._delegate(lambda: self._work(connection, hold), connection)

    def _work(self, connection: Connection, hold: Hold) -> None:
        self.places.begin(hold)
        try:
            self._advance_on_worker(connection)
        finally:
            self.places.give_back(hold)

    def _resume(self, connection: Connection) -> None:
        """Take up a connection that has waited for a place."""
        if self.closing:
            self.guard(connection.leave_with_server, connection)
        elif self._leaders is None:
            self.submit(connection)
        else:
            self._ready.append(connection)
            self._call_leader()
            self._rouse_leader()

    def _rouse_leader(self) -> None:
        """Have a leader that waits for what comes look at what is ready."""
        if self._leader_lingers:
            self._leader_lingers = False
            self._lane.wake()

    def begin(self, connection: Connection) -> None:
        """Give a new connection its first turn, or park it if a leader would have to be called.

        In three of four cases its peer has said something by then, and a look at the sockets is
        spared.
        """
        if self._leaders is None or threading.get_ident() != self._loop_thread:
            self._ready.append(connection)
        else:
            self.parking.park(connection, READ)

    def resume_later(self, connection: Connection) -> None:
        """Advance a connection that need not wait, after others have had their turn."""
        self._queue_up(connection, self._ready)

    def resume_again(self, connection: Connection) -> None:
        """Do the same for one that has just had its turn, and is not done."""
        self._queue_up(connection, self._again)

    def _queue_up(self, connection: Connection, queue: collections.deque[Connection]) -> None:
        if connection.phase in self.worker_phases:
            self.submit(connection)
            return
        queue.append(connection)
        if self._leaders is not None and not self._leaders.present:
            self._call_leader()
            self._poller.wake()  # for it to watch the leader
        elif self._leaders is not None:
            self._rouse_leader()
        elif not self._has_turn or threading.get_ident() != self._loop_thread:
            self._poller.wake()

    def take_up(self, connection: Connection) -> None:
        """Advance a connection that is parked, in another thread; else whoever has it, will."""
        if self.registry.take_back(connection):
            self.resume_later(connection)
            self._poller.wake()

    # Handlers that wait -------------------------------------------------------------------------

    def may_wait(self) -> bool:
        """Return whether this thread may wait for a peer: not if it is the loop's."""
        return self._leaders is not None or threading.get_ident() != self._loop_thread

    @property
    def wants_threads(self) -> bool:
        """Whether there is more to do than there are threads."""
        return bool(self._workers.backlog)

    def before_wait(self, connection: Connection) -> None:
        """Take note that this thread waits for a peer, in the middle of a handler."""
        if os.getpid() != self.pid:  # a forked child has no workers
            return
        if self._leaders is not None:
            self._leaders.step_aside()
        self._waiting.begin(connection)
        if self._workers.backlog:
            self._waiting.cut_longest(self._workers)

    def wait_again(self, connection: Connection) -> None:
        """Take note that a handler which has taken its connection over has seen it move."""
        if os.getpid() == self.pid:
            self._waiting.touch(connection)

    def after_wait(self, connection: Connection) -> None:
        """Take note that it goes on."""
        if os.getpid() == self.pid:
            self._waiting.end(connection)

    # Threads ------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Take up what is ready, waiting a moment if nothing is; called by the leader."""
        raise NotImplementedError

    def _call_leader(self) -> None:
        if self._leaders is None:
            return
        try:
            self._leaders.call()
        except RuntimeError as error:  # dismissed, or not one thread to be had
            self._ask()
            for queue in (self._ready, self._again):
                while queue:
                    self._leave_unserved(queue.popleft(), error)
            self._leader_resigned()

    def _leader_resigned(self) -> None:
        """Have the loop see to what is ready from now on."""
        if self._lane_fd is not None:
            with contextlib.suppress(OSError):  # it sees to it already, or is closed
                self._poller.add(self._lane_fd, READ)
        if (self._ready or self._again) and not self.closing:
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
            connection.advance(None)
        except Exception:
            _log.exception("connection with %s ended by an internal error", connection.address)
        except SystemExit:
            _log.info("a handler ended its worker's task with SystemExit")

    def dismiss(self, connection: Connection, how: Callable[[], None]) -> None:
        """End a parked connection; where a handler has to finish, where handlers run."""
        has_handler = connection.stream is not None and connection.stream.handler is not None
        on_worker = self._leaders is not None or Phase.HANDLER in self.worker_phases
        if not (has_handler and on_worker):
            self.guard(how, connection)
        else:
            self._delegate(lambda: self.guard(how, connection), connection)

    def _delegate(self, task: Callable[[], None], connection: Connection) -> None:
        try:
            self._workers.submit(task)
        except RuntimeError as error:
            self._leave_unserved(connection, error)

    def _leave_unserved(self, connection: Connection, error: RuntimeError) -> None:
        """End a connection because there is no worker: all dismissed, or not one to be had."""
        if not self.closing:
            _log.error("connection with %s ended: %s", connection.address, error)
        self.guard(connection.leave_with_server, connection)

    def guard(self, how: Callable[[], None], connection: Connection) -> None:
        """Do something with a connection; a mistake of ours ends that one and nothing else."""
        try:
            how()
        except Exception:
            _log.exception("connection with %s ended by an internal error", connection.address)
            connection.abort()
