"""Paths that answer those who watch a service: Prometheus, Kubernetes, a load balancer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tlshttp.metrics._exposition import OPENMETRICS_TYPE, TEXT_TYPE, exposition

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler as _Base

    from tlshttp.server import TLSHTTPServer
else:
    _Base = object

__all__ = ["HealthMixIn", "MetricsMixIn"]


class _WatchingMixIn(_Base):
    """Answers some paths itself, and leaves the others to the handler."""

    observed_servers: Sequence[TLSHTTPServer] | None = None
    """The servers that the answers are about; `None`: the one that the handler belongs to. Set it
    where another server answers for them, a plain one on loopback for example."""

    def do_GET(self) -> Any:
        """Answer, or leave that to the handler."""
        return self.__answer_or("do_GET")

    def do_HEAD(self) -> Any:
        """Answer without a body, or leave that to the handler."""
        return self.__answer_or("do_HEAD")

    def __answer_or(self, method: str) -> Any:
        answer = self._watching_answer(self.path.partition("?")[0])
        if answer is not None:
            return self.__send(*answer)
        do = getattr(super(), method, None)
        if do is None:
            message = f"Unsupported method ({self.command!r})"
            return self.send_error(HTTPStatus.NOT_IMPLEMENTED, message)
        return do()  # which may be a coroutine

    def _watching_answer(self, path: str) -> tuple[HTTPStatus, str, str] | None:  # noqa: ARG002
        """Return status, media type and text for a path; `None` where it is none of ours."""
        return None

    def _observed(self) -> Sequence[Any]:
        return [self.server] if self.observed_servers is None else self.observed_servers

    def __send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class MetricsMixIn(_WatchingMixIn):
    """Answers ``/metrics`` with the server's numbers: put it before the handler class.

    OpenMetrics goes to whoever accepts it, as Prometheus does, and the text format to all others.

    .. warning::
        Everybody who can ask the server learns how much it has to do and which certificates it
        shows. Answer on another port, or behind `tlshttp.authorize`, where that is not for all.
    """

    metrics_path = "/metrics"
    """The path."""

    def _watching_answer(self, path: str) -> tuple[HTTPStatus, str, str] | None:
        if path != self.metrics_path:
            return super()._watching_answer(path)
        openmetrics = "application/openmetrics-text" in self.headers.get("Accept", "")
        text = exposition(*self._observed(), openmetrics=openmetrics)
        return HTTPStatus.OK, OPENMETRICS_TYPE if openmetrics else TEXT_TYPE, text


class HealthMixIn(_WatchingMixIn):
    """Answers ``/healthz`` and ``/readyz``: put it before the handler class.

    Who gets an answer from ``/healthz`` knows that the server serves: 200. ``/readyz`` is 200 where
    new clients may be sent here, and 503 with the reasons where not: while the server drains, and
    when a certificate that it shows has run out. A worker or process of `tlshttp.service.run` that
    drains because another serves in its place does not say so: new clients find that one.
    """

    live_path = "/healthz"
    """The path that tells whether the server serves."""

    ready_path = "/readyz"
    """The path that tells whether new clients may be sent here."""

    def unready_reasons(self) -> list[str]:
        """Say why no new clients should come; empty: they may. Add reasons of your own."""
        now = datetime.now(UTC)
        reasons = []
        for server in self._observed():
            if server.draining and not server.is_succeeded:
                reasons.append(f"{server.url} is draining")
            reasons += [
                f"the certificate of {(*one.names, 'nobody')[0]} ran out on {one.not_valid_after}"
                for one in server.stats().certificates
                if one.not_valid_after < now
            ]
        return reasons

    def _watching_answer(self, path: str) -> tuple[HTTPStatus, str, str] | None:
        kind = "text/plain; charset=utf-8"
        if path == self.live_path:
            return HTTPStatus.OK, kind, "ok\n"
        if path == self.ready_path:
            reasons = self.unready_reasons()
            status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
            return status, kind, "\n".join([*(reasons or ["ok"]), ""])
        return super()._watching_answer(path)
