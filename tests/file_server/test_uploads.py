"""``--upload``: what is kept, under which name, what is refused, and what is left behind."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.file_server.conftest import Serve, Site
from tests.file_server.test_form import BOUNDARY, form
from tests.support import UNIT, wait_until
from tlshttp._file_server import uploads
from tlshttp._file_server.uploads import UploadFolder, clean_name
from tlshttp.handler._paths import is_servable_name

TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Make a folder for uploads."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    return inbox


@pytest.fixture
def site(serve: Serve, inbox: Path) -> Site:
    """Serve a folder, and take uploads of 1 MiB into another."""
    return serve("--upload", str(inbox), "--upload-limit", "1M")


@pytest.fixture(params=["unnamed", "named", "without links"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have what the system offers: files without names, with names, and no hard links either."""
    if request.param != "unnamed":
        monkeypatch.setattr(uploads, "_open_unnamed", lambda _folder: None)
    if request.param == "without links":

        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    elif request.param == "unnamed" and not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no files without a name")
    return str(request.param)


def send(site: Site, *files: tuple[bytes, bytes], **fields: str) -> tuple[int, str]:
    """Upload files; return status and text."""
    reply = site.ask("/.upload", "POST", form(*files), Content_Type=TYPE, **fields)
    return reply.status, reply.body.decode()


