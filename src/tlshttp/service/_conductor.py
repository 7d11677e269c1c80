"""What a service does when it is told to end, to reload, or to make way for its successor."""

from __future__ import annotations

import abc
import logging
import selectors
import signal
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from tlshttp.errors import ConfigurationError
from tlshttp.service._notify import Notifier
from tlshttp.service._signals import ENDING, Signals, numbers

if TYPE_CHECKING:
    from tlshttp.server import TLSHTTPServer
    from tlshttp.service._replacing import Predecessor, Replacement

__all__ = ["CONDUCTED", "Conductor", "SharesTickets"]

_log = logging.getLogger("tlshttp.service")

CONDUCTED = (*ENDING, *numbers("SIGHUP", "SIGUSR2"))
"""The signals that a service takes over."""

_LOOK_SECONDS = 0.5
"""How often a process on its way is looked at: what it says is heard at once."""


@runtime_checkable
class SharesTickets(Protocol):
    """A context that can be reloaded, and whose ticket keys several processes share."""

    renewals: int

    def reload(self) -> None: ...
    def prepare_to_fork(self) -> None: ...
    def leave_renewal(self) -> None: ...
    def maintain(self) -> None: ...


class Conductor(abc.ABC):
    """Obeys signals.

    Args:
        server: What serves, here or in children.
        drain_timeout: Seconds for what is under way when the service ends; `None`: any time.
        notifier: Tells the service manager.
        predecessor: The process that this one replaces; `None`: none.
    """

    conducted: ClassVar[tuple[int, ...]] = CONDUCTED
    """The signals that it takes over."""

    _names: ClassVar[dict[int, str]] = {number.value: number.name for number in signal.Signals}

    def __init__(
        self,
        server: TLSHTTPServer,
        drain_timeout: float | None,
        notifier: Notifier,
        predecessor: Predecessor | None = None,
    ) -> None:
        self.server = server
        self.drain_timeout = drain_timeout
        self.notifier = notifier
        self.predecessor = predecessor
        self.ending = False
        self._replacement: Replacement | None = None
        self._selector = selectors.DefaultSelector()
        self._reload_number = getattr(signal, "SIGHUP", None)
        self._replace_number = getattr(signal, "SIGUSR2", None)

    @property
    def shared(self) -> SharesTickets | None:
        """The server's context where it is one of ours."""
        context: Any = self.server.ssl_context
        return context if isinstance(context, SharesTickets) else None

    # What the two kinds of services do each in its way ----------------------------------------

    @abc.abstractmethod
    def serve(self, signals: Signals) -> None:
        """Serve until one of these signals has ended it."""

    @abc.abstractmethod
    def drain(self) -> None:
        """Begin to end in good order."""

    @abc.abstractmethod
    def end_at_once(self) -> None:
        """End, whatever is under way."""

    @abc.abstractmethod
    def reload(self) -> None:
        """Show the certificates of now, and tell the service manager when that is done."""

    def free_predecessor(self) -> None:
        """Let the process go that this one replaces."""
        if self.predecessor is not None:
            self.predecessor.may_leave()

    def begin(self) -> None:  # noqa: B027 (most have nothing to do)
        """Do what is to be done once, when all serve and signals are heard."""

    # What both do -------------------------------------------------------------------------------

    def run(self) -> None:
        """Take signals over, and serve until one has ended the service.

        Raises:
            RuntimeError: Workers die as soon as they are born; the log says how.
        """
        with Signals(self.conducted) as signals:
            self.serve(signals)

    def watch(self, signals: Signals) -> None:
        """Have `obey` wait for signals."""
        self._selector.register(signals, selectors.EVENT_READ, self.take_signals)

    def obey(self, timeout: float | None) -> None:
        """Wait for something to do, `timeout` seconds at most (`None`: any time), and do it."""
        if self._replacement is not None:
            timeout = _LOOK_SECONDS if timeout is None else min(timeout, _LOOK_SECONDS)
        for key, _ in self._selector.select(timeout):
            key.data(key.fileobj)
        self._look_at_replacement()

    def take_signals(self, signals: Signals) -> None:
        """Do what the signals ask for that have come."""
        for number in signals.take():
            if number:
                self.take_signal(number)

    def take_signal(self, number: int) -> None:
        """Do what one signal asks for."""
        if number in ENDING:
            self._end(self._names.get(number, str(number)))
        elif self.ending:
            return
        elif number == self._reload_number:
            _log.info("SIGHUP: reloading")
            self.notifier.reloading()
            self.reload()
        elif number == self._replace_number:
            self._replace()

    def reload_context(self) -> None:
        """Load what the context shows now; what cannot be used is in the log."""
        if self.shared is None:
            return
        try:
            self.shared.reload()
        except ConfigurationError as error:
            _log.error("reloading: %s", error)

    def close(self) -> None:
        """Give back what the conductor holds."""
        self._selector.close()

    def _end(self, name: str) -> None:
        if self.ending:
            _log.warning("%s again: ending at once", name)
            self.end_at_once()
            return
        _log.info("%s: draining", name)
        self.ending = True
        replacement = self._replacement
        if replacement is not None:
            self._forget(replacement)
            replacement.end()
        self.notifier.stopping()
        self.drain()

    def _replace(self) -> None:
        from tlshttp.service._replacing import Replacement

        if self._replacement is not None:
            _log.warning("SIGUSR2: still waiting for process %d", self._replacement.pid)
            return
        if self.server.draining:  # by a drain() of the program's own: there is no socket any more
            _log.warning("SIGUSR2: the server ends already")
            return
        name = getattr(self.server.socket, "name", "unknown")
        try:
            self._replacement = Replacement(self.server.socket, name=name)
        except OSError as error:
            _log.error("no process can be started to replace this one: %s", error)
            return
        self._selector.register(self._replacement, selectors.EVENT_READ, lambda _: None)

    def _look_at_replacement(self) -> None:
        replacement = self._replacement
        serves = None if replacement is None else replacement.serves()
        if replacement is None or serves is None:
            return
        self._forget(replacement)
        if not serves:
            replacement.give_up()
            return
        replacement.close()
        _log.info("process %d serves: it replaces this one", replacement.pid)
        self.notifier.main_process(replacement.pid)
        self.server.leave_socket_to_others()
        self.ending = True
        self.drain()

    def _forget(self, replacement: Replacement) -> None:
        self._selector.unregister(replacement)
        self._replacement = None
