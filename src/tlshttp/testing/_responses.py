"""Answers from a mapping of paths, for tests whose server need not think."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, TypeAlias

from tlshttp.testing._recorded import RecordedRequest

__all__ = ["Respond", "Response", "Responses", "responder"]


@dataclass(frozen=True)
class Response:
    """What to answer."""

    body: bytes | str = b""
    """The body; text is sent as UTF-8."""
    status: int = 200
    """The status code."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header fields, besides Server, Date and Content-Length. Without Content-Type, text is
    ``text/plain``."""

    @classmethod
    def json(
        cls, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Self:
        """Return an answer in JSON.

        Args:
            value: What `json.dumps` takes.
            status: The status code.
            headers: Further header fields; `None`: none.
        """
        fields = {"Content-Type": "application/json", **(headers or {})}
        return cls(json.dumps(value).encode(), status, fields)


Respond: TypeAlias = Response | str | bytes | Callable[[RecordedRequest], Response | str | bytes]
"""A whole answer, its body alone, or a function that returns one or the other."""

Responses: TypeAlias = MutableMapping[str, Respond]
"""Answers by path (``"/items"``), or by method and path (``"POST /items"``), with query or without:
what says more is tried first."""


def responder(answers: Mapping[str, Respond]) -> type[Responder]:
    """Return a handler class that answers from a mapping, as it then stands."""
    return type("Responder", (Responder,), {"answers": answers})


class Responder(BaseHTTPRequestHandler):
    """Answers from a mapping."""

    answers: Mapping[str, Respond]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _answer(self) -> None:
        respond = self._find()
        if callable(respond):
            self.rfile.read()  # so that the function has the whole request
            respond = respond(self._recorded())
        self._send(respond if isinstance(respond, Response) else Response(respond))

    def _find(self) -> Respond:
        without_query = self.path.partition("?")[0]
        paths = dict.fromkeys((self.path, without_query))
        method = "GET" if self.command == "HEAD" else self.command
        for key in [f"{method} {path}" for path in paths] + list(paths):
            if key in self.answers:
                return self.answers[key]
        others = [key.split()[0] for key in self.answers if key.split()[-1] in paths]
        if others:
            return Response(f"only {', '.join(others)} here\n", 405, {"Allow": ", ".join(others)})
        known = "".join(f"  {key}\n" for key in self.answers) or "  nothing yet\n"
        return Response(f"nothing at {self.command} {self.path}; there is:\n{known}", 404)

    def _recorded(self) -> RecordedRequest:
        """Return the record of this very request."""
        recorded: RecordedRequest = vars(self)["_Recorder__request"]
        return recorded

    def _send(self, response: Response) -> None:
        body = response.body
        data = body.encode() if isinstance(body, str) else body
        given = {name.lower() for name in response.headers}
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if isinstance(body, str) and "content-type" not in given:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
        has_body = response.status >= 200 and response.status not in (204, 304)
        if has_body and not given & {"content-length", "transfer-encoding"}:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if has_body and self.command != "HEAD":
            self.wfile.write(data)
