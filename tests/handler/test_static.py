"""`TLSFileRequestHandler`: files, folders, precompressed siblings, and real clients."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.client
import io
import os
import queue
import shutil
import subprocess
import sys
from contextlib import closing
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handler.conftest import LONG_AGO, Serve, Site, quiet, write
from tests.support import UNIT, wait_until
from tlshttp import TLSFileRequestHandler, TLSRequestHandler
from tlshttp.errors import PeerDisconnected
from tlshttp.handler._body import FileBody
from tlshttp.handler._encodings import preferred_coding
from tlshttp.handler._ranges import Span

# Files and folders ------------------------------------------------------------------------------


@pytest.mark.smoke
def test_file_is_sent_with_all_that_is_known_of_it(site: Site) -> None:
    """Type, length, date and tag are there, and the content is the file's."""
    reply = site.get("/hello.txt?query#fragment")
    assert (reply.status, reply.body) == (200, b"Hello, world!\n")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["Content-Length"] == "14"
    assert reply.headers["Last-Modified"] == "Sun, 13 Sep 2020 12:26:40 GMT"
    assert reply.headers["ETag"].startswith('"')
    assert "Vary" not in reply.headers


@pytest.mark.parametrize("path", ["/hello.txt", "/", "/sub", "/nothing", "/indexed/", "/empty.txt"])
def test_head_has_the_fields_of_get(site: Site, path: str) -> None:
    """Status and fields are the same, the body is missing (RFC 9110, section 9.3.2)."""
    get, head = site.get(path), site.get(path, "HEAD")
    assert head.status == get.status
    assert head.body == b""
    same = {name: value for name, value in get.headers.items() if name != "Date"}
    assert {name: value for name, value in head.headers.items() if name != "Date"} == same


