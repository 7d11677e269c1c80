"""The listing of a folder: its order, what it shows, what it may load, and how it is sent."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handler.conftest import LONG_AGO, Serve, Site, quiet, write
from tlshttp import TLSFileRequestHandler
from tlshttp.handler._listing import Pieces, listing_pieces
from tlshttp.handler._opening import _look_at
from tlshttp.handler._order import Column, Entry, Order
from tlshttp.handler._page import STYLE, security_policy

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
ENTRIES = st.lists(
    st.builds(
        Entry,
        name=NAMES,
        is_folder=st.booleans(),
        is_link=st.booleans(),
        size=st.integers(0, 1 << 60),
        changed=st.floats(-1e20, 1e20),
    )
)
ORDERS = st.builds(Order, st.sampled_from(Column), st.booleans())


@pytest.fixture
def shelf(public: Path) -> Path:
    """Make a folder whose names, sizes and dates are all in different orders."""
    shelf = public / "shelf"
    write(shelf / "file10.txt", b"x" * 3000, LONG_AGO + 60)
    write(shelf / "file2.txt", b"x" * 5, LONG_AGO + 7200)
    write(shelf / "File1.txt", b"x" * 2_000_000, LONG_AGO)
    write(shelf / "zoo" / "animal", b"")
    write(shelf / "alley" / "cat", b"")
    os.utime(shelf / "zoo", (LONG_AGO, LONG_AGO))
    os.utime(shelf / "alley", (LONG_AGO + 86_400, LONG_AGO + 86_400))
    return shelf


def links(page: bytes) -> list[str]:
    """Return where the rows of a page lead to."""
    return re.findall('<td><a href="(.*?)">', page.decode())


def title(page: bytes, text: str) -> tuple[str, str]:
    """Return where the head of a column leads to, and how the table is said to be sorted by it."""
    found = re.search(
        rf'<th scope="col"([^>]*)><a href="([^"]*)"[^>]*>{re.escape(text)}', page.decode()
    )
    assert found, text
    return html.unescape(found[2]), found[1].strip()


# Order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["alley/", "zoo/", "File1.txt", "file2.txt", "file10.txt"]),
        ("sort=name&order=desc", ["zoo/", "alley/", "file10.txt", "file2.txt", "File1.txt"]),
        ("sort=size", ["alley/", "zoo/", "file2.txt", "file10.txt", "File1.txt"]),
        ("sort=size&order=desc", ["alley/", "zoo/", "File1.txt", "file10.txt", "file2.txt"]),
        ("sort=date", ["zoo/", "alley/", "File1.txt", "file10.txt", "file2.txt"]),
        ("sort=date&order=desc", ["alley/", "zoo/", "file2.txt", "file10.txt", "File1.txt"]),
        ("sort=colour&order=up&x=<b>", ["alley/", "zoo/", "File1.txt", "file2.txt", "file10.txt"]),
        ("&".join(["sort=size"] * 99), ["alley/", "zoo/", "File1.txt", "file2.txt", "file10.txt"]),
    ],
)
def test_people_u9_order(site: Site, shelf: Path, query: str, expected: list[str]) -> None:
    """Folders come first, numbers count as numbers; a query without meaning changes nothing."""
    page = site.get(f"/shelf/?{query}").body
    assert links(page) == ["../", *expected]
    assert b"<b>" not in page


def test_people_u9_heads_of_columns_sort(site: Site, shelf: Path) -> None:
    """Each is a link, the second click turns the order round, and the sorted one says so."""
    page = site.get("/shelf/").body
    assert title(page, "Name") == ("?sort=name&order=desc", 'aria-sort="ascending"')
    assert title(page, "Size") == ("?sort=size&order=desc", "")  # the largest are looked for
    assert title(page, "Changed") == ("?sort=date&order=desc", "")
    page = site.get("/shelf/" + title(page, "Size")[0]).body
    assert title(page, "Size") == ("?sort=size&order=asc", 'aria-sort="descending"')
    assert title(page, "Name") == ("?sort=name&order=asc", "")


@given(ENTRIES, ORDERS)
def test_every_entry_is_there_once_and_folders_first(entries: list[Entry], order: Order) -> None:
    """Sorting loses nothing, and no file stands before a folder."""
    ordered = order.sort(entries)
    assert sorted(ordered) == sorted(entries)
    folders = [entry.is_folder for entry in ordered]
    assert folders == sorted(folders, reverse=True)


@given(ORDERS)
def test_an_order_is_read_as_it_is_written(order: Order) -> None:
    """What a link says is what the next request means."""
    assert Order.of_query(order.query) == order


@given(st.text())
def test_no_query_raises(query: str) -> None:
    """Whatever stands there, there is an order."""
    assert Order.of_query(query).column in Column


# What it shows ---------------------------------------------------------------------------------


def test_people_u9_size_date_and_parent(site: Site, shelf: Path) -> None:
    """Size and time of the last change stand beside each name; the way back is the first row."""
    page = site.get("/shelf/").body.decode()
    assert re.search("file10.txt</a><td>2.9 KiB<td>2020-09-13<i> 12:27</i>", page)
    assert re.search("file2.txt</a><td>5 B<td>2020-09-13<i> 14:26</i>", page)
    assert re.search("File1.txt</a><td>1.9 MiB<td>2020-09-13<i> 12:26</i>", page)
    assert re.search("alley/</a><td><td>2020-09-14<i> 12:26</i>", page)
    assert "<p>2 folders, 3 files of 1.9 MiB</p>" in page
    assert links(page.encode())[0] == "../"
    assert "../" not in links(site.get("/").body)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"),
     ((1 << 20) - 1, "1.0 MiB"), (10 << 30, "10.0 GiB"), (1 << 60, "1024.0 PiB")],
)  # fmt: skip
def test_sizes(size: int, shown: str) -> None:
    """They are those people read; nobody reads "1024.0 KiB"."""
    page = b"".join(listing_pieces("/", [Entry("a", False, False, size, 0)], Order()))
    assert f"<td>{shown}<td>" in page.decode()


class Checker(HTMLParser):
    """Collects what a page opens and loads."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("src", "href", "action")]


