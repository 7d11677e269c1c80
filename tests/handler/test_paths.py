"""Which paths are served: none that leads outside, by text, by encoding, or by a link."""

from __future__ import annotations

import html
import itertools
import os
import re
import socket
import threading
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.docs.pages import DOCS, blocks
from tests.handler.conftest import SECRET, Serve, Site, quiet, write
from tests.support import UNIT
from tlshttp import FollowSymlinks, TLSFileRequestHandler
from tlshttp.handler import _opening, _paths
from tlshttp.handler._listing import listing_pieces
from tlshttp.handler._order import Entry, Order

# Each is sent as it stands; {public} is the served folder's own path. What looks like Windows is
# sent to the server of this platform as well, where it is an odd name that does not exist.
EVIL_PATHS = [
    # Up, plain
    "/..", "/../", "/../secret.txt", "/../../secret.txt", "/../public-other/secret.txt",
    "/sub/../../secret.txt", "/sub/../../../../../../../../etc/passwd", "/./../secret.txt",
    "/sub/..", "/sub/../hello.txt/../../secret.txt", "/hello.txt/../../secret.txt",
    "/hello.txt/.", "/hello.txt/./", "/./.env", "/.%2e/./secret.txt",
    "/sub/./../../secret.txt", "/...", "/.../secret.txt", "//../secret.txt",
    "/sub//../../secret.txt", "/../public/hello.txt",
    # Up, encoded
    "/%2e%2e/secret.txt", "/%2E%2E/secret.txt", "/.%2e/secret.txt", "/%2e./secret.txt",
    "/%2e%2e%2fsecret.txt", "/..%2fsecret.txt", "/..%2Fsecret.txt", "/sub%2f..%2f..%2fsecret.txt",
    "/%252e%252e/secret.txt", "/%252e%252e%252fsecret.txt", "/%c0%ae%c0%ae/secret.txt",
    "/%c0%ae%c0%ae%c0%afsecret.txt", "/%e0%80%ae%e0%80%ae/secret.txt", "/%uff0e%uff0e/secret.txt",
    "/%ef%bc%8e%ef%bc%8e/secret.txt", "/..%c0%afsecret.txt", "/..%ef%bc%8fsecret.txt",
    "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    # Backslashes, drives, streams, devices, short names
    "/..\\secret.txt", "/..\\..\\secret.txt", "/..%5csecret.txt", "/%2e%2e%5csecret.txt",
    "/sub\\..\\..\\secret.txt", "/C:/Windows/win.ini", "/C:%5cWindows%5cwin.ini", "/c:secret.txt",
    "/\\\\host\\share\\secret.txt", "/%5c%5chost%5cshare", "/hello.txt::$DATA",
    "/hello.txt:stream", "/NUL", "/con", "/aux.txt", "/COM1", "/GIT~1/config", "/hello.txt.",
    "/hello.txt%20", "/hello.txt...", "/sub./page.html",
    # Absolute
    "/{public}/../secret.txt", "//etc/passwd", "///etc/passwd", "/%2fetc/passwd",
    "/%2fetc%2fpasswd", "/file:///etc/passwd", "https://localhost/../secret.txt",
    "https://localhost/%2e%2e/secret.txt",
    "file:///etc/passwd", "secret.txt", "../secret.txt", "*", "https://[bad/secret.txt",
    # Names that are hidden
    "/.env", "/%2eenv", "/.git/config", "/.git/", "/%2Egit/config", "/sub/.hidden",
    "/sub/%2ehidden", "/sub/.well-known/", "/.well-known/../.env", "/.well-known/.env", "/.ENV",
    "//.env",
    # Odd bytes
    "/%00", "/hello.txt%00", "/hello.txt%00.html", "/..%00/secret.txt", "/%0d%0aX-Injected:%201",
    "/hello.txt%0a", "/%7f", "/%ed%a0%80", "/%ff%fe", "/hello.txt%", "/%zz", "/%2", "/\xff",
    # Shapes
    "/hello.txt/", "/hello.txt/..", "/hello.txt/x", "/" + "a" * 5000, "/" + "a/" * 3000, "/nothing",
    "/hello.txt;/../../secret.txt", "/?/../secret.txt/..", "/#/../../secret.txt",
]  # fmt: skip
SERVED_AFTER_ALL = {"/?/../secret.txt/..", "/#/../../secret.txt"}  # the path of these is "/"


