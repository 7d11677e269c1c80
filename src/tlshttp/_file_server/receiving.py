"""Taking uploads (``--upload``), and what becomes of files that anybody may have put there."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from tlshttp._file_server.form import FormReader, MalformedForm, boundary_of
from tlshttp._file_server.upload_page import (
    PATH,
    SCRIPT,
    form,
    form_page,
    result_page,
    too_large,
)
from tlshttp._file_server.uploads import Batch, NoNameLeft, UploadFolder, clean_name
from tlshttp.handler import TLSFileRequestHandler
from tlshttp.handler._paths import origin_form, path_of

__all__ = ["UploadingMixIn"]

_FORM_BYTES = 1 << 20
"""Bytes that a form may have besides its files."""

_MOST_FILES = 100
"""Files that come together: each is open until the last one is there."""

_MOST_PARTS = 2 * _MOST_FILES
"""Of a form: other fields, and fields for which no file was chosen."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_SANDBOX = "sandbox"
"""A policy under which a page is shown, but runs no script and sends no form in our name."""

_HARMLESS = re.compile(r"(?:image/(?!svg)|audio/|video/|text/plain|application/pdf).*").fullmatch
"""Types that run no scripts in the page; browsers would not show some of them in a sandbox."""


class _RefusedUpload(Exception):
    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class UploadingMixIn(TLSFileRequestHandler):
    """Takes files by a form, and trusts none of them afterwards.

    A file in the folder of uploads is nobody's index page and nobody's compressed form, and is
    shown in a sandbox: whoever may upload may not speak for the server.
    """

    uploads: UploadFolder

    stream_request = True
    """A file is written as it comes, and refused before it comes."""

    _untrusted = False
    _sandboxed = False

    def send_head(self) -> Any:
        """Send status and headers; return the body."""
        target = path_of(origin_form(self.path) or "")
        if target == PATH:
            return self._send_page(iter([form_page(self.uploads.limit)]), SCRIPT)
        path = self.translate_path(target or "/")
        trusted = not self.uploads.contains(path)
        self._untrusted = not trusted
        self._sandboxed = not trusted and not _HARMLESS(self.guess_type(path))
        self.serve_precompressed = trusted and type(self).serve_precompressed
        self.index_pages = type(self).index_pages if trusted else ()
        return super().send_head()

    def end_headers(self) -> None:
        """Shut in what is not trusted."""
        if self._untrusted:
            self.send_header("X-Content-Type-Options", "nosniff")
        if self._sandboxed:
            self.send_header("Content-Security-Policy", _SANDBOX)
        super().end_headers()

    def _send_page(
        self, pieces: Iterator[bytes], *scripts: str, status: HTTPStatus = HTTPStatus.OK
    ) -> Any:
        self._untrusted = self._sandboxed = False  # the listing is ours, whatever is in it
        return super()._send_page(pieces, *scripts, status=status)

    def _above_listing(self) -> Sequence[str]:
        return form(self.uploads.limit), SCRIPT

    def do_POST(self) -> None:
        """Take files, if they are sent to where the form sends them."""
        self._untrusted = self._sandboxed = False
        if not self._asks_for_form():
            super().do_POST()
            return
        try:
            kept = self._receive()
        except _RefusedUpload as refused:
            self._tell(refused.status, [f"{refused} Nothing was kept."], "Not uploaded")
            return
        self._tell(HTTPStatus.CREATED, [f"Uploaded: {name}" for name in kept], "Uploaded")

    def _allowed_methods(self) -> list[str]:
        allowed = super()._allowed_methods()
        return allowed if self._asks_for_form() else [name for name in allowed if name != "POST"]

    def _asks_for_form(self) -> bool:
        return path_of(origin_form(self.path) or "") == PATH

    def _receive(self) -> list[str]:
        self._refuse_foreign_pages()
        boundary = boundary_of(self.headers.get("Content-Type", ""))
        if boundary is None:
            raise _RefusedUpload(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "That is no form with files (multipart/form-data).",
            )
        most = self.uploads.limit + _FORM_BYTES
        if int(self.headers.get("Content-Length") or 0) > most:
            raise self._too_large()
        try:
            with self.uploads.receiving() as batch:
                self._read_form(FormReader(self._bounded(most), boundary), batch)
                return batch.keep()
        except MalformedForm as error:
            raise _RefusedUpload(
                HTTPStatus.BAD_REQUEST, f"The form is malformed: {error}."
            ) from error
        except NoNameLeft as error:
            raise _RefusedUpload(
                HTTPStatus.CONFLICT, f"There are too many files called {str(error)!r}."
            ) from error
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise _RefusedUpload(HTTPStatus.INSUFFICIENT_STORAGE, "The disk is full.") from error

    def _bounded(self, most: int) -> Callable[[int], bytes]:
        """Return what reads the body, and no more of it than this."""
        left = most

        def read(size: int) -> bytes:
            nonlocal left
            piece = self.rfile.read1(size)
            left -= len(piece)
            if left < 0:
                raise self._too_large()
            return piece

        return read

    def _read_form(self, reader: FormReader, batch: Batch) -> None:
        total = 0
        for number, (given, content) in enumerate(reader.parts()):
            if number == _MOST_PARTS:
                raise MalformedForm("it has too many parts")
            if not given:  # another field, or no file chosen
                continue
            name = clean_name(given)
            if name is None:
                raise _RefusedUpload(HTTPStatus.BAD_REQUEST, f"{given!r} is no name for a file.")
            if len(batch) == _MOST_FILES:
                raise _RefusedUpload(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"That is more than {_MOST_FILES} files, the most that are taken at once.",
                )
            file = batch.add(name)
            for piece in content:
                total += len(piece)
                if total > self.uploads.limit:
                    raise self._too_large()
                file.write(piece)
        if not len(batch):
            raise _RefusedUpload(HTTPStatus.BAD_REQUEST, "There is no file in the form.")

    def _refuse_foreign_pages(self) -> None:
        """Refuse forms of other sites, which a browser sends with this visitor's password.

        Browsers say where a request comes from (W3C, Fetch Metadata; RFC 6454); other clients say
        nothing, and have nobody's password but their own.
        """
        site = self.headers.get("Sec-Fetch-Site")
        origin = self.headers.get("Origin")
        own = f"https://{self.headers.get('Host', '')}"
        if site not in (None, "same-origin", "none") or origin not in (None, own):
            raise _RefusedUpload(HTTPStatus.FORBIDDEN, "A page of another site sent that.")

    def _too_large(self) -> _RefusedUpload:
        return _RefusedUpload(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large(self.uploads.limit))

    def _tell(self, status: HTTPStatus, sentences: list[str], title: str) -> None:
        """Answer with a page to browsers that go there, with lines of text to all others."""
        if "text/html" in self.headers.get("Accept", ""):
            body = self._send_page(iter([result_page(sentences, title)]), status=status)
            self.copyfile(body, self.wfile)
        else:
            text = "".join(f"{sentence}\n" for sentence in sentences)
            self._send_text(status, text=text.encode())
