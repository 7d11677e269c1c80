"""What the file handler does on request: one mix-in for each option."""

from __future__ import annotations

import os
import stat
from http import HTTPStatus
from typing import Any

from tlshttp._file_server.gate import GuardedMixIn
from tlshttp.handler import TLSFileRequestHandler, TLSRequestHandler
from tlshttp.handler._opening import leads_inside
from tlshttp.handler._paths import origin_form, path_of
from tlshttp.handler._response import writes_interim_response

__all__ = [
    "CrossOriginMixIn",
    "ExtraHeadersMixIn",
    "GuardedCrossOriginMixIn",
    "QuietMixIn",
    "SinglePageMixIn",
]

_DAY = "86400"

_ONCE = frozenset({"x-content-type-options"})
"""Fields that a user may add to every response, and that some responses have already."""


class ExtraHeadersMixIn(TLSRequestHandler):
    """Sends fields of the user's with each response (``--header``)."""

    extra_headers: tuple[tuple[str, str], ...]

    def end_headers(self) -> None:
        """Add them."""
        if not writes_interim_response(self):
            said = {name.lower() for name, _ in self._default_response_headers} & _ONCE
            for name, value in self.extra_headers:
                if name.lower() not in said:
                    self.send_header(name, value)
        super().end_headers()


class CrossOriginMixIn(TLSFileRequestHandler):
    """Lets pages of other sites read what is served (``--cors``; WHATWG Fetch, section 3.3)."""

    def end_headers(self) -> None:
        """Add what browsers ask for."""
        if not writes_interim_response(self):
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Expose-Headers", "Accept-Ranges, Content-Range, ETag")
        super().end_headers()

    def do_OPTIONS(self) -> None:
        """Answer a browser that asks whether it may ask."""
        if not self._is_preflight():
            super().do_OPTIONS()
            return
        self.send_response(HTTPStatus.NO_CONTENT)
        self.send_header("Access-Control-Allow-Methods", "GET, HEAD")
        # "*" does not stand for Authorization; other fields have no say in a file.
        self.send_header("Access-Control-Allow-Headers", "*, Authorization")
        self.send_header("Access-Control-Max-Age", _DAY)
        self.end_headers()

    def _is_open(self) -> bool:
        # Browsers send no password along with that question.
        return self._is_preflight()

    def _is_preflight(self) -> bool:
        return (
            self.command == "OPTIONS"
            and "Origin" in self.headers
            and "Access-Control-Request-Method" in self.headers
        )


class GuardedCrossOriginMixIn(CrossOriginMixIn, GuardedMixIn):
    """Both, so that the question of a browser passes the gate."""


class SinglePageMixIn(TLSFileRequestHandler):
    """Answers with the page of the root where there is nothing else (``--spa``).

    A missing script or image stays missing. The page is the answer only if the last name of the
    path has no dot, or if a browser asks for HTML, which it does for where it goes itself.
    """

    def _send_absence(self, error: OSError | ValueError | None) -> Any:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)) and self._is_route():
            index = os.path.join(self.directory, "index.html")
            try:
                return self._send_file(index, self._open(index))
            except OSError as without_index:
                error = without_index
        return super()._send_absence(error)

    def _is_route(self) -> bool:
        if self.command not in ("GET", "HEAD"):
            return False
        last = path_of(origin_form(self.path) or "/").rpartition("/")[2]
        asked = "." not in last or "text/html" in self.headers.get("Accept", "")
        return asked and not self._is_withheld()

    def _is_withheld(self) -> bool:
        """Return whether the path leads to, or over, something that is there and is not served."""
        path = self.translate_path(self.path)
        root = self.root_for(path)
        place = root
        for name in os.path.relpath(path, root).split(os.sep):
            place = os.path.join(place, name)
            if not os.path.lexists(place):
                return False
            status = leads_inside(root, place, self.follow_symlinks)
            if status is None or not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
                return True
        return False


class QuietMixIn(TLSRequestHandler):
    """Logs no requests (``--quiet``); what this program itself fails in is still told."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's)
        """Do nothing."""