@given(ENTRIES, ORDERS, st.text())
def test_no_entry_changes_the_page(entries: list[Entry], order: Order, path: str) -> None:
    """Whatever files and folders are called, there are the rows, and nothing of another origin."""
    checker = Checker()
    checker.feed(b"".join(listing_pieces(path, entries, order)).decode())
    rows = len(entries) + (path != "/")
    assert checker.tags.count("tr") == rows + 1
    assert checker.tags.count("a") == rows + 3
    assert set(checker.tags) <= {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "p", "table", "thead",
        "tbody", "tr", "th", "td", "a", "i", "small", "span",
    }  # fmt: skip
    for target in checker.targets:
        assert re.match(r"\.\./$|\?sort=|[^:]*$", target), target
        assert not target.startswith("/") or any(entry.name.startswith("/") for entry in entries)


def test_people_u9_page_suits_phone_and_night(site: Site) -> None:
    """It has a viewport, both colour schemes, a language and a heading, and loads nothing."""
    page = site.get("/sub/").body.decode()
    assert '<meta name="viewport" content="width=device-width">' in page
    assert "prefers-color-scheme:dark" in page
    assert '<html lang="en">' in page
    assert page.count("<h1>") == 1
    assert not re.search(r"<(script|img|link|iframe)|url\(|@import", page)


def test_policy_allows_this_style_and_nothing_else(site: Site) -> None:
    """The hash in the Content-Security-Policy is that of the page's own style sheet."""
    reply = site.get("/sub/")
    found = re.search("<style>(.*?)</style>", reply.body.decode(), re.DOTALL)
    assert found
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    assert reply.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.body.count(b"style=") == 0


def test_policy_with_a_script() -> None:
    """Only the script that is named may run, and it reaches its own server only."""
    parts = security_policy("alert(1)").split("; ")
    assert "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='" in parts
    assert "connect-src 'self'" in parts
    assert "form-action 'self'" in parts


def test_people_u9_error_pages_suit_a_phone(site: Site) -> None:
    """They look like the listing, and what was asked for brings no markup into them."""
    reply = site.get("/no<b>thing")
    assert reply.status == 404
    assert b"<h1>404 File not found</h1>" in reply.body
    assert b"<title>404 File not found</title>" in reply.body
    style = reply.body.decode().partition("<style>")[2].partition("</style>")[0]
    assert STYLE.startswith(style)
    assert "@media(prefers-color-scheme:dark)" in style
    assert b"<b>" not in site.get("/", "BR<b>EW").body


# How it is sent --------------------------------------------------------------------------------


