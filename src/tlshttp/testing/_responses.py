"""Answers from a mapping of paths, for tests whose server need not think."""

from __future__ import annotations

import inspect
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


_NOTHING = Response(status=404)


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
        self.rfile.read()  # so that it is recorded whole, and a function has it
        respond = self._find()
        answer = respond(self._recorded()) if callable(respond) else respond
        self._send(self._response(answer))

    def _find(self) -> Respond:
        paths = dict.fromkeys((self.path, self.path.partition("?")[0]))
        methods = ("HEAD", "GET") if self.command == "HEAD" else (self.command,)
        for key in [f"{method} {path}" for method in methods for path in paths] + list(paths):
            respond = self.answers.get(key, _NOTHING)
            if respond is not _NOTHING:
                return respond
        keys = list(self.answers)  # a test may change them meanwhile
        split = [key.rpartition(" ") for key in keys]
        others = dict.fromkeys(method for method, _, path in split if path in paths)
        if others:
            return Response(f"only {', '.join(others)} here\n", 405, {"Allow": ", ".join(others)})
        known = "".join(f"  {key}\n" for key in keys) or "  nothing yet\n"
        return Response(f"nothing at {self.command} {self.path}; there is:\n{known}", 404)

    def _response(self, answer: object) -> Response:
        """Return an answer as a whole one.

        Raises:
            TypeError: It is none.
        """
        if isinstance(answer, Response) and isinstance(answer.body, bytes | str):
            return answer
        if isinstance(answer, bytes | str):
            return Response(answer)
        if inspect.iscoroutine(answer):
            answer.close()  # or Python warns that nobody has awaited it
        raise TypeError(
            f"the answer to {self.command} {self.path} is {answer!r}; it has to be a str, bytes, a"
            " Response whose body is one of these, or a function that returns one of them"
        )

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
