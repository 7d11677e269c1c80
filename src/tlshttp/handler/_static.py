"""`TLSFileRequestHandler`: files from a folder."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from typing import Any

from tlshttp._members import require_member
from tlshttp.handler import _paths
from tlshttp.handler._base import TLSRequestHandler
from tlshttp.handler._body import FileBody
from tlshttp.handler._conditions import Outcome, evaluate, listed, range_applies
from tlshttp.handler._listing import Pieces, listing_pieces
from tlshttp.handler._opening import FollowSymlinks, Found, leads_inside, list_inside, open_inside
from tlshttp.handler._order import Entry, Order
from tlshttp.handler._page import ERROR_PAGE, security_policy
from tlshttp.handler._ranges import Span, multipart, requested_spans
from tlshttp.handler._representation import Representation, represent

__all__ = ["TLSFileRequestHandler"]

_BUFFER = 262_144  # bytes: sixteen TLS records, as many as the connection encrypts at once

_PIECES_AT_ONCE = 4
"""Pieces of a page, a thousand entries, that are made to tell its length; more have none told."""

_REFUSED_METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# These are troubles of the machine, not of the path: no "404 Not Found".
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})


class TLSFileRequestHandler(SimpleHTTPRequestHandler, TLSRequestHandler):
    """Serve the files of a folder, as `~http.server.SimpleHTTPRequestHandler` does, and more.

    Its constructor takes the same ``directory``, its methods can be overridden in the same way. It
    adds byte ranges, entity tags and conditional requests, and files that were compressed
    beforehand. And it serves less of a folder: no names that begin with a dot, nothing outside that
    a symbolic link leads to, nothing but regular files.

    ``functools.partial(TLSFileRequestHandler, directory="public")`` makes handlers that serve the
    folder ``public``.
    """

    server_version: str = "tlshttp"
    """What ``Server`` says: no versions, which help nobody but those who look for old ones. A
    ``sys_version`` is added."""

    sys_version = ""

    error_message_format = ERROR_PAGE

    serve_dotfiles = False
    """Whether names that begin with a dot are served and listed (``.git``, ``.env``, ...).

    ``.well-known`` (RFC 8615) directly in the folder always is."""

    follow_symlinks = FollowSymlinks.INSIDE
    """Which symbolic links are followed."""

    serve_precompressed = True
    """Whether ``page.html.br`` and ``page.html.gz`` are sent for ``page.html`` to clients that
    accept them (``Accept-Encoding``).

    Only one that is not older than ``page.html``, to the nanosecond, counts: an older one may be
    the compressed form of what is no longer there."""

    index_pages: Sequence[str] = ("index.html", "index.htm")
    """What is sent for a folder, if it is there; else the folder is listed."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Refuse a rule for links that does not exist.

        Raises:
            TypeError: `follow_symlinks` is no `FollowSymlinks`.
        """
        super().__init_subclass__(**arguments)
        require_member(FollowSymlinks, "follow_symlinks", cls.follow_symlinks)

    def version_string(self) -> str:
        """Return what ``Server`` says: ``server_version``, and ``sys_version`` if there is any."""
        return f"{self.server_version} {self.sys_version}".strip()

    def root_for(self, path: str) -> str:
        """Return the folder that a file has to lie in, links resolved: ``directory``.

        Override it together with ``translate_path()``, where that leads elsewhere.

        Args:
            path: What ``translate_path()`` has returned.
        """
        del path
        return self.directory

    # Methods ----------------------------------------------------------------------------------

    def do_POST(self) -> None:
        """Answer 405 with what is allowed (RFC 9110, section 15.5.6); so do the next four."""
        self._refuse_method()

    def do_PUT(self) -> None:
        """Answer 405."""
        self._refuse_method()

    def do_PATCH(self) -> None:
        """Answer 405."""
        self._refuse_method()

    def do_DELETE(self) -> None:
        """Answer 405."""
        self._refuse_method()

    def do_OPTIONS(self) -> None:
        """Answer 405."""
        self._refuse_method()

    def send_head(self) -> Any:
        """Send status and headers.

        Returns:
            What is to be sent as the body and closed then; `None` where nothing is left to do.
        """
        target = _paths.origin_form(self.path)
        if target is None or not _paths.is_servable(
            _paths.path_of(target), serve_dotfiles=self.serve_dotfiles
        ):
            return self._send_absence(None)
        path = self.translate_path(target)
        try:
            file = self._open(path)
        except IsADirectoryError:
            return self._send_folder(path, target)
        except (OSError, ValueError) as error:
            return self._send_absence(error)
        return self._send_file(path, file)

    def list_directory(self, path: Any) -> Any:
        """Send the head of a folder's listing; return its body.

        What would not be served is not listed.

        Args:
            path: The folder.
        """
        try:
            found = list_inside(self.root_for(path), path, self.follow_symlinks)
        except (OSError, ValueError) as error:
            return self._send_absence(error)
        target = _paths.origin_form(self.path) or "/"
        shown = _paths.decode(_paths.path_of(target))
        visible = (self._listed(path, it, at_root=shown == "/") for it in found)
        entries = [entry for entry in visible if entry is not None]
        order = Order.of_query(target.partition("?")[2])
        above, *scripts = self._above_listing()
        return self._send_page(listing_pieces(shown, entries, order, above), *scripts)

    def _above_listing(self) -> Sequence[str]:
        """Return HTML to put above the table, and the scripts in it."""
        return ("",)

    def _send_page(
        self, pieces: Iterator[bytes], *scripts: str, status: HTTPStatus = HTTPStatus.OK
    ) -> Any:
        """Send the head for a page of ours, in which these scripts may run; return its body."""
        beginning = b"".join(itertools.islice(pieces, _PIECES_AT_ONCE))
        following = next(pieces, b"")
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", security_policy(*scripts))
        self.send_header("X-Content-Type-Options", "nosniff")
        if following:
            self.end_headers()
            return Pieces(itertools.chain((beginning, following), pieces))
        self.send_header("Content-Length", str(len(beginning)))
        self.end_headers()
        return io.BytesIO(beginning)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Copy one file object into another, through one buffer.

        Args:
            source: What ``send_head()`` has returned.
            outputfile: Where it goes.
        """
        read_into = getattr(source, "readinto", None)
        if read_into is None:
            shutil.copyfileobj(source, outputfile)
            return
        size = source.remaining if isinstance(source, FileBody) else _BUFFER
        buffer = memoryview(bytearray(min(size, _BUFFER)))
        while count := read_into(buffer):
            outputfile.write(buffer[:count])

    # Folders ----------------------------------------------------------------------------------

    def _send_folder(self, path: str, target: str) -> Any:
        if not _paths.path_of(target).endswith("/"):
            return self._send_to_slash(target)
        for page in self.index_pages:
            index = os.path.join(path, page)
            try:
                file = self._open(index)
            except OSError as error:
                if isinstance(error, PermissionError):
                    return self._send_absence(error)
                continue
            return self._send_file(index, file)
        return self.list_directory(path)

    def _send_to_slash(self, target: str) -> None:
        """Send the client to the folder's own path, which relative links need."""
        path = _paths.path_of(target)
        _, mark, query = target.partition("?")
        # ``target`` begins with one slash: two would name another host (RFC 3986, section 4.2).
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", f"{path}/{mark}{query}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _listed(self, folder: str, found: Found, *, at_root: bool) -> Entry | None:
        """Return what is listed of something in a folder; `None` for what is not served."""
        name, mode, _, size, changed = found
        if not _paths.is_servable_name(name, at_root=at_root, serve_dotfiles=self.serve_dotfiles):
            return None
        is_link = stat.S_ISLNK(mode)
        if is_link:
            path = os.path.join(folder, name)
            status = leads_inside(self.root_for(path), path, self.follow_symlinks)
            if status is None:
                return None
            mode, size, changed = status.st_mode, status.st_size, status.st_mtime
        is_folder = stat.S_ISDIR(mode)
        served = is_folder or stat.S_ISREG(mode)
        return Entry(name, is_folder, is_link, size, changed) if served else None

    # Files ------------------------------------------------------------------------------------

    def _open(self, path: str) -> io.FileIO:
        file = open_inside(self.root_for(path), path, self.follow_symlinks)
        if path.endswith("/"):  # only a folder may be asked for in this way (bpo-17324)
            file.close()
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return file

    def _send_file(self, path: str, file: io.FileIO) -> FileBody | None:
        """Send the head for a file; return its body. The file is closed with it, or here."""
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(file.close)
            representation = self._represent(path, file)
            on_failure.callback(representation.file.close)
            body = self._answer(representation)
            if body is not None:
                on_failure.pop_all()
                if representation.file is not file:
                    file.close()
            return body

    def _represent(self, path: str, file: io.FileIO) -> Representation:
        """Choose between a file and its compressed siblings."""
        return represent(
            path,
            file,
            self.guess_type(path),
            listed(self.headers, "Accept-Encoding"),
            self._open_sibling if self.serve_precompressed else None,
        )

    def _open_sibling(self, path: str) -> io.FileIO:
        return open_inside(self.root_for(path), path, self.follow_symlinks)

    def _answer(self, it: Representation) -> FileBody | None:
        """Send the head that conditions and ranges lead to; return what is to follow."""
        outcome = evaluate(self.headers, it.validators, self.command)
        if outcome is Outcome.FAILED:
            self._send_text(HTTPStatus.PRECONDITION_FAILED)
            return None
        if outcome is Outcome.NOT_MODIFIED:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self._send_validators(it)  # as a 200 would have them: section 15.4.5
            self.end_headers()
            return None
        spans = self._requested_spans(it)
        if spans is None:
            return self._send_body(it, HTTPStatus.OK, [Span(0, it.size)], it.content_type)
        if not spans:
            self._send_text(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                {"Content-Range": f"bytes */{it.size}"},
            )
            return None
        if len(spans) == 1:
            return self._send_body(
                it, HTTPStatus.PARTIAL_CONTENT, spans, it.content_type,
                {"Content-Range": spans[0].content_range(it.size)},
            )  # fmt: skip
        boundary = secrets.token_hex(16)  # nobody can have put it into the file
        return self._send_body(
            it,
            HTTPStatus.PARTIAL_CONTENT,
            multipart(spans, it.size, it.content_type, boundary),
            f"multipart/byteranges; boundary={boundary}",
        )

    def _requested_spans(self, it: Representation) -> tuple[Span, ...] | None:
        """Return the ranges to send; `None` for all of the file."""
        fields = self.headers.get_all("Range", ())
        # Ranges are defined for GET only (section 14.2).
        if len(fields) != 1 or self.command != "GET":
            return None
        if not range_applies(self.headers, it.validators):
            return None
        return requested_spans(fields[0], it.size)

    def _send_body(
        self,
        it: Representation,
        status: HTTPStatus,
        pieces: Sequence[bytes | Span],
        content_type: str,
        fields: dict[str, str] | None = None,
    ) -> FileBody:
        body = FileBody(it.file, pieces)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(body.remaining))
        for name, value in (fields or {}).items():
            self.send_header(name, value)
        if it.coding is not None:
            self.send_header("Content-Encoding", it.coding)
        self.send_header("Accept-Ranges", "bytes")
        self._send_validators(it)
        self.end_headers()
        return body

    def _send_validators(self, it: Representation) -> None:
        self.send_header("Last-Modified", self.date_time_string(it.validators.last_modified))
        self.send_header("ETag", it.validators.etag)
        if it.varies:
            self.send_header("Vary", "Accept-Encoding")  # section 12.5.5

    # Refusals ---------------------------------------------------------------------------------

    def _refuse_method(self) -> None:
        allowed = ", ".join(self._allowed_methods())
        self._send_text(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": allowed})

    def _allowed_methods(self) -> list[str]:
        """List those that may be used for what is asked for."""
        ours = {getattr(TLSFileRequestHandler, f"do_{method}") for method in _REFUSED_METHODS}
        return [
            name.removeprefix("do_")
            for name in dir(self)
            if name.startswith("do_") and getattr(type(self), name, None) not in ours
        ]

    def _send_absence(self, error: OSError | ValueError | None) -> None:
        """Answer 404; 403 where the system denies it.

        What this class refuses is answered like what does not exist, so that nothing can be learnt
        about it (RFC 9110, section 15.5.4).
        """
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            raise error
        if isinstance(error, PermissionError):
            self.send_error(HTTPStatus.FORBIDDEN)
        else:
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")

    def _send_text(
        self, status: HTTPStatus, fields: dict[str, str] | None = None, text: bytes = b""
    ) -> None:
        """Answer with text, or with the status as a line of it."""
        text = text or f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        for name, value in (fields or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