def test_there_are_at_least_sixty_evil_paths() -> None:
    """The table is as long as it was meant to be, and has nothing twice."""
    assert len(set(EVIL_PATHS)) == len(EVIL_PATHS) >= 60


@pytest.mark.parametrize("path", EVIL_PATHS, ids=lambda path: ascii(path[:40]))
def test_evil_path_gives_nothing(site: Site, public: Path, path: str) -> None:
    """No such path is answered with a file, a byte from outside or a field it has made up."""
    reply = site.get(path.replace("{public}", str(public).lstrip("/")))
    assert reply.status == 200 if path in SERVED_AFTER_ALL else reply.status in (400, 403, 404, 414)
    assert SECRET not in reply.body
    assert b"root:" not in reply.body
    assert b"Hello, world!" not in reply.body
    assert "X-Injected" not in reply.headers


@pytest.mark.parametrize(
    "path",
    ["/..\\secret.txt", "/..%5csecret.txt", "/sub\\x", "/C:/Windows/win.ini", "/c:secret.txt",
     "/%5c%5chost%5cshare", "/hello.txt::$DATA", "/hello.txt:stream", "/NUL", "/con", "/aux.txt",
     "/sub/CoM1.tar.gz", "/lpt\u00b2", "/conin$", "/nul .txt", "/GIT~1/config", "/hello.txt.",
     "/hello.txt%20", "/hello.txt...", "/sub./page.html", "/. .", "/a*", "/a%3f", "/a|b"],
)  # fmt: skip
def test_what_windows_reads_in_two_ways_is_refused_there(path: str) -> None:
    """On Windows it does not come to the file system; elsewhere these are names like any other."""
    assert not _paths.is_servable(path, serve_dotfiles=True, windows=True)
    assert _paths.is_servable(path, serve_dotfiles=True, windows=False)


@pytest.mark.parametrize("name", ["console", "nul-values.txt", "a.b", "com10", "auxiliary", "x~y"])
def test_harmless_names_are_served_on_windows(name: str) -> None:
    """The rules of Windows do not refuse what only resembles a device."""
    assert _paths.is_servable("/" + name, serve_dotfiles=False, windows=True)


@pytest.mark.parametrize(
    "name",
    ["with space.txt", "per%cent.txt", "quest?ion.txt", "ha#sh.txt", "ümlaut.txt", "plus+.txt",
     "a&b.txt", "semi;colon.txt", "co:lon.txt", 'quo"te.txt', "<tag>.txt", "日本.txt", "~tilde",
     "back\\slash.txt", "bytes\udcff.txt", "'single'"],
)  # fmt: skip
def test_names_that_need_quoting_are_listed_and_served(site: Site, public: Path, name: str) -> None:
    """The link in the listing leads to the file, and the page has no markup of the name's."""
    write(public / "names" / name, b"found")
    page = site.get("/names/").body.decode()
    link = page.split('<td><a href="')[2].split('"')[0]
    assert site.get(f"/names/{link}").body == b"found"
    assert "<tag>" not in page


@pytest.mark.parametrize(
    ("target", "dropped"),
    [
        ("/sub/./page.html", "/sub/page.html"),
        ("/./hello.txt", "/hello.txt"),
        ("/././/./hello.txt", "/hello.txt"),
        ("/%2e/hello.txt", "/hello.txt"),
        ("/sub/%2E/page.html", "/sub/page.html"),
        ("/sub/.", "/sub/"),
        ("/.", "/"),
        ("/./", "/"),
        (".", None),
        ("/a?./b/./c", "/a?./b/./c"),
        ("/./a#/./b", "/a#/./b"),
        ("/.//evil.example/", "/evil.example/"),
        ("/./%2e//evil.example", "/evil.example"),
        ("https://localhost/./hello.txt?x=/./y", "/hello.txt?x=/./y"),
        ("https://localhost/.", "/"),
        ("/../a", "/../a"),
        ("/.a/b.", "/.a/b."),
        ("/...", "/..."),
        ("/a/.%2e/b", "/a/.%2e/b"),
    ],
)
def test_clients_d03_single_dots_are_dropped(target: str, dropped: str | None) -> None:
    """Clients D3: they lead nowhere; two dots stay, and are refused later."""
    assert _paths.origin_form(target) == dropped


