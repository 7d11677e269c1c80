"""The loop: it accepts, takes up what is ready or overdue, and waits on nothing but the poller."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from tlshttp._budget import Budget
from tlshttp._machinery.answers import Answers
from tlshttp._machinery.clock import Clock
from tlshttp._machinery.connection import Connection
from tlshttp._machinery.counters import Counters
from tlshttp._machinery.departure import Departure
from tlshttp._machinery.dispatcher import Dispatcher
from tlshttp._machinery.drainer import Drainer
from tlshttp._machinery.draining import LOOK_SECONDS as DRAINING_SECONDS
from tlshttp._machinery.draining import Draining
from tlshttp._machinery.events import Events
from tlshttp._machinery.fullness import Fullness
from tlshttp._machinery.heads import Heads
from tlshttp._machinery.leader import LOOK_SECONDS, Leaders
from tlshttp._machinery.lent import Loans
from tlshttp._machinery.lingering import Lingering
from tlshttp._machinery.listener import RETRY_SECONDS, Listener
from tlshttp._machinery.parking import Parking
from tlshttp._machinery.poller import READ, wait_for
from tlshttp._machinery.registry import Phase
from tlshttp._machinery.room import Room
from tlshttp._machinery.roomless import Roomless
from tlshttp._tls import ManagedContext
from tlshttp.errors import ResponseAborted
from tlshttp.stats import Stats

if TYPE_CHECKING:
    from tlshttp._machinery.later import Later
    from tlshttp._machinery.settings import Hooks, Settings

__all__ = ["Loop"]

_log = logging.getLogger("tlshttp.server")

_SWEEP_SECONDS = 0.25
"""How often overdue connections are looked for: a deadline is kept to a quarter of a second."""

_LINGER_SECONDS = 0.005
"""How long a leader waits for more before it leaves that to the loop: a client that answers within
this time is spared two changes of thread. All from 1 to 10 ms were equally good, as measured."""

_AT_WORK = frozenset({Phase.HANDLER, Phase.LATER})

_LOOKED_AT = frozenset({Phase.TAKEN_OVER, Phase.RESPONSE})
"""Phases in which more may have moved than a poller tells of: see `size_of_send_queue`."""

_ACCEPTS_AT_ONCE = 64
"""How many the loop lets in on each tick while all workers are busy."""


class Loop(Dispatcher):
    """All connections of one server.

    Args:
        hooks: The server.
        settings: What it is made from.
    """

    # What each request looks up; with more than thirty attributes the others take longer to find.
    __slots__ = (
        "answers", "clock", "counters", "draining", "hooks", "limits", "parking", "running",
    )  # fmt: skip

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
        self.create_exchange = settings.create_exchange
        self.url = settings.url
        self.is_work_over = settings.is_work_over
        self.stop_listening = settings.stop_listening
        self.first_timeout = settings.first_timeout
        """Seconds that handlers give their peers for the first request, by their class."""
        self._share(settings)
        super().__init__(settings, self.budget)
        self.counters = Counters()
        self.events = Events(hooks, self.counters)
        self._fullness = Fullness(self.places, self.counters)
        self.drainer = Drainer("tlshttp-drainer")
        self.heads = Heads("tlshttp-heads")
        self.clock = Clock()
        """By which deadlines go."""
        self.departure = Departure()
        self.room = Room(self, self._waiting, self._order, self._again)
        self.budget.give_way = self.room.give_way
        self.parking = Parking(self.registry, self._lane)
        self.listener = Listener(self, self._lane if self._leader_accepts else self._poller)
        self.running = False
        """Whether somebody serves; otherwise nobody is accepted."""
        self._next_sweep = 0.0
        self._is_called = True
        """Whether somebody has called `wake`, or something goes on that is to be looked at."""
        self.answers = Answers(self.wake)

    def _share(self, settings: Settings) -> None:
        """Make what all connections have together: room, where they wait for it, and an end."""
        limits = settings.limits
        self.trusted_proxies = settings.trusted_proxies
        if self.trusted_proxies:
            # Now, while there surely are descriptors left to read it with.
            from tlshttp._machinery import proxy_header  # noqa: F401
        self.budget = Budget(limits.max_total_memory, limits.max_total_disk)
        self.roomless = Roomless(self.wake)
        self.budget.freed = self.roomless.room_freed
        self.budget.postpones = not settings.leaders  # where one thread serves all
        self.turn_after_wait = threading.RLock()
        """What a thread has that has waited long for its peer, while it takes in what has come."""
        self.lingering = Lingering(self)
        self.draining = Draining(self)
        self.answering: set[Later] = set()
        """Those exchanges that somebody answers in the place of a handler that has returned."""
        self._answered = threading.Condition()
        self.lends = settings.lends
        self.loans = Loans(self.wake)

    # Called by the server ---------------------------------------------------------------------

    def fileno(self) -> int | None:
        """Return what is readable when there is something to do; `None` where nothing tells."""
        return self._poller.fileno() if self._poller.waits_in_poller else None

    def due(self, timeout: float) -> float:
        """Return in how many seconds, `timeout` at most, there is to be another turn."""
        budget = self.budget
        if timeout > _SWEEP_SECONDS and (
            self.registry.by_fd or budget.kept.there or budget.spare_blocks
        ):
            timeout = _SWEEP_SECONDS
        if self._is_called and self.listener.is_closed:
            timeout = min(timeout, RETRY_SECONDS)
        if self._is_called and self.draining.begun:
            timeout = min(timeout, DRAINING_SECONDS)
        if self._leaders is None:
            if self._ready or self._again or budget.to_write or budget.to_close:
                return 0.0
            return min(timeout, self._order.due()) if self._order.large else timeout
        return min(timeout, LOOK_SECONDS) if self._leaders.present else timeout

    def turn(self, timeout: float, *, waits: bool = True) -> None:
        """Wait at most `timeout` seconds for something to do, and do it.

        Args:
            timeout: Seconds.
            waits: If not, whoever calls this has waited already, until `due`.
        """
        self._loop_thread = threading.get_ident()
        self._has_turn = True
        timeout, budget = self.due(timeout), self.budget
        fds = self._poller.wait(timeout if waits else 0.0)
        began, woke = self.clock.turned_at, time.monotonic()
        self._take_up(fds)
        if self._is_called:
            self._heed(woke)
        if self._leaders is None:
            self._order.serve(self._advance)
            if budget.to_write or budget.to_close:
                self._order.catch_up(budget)
        elif self._ready:
            self._call_leader()
        now = self.clock.end_turn(woke, timeout)
        if now >= self._next_sweep:
            self._look_after(now)
        if self._leaders is not None:
            late = max(0.0, woke - began - timeout) + now - woke
            self._watch(self._leaders, now, began, late)
        self._has_turn = False

    def _heed(self, now: float) -> None:
        """Do what whoever has called `wake` may want."""
        self._is_called = False  # first: another thread may be calling
        if self.roomless.has_freed_room:
            self._ready.extend(self.roomless.take_resumed())
        for connection in self.loans.take_ended():
            self.guard(connection.end_after_loan, connection)
        if self.draining.begun:
            self.draining.look(now)
        if self.listener.is_closed:
            self.listener.reopen(now)
        if self.draining.begun or self.listener.is_closed:
            self._is_called = True  # these are looked at in each turn, until they are over

    def _look_after(self, now: float) -> None:
        """Do what is to be done every quarter of a second."""
        self._next_sweep = now + _SWEEP_SECONDS
        if self.managed is not None:
            self.managed.maintain(now)
        self._sweep()
        self.roomless.look_after(self.resume_later)
        self._fullness.look(now, self.busy)
        self.loans.let_frames_go()
        self.budget.look_after(now)

    def _watch(self, leaders: Leaders, now: float, began: float, late: float) -> None:
        """See to it that somebody leads."""
        leaders.watch(now, late)
        if leaders.is_vacant(now):
            self.clock.lose(now - began)  # nobody looks after anything
            if self._leader_accepts:
                # No worker is free, and nobody shall be kept waiting by that.
                self.listener.accept(_ACCEPTS_AT_ONCE)

    def wake(self) -> None:
        """Have what is not looked at in every turn be looked at now, from any thread."""
        self._is_called = True
        self._poller.wake()

    def stats(self) -> Stats:
        """Return all counters."""
        streams = [connection.stream for connection in self.registry if connection.stream]
        return self.counters.snapshot(self.registry.count(), streams, len(self.places.waiting))

    def busy(self) -> list[Connection]:
        """Return the connections that are in a handler."""
        return [connection for connection in self.registry if connection.phase in _AT_WORK]

    def leave(self) -> None:
        """End every connection that waits for its peer or its turn; let requests be answered."""
        self.closing = True
        self._end_parked()
        for queue in (self._ready, self._again):
            with contextlib.suppress(IndexError):
                while True:  # a leader may be taking them, too
                    connection = queue.popleft()
                    self.guard(connection.leave_with_server, connection)
        for connection in [
            *self.places.take_all(), *self.roomless.take_all(), *self._order.take_all(),
        ]:  # fmt: skip
            self.guard(connection.leave_with_server, connection)
        self._workers.close()
        for connection in self.busy():
            connection.await_no_other()
        for connection in self.busy():
            if connection.is_idle:
                connection.end_waiting_for_request()  # one that has come just now is answered
        for connection in self.busy():
            connection.tell_of_end()
            if connection.later is not None:
                connection.later.end_with_server()

    def end_idle_handlers(self) -> None:
        """End idle connections with handlers, which are to be finished on this thread."""
        for connection in self.registry:
            if connection.phase is Phase.IDLE and self.registry.take_back(connection):
                self.guard(connection.leave_with_server, connection)

    def join(self, timeout: float | None) -> bool:
        """Wait for the handlers, up to `timeout` seconds (`None`: for ever); tell if all ended."""
        end = None if timeout is None else time.monotonic() + timeout
        if not self._workers.join(timeout):
            return False
        with self._answered:
            return self._answered.wait_for(
                lambda: not self.answering,
                None if end is None else max(0.0, end - time.monotonic()),
            )

    def answered(self, later: Later) -> None:
        """Take note that an answer that came later is over, for whoever waits for that."""
        self.answering.discard(later)
        if self.closing:
            with self._answered:
                self._answered.notify_all()

    def hang_up(self) -> None:
        """Break the connections that are still in a handler, so that its next read or write fails.

        The socket is not closed here: it belongs to the handler's thread.
        """
        for connection in self.busy():
            self.hang_up_one(connection)

    def hang_up_one(self, connection: Connection) -> None:
        """Break one such connection."""
        later = connection.later
        if later is not None:
            later.break_off(ResponseAborted("the server has closed before the answer was there"))
            return
        if connection.stream is not None:
            self.registry.while_open(connection, connection.stream.hang_up)

    def close(self) -> None:
        """Give back everything; after `leave`, and with the loop stopped."""
        self.parking.close()
        self._end_parked()
        for connection in self.registry:
            if connection.phase is not Phase.HANDLER:
                connection.abort()
        self.budget.postpones = False  # there are no more turns
        self.budget.to_write.clear()
        while self.budget.close_one():
            pass
        self.budget.end()
        self.heads.close()
        self.drainer.close()
        self.loans.close()
        self._lane.close()
        self._poller.close()

    def abandon(self) -> None:
        """Give back what a forked child has of its parent's, which never served.

        Only descriptors are closed: what is behind them is the parent's, too.
        """
        for poller in (self._lane, self._poller):
            poller.close()
        self.drainer.abandon()

    # Called by connections ---------------------------------------------------------------------

    @property
    def has_more_to_do(self) -> bool:
        """Whether somebody waits for this thread, or may have waited for too long."""
        return bool(self._ready or self._order) or (
            len(self.registry.by_fd) > 1 and time.monotonic() >= self._next_sweep
        )

    def forget(self, connection: Connection) -> None:
        """Let go of a connection whose socket is being closed."""
        if os.getpid() != self.pid:
            return
        if self.lends:
            self.loans.forget(connection)
        if connection.stream is not None:
            self.counters.take(connection.stream)
        self.parking.forget(connection)
        if self.room.leaving:
            self.room.leaving.discard(connection)
        if self.listener.is_closed:
            self.listener.make_way()

    # The loop -----------------------------------------------------------------------------------

    def _take_up(self, fds: list[int]) -> None:
        """Do what the poller's reports ask for."""
        listening, lane = self.listener.descriptor, self._lane_fd
        if lane is not None and lane in fds:
            fds.remove(lane)
            self._poller.remove(lane)
            if self._leader_accepts and self.answers.counted:
                # handle_request() may be over before a leader is there to accept.
                self.listener.accept()
            self._call_leader()
        if listening is not None and listening in fds:
            fds.remove(listening)
            self.listener.accept()
            self._order.expect()
        if fds:
            self._ready.extend(self.parking.take(fds))

    def _ask(self) -> None:
        """Take up what is ready, waiting a moment if nothing is; called by the leader."""
        waits = not (self._ready or self._again)
        accepted = self._lane is not self._poller
        while accepted and not self.closing:
            self._leader_lingers = waits  # before the last look at what is ready
            try:
                is_free = waits and not (self._ready or self._again)
                fds = self._lane.wait(_LINGER_SECONDS) if is_free else self._lane.glance()
            except (OSError, ValueError):
                return  # the server has been closed meanwhile
            finally:
                self._leader_lingers = False
            listening = self.listener.descriptor
            accepted = self.running and listening in fds
            if accepted:
                fds = [fd for fd in fds if fd != listening]
                self.listener.accept()
            if fds:
                self._ready.extend(self.parking.take(fds, in_passing=not waits))
            accepted = accepted and not self._ready

    def _sweep(self) -> None:
        for connection in self.registry.take_overdue(self.clock.now()):
            is_looked_at = connection.phase in _LOOKED_AT
            if is_looked_at or wait_for(connection.fd, connection.armed or READ, 0):
                # Something has come that we have not looked at: the peer has not been too slow.
                self.resume_later(connection)
            else:
                self.dismiss(connection, connection.expire)

    def _end_parked(self) -> None:
        for connection in self.registry.take_all():
            self.guard(connection.leave_with_server, connection)