@pytest.mark.parametrize(
    "path", ["/hello.txt", "/sub/page.html", "/indexed/", "/empty.txt", "/sub"]
)
def test_answers_are_those_of_the_standard_library(serve: Serve, public: Path, path: str) -> None:
    """Status, body and the fields that both send are those of ``SimpleHTTPRequestHandler``."""

    class Standard(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    theirs = serve(Standard, directory=str(public)).get(path)
    ours = serve(quiet(TLSFileRequestHandler), directory=str(public)).get(path)
    assert (ours.status, ours.body) == (theirs.status, theirs.body)
    assert ours.headers.get_content_type() == theirs.headers.get_content_type()
    for name in ("Content-Length", "Last-Modified", "Location"):
        assert ours.headers[name] == theirs.headers[name]


def test_folder_is_completed_with_a_slash(site: Site) -> None:
    """The query is kept, and the place is on this host even for a path with two slashes."""
    assert site.get("/sub?a=b").headers["Location"] == "/sub/?a=b"
    assert site.get("/sub").status == 301
    assert site.get("//sub").headers["Location"] == "/sub/"


def test_redirect_never_names_another_host(site: Site, public: Path) -> None:
    """A folder that is called like a host leads to itself, not to that host."""
    (public / "evil.example").mkdir()
    for path in ("//evil.example", "///evil.example", "//evil.example?x=//other.example"):
        location = site.get(path).headers["Location"]
        assert location.startswith("/evil.example/")


def test_index_page_is_preferred_to_the_listing(site: Site, public: Path) -> None:
    """``index.html``, then ``index.htm``, then what is there."""
    assert site.get("/indexed/").body == b"<p>index</p>"
    (public / "indexed" / "index.html").rename(public / "indexed" / "index.htm")
    assert site.get("/indexed/").body == b"<p>index</p>"
    (public / "indexed" / "index.htm").unlink()
    assert b"Directory listing for /indexed/" in site.get("/indexed/").body


def test_listing_escapes_markup(site: Site, public: Path) -> None:
    """Neither a name in the folder nor the folder's own can bring a script into the page."""
    folder = public / "<script>alert(1)<" / "deep"
    write(folder / '"><img src=x onerror=alert(1)>', b"")
    page = site.get("/%3Cscript%3Ealert(1)%3C/deep/").body
    assert b"<script" not in page
    assert b"<img" not in page
    assert b"&lt;script&gt;" in page


def test_listing_does_not_show_the_query(site: Site) -> None:
    """What follows the path is no part of the folder's name."""
    assert b"Directory listing for /sub/<" in site.get("/sub/?<b>x</b>").body


def test_listing_of_an_empty_folder(site: Site, public: Path) -> None:
    """Nothing in it is a listing with nothing, as long as it says."""
    (public / "nothing-here").mkdir()
    reply = site.get("/nothing-here/")
    assert reply.status == 200
    assert b"This folder is empty." in reply.body
    assert b'<td><a href="../">' in reply.body


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_405(site: Site, method: str) -> None:
    """The answer says which are allowed (RFC 9110, section 15.5.6); unknown methods are 501."""
    reply = site.get("/hello.txt", method, Content_Length="0")
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, HEAD"
    assert site.get("/hello.txt", "BREW").status == 501


def test_methods_of_a_subclass_are_allowed(serve: Serve, public: Path) -> None:
    """Who adds a method is asked for it, and ``Allow`` names it."""

    def do_PUT(self: TLSFileRequestHandler) -> None:
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    site = serve(quiet(TLSFileRequestHandler, do_PUT=do_PUT), directory=str(public))
    assert site.get("/new", "PUT", Content_Length="0").status == 201
    assert site.get("/new", "POST", Content_Length="0").headers["Allow"] == "GET, HEAD, PUT"


def test_kept_connection_serves_one_file_after_the_other(serve: Serve, public: Path) -> None:
    """Full, partial, unchanged, failed and unsatisfiable answers leave the framing intact."""
    site = serve(quiet(TLSFileRequestHandler), directory=str(public))
    etag = site.get("/digits.txt", "HEAD").headers["ETag"]
    requests = [
        ("GET", {}, 200), ("HEAD", {}, 200), ("GET", {"Range": "bytes=0-1"}, 206),
        ("GET", {"Range": "bytes=0-1,500-501"}, 206), ("GET", {"Range": "bytes=9999-"}, 416),
        ("GET", {"If-None-Match": etag}, 304), ("HEAD", {"If-Match": '"x"'}, 412),
        ("GET", {"If-Match": '"x"'}, 412), ("POST", {"Content-Length": "0"}, 405), ("GET", {}, 200),
    ]  # fmt: skip
    client = http.client.HTTPSConnection(
        "localhost", site.server.server_port, context=site.client_context, timeout=30 * UNIT
    )
    with closing(client):
        client.connect()
        socket = client.sock
        for method, fields, status in requests:
            client.request(method, "/digits.txt", headers=fields)
            with client.getresponse() as response:
                response.read()
                assert response.status == status
            assert client.sock is socket


# The machine ---------------------------------------------------------------------------------


def test_lack_of_file_descriptors_is_no_404(
    serve: Serve, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with the machine is reported, and answered with 500."""

    def exhausted(*_: object) -> None:
        raise OSError(24, "Too many open files")

    site = serve(quiet(TLSFileRequestHandler), directory=str(public))
    reported: queue.Queue[object] = queue.Queue()
    monkeypatch.setattr(site.server, "handle_error", lambda *_: reported.put(sys.exception()))
    monkeypatch.setattr("tlshttp.handler._static.open_inside", exhausted)
    assert site.get("/hello.txt").status == 500
    assert "Too many open files" in str(reported.get(timeout=30 * UNIT))


def test_broken_connection_is_not_answered_again(
    serve: Serve, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that leaves in the middle is no reason to send a 404 after the head."""
    reported: queue.Queue[object] = queue.Queue()
    statuses: list[object] = []

    class Noted(TLSFileRequestHandler):
        def log_request(self, code: object = "-", size: object = "-") -> None:
            statuses.append(code)

        def end_headers(self) -> None:
            super().end_headers()
            raise PeerDisconnected("the peer has left")

    site = serve(quiet(Noted), directory=str(public))
    monkeypatch.setattr(site.server, "handle_error", lambda *_: reported.put(sys.exception()))
    with contextlib.suppress(ConnectionError):
        site.get("/hello.txt", "HEAD")
    assert isinstance(reported.get(timeout=30 * UNIT), PeerDisconnected)
    assert statuses[0] == 200
    assert 404 not in statuses


def test_files_are_closed_in_the_end(site: Site, public: Path) -> None:
    """No descriptor is left, also where nothing of the file or an error is sent."""
    write(public / "hello.txt.gz", b"x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for fields in ({}, {"Accept_Encoding": "gzip"}, {"If_Match": '"x"'}, {"Range": "bytes=99-"}):
        site.get("/hello.txt", **fields)
        site.get("/hello.txt", "HEAD", **fields)
        site.get("/sub/page.html/", **fields)
    assert wait_until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


# Bodies ----------------------------------------------------------------------------------------


def test_large_file_arrives_whole(site: Site, public: Path) -> None:
    """Many buffers' worth are sent in order, the odd rest included."""
    content = os.urandom(3 * 2**20 + 7)
    write(public / "large.bin", content)
    reply = site.get("/large.bin")
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(content).digest()


class Changing(TLSFileRequestHandler):
    """Changes the file between head and body."""

    content = b""

    def end_headers(self) -> None:
        """Send the head, and change the file."""
        super().end_headers()
        (Path(self.directory) / "changing").write_bytes(self.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("fields", [{}, {"Range": "bytes=10-"}, {"Range": "bytes=0-9,500-"}])
def test_file_that_shrinks_ends_the_connection(
    serve: Serve, public: Path, fields: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """What is missing is not made up: the client sees that, and the log says it, once."""
    write(public / "changing", b"x" * 1000)
    handler = type("H", (Changing,), {"content": b"x" * 20})
    site = serve(handler, directory=str(public))
    with pytest.raises(http.client.IncompleteRead):
        site.get("/changing", **fields)
    assert wait_until(lambda: len(caplog.messages) == 1)
    assert "bytes less than its Content-Length" in caplog.messages[0]


def test_file_that_grows_is_sent_as_it_was(serve: Serve, public: Path) -> None:
    """Not a byte more than announced is sent, so that the next response is where it belongs."""
    write(public / "changing", b"x" * 1000)
    handler = type("H", (Changing,), {"content": b"x" * 5000})
    with serve(handler, directory=str(public)).connect() as connection:
        connection.sendall(b"GET /changing HTTP/1.0\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Content-Length: 1000" in head
    assert body == b"x" * 1000


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: Span(*sorted(pair))),
    )
)


@given(pieces=PIECES, buffer=st.integers(1, 30))
def test_body_is_its_pieces(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes | Span], buffer: int
) -> None:
    """Read by any buffer, a body is its pieces one after the other, and counts down to 0."""
    content = bytes(range(50))
    file = tmp_path_factory.getbasetemp() / "fifty"
    file.write_bytes(content)
    expected = b"".join(
        content[piece.start : piece.stop] if isinstance(piece, Span) else piece for piece in pieces
    )
    with FileBody(io.FileIO(file), pieces) as body:
        assert body.remaining == len(expected)
        assert b"".join(iter(lambda: body.read(buffer) or b"", b"")) == expected
        assert body.remaining == 0


# Precompressed siblings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (None, None), ("", None), ("identity", None), ("gzip", "gzip"), ("br", "br"),
        ("gzip, deflate, br, zstd", "br"), ("br;q=0.5, gzip", "gzip"), ("gzip;q=0", None),
        ("gzip;q=0.0, br;q=0.000", None), ("*", "br"), ("*;q=0", None), ("br;q=0, *", "gzip"),
        ("gzip;q=0.5, identity", None), ("gzip;q=0.5, identity;q=0.4", "gzip"), ("GZip", "gzip"),
        ("x-gzip", "gzip"), ("identity;q=0", None), ("gzip;q=2", None), ("gzip;q=x, br", "br"),
        ("gzip ; q = 0.1", "gzip"), ("deflate", None), (",,gzip,", "gzip"), ("gzip;level=9", None),
        ("gzip;q=0.3, br;q=0.3", "br"), ("compress, gzip;q=0.001", "gzip"), ("\u00ff", None),
    ],
)  # fmt: skip
def test_coding_follows_the_weights(field: str | None, expected: str | None) -> None:
    """The client's weights decide, then the smaller form (RFC 9110, section 12.5.3)."""
    assert preferred_coding(field, ("br", "gzip")) == expected