def test_a_large_folder_is_sent_in_pieces(site: Site, public: Path) -> None:
    """What is longer than some pieces is not made as a whole; every name arrives once."""
    crowd = public / "crowd"
    crowd.mkdir()
    for number in range(5000):
        (crowd / f"file{number}").touch()
    reply = site.get("/crowd/")
    assert reply.headers["Content-Length"] is None
    assert reply.headers["Transfer-Encoding"] == "chunked"
    assert links(reply.body) == ["../", *(f"file{number}" for number in range(5000))]
    assert reply.body.endswith(b"</html>\n")
    head = site.get("/crowd/", "HEAD")
    assert (head.status, head.body) == (200, b"")
    old = site.raw("GET /crowd/ HTTP/1.0")
    assert old.body == reply.body
    assert old.headers["Transfer-Encoding"] is None


def test_a_page_is_made_while_it_is_sent() -> None:
    """Reading a little asks for a little; all of it is what was put in."""
    asked = []

    def pieces() -> Iterator[bytes]:
        for number in range(5):
            asked.append(number)
            yield b"%d" % number * 10

    page = Pieces(pieces())
    assert page.read(4) == b"0000"
    assert asked == [0]
    assert page.read() == b"0" * 6 + b"".join(b"%d" % number * 10 for number in range(1, 5))
    assert page.read(1) == b""


def test_what_disappears_meanwhile_is_not_listed(public: Path) -> None:
    """A file that is removed between reading the folder and looking at the file is left out."""
    with os.scandir(public / "sub") as entries:
        page, hidden = sorted(entries, key=lambda entry: entry.name, reverse=True)
    (public / "sub" / "page.html").unlink()
    assert _look_at(page) is None
    found = _look_at(hidden)
    assert found is not None
    assert (found.name, found.changed) == (".hidden", LONG_AGO)


def test_what_a_link_leads_to_is_shown(site: Site, public: Path) -> None:
    """Size and place in the order are those of the file or folder behind it."""
    shelf = public / "shelf"
    write(shelf / "a.txt", b"x")
    (shelf / "z-folder").symlink_to("../sub")
    (shelf / "b-file").symlink_to("../digits.txt")
    (shelf / "outside").symlink_to("/etc")
    page = site.get("/shelf/").body
    assert links(page) == ["../", "z-folder/", "a.txt", "b-file"]
    assert b"b-file@</a><td>1000 B<td>2020-09-13" in page


# Text and server -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"plain", "text/plain; charset=utf-8"),
        ("Grüße, 日本".encode(), "text/plain; charset=utf-8"),
        ("\ufeffGrüße".encode(), "text/plain; charset=utf-8"),
        (b"x" * 65_535 + "ü".encode() + b"x", "text/plain; charset=utf-8"),  # cut within a letter
        (b"", "text/plain; charset=utf-8"),
        ("Grüße".encode("latin-1"), "text/plain"),
        ("Grüße".encode("utf-16"), "text/plain"),
        ("ab".encode("utf-16-le"), "text/plain"),
        ("日本".encode("iso-2022-jp"), "text/plain"),
    ],
)
def test_people_u9_text_has_its_charset(
    site: Site, public: Path, content: bytes, says: str
) -> None:
    """What is UTF-8 is said to be, for the file, a range of it, and what has not changed."""
    write(public / "text.txt", content)
    reply = site.get("/text.txt")
    assert (reply.headers["Content-Type"], reply.body) == (says, content)
    if len(content) > 2:
        assert site.get("/text.txt", Range="bytes=1-2").headers["Content-Type"] == says


def test_only_text_without_a_charset_gets_one(serve: Serve, public: Path) -> None:
    """What a handler says about a charset holds, and what is no text has none."""
    write(public / "a.png", b"text")
    write(public / "a.latin", b"text")
    types = {"extensions_map": {".latin": "text/plain; charset=latin-1", ".png": "image/png"}}
    site = serve(quiet(TLSFileRequestHandler, **types), directory=str(public))
    assert site.get("/a.png").headers["Content-Type"] == "image/png"
    assert site.get("/a.latin").headers["Content-Type"] == "text/plain; charset=latin-1"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({}, "tlshttp"),
        ({"server_version": "Mine/1.0"}, "Mine/1.0"),
        ({"server_version": "Mine/1.0", "sys_version": "Python/3"}, "Mine/1.0 Python/3"),
    ],
)
def test_people_u9_server_tells_no_versions(
    serve: Serve, public: Path, names: dict[str, str], says: str
) -> None:
    """``Server`` says who it is and no more, unless a handler says more; on errors, too."""
    site = serve(quiet(TLSFileRequestHandler, **names), directory=str(public))
    for path in ("/hello.txt", "/", "/nothing"):
        assert site.get(path).headers["Server"] == says
