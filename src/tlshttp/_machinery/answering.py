"""A connection whose handler has returned, and left the answer to somebody else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tlshttp._machinery.connection import GONE
from tlshttp._machinery.driving import DrivingConnection
from tlshttp._machinery.later import Later
from tlshttp._machinery.registry import Phase
from tlshttp._machinery.stream import Stream

if TYPE_CHECKING:
    from tlshttp._interfaces import Answerer
    from tlshttp.limits import Limits

__all__ = ["AnsweringConnection"]

_HANDLER = Phase.HANDLER


class AnsweringConnection(DrivingConnection):
    """What `tlshttp._machinery.later.Later` asks of its connection."""

    __slots__ = ()

    def answer_later(self, answerer: Answerer) -> None:
        """Have somebody else go on when the handler has returned (`tlshttp._machinery.later`)."""
        stream = self._established()
        stream.later = Later(self, stream, answerer)

    def _leave_to_later(self, stream: Stream) -> int:
        later = stream.later
        if later is None:
            return GONE
        self.phase = Phase.LATER  # its queue it enters when it is parked, which most never are
        self._loop.answering.add(later)
        later.begin()
        return GONE

    def _report_later(self) -> int:
        later = self.later
        if later is not None:
            later.report()
        return GONE

    @property
    def limits(self) -> Limits:
        """The server's."""
        return self._loop.limits

    def park_later(self, event: int) -> None:
        """Have the loop report when `event` comes."""
        self._enter(Phase.LATER, None)
        self._loop.parking.park(self, event)

    def take_back_later(self) -> bool:
        """Have it report nothing; false where it is about to."""
        return self.phase is Phase.CLOSED or self._loop.registry.take_back(self)

    def end_later(self, later: Later, error: BaseException | None) -> None:
        """Go on after the answer, as after a handler.

        Args:
            later: What has answered.
            error: What went wrong; `None`: nothing.
        """
        loop, stream = self._loop, later.stream
        try:
            keep = self._end_answer(stream, error)
            stream.later = None
            loop.counters.handler_latency.add(time.monotonic() - later.began)
            self._settle(self._after_handler(stream, keep))
        except BaseException:
            if not self._ending:  # it may belong to the loop again
                self.abort()
            raise
        finally:
            loop.answered(later)

    def _end_answer(self, stream: Stream, error: BaseException | None) -> bool:
        """End the response; tell whether the connection may be kept."""
        exchange = stream.exchange or self._exchange(stream)
        if self.phase is not Phase.CLOSED:
            self.phase = _HANDLER
        try:
            if error is not None:
                raise error
            return exchange.end()
        except BaseException as failed:
            if not exchange.bear(failed):
                self._report_exception(stream)
            return False

    def _settle(self, event: int) -> None:
        """Park, or wait for a turn, as the last step has said."""
        raise NotImplementedError

    def _after_handler(self, stream: Stream, keep: bool) -> int:
        """Report what went wrong; see to what is left of the response, then go on or end."""
        raise NotImplementedError