@given(st.text(), st.lists(st.sampled_from(["br", "gzip"]), unique=True))
def test_no_accept_encoding_raises(field: str, available: list[str]) -> None:
    """Whatever the field, the answer is one of the forms there are."""
    assert preferred_coding(field, available) in (None, *available)


@pytest.fixture
def compressed(public: Path) -> Path:
    """Put siblings beside a file; what is in the second is not really brotli."""
    write(public / "page.html", b"<p>page</p>" * 50)
    write(public / "page.html.gz", gzip.compress(b"<p>page</p>" * 50))
    write(public / "page.html.br", b"brotli, believe it")
    return public


def test_sibling_is_sent_to_who_accepts_it(site: Site, compressed: Path) -> None:
    """The type is that of the file, the coding is named, and caches are told (section 12.5.5)."""
    plain = site.get("/page.html")
    zipped = site.get("/page.html", Accept_Encoding="gzip")
    brotli = site.get("/page.html", Accept_Encoding="gzip, br")
    assert gzip.decompress(zipped.body) == plain.body == b"<p>page</p>" * 50
    assert brotli.body == b"brotli, believe it"
    codings = [reply.headers["Content-Encoding"] for reply in (plain, zipped, brotli)]
    assert codings == [None, "gzip", "br"]
    for reply in (plain, zipped, brotli):
        assert reply.headers["Vary"] == "Accept-Encoding"
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        assert reply.headers["Content-Length"] == str(len(reply.body))
    assert len({reply.headers["ETag"] for reply in (plain, zipped, brotli)}) == 3