def content(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, hidden files included."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# What is kept ----------------------------------------------------------------------------------


def test_files_are_kept(site: Site, inbox: Path, system: str) -> None:
    """Several at once, also empty ones, with the permissions that any new file has."""
    (inbox / "model").touch()
    assert send(site, (b"a.bin", bytes(range(256)) * 1000), (b"empty", b"")) == (
        201, "Uploaded: a.bin\nUploaded: empty\n",
    )  # fmt: skip
    assert content(inbox) == {"a.bin": bytes(range(256)) * 1000, "empty": b"", "model": b""}
    assert stat.S_IMODE((inbox / "a.bin").stat().st_mode) == stat.S_IMODE(
        (inbox / "model").stat().st_mode
    )


def test_nothing_is_overwritten(site: Site, inbox: Path, system: str) -> None:
    """What has the name keeps it, also a folder or a link; the answer has the other name."""
    (inbox / "a.txt").write_text("mine")
    (inbox / "b").mkdir()
    (inbox / "c").symlink_to("nowhere")
    names = [b"a.txt", b"a.txt", b"b", b"c"]
    assert send(site, *((name, b"theirs") for name in names)) == (
        201, "Uploaded: a (2).txt\nUploaded: a (3).txt\nUploaded: b (2)\nUploaded: c (2)\n",
    )  # fmt: skip
    assert (inbox / "a.txt").read_text() == "mine"
    assert not (inbox / "nowhere").exists()
    assert sorted(path.name for path in inbox.iterdir()) == [
        "a (2).txt", "a (3).txt", "a.txt", "b", "b (2)", "c", "c (2)",
    ]  # fmt: skip


def test_too_many_of_one_name(
    site: Site, inbox: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    """Somewhere it ends: with 409, and without the others that came along."""
    monkeypatch.setattr(uploads, "_MOST_NAMES", 3)
    (inbox / "a").touch()
    (inbox / "a (2)").touch()
    status, text = send(site, (b"b", b"1"), (b"a", b"2"))
    assert status == 409
    assert "too many files called 'a'" in text
    assert sorted(content(inbox)) == ["a", "a (2)"]


# Names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("photo.jpg", "photo.jpg"),
        ("Grüße 日本.txt", "Grüße 日本.txt"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\fakepath\\a.txt", "a.txt"),
        ("..\\..\\a.txt", "a.txt"),
        (".bashrc", "bashrc"),
        ("...", None),
        ("", None),
        ("/", None),
        ("a/", None),
        (" a . ", "a"),
        ("a\0b\n.txt", "a_b_.txt"),
        ('a:b*c?"<>|.txt', "a_b_c_____.txt"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("GIT~1", "_GIT_1"),
        ("exe\u202egpj.scr", "exegpj.scr"),
        ("u\u0308.txt", "ü.txt"),
        ("x" * 300 + ".tar.gz", "x" * 197 + ".gz"),
        ("ü" * 300, "ü" * 100),
        ("\udcff.txt", "_.txt"),
    ],
)
def test_names(given_name: str, kept: str | None) -> None:
    """A name is one name, on every system, of no folder, hidden nowhere, and not too long."""
    assert clean_name(given_name) == kept


@given(st.text())
def test_every_name_that_is_kept_can_be_served(name: str) -> None:
    """And has room for a number in what file systems allow."""
    kept = clean_name(name)
    if kept is not None:
        assert is_servable_name(kept, at_root=False, serve_dotfiles=False, windows=True)
        assert len(kept.encode()) <= 210
        assert "/" not in kept


def test_no_name_leads_out(site: Site, inbox: Path, tmp_path: Path) -> None:
    """A path for a name ends in the folder; what is no name at all is refused."""
    assert send(site, (b"../../evil", b"x")) == (201, "Uploaded: evil\n")
    assert send(site, (b"..", b"x"))[0] == 400
    assert content(inbox) == {"evil": b"x"}
    assert not (tmp_path / "evil").exists()


# What is refused -------------------------------------------------------------------------------


def test_more_than_the_limit_is_refused(site: Site, inbox: Path) -> None:
    """By what is announced, and by what comes; the most that is allowed passes."""
    assert send(site, (b"a", b"x" * 1_048_576))[0] == 201
    status, text = send(site, (b"b", b"x" * 524_288), (b"c", b"x" * 524_289))
    assert (status, text) == (
        413, "That is more than 1 MiB, the most that is taken at once. Nothing was kept.\n",
    )  # fmt: skip
    assert list(content(inbox)) == ["a"]
    raw = socket.create_connection(("127.0.0.1", site.server.server_port), timeout=50 * UNIT)
    with site.client.wrap_socket(raw, server_hostname="localhost") as connection:
        connection.sendall(
            f"POST /.upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {TYPE}\r\n"
            "Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_without_a_length(site: Site, inbox: Path) -> None:
    """A body in chunks is counted as it comes."""

    def chunks(size: int) -> Iterator[bytes]:
        body = form((b"a", b"x" * size))
        yield from (body[place : place + 9999] for place in range(0, len(body), 9999))

    assert site.ask("/.upload", "POST", chunks(50_000), Content_Type=TYPE).status == 201
    reply = site.ask("/.upload", "POST", chunks(1_100_000), Content_Type=TYPE)
    assert reply.status == 413
    assert {name: len(data) for name, data in content(inbox).items()} == {"a": 50_000}


@pytest.mark.parametrize(
    "parameter", [b"filename*=idna''x..", b"filename*=undefined''x", b"filename*=u\0f''x"]
)
def test_a_name_that_cannot_be_read_is_the_clients_fault(
    parameter: bytes, site: Site, inbox: Path
) -> None:
    """People P14: 400 and a sentence; also with a file before it, which is not kept either."""
    body = form((b"a", b"1"), (b"x", b"1")).replace(b'filename="x"', parameter)
    reply = site.ask("/.upload", "POST", body, Content_Type=TYPE)
    assert reply.status == 400
    assert b"character set that is not known" in reply.body
    assert content(inbox) == {}


def test_what_is_no_file_is_counted_too(site: Site, inbox: Path) -> None:
    """A form without end, in chunks, is refused: in a field, after its last part, before any."""
    field = form((b"x", b"")).replace(b'; filename="x"', b"").partition(b"\r\n\r\n")[0]

    def endless(*beginning: bytes) -> Iterator[bytes]:
        yield from beginning
        yield from [b"x" * 65_536] * 40

    for beginning in ((field, b"\r\n\r\n"), (form((b"a", b"1")),), ()):
        body = endless(*beginning)
        with site.client.wrap_socket(
            socket.create_connection(("127.0.0.1", site.server.server_port), timeout=50 * UNIT),
            server_hostname="localhost",
        ) as connection:
            connection.sendall(
                f"POST /.upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {TYPE}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n".encode()
            )
            with contextlib.suppress(ConnectionError):
                for piece in body:
                    connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
    assert content(inbox) == {}


@pytest.mark.parametrize(
    ("body", "content_type", "status", "says"),
    [
        (b"x", "application/octet-stream", 415, "no form with files"),
        (b"x", "multipart/form-data", 415, "no form with files"),
        (b"x", TYPE, 400, "The form is malformed: it ends too early."),
        (form(), TYPE, 400, "There is no file in the form."),
        (form((b"", b"")), TYPE, 400, "There is no file in the form."),
        (form((b"a", b"1"))[:-40], TYPE, 400, "it ends too early"),
        (form(*[(b"a", b"1")] * 101), TYPE, 413, "more than 100 files"),
        (form(*[(b"", b"")] * 201), TYPE, 400, "it has too many parts"),
    ],
)
def test_what_is_no_upload_is_refused(
    site: Site, inbox: Path, body: bytes, content_type: str, status: int, says: str
) -> None:
    """With a sentence, and nothing is left."""
    reply = site.ask("/.upload", "POST", body, Content_Type=content_type)
    assert reply.status == status
    assert says in reply.body.decode()
    assert content(inbox) == {}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 201),
        ({"Origin": "https://localhost:{}", "Sec_Fetch_Site": "same-origin"}, 201),
        ({"Sec_Fetch_Site": "none"}, 201),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:{}"}, 403),
        ({"Origin": "https://localhost:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Origin": "https://localhost:{}"}, 403),
    ],
)
def test_forms_of_other_sites_are_refused(
    site: Site, inbox: Path, fields: dict[str, str], status: int
) -> None:
    """A page elsewhere cannot have its visitors upload."""
    port = site.server.server_port
    given_fields = {name: value.format(port) for name, value in fields.items()}
    assert send(site, (b"a", b"1"), **given_fields)[0] == status
    assert len(content(inbox)) == (status == 201)


