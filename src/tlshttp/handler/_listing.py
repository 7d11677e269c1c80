"""The page that shows what is in a folder.

It is made piece by piece, since a folder may have a hundred thousand entries: a page of a megabyte
and more is neither kept in memory nor made before its first line is sent.
"""

from __future__ import annotations

import functools
import html
import io
import re
import time
from collections.abc import Iterator
from urllib.parse import quote

from tlshttp.handler._order import Column, Entry, Order
from tlshttp.handler._page import page_head

__all__ = ["Pieces", "listing_pieces"]

_ENTRIES_A_PIECE = 500
"""About 60 kB, and some milliseconds."""

# The unreserved characters of RFC 3986, section 2.3, and the slash.
_IS_PLAIN = re.compile(r"[A-Za-z0-9._~/-]+").fullmatch
_UNSAFE = re.compile(r"[^A-Za-z0-9._~/-]")

_TITLES = {Column.NAME: "Name", Column.SIZE: "Size", Column.DATE: "Changed<i> (UTC)</i>"}

_PARENT = '<tr><td><a href="../">../ <small>(parent folder)</small></a><td><td>\n'

_END = "</tbody>\n</table>\n</main>\n</body>\n</html>\n"

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


class Pieces(io.RawIOBase):
    """A page as a file to read from.

    Args:
        pieces: What is in it, none of them empty.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]
        """Fill a buffer with what is left of a piece; return the number of bytes, 0 at the end."""
        piece = self._rest or next(self._pieces, b"")
        count = min(len(piece), len(buffer))
        buffer[:count] = piece[:count]
        self._rest = piece[count:]
        return count


def listing_pieces(
    path: str, entries: list[Entry], order: Order, above: str = ""
) -> Iterator[bytes]:
    """Yield the page, piece by piece.

    Args:
        path: What the folder is called in the request, decoded.
        entries: What is in it.
        order: How to sort it.
        above: HTML to put between heading and table.
    """
    beginning = _beginning(path, entries) + above + _head_of_table(order)
    yield _encoded(beginning + (_PARENT if path != "/" else ""))
    ordered = order.sort(entries)
    for first in range(0, len(ordered), _ENTRIES_A_PIECE):
        yield _encoded("".join(map(_row, ordered[first : first + _ENTRIES_A_PIECE])))
    yield _encoded(_END)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a name need not be text; its link still leads to it


def _beginning(path: str, entries: list[Entry]) -> str:
    title = html.escape(f"Directory listing for {path}", quote=False)
    return f"{page_head(title)}<main>\n<h1>{title}</h1>\n<p>{_summary(entries)}</p>\n"


def _summary(entries: list[Entry]) -> str:
    folders = sum(entry.is_folder for entry in entries)
    files = len(entries) - folders
    if not entries:
        return "This folder is empty."
    size = sum(entry.size for entry in entries if not entry.is_folder)
    parts = [_count(folders, "folder")] if folders else []
    parts += [f"{_count(files, 'file')} of {_size(size)}"] if files else []
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _head_of_table(order: Order) -> str:
    cells = "".join(_title(column, order) for column in Column)
    return f"<table>\n<thead>\n<tr>{cells}\n</thead>\n<tbody>\n"


def _title(column: Column, order: Order) -> str:
    """Return the head of a column: a link that sorts by it."""
    sorted_, arrow = "", ""
    if column is order.column:
        sorted_ = f' aria-sort="{"de" if order.descending else "a"}scending"'
        arrow = f' <span aria-hidden="true">{"↓" if order.descending else "↑"}</span>'
    link = html.escape(order.next_for(column).query)
    return f'<th scope="col"{sorted_}><a href="?{link}" rel="nofollow">{_TITLES[column]}</a>{arrow}'


def _row(entry: Entry) -> str:
    name, is_folder, is_link, size, changed = entry
    link = name + "/" if is_folder else name
    shown = name + "@" if is_link else link
    if not _IS_PLAIN(link):  # as nearly all are; to look at each letter would take long
        link, shown = _quoted(link), html.escape(shown, quote=False)
    return (
        f'<tr><td><a href="{link}">{shown}</a><td>{"" if is_folder else _size(size)}'
        f"<td>{_minute(int(changed) // 60)}\n"
    )


def _quoted(link: str) -> str:
    """Return what `urllib.parse.quote` does, which looks at each letter by itself."""
    if link.isascii():
        return _UNSAFE.sub(_percent, link)
    # The errors are those that translate_path() decodes with: the link leads back to the name.
    return quote(link, errors="surrogatepass")


def _percent(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


def _size(size: int) -> str:
    """Return a number of bytes as people read it."""
    if size < 1024:
        return f"{size} B"
    rest, units = size / 1024, iter(_UNITS)
    unit = next(units)
    while rest >= 1023.95 and unit != _UNITS[-1]:  # nobody wants 1024.0 of them
        rest, unit = rest / 1024, next(units)
    return f"{rest:.1f} {unit}"


@functools.lru_cache(maxsize=4096)
def _minute(minutes: int) -> str:
    """Return a time, given in minutes since the epoch; nothing where no calendar has it."""
    try:
        it = time.gmtime(minutes * 60)
    except (OverflowError, ValueError, OSError):
        return ""
    day = f"{it.tm_year:04}-{it.tm_mon:02}-{it.tm_mday:02}"
    # "i" is hidden where the page is narrow; the day stays.
    return f"{day}<i> {it.tm_hour:02}:{it.tm_min:02}</i>"