def test_conditions_and_ranges_are_about_what_is_sent(site: Site, compressed: Path) -> None:
    """Each form has its own tag, and ranges count in its bytes (section 14.1.2)."""
    plain = site.get("/page.html").headers["ETag"]
    zipped = site.get("/page.html", "HEAD", Accept_Encoding="gzip").headers["ETag"]
    asked: dict[str, str] = {"Accept_Encoding": "gzip"}
    known = site.get("/page.html", If_None_Match=zipped, **asked)
    assert known.status == 304
    assert known.headers["Vary"] == "Accept-Encoding"
    assert site.get("/page.html", If_None_Match=plain, **asked).status == 200
    part = site.get("/page.html", Range="bytes=0-1", If_Range=zipped, **asked)
    assert (part.status, part.body) == (206, b"\x1f\x8b")
    assert part.headers["Content-Encoding"] == "gzip"
    assert site.get("/page.html", Range="bytes=0-1", If_Range=plain, **asked).status == 200


@pytest.mark.parametrize("older_by", [0.001, 1, 10**6])
def test_stale_sibling_is_never_sent(site: Site, compressed: Path, older_by: float) -> None:
    """A sibling older than the file may be of another state of it, and is passed over."""
    for suffix in (".gz", ".br"):
        os.utime(compressed / f"page.html{suffix}", (LONG_AGO - older_by, LONG_AGO - older_by))
    reply = site.get("/page.html", Accept_Encoding="gzip, br")
    assert "Content-Encoding" not in reply.headers
    assert "Vary" not in reply.headers
    assert reply.body == b"<p>page</p>" * 50


def test_sibling_that_may_not_be_served_is_not_sent(site: Site, compressed: Path) -> None:
    """A link to outside and a FIFO are no siblings, and do not stop the file from being sent."""
    (compressed / "page.html.gz").unlink()
    (compressed / "page.html.gz").symlink_to("../secret.txt")
    (compressed / "page.html.br").unlink()
    os.mkfifo(compressed / "page.html.br")
    reply = site.get("/page.html", Accept_Encoding="gzip, br")
    assert reply.body == b"<p>page</p>" * 50


def test_sibling_without_a_file_is_only_itself(site: Site, compressed: Path) -> None:
    """It is served under its own name, as the archive it is."""
    (compressed / "page.html").unlink()
    assert site.get("/page.html", Accept_Encoding="gzip").status == 404
    assert site.get("/page.html.gz").headers["Content-Type"] == "application/gzip"


def test_siblings_can_be_switched_off(serve: Serve, compressed: Path) -> None:
    """Then they are files like any other."""
    handler = quiet(TLSFileRequestHandler, serve_precompressed=False)
    reply = serve(handler, directory=str(compressed)).get("/page.html", Accept_Encoding="gzip")
    assert "Content-Encoding" not in reply.headers
    assert "Vary" not in reply.headers


# What users override -----------------------------------------------------------------------------


def test_it_is_both_handlers() -> None:
    """Where either of them is asked for, it is one."""
    assert issubclass(TLSFileRequestHandler, SimpleHTTPRequestHandler)
    assert issubclass(TLSFileRequestHandler, TLSRequestHandler)