def test_only_there(site: Site) -> None:
    """Nowhere else is anything taken, and whoever tries is told what may be done there."""
    replies = [
        site.ask("/", "POST", form((b"a", b"1")), Content_Type=TYPE),
        site.ask("/.upload", "PUT", b"1"),
    ]
    assert [reply.status for reply in replies] == [405, 405]
    assert [reply.headers["Allow"] for reply in replies] == ["GET, HEAD", "GET, HEAD, POST"]


def test_without_the_option_nothing_is_taken(serve: Serve) -> None:
    """The negative twin."""
    site = serve()
    assert site.ask("/.upload", "POST", form((b"a", b"1")), Content_Type=TYPE).status == 405
    assert site.ask("/.upload").status == 404
    assert b"<form" not in site.ask("/").body


# What is left behind ---------------------------------------------------------------------------


def test_a_broken_upload_leaves_nothing(site: Site, inbox: Path, system: str) -> None:
    """While it comes there is no file of that name, and after it broke there is none at all."""
    whole = form((b"first", b"x" * 1000), (b"second", b"x" * 500_000))
    raw = socket.create_connection(("127.0.0.1", site.server.server_port), timeout=50 * UNIT)
    connection = site.client.wrap_socket(raw, server_hostname="localhost")
    connection.sendall(
        f"POST /.upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {TYPE}\r\n"
        f"Content-Length: {len(whole)}\r\n\r\n".encode()
    )
    connection.sendall(whole[:300_000])
    if system == "unnamed":
        assert content(inbox) == {}
    else:
        assert wait_until(lambda: len(content(inbox)) == 2)
        assert all(name.startswith(".upload-") for name in content(inbox))
    assert site.ask("/hello.txt").status == 200  # others are served meanwhile
    connection.close()
    assert wait_until(lambda: not list(inbox.iterdir()))
    assert wait_until(lambda: _open_files(inbox) == 0)


def _open_files(folder: Path) -> int:
    count = 0
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            count += str(entry.readlink()).startswith(f"{folder}/")
        except OSError:
            continue
    return count


