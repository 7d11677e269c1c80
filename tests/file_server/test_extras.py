"""``--spa``, ``--cors``, ``--header`` and ``--quiet``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.file_server.conftest import Serve, Site
from tlshttp._own_files import OWN_FILES

HTML = "text/html,application/xhtml+xml"


@pytest.fixture
def application(serve: Serve, public: Path) -> Site:
    """Serve an application of one page."""
    (public / "index.html").write_text("<p>application</p>")
    return serve("--spa")


@pytest.mark.parametrize(
    "path", ["/users", "/users/", "/users/7", "/sub/users", "/hello.txt/users", "/a?b=c.d", "/ü"]
)
def test_spa_routes_get_the_page(application: Site, path: str) -> None:
    """What is no file is a place within the application."""
    for method in ("GET", "HEAD"):
        reply = application.ask(path.replace("ü", "%C3%BC"), method)
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert reply.body == (b"<p>application</p>" if method == "GET" else b"")


def test_spa_files_are_files(application: Site) -> None:
    """What is there is served, folders are listed, and what looks like a file may be missing."""
    assert application.ask("/hello.txt").body == b"Hello, world!\n"
    assert b"Directory listing" in application.ask("/sub/").body
    assert application.ask("/app.js").status == 404
    assert application.ask("/report.v2", Accept=HTML).body == b"<p>application</p>"
    assert application.ask("/users", "POST").status == 405


@pytest.mark.parametrize(
    "path", ["/.env", "/.git", "/../secret", "/%2e%2e/secret", "/a%00b", "/a%2fb"]
)
def test_spa_refuses_what_is_refused(application: Site, path: str) -> None:
    """What no path may name is not found, rather than a page that hides the mistake."""
    assert application.ask(path, Accept=HTML).status == 404


@pytest.mark.parametrize("accept", [HTML, "*/*"])
def test_spa_hides_nothing_that_is_not_served(
    application: Site, public: Path, tmp_path: Path, accept: str
) -> None:
    """People P7: a link outside, a pipe, a key, and what would be behind them, are 404."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "there").touch()
    (public / "outside").symlink_to(tmp_path / "secret")
    (public / "nowhere").symlink_to("gone")
    (public / "inside").symlink_to("sub")
    os.mkfifo(public / "pipe")
    (public / "key").touch()
    (public / "authority").mkdir()
    OWN_FILES.add(public / "key")
    OWN_FILES.add_folder(public / "authority")
    for path in (
        "/outside", "/outside/", "/outside/there", "/outside/missing", "/nowhere", "/nowhere/x",
        "/pipe", "/key", "/authority/", "/authority/x", "/sub/../key", "/%6bey?a",
    ):  # fmt: skip
        assert application.ask(path, Accept=accept).status == 404, path
    for path in ("/inside/users", "/keys", "/sub/key"):
        assert application.ask(path, Accept=accept).body == b"<p>application</p>", path


def test_spa_without_its_page(application: Site, public: Path) -> None:
    """Where the page has gone meanwhile there is a plain 404, and no circle."""
    (public / "index.html").unlink()
    assert application.ask("/users").status == 404


def test_cors_lets_pages_read(serve: Serve) -> None:
    """Any page may read files, listings and errors, and their validators and ranges."""
    site = serve("--cors")
    for path in ("/hello.txt", "/", "/nothing"):
        reply = site.ask(path, Origin="https://a.example")
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert "ETag" in reply.headers["Access-Control-Expose-Headers"]
    reply = site.ask(
        "/x", "OPTIONS", Origin="https://a.example", Access_Control_Request_Method="GET"
    )
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert site.ask("/x", "OPTIONS").status == 405


def test_without_cors_no_page_may_read(serve: Serve) -> None:
    """The negative twin: nothing of that is sent where it was not asked for."""
    reply = serve().ask("/hello.txt", Origin="https://a.example")
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]
    assert (
        serve().ask("/x", "OPTIONS", Origin="x", Access_Control_Request_Method="GET").status == 405
    )


def test_headers_go_with_every_response(serve: Serve) -> None:
    """Once each, with the value as it was given: also with errors, redirects and 304."""
    site = serve(
        "--header",
        "Cache-Control: no-store, max-age=0",
        "--header",
        "X-A:b:c",
        "--header",
        "X-A: d",
    )
    tag = site.ask("/hello.txt").headers["ETag"]
    replies = [site.ask(path) for path in ("/hello.txt", "/", "/nothing", "/sub")]
    replies += [site.ask("/hello.txt", If_None_Match=tag), site.ask("/hello.txt", "PUT")]
    assert [reply.status for reply in replies] == [200, 200, 404, 301, 304, 405]
    for reply in replies:
        assert reply.headers.get_all("Cache-Control") == ["no-store, max-age=0"]
        assert reply.headers.get_all("X-A") == ["b:c", "d"]


def test_a_header_is_not_doubled(serve: Serve, public: Path) -> None:
    """People P8: what a listing, an upload or an error says by itself is said once."""
    (public / "inbox").mkdir()
    (public / "inbox" / "a.html").touch()
    site = serve(
        "--header", "X-Content-Type-Options: nosniff", "--upload", str(public / "inbox"), "--cors"
    )
    for path in ("/", "/inbox/a.html", "/inbox/", "/hello.txt", "/nothing", "/.upload", "/sub"):
        reply = site.ask(path)
        assert reply.headers.get_all("X-Content-Type-Options") == ["nosniff"], path
    assert site.ask("/hello.txt", "PUT").headers.get_all("Allow") == ["GET, HEAD, OPTIONS"]
    assert site.ask("/.upload", "PUT").headers.get_all("Allow") == ["GET, HEAD, OPTIONS, POST"]


@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_logs_no_requests(
    serve: Serve, capfd: pytest.CaptureFixture[str], quiet: bool
) -> None:
    """Without it there are lines on standard error, with it there are none."""
    site = serve(quiet=quiet)
    site.ask("/hello.txt")
    site.ask("/nothing")
    errors = capfd.readouterr().err
    assert ("GET /hello.txt" in errors, "404" in errors) == (not quiet, not quiet)