def test_directory_is_the_current_one_by_default(
    serve: Serve, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the standard library."""
    monkeypatch.chdir(public)
    site = serve(quiet(TLSFileRequestHandler))
    assert site.get("/hello.txt").status == 200
    assert site.get("/../secret.txt").status == 404


def test_relative_directory(serve: Serve, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder may be given relative to the current one."""
    monkeypatch.chdir(public.parent)
    for directory in ("public", "./public", "public/../public"):
        site = serve(quiet(TLSFileRequestHandler), directory=directory)
        assert site.get("/hello.txt").status == 200
        assert site.get("/sub/").status == 200
        assert site.get("/../secret.txt").status == 404


def test_methods_stay_overridable(serve: Serve, public: Path) -> None:
    """``guess_type``, ``copyfile``, ``list_directory``, ``end_headers`` do what they always did."""

    class Mine(TLSFileRequestHandler):
        def guess_type(self, path: Any) -> str:
            return "application/x-mine"

        def copyfile(self, source: Any, outputfile: Any) -> None:
            shutil.copyfileobj(source, outputfile, 7)

        def list_directory(self, path: Any) -> Any:
            self.send_error(403, "No listing")

        def end_headers(self) -> None:
            self.send_header("Access-Control-Allow-Origin", "*")
            super().end_headers()

    site = serve(quiet(Mine), directory=str(public))
    reply = site.get("/digits.txt", Range="bytes=3-50")
    assert reply.body == (b"0123456789" * 100)[3:51]
    assert reply.headers["Content-Type"] == "application/x-mine"
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert site.get("/sub/").status == 403


def test_send_head_may_return_any_file(serve: Serve, public: Path) -> None:
    """A handler that makes its bodies itself is copied from whatever it returns."""

    class Made(TLSFileRequestHandler):
        def send_head(self) -> Any:
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            return OnlyRead(b"made")

    assert serve(quiet(Made), directory=str(public)).get("/x").body == b"made"


class OnlyRead:
    """A file object with no more than ``read`` and ``close``."""

    def __init__(self, content: bytes) -> None:
        self.read = io.BytesIO(content).read

    def close(self) -> None:
        """Do nothing."""


def test_extensions_map_is_obeyed(serve: Serve, public: Path) -> None:
    """Types may be added as for ``SimpleHTTPRequestHandler``."""
    handler = quiet(TLSFileRequestHandler, extensions_map={".txt": "text/x-mine"})
    reply = serve(handler, directory=str(public)).get("/hello.txt")
    assert reply.headers["Content-Type"] == "text/x-mine; charset=utf-8"


# Real clients ------------------------------------------------------------------------------------


@pytest.fixture
def curl(site: Site) -> Any:
    """Run curl with the server's certificate; return its output."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    command = [program, "--silent", "--show-error", "--fail", "--cacert", str(site.certfile)]
    return functools.partial(_run, command, site.url)


def _run(command: list[str], url: str, path: str, *options: str) -> bytes:
    return subprocess.run(
        [*command, *options, url + path], capture_output=True, timeout=30 * UNIT, check=True
    ).stdout


def test_curl_reads_ranges(curl: Any) -> None:
    """``curl -r`` gets what it asks for, from either end."""
    assert curl("/digits.txt", "-r", "5-9") == b"56789"
    assert curl("/digits.txt", "-r", "-3") == b"789"
    assert curl("/digits.txt", "-r", "0-1,500-501").count(b"Content-Range: bytes") == 2


def test_curl_decompresses(curl: Any, compressed: Path) -> None:
    """``curl --compressed`` gets the sibling and unpacks it to the file."""
    (compressed / "page.html.br").unlink()
    assert curl("/page.html", "--compressed") == b"<p>page</p>" * 50
    head = curl("/page.html", "--compressed", "--head")
    assert b"Content-Encoding: gzip" in head


def test_curl_resumes_a_download(curl: Any, public: Path, tmp_path: Path) -> None:
    """``curl -C -`` completes what is there already."""
    content = os.urandom(300_000)
    write(public / "large.bin", content)
    partial = tmp_path / "partial"
    partial.write_bytes(content[:123_456])
    curl("/large.bin", "-C", "-", "-o", str(partial))
    assert partial.read_bytes() == content


def test_curl_asks_only_for_what_is_new(curl: Any, tmp_path: Path) -> None:
    """``curl -z`` and ``--etag-compare`` are told that nothing has changed."""
    tag = tmp_path / "tag"
    assert curl("/hello.txt", "--etag-save", str(tag)) == b"Hello, world!\n"
    assert curl("/hello.txt", "--etag-compare", str(tag)) == b""
    assert curl("/hello.txt", "-z", "Sun, 13 Sep 2020 12:26:40 GMT") == b""