def test_a_full_disk_is_said(
    site: Site, inbox: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    """With 507, and nothing is kept."""
    original = uploads._keep

    def keep(incoming: Any, folder: Path, name: str) -> str:
        if name == "second":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(incoming, folder, name)

    monkeypatch.setattr(uploads, "_keep", keep)
    status, text = send(site, (b"first", b"1"), (b"second", b"2"))
    assert (status, text) == (507, "The disk is full. Nothing was kept.\n")
    assert content(inbox) == {}


def test_a_folder_that_fails_is_an_error_of_ours(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets a 500, and the log a traceback, rather than the client a path."""
    gone = tmp_path / "gone"
    gone.mkdir()
    site = serve("--upload", str(gone))
    gone.rmdir()
    errors = io.StringIO()
    monkeypatch.setattr("sys.stderr", errors)  # to read it while it is written to
    status, text = send(site, (b"a", b"1"))
    assert status == 500
    assert str(tmp_path) not in text
    assert wait_until(lambda: "FileNotFoundError" in errors.getvalue())


def test_a_batch_that_is_not_kept_is_gone(inbox: Path, system: str) -> None:
    """Whatever happens in between."""
    folder = UploadFolder(str(inbox), 100)
    with contextlib.suppress(ZeroDivisionError), folder.receiving() as batch:
        batch.add("a").write(b"1")
        raise ZeroDivisionError
    with folder.receiving() as batch:
        batch.add("a").write(b"1")
    assert content(inbox) == {}


# What becomes of them --------------------------------------------------------------------------


@pytest.fixture
def shared(serve: Serve, public: Path) -> Site:
    """Serve a folder in which one is for uploads."""
    (public / "in").mkdir()
    return serve("--upload", str(public / "in"))


def test_uploads_do_not_speak_for_the_server(shared: Site, public: Path) -> None:
    """A page among them is shown in a sandbox, is no index, and replaces no other file."""
    page = b"<script>alert(1)</script>"
    for sent in (b"index.html", b"a.svg", b"a.xml", b"a.bin", b"a.txt.gz", b"a.txt", b"a.pdf"):
        assert send(shared, (sent, page))[0] == 201
    assert b"Directory listing for /in/" in shared.ask("/in/").body
    for name in ("index.html", "a.svg", "a.xml", "a.bin"):
        reply = shared.ask(f"/in/{name}")
        assert reply.headers["Content-Security-Policy"] == "sandbox"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
    for name in ("a.txt", "a.pdf"):  # no scripts of the page's; browsers show neither in a sandbox
        reply = shared.ask(f"/in/{name}", Accept_Encoding="gzip")
        assert reply.headers["Content-Encoding"] is None
        assert reply.headers["Content-Security-Policy"] is None
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_the_rest_is_as_ever(shared: Site, public: Path) -> None:
    """On one connection: what lies outside has its index and compressed forms, before and after."""
    (public / "sub" / "index.html").write_text("<p>index</p>")
    (public / "in" / "index.html").write_text("<p>theirs</p>")
    connection = shared.connect()
    seen = []
    for path in ("/sub/", "/in/", "/in/index.html", "/sub/"):
        connection.request("GET", path)
        with connection.getresponse() as response:
            seen.append((response.read()[:12], response.headers["Content-Security-Policy"] or ""))
    connection.close()
    assert [body for body, _ in seen] == [
        b"<p>index</p>", b"<!DOCTYPE ht", b"<p>theirs</p"[:12], b"<p>index</p>",
    ]  # fmt: skip
    assert [policy.partition(" ")[0] for _, policy in seen] == ["", "default-src", "sandbox", ""]


def test_the_folder_is_known_by_what_it_is(tmp_path: Path) -> None:
    """By links, by another name, as a parent, and not by a name that only begins like it."""
    inbox = tmp_path / "in"
    (inbox / "deep").mkdir(parents=True)
    (tmp_path / "inside").mkdir()
    (tmp_path / "link").symlink_to(inbox)
    (tmp_path / "circle").symlink_to("circle")
    folder = UploadFolder(str(tmp_path / "link"), 1)
    for name in ("in", "in/", "in/a", "in/deep/a", "link/a", "in/../in/a", "a\0b"):
        assert folder.contains(f"{tmp_path}/{name}"), name
    for name in ("", "inside", "inside/a", "in/../a", "i"):
        assert not folder.contains(f"{tmp_path}/{name}"), name
    inbox.rename(tmp_path / "moved")
    assert folder.contains(f"{tmp_path}/moved/a")  # nobody can tell, as nothing has that name now
    inbox.mkdir()
    assert folder.contains(f"{tmp_path}/in/a")


def test_the_page_has_a_form(shared: Site) -> None:
    """In each listing and on a page of its own, for the folder that has an index."""
    for path in ("/", "/in/", "/.upload"):
        reply = shared.ask(path)
        assert b'<form id="upload" method="post" action="/.upload"' in reply.body
        assert "script-src 'sha256-" in reply.headers["Content-Security-Policy"]
        assert "form-action 'self'" in reply.headers["Content-Security-Policy"]
    head = shared.ask("/.upload", "HEAD")
    assert (head.status, head.body) == (200, b"")


def test_without_a_script_there_is_a_page(shared: Site) -> None:
    """A browser that goes there is told in HTML, in which a name is no markup."""
    reply = shared.ask(
        "/.upload", "POST", form((b"a&b.txt", b"1")), Content_Type=TYPE, Accept="text/html"
    )
    assert reply.status == 201
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<p>Uploaded: a&amp;b.txt</p>" in reply.body
    assert b'<a href="/">' in reply.body