def test_clients_d03_apt_reads_a_flat_repository(site: Site, public: Path) -> None:
    """Clients D3: ``deb https://host/apt ./`` asks for ``/apt/./Packages``."""
    write(public / "apt" / "Packages", b"Package: x")
    assert site.get("/apt/./Packages").body == b"Package: x"
    assert site.get("/apt/./").status == 200
    assert site.get("/apt/.").status == 200
    assert site.get("/./apt").headers["Location"] == "/apt/"
    assert site.get("/.//apt").headers["Location"] == "/apt/"
    assert site.get("/apt/./../hello.txt").status == 404


@pytest.mark.parametrize("handler", [TLSFileRequestHandler, SimpleHTTPRequestHandler])
@pytest.mark.parametrize("name", ["a/", "./", "%2e/", "%2f", "\\", "%5c", "a%2F", "//", "/a"])
def test_paths_of_thousands_of_names_cost_nothing(
    handler: Any, name: str, public: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers 17: they are refused before anybody joins them name by name."""
    site = serve(quiet(handler), directory=str(public))
    path = "/x/" + name * (60_000 // len(name))
    joined: list[str] = []
    join = os.path.join

    def counted(first: str, *others: str) -> str:
        joined.extend(others)
        return join(first, *others)

    monkeypatch.setattr(os.path, "join", counted)
    assert site.get(path).status in (301, 404)
    assert len(joined) < 100


def test_255_names_are_served(site: Site, public: Path) -> None:
    """Peers 17: the limit is where it is said to be."""
    names = "d/" * 254
    write(public / names / "f", b"deep")
    assert site.get(f"/{names}f").body == b"deep"
    write(public / names / "d" / "f", b"deeper")
    assert site.get(f"/{names}d/f").status == 404


def test_absolute_form_is_served(site: Site) -> None:
    """A target with scheme and host names the same file (RFC 9112, section 3.2.2)."""
    assert site.get("https://localhost/hello.txt?x=1").body == b"Hello, world!\n"


def test_well_known_is_served_and_listed(site: Site) -> None:
    """The one name with a dot that is for everybody, where RFC 8615 has it."""
    assert site.get("/.well-known/security.txt").body == b"Contact: us"
    assert b".well-known/" in site.get("/").body


def test_dotfiles_are_not_listed(site: Site) -> None:
    """A listing names nothing that is not served."""
    assert b".env" not in site.get("/").body
    assert b".git" not in site.get("/").body
    assert b".hidden" not in site.get("/sub/").body


def test_dotfiles_are_served_where_wanted(serve: Serve, public: Path) -> None:
    """The switch serves and lists them; a folder above is still no name."""
    site = serve(quiet(TLSFileRequestHandler, serve_dotfiles=True), directory=str(public))
    assert site.get("/.env").status == 200
    assert b".env" in site.get("/").body
    assert site.get("/../secret.txt").status == 404


# Links ----------------------------------------------------------------------------------------


@pytest.fixture
def links(public: Path) -> Path:
    """Add symbolic links of every kind."""
    (public / "inside.txt").symlink_to("hello.txt")
    (public / "absolute.txt").symlink_to(public / "hello.txt")
    (public / "outside.txt").symlink_to("../secret.txt")
    (public / "outside-folder").symlink_to("../public-other")
    (public / "inside-folder").symlink_to("sub")
    (public / "up").symlink_to("..")
    (public / "loop").symlink_to("loop")
    (public / "dangling").symlink_to("nowhere")
    (public / "hop.txt").symlink_to("outside.txt")
    (public / "device").symlink_to("/dev/zero")
    return public


INSIDE_LINKS = ["/inside.txt", "/absolute.txt", "/inside-folder/page.html"]
OUTSIDE_LINKS = [
    "/outside.txt", "/outside-folder/secret.txt", "/outside-folder/", "/up/secret.txt", "/up/",
    "/hop.txt", "/up/public/hello.txt/../../secret.txt", "/outside-folder",
]  # fmt: skip
NOWHERE_LINKS = ["/loop", "/loop/x", "/dangling", "/device"]


@pytest.mark.parametrize("by_path", [False, True])
@pytest.mark.parametrize("path", INSIDE_LINKS)
def test_links_inside_are_followed(
    site: Site, links: Path, path: str, by_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is meant by the default: links within the folder are as good as files."""
    monkeypatch.setattr(_opening, "_HAVE_DIR_FD", not by_path)
    assert site.get(path).status == 200


@pytest.mark.parametrize("by_path", [False, True])
@pytest.mark.parametrize("path", [*OUTSIDE_LINKS, *NOWHERE_LINKS])
def test_links_outside_are_not_followed(
    site: Site, links: Path, path: str, by_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link out of the folder is not found, also where there is no ``dir_fd``."""
    monkeypatch.setattr(_opening, "_HAVE_DIR_FD", not by_path)
    reply = site.get(path)
    assert reply.status == 404
    assert SECRET not in reply.body


@pytest.mark.parametrize("by_path", [False, True])
@pytest.mark.parametrize("path", [*INSIDE_LINKS, *OUTSIDE_LINKS, *NOWHERE_LINKS])
def test_never_follows_no_link(
    serve: Serve, links: Path, path: str, by_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With NEVER no path with a link in it is found; plain files are."""
    monkeypatch.setattr(_opening, "_HAVE_DIR_FD", not by_path)
    handler = quiet(TLSFileRequestHandler, follow_symlinks=FollowSymlinks.NEVER)
    site = serve(handler, directory=str(links))
    assert site.get(path).status == 404
    assert site.get("/sub/page.html").status == 200


def test_anywhere_follows_links_to_files_only(serve: Serve, links: Path) -> None:
    """With INSECURE_ANYWHERE links lead outside, but still to no device and not up by ``..``."""
    handler = quiet(TLSFileRequestHandler, follow_symlinks=FollowSymlinks.INSECURE_ANYWHERE)
    site = serve(handler, directory=str(links))
    assert site.get("/outside.txt").body == SECRET
    assert site.get("/outside-folder/secret.txt").body == SECRET
    assert {site.get(path).status for path in ("/device", "/loop", "/../secret.txt")} == {404}


def test_listing_has_only_links_that_are_served(site: Site, links: Path) -> None:
    """A link that is not followed is not listed either."""
    page = site.get("/").body.decode()
    assert "inside.txt@" in page
    assert 'href="inside-folder/"' in page
    for name in ("outside", "up", "loop", "dangling", "hop", "device"):
        assert f'href="{name}' not in page


def test_served_folder_may_be_a_link(serve: Serve, public: Path, tmp_path: Path) -> None:
    """As in Kubernetes: the folder, and each file in it, is a link to a folder with a dot."""
    write(tmp_path / "volume" / "..2026" / "app.conf", b"mounted")
    (tmp_path / "volume" / "..data").symlink_to("..2026")
    (tmp_path / "volume" / "app.conf").symlink_to("..data/app.conf")
    (tmp_path / "mount").symlink_to("volume")
    site = serve(quiet(TLSFileRequestHandler), directory=str(tmp_path / "mount"))
    assert site.get("/app.conf").body == b"mounted"
    assert site.get("/..data/app.conf").status == 404


@pytest.mark.parametrize("shape", ["{}/", "{}//", "{}/../public", "{}/./"])
def test_served_folder_may_be_written_in_any_way(serve: Serve, public: Path, shape: str) -> None:
    """A folder with a slash at its end or dots in its path is the same folder."""
    site = serve(quiet(TLSFileRequestHandler), directory=shape.format(public))
    assert site.get("/sub/page.html").status == 200
    assert site.get("/").status == 200
    assert site.get("/../secret.txt").status == 404


def test_swapping_a_file_for_a_link_never_leaks(public: Path, tmp_path: Path) -> None:
    """Whenever a name changes between file and link to outside, opening gives the file or none."""
    file, link = write(tmp_path / "file", b"mine"), tmp_path / "link"
    link.symlink_to(tmp_path / "secret.txt")
    assert _read_amid_swaps(public, "flip", file, link) == {b"mine", None}


def test_swapping_a_folder_for_a_link_never_leaks(public: Path, tmp_path: Path) -> None:
    """The same for a folder on the way."""
    folder, link = tmp_path / "folder", tmp_path / "link"
    write(folder / "secret.txt", b"mine")
    link.symlink_to(tmp_path / "public-other")
    assert _read_amid_swaps(public, "flip/secret.txt", folder, link) == {b"mine", None}


def _read_amid_swaps(root: Path, path: str, one: Path, other: Path) -> set[bytes | None]:
    """Read a file with two things in turn under a name, swapped before any one or two looks at it.

    Args:
        root: The served folder.
        path: What is read, from there; the first name is the one of the two things.
        one: What is there, and is swapped for the other.
        other: Likewise.

    Returns:
        All that came of it.
    """
    found: set[bytes | None] = set()
    for first_there in ((one, other), (other, one)):
        for first in itertools.count():
            count = 0
            for second in itertools.count(first):
                swapped = _Swapped(root, path, *first_there)
                found.add(swapped.read({first, second}))
                count = swapped.looks
                if second >= count:
                    break
            if first >= count:
                break
    return found


class _Swapped:
    """Something in a served folder that somebody swaps for something else and back."""

    def __init__(self, root: Path, path: str, there: Path, away: Path) -> None:
        self._root, self._path = root, root / path
        self._names = path.split("/")
        self._place = root / self._names[0]
        self._there, self._away = there, away
        self.looks = 0

    def read(self, swap_before: set[int]) -> bytes | None:
        """Read the file, with a swap before each look of these numbers."""
        self._there.rename(self._place)
        try:
            with pytest.MonkeyPatch.context() as patch:
                for name in ("open", "stat", "lstat", "readlink"):
                    patch.setattr(os, name, self._look(getattr(os, name), swap_before))
                return _read(self._root, self._path)
        finally:
            self._place.rename(self._there)

    def _look(self, look: Callable[..., Any], swap_before: set[int]) -> Callable[..., Any]:
        def swap_and_look(*arguments: Any, **options: Any) -> Any:
            if os.path.basename(arguments[0]) in self._names:  # noqa: PTH119
                if self.looks in swap_before:
                    self._place.rename(self._there)
                    self._there, self._away = self._away, self._there
                    self._there.rename(self._place)
                self.looks += 1
            return look(*arguments, **options)

        return swap_and_look


def _read(root: Path, path: Path) -> bytes | None:
    try:
        with _opening.open_inside(str(root), str(path), FollowSymlinks.INSIDE) as file:
            return file.readall()
    except OSError:
        return None


# What is no file -------------------------------------------------------------------------------


def test_special_files_are_never_opened(site: Site, public: Path, tmp_path: Path) -> None:
    """A FIFO does not block the server, and a socket or device is not found."""
    os.mkfifo(public / "fifo")
    (public / "zero").symlink_to("/dev/zero")
    (public / "folder").mkdir()
    os.mkfifo(public / "folder" / "index.html")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(public / "socket"))
        for path in ("/fifo", "/zero", "/socket"):
            assert site.get(path).status == 404
        assert site.get("/folder/").status == 200  # a listing
        page = site.get("/").body
    assert b"fifo" not in page
    assert b"socket" not in page


def test_fifo_that_appears_after_the_look_does_not_block(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the type has been looked at too early, opening does not wait for a writer."""
    os.mkfifo(public / "fifo")
    looks: list[Any] = []
    look = _opening._require_regular

    def believe_at_first(status: os.stat_result, name: str) -> None:
        looks.append(status)
        if len(looks) > 1:
            look(status, name)

    monkeypatch.setattr(_opening, "_require_regular", believe_at_first)
    opening = threading.Thread(target=_read, args=(public, public / "fifo"))
    opening.start()
    opening.join(30 * UNIT)
    assert not opening.is_alive()
    assert len(looks) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_403(site: Site, public: Path) -> None:
    """What the system denies is denied, not said to be missing."""
    (public / "hello.txt").chmod(0)
    (public / "sub").chmod(0)
    assert site.get("/hello.txt").status == 403
    assert site.get("/sub/").status == 403
    (public / "sub").chmod(0o700)


def test_denied_file_is_403(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where the tests run as root: the system's refusal becomes 403."""

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tlshttp.handler._static.open_inside", deny)
    monkeypatch.setattr("tlshttp.handler._static.list_inside", deny)
    assert site.get("/hello.txt").status == 403


# Overriding ------------------------------------------------------------------------------------


def test_translate_path_must_stay_inside_unless_the_root_moves_along(
    serve: Serve, public: Path, tmp_path: Path
) -> None:
    """A mapping that leads elsewhere serves nothing until ``root_for`` says that it is meant."""
    other = tmp_path / "public-other"

    class Mapped(TLSFileRequestHandler):
        def translate_path(self, path: str) -> str:
            if path.startswith("/other/"):
                return str(other / path.removeprefix("/other/"))
            return super().translate_path(path)

    class Meant(Mapped):
        def root_for(self, path: str) -> str:
            return str(other) if path.startswith(str(other)) else super().root_for(path)

    assert serve(quiet(Mapped), directory=str(public)).get("/other/secret.txt").status == 404
    site = serve(quiet(Meant), directory=str(public))
    assert site.get("/other/secret.txt").status == 200
    assert site.get("/other/../secret.txt").status == 404
    assert site.get("/hello.txt").status == 200


def test_people_p9_two_folders_as_the_page_has_them(
    serve: Serve, public: Path, tmp_path: Path
) -> None:
    """Names are decoded, the folder itself gets its slash, and nothing leads out of either."""
    (code,) = [
        block.text
        for block in blocks(DOCS / "how-to" / "serve-files.md")
        if "class TwoFolders" in block.text
    ]
    names: dict[str, Any] = {}
    exec(code, names)
    downloads = tmp_path / "elsewhere"
    downloads.mkdir()
    for name in ("a b.txt", "ü.txt", "50%.txt"):
        (downloads / name).write_text(name)
    (tmp_path / "elsewhere-too").mkdir()
    (tmp_path / "elsewhere-too" / "secret.txt").touch()
    handler: type[TLSFileRequestHandler] = type(
        "Mine", (names["TwoFolders"],), {"downloads": str(downloads)}
    )
    site = serve(quiet(handler), directory=str(public))
    for name in ("a b.txt", "ü.txt", "50%.txt"):
        assert site.get(f"/downloads/{quote(name)}?x=y").body.decode() == name
    assert site.get("/downloads").headers["Location"] == "/downloads/"
    assert b"a%20b.txt" in site.get("/downloads/").body
    assert site.get("/hello.txt").status == 200
    for path in ("/downloads-too/secret.txt", "/downloads/../secret.txt", "/downloadsx"):
        assert site.get(path).status == 404, path


@given(st.lists(st.tuples(st.text(min_size=1), st.booleans(), st.booleans()), max_size=5))
def test_listing_quotes_as_urllib_does(names: list[tuple[str, bool, bool]]) -> None:
    """Peers 17: the quick way to write links writes the same links, and no markup."""
    entries = [Entry(*name, size=0, changed=0.0) for name in names]
    page = b"".join(listing_pieces("/", entries, Order())).decode("utf-8")
    links = re.findall('<td><a href="(.*?)">(.*?)</a><td>', page, re.DOTALL)
    assert len(links) == len(entries)
    for (link, shown), entry in zip(links, Order().sort(entries), strict=True):
        assert link == quote(entry.name + "/" * entry.is_folder, errors="surrogatepass")
        assert html.unescape(shown) == entry.name + (
            "@" if entry.is_link else "/" * entry.is_folder
        )
