"""people U1: what is the server's own is served to nobody, whatever it is called."""

from __future__ import annotations

import errno
import gzip
import logging
import os
import shutil
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.handler.conftest import Serve, quiet
from tlshttp import FollowSymlinks, TLSFileRequestHandler, TLSRequestHandler, certs, context
from tlshttp._own_files import OWN_FILES, OwnFiles
from tlshttp._user_folders import authority_folders
from tlshttp.errors import CertificateError
from tlshttp.handler import _opening

MARK = b"PRIVATE KEY"


class Anywhere(TLSFileRequestHandler):
    follow_symlinks = FollowSymlinks.INSECURE_ANYWHERE
    serve_dotfiles = True


class Mixed(SimpleHTTPRequestHandler, TLSRequestHandler):
    pass


class Elsewhere(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        return super().translate_path(path.removeprefix("/files"))


HANDLERS = [TLSFileRequestHandler, Anywhere, SimpleHTTPRequestHandler, Mixed, Elsewhere]

PATHS = [
    "/key.pem", "//key.pem", "/%6bey.pem", "/key%2Epem", "/key.pem?x", "/key.pem#x", "/KEY.PEM",
    "/./key.pem", "/sub/../key.pem", "/sub/%2e%2e/key.pem", "/key.pem/",
    "https://localhost/key.pem", "/key.pem.gz", "/key.pem.br", "/key.pem~", "/key.pem.bak",
    "/key.pem.2026-11-25", "/link.txt", "/hard.txt", "/sub/hard.txt", "/link-of-link.txt",
    "/sub/up/key.pem", "/hard-gz.txt", "/link-gz.txt", "/index/", "/index/index.html",
    "/precompressed.txt.gz", "/authority/", "/authority/rootCA-key.pem", "/to-authority/x.key",
    "/authority/x.key", "/hard-of-authority.txt", "/later.pem", "/out.log", "/out.log.1",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder to serve, with keys in it under all kinds of names."""
    public = tmp_path / "public"
    (public / "sub").mkdir(parents=True)
    (public / "index").mkdir()
    (public / "authority").mkdir()
    certificate = certs.self_signed("localhost")
    key = certificate.key_to_pem()
    assert MARK in key
    (public / "cert.pem").write_bytes(certificate.to_pem())
    (public / "key.pem").write_bytes(key)
    (public / "key.pem").chmod(0o600)
    for name in ("key.pem.br", "key.pem~", "key.pem.bak", "key.pem.2026-11-25", "authority/x.key"):
        (public / name).write_bytes(key)
    (public / "key.pem.gz").write_bytes(gzip.compress(key))
    (public / "link.txt").symlink_to("key.pem")
    (public / "link-of-link.txt").symlink_to(public / "link.txt")
    (public / "link-gz.txt").symlink_to("key.pem.gz")
    (public / "sub" / "up").symlink_to("..")
    (public / "to-authority").symlink_to("authority")
    for name in ("hard.txt", "sub/hard.txt", "index/index.html", "precompressed.txt.gz"):
        os.link(public / "key.pem", public / name)
    os.link(public / "key.pem.gz", public / "hard-gz.txt")
    os.link(public / "authority" / "x.key", public / "hard-of-authority.txt")
    (public / "precompressed.txt").write_text("public")
    os.utime(public / "precompressed.txt", (1, 1))
    for name in ("page.html", "keys.txt", "key.pem-how-to.txt"):
        (public / name).write_text("public")
    return public


@pytest.fixture
def store(folder: Path) -> certs.CertificateStore:
    """Load what is to be kept."""
    OWN_FILES.add_folder(folder / "authority")
    OWN_FILES.add(folder / "later.pem")
    OWN_FILES.add(folder / "out.log")
    for name in ("later.pem", "out.log", "out.log.1"):
        shutil.copy(folder / "key.pem", folder / name)
    return certs.CertificateStore(folder / "cert.pem", folder / "key.pem")


@pytest.mark.parametrize("handler", HANDLERS)
def test_people_u1_nothing_of_the_servers_own_is_served(
    handler: Any, folder: Path, store: certs.CertificateStore, serve: Serve
) -> None:
    """People U1: by no name, link, hard link, encoding, range or precompressed form."""
    site = serve(quiet(handler), directory=str(folder))
    for path in PATHS:
        for fields in ({}, {"Range": "bytes=0-99"}, {"Accept_Encoding": "gzip, br"}):
            reply = site.get(path, **fields)
            assert MARK not in reply.body, path
            listed = path == "/index/" and b"<h1>" in reply.body
            assert listed or reply.status in (301, 400, 404), (path, reply.status)
    for path in ("/page.html", "/keys.txt", "/key.pem-how-to.txt", "/precompressed.txt"):
        assert site.get(path).body == b"public", path
        assert site.get(path, Accept_Encoding="gzip").body == b"public"


def test_people_u1_a_key_that_was_only_written_is_not_served(tmp_path: Path, serve: Serve) -> None:
    """As where a program shows a certificate that it has made, and writes it for its clients."""
    public = tmp_path / "public"
    public.mkdir()
    certs.self_signed("localhost").write(public / "localhost.pem", public / "localhost.key")
    certs.self_signed("localhost").write(public / "both.pem")
    certs.CertificateAuthority.generate("CA").write(public / "ca.pem", public / "ca.key")
    site = serve(quiet(TLSFileRequestHandler), directory=str(public))
    listing = site.get("/").body
    for name in ("localhost.key", "ca.key", "both.pem"):
        private = MARK in (public / name).read_bytes()
        assert (site.get(f"/{name}").status == 404) == private
        assert (name.encode() not in listing) == private
    for name in ("localhost.pem", "ca.pem"):
        assert site.get(f"/{name}").status == 200


def test_people_u1_nothing_of_the_servers_own_is_listed(
    folder: Path, store: certs.CertificateStore, serve: Serve
) -> None:
    """People U1: the listing has the rest, and only that."""
    site = serve(quiet(TLSFileRequestHandler), directory=str(folder))
    names = site.get("/").body.decode().split('<td><a href="')[1:]
    assert [name.split('"')[0] for name in names] == [
        "index/", "sub/", "key.pem-how-to.txt", "keys.txt", "page.html", "precompressed.txt",
    ]  # fmt: skip
    assert b"hard" not in site.get("/sub/").body


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("place", ["variable", "usual"])
def test_people_u1_the_local_authority_is_not_served_where_nobody_has_used_it(
    handler: Any, place: str, folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People P1: by no name or link, in a program that has a certificate of its own."""
    usual = folder / "data" / "tlshttp"
    (usual / "sub").mkdir(parents=True)
    shutil.copy(folder / "authority" / "x.key", usual / "sub" / "y.key")
    (folder / "deep").symlink_to(usual / "sub")
    if place == "variable":
        monkeypatch.setenv("TLSHTTP_AUTHORITY", str(folder / "authority"))
        own = ["/authority/x.key", "/to-authority/x.key", "/hard-of-authority.txt", "/authority/"]
    else:
        monkeypatch.delenv("TLSHTTP_AUTHORITY", raising=False)
        own = ["/data/tlshttp/sub/y.key", "/data/tlshttp/", "/deep/y.key", "/data/tlshttp/sub/"]
    environment = {**os.environ, "XDG_DATA_HOME": str(folder / "data")}
    monkeypatch.setattr(OWN_FILES, "_always", lambda: authority_folders(environment))
    OWN_FILES.add(folder / "another")  # look now
    site = serve(quiet(handler), directory=str(folder))
    for path in own:
        assert site.get(path).status == 404, path
    assert site.get("/page.html").body == b"public"


def test_an_authority_that_is_made_later_is_known_at_once(tmp_path: Path) -> None:
    """People P1: by another process, within the second in which nobody looks again."""
    folder = tmp_path / "authority"
    own = OwnFiles(lambda: [str(folder)])
    page = tmp_path / "page.html"
    page.write_text("page")
    assert not own.include(str(page), page.stat())
    assert own.inside(tmp_path) == []
    folder.mkdir()
    key = folder / "authority-key.pem"
    key.write_text("key")
    os.link(key, tmp_path / "hard.txt")
    assert own.include(str(tmp_path / "hard.txt"), key.stat())
    assert own.include(str(folder), folder.stat())
    (folder / "new").mkdir()
    (folder / "new" / "key").touch()
    (tmp_path / "link").symlink_to(folder / "new")
    assert own.include(str(tmp_path / "link" / "key"), (folder / "new" / "key").stat())
    assert not own.include(str(page), page.stat())
    assert own.inside(tmp_path) == [str(folder)]


def test_an_authority_without_a_home_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """People P1: who has no home folder has no authority there, and is served all the same."""

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert list(authority_folders({})) == []
    assert list(authority_folders({"TLSHTTP_AUTHORITY": "/a"})) == ["/a"]


def test_a_renewed_key_is_known_at_once_and_the_old_one_still(
    folder: Path, store: certs.CertificateStore, serve: Serve
) -> None:
    """People U1: neither the new one nor the old one under another name is served."""
    site = serve(quiet(TLSFileRequestHandler), directory=str(folder))
    for _ in range(20):
        os.link(folder / "key.pem", folder / "old.txt")
        certs.self_signed("localhost").write(folder / "cert.pem", folder / "key.pem")
        os.link(folder / "key.pem", folder / "new.txt")
        assert [site.get(f"/{name}").status for name in ("key.pem", "new.txt", "old.txt")] == [
            404
        ] * 3
        assert site.get("/page.html").status == 200
        (folder / "old.txt").unlink()
        (folder / "new.txt").unlink()


def test_a_new_file_with_the_inode_of_an_old_key_is_served(tmp_path: Path) -> None:
    """People U1: inodes are given again; what is known of an old key is more than that."""
    own = OwnFiles()
    (tmp_path / "key").write_text("key")
    own.add(tmp_path / "key")
    status = (tmp_path / "key").stat()
    assert own.include("x", status)
    (tmp_path / "key").unlink()
    (tmp_path / "page").write_text("a page, and longer")
    assert own.include("x", status)
    assert not own.include(str(tmp_path / "page"), (tmp_path / "page").stat())


@pytest.mark.parametrize("kind", ["crl", "anchors", "pkcs12", "keylog", "log", "chain"])
def test_every_kind_of_own_file_is_known(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """People U1: whatever reads or writes such a file takes note of it."""
    file = tmp_path / "file"
    authority = certs.CertificateAuthority.generate("x")
    certificate = authority.issue_server("localhost")
    if kind == "crl":
        file.write_bytes(_crl())
        certs.CRLStore(file)
    elif kind == "anchors":
        file.write_bytes(authority.certificate.to_pem())
        certs.load_trust_anchors(file)
    elif kind == "chain":
        file.write_bytes(certificate.to_pem())
        certs.load_chain(file)
    elif kind == "pkcs12":
        file.write_bytes(b"no such thing")
        with pytest.raises(CertificateError):
            certs.load_pkcs12(file, None)
    elif kind == "keylog":
        context.create_server_context(certificate, keylog_file=file)
    else:
        handler = logging.FileHandler(file)
        request.addfinalizer(handler.close)
        logger = logging.getLogger("tests.own_files")
        logger.addHandler(handler)
        request.addfinalizer(lambda: logger.removeHandler(handler))
        OWN_FILES.add(tmp_path / "another")  # look now
    assert OWN_FILES.include(str(file), file.stat())


def _crl() -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certs.CertificateAuthority.generate("x").crl().public_bytes(Encoding.PEM)


@pytest.mark.parametrize("path", ["/dev/stdin", "/proc/self/fd/0"])
def test_paths_of_descriptors_are_not_remembered(path: str, tmp_path: Path) -> None:
    """People U1: what such a path leads to later is another file, which may well be public."""
    own = OwnFiles()
    own.add(path)
    assert own.inside("/") == []


def test_names_that_no_file_can_have_do_no_harm(tmp_path: Path) -> None:
    """People U1: such a path is named in an error elsewhere; here it is no reason to fail."""
    own = OwnFiles()
    own.add("a\0b")
    own.add_folder("a\0b")
    (tmp_path / "x").write_text("x")
    assert not own.include(str(tmp_path / "x"), (tmp_path / "x").stat())
    assert own.inside(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "is_own"),
    [
        ("password", True), ("password~", True), ("password.gz", True), ("PASSWORD.bak", True),
        ("password.1", True), ("password.2026-11-25.gz", True), ("password.html", False),
        ("password.~1~", True),
        ("#password#", True), (".#password", True), (".password.swp", True), ("password_old", True),
        ("password.dpkg-old", True), ("password.dpkg-dist", True), ("password.rpmsave", True),
        ("password.rpmnew", True), ("password.backup", True), ("password.save", True),
        ("password.orig", True), ("password-old", True), ("password.ucf-dist", True),
        ("password.swo", True), ("password.Backup2.gz", True), ("#passwords.html", True),
        ("password_policy", False), ("password-how-to", False), ("password.~x~", False),
        ("passwords", False), ("password.d", False), ("my-password", False),
    ],
)  # fmt: skip
def test_what_lies_beside_under_a_name_with_a_suffix(
    name: str, is_own: bool, tmp_path: Path
) -> None:
    """People U1: copies that programs make are secret, too; a page of a like name is none."""
    own = OwnFiles()
    own.add(tmp_path / "password")
    file = tmp_path / name
    file.write_text("x")
    assert own.include(str(file), file.stat()) == is_own
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / name
    other.write_text("y")
    assert not own.include(str(other), other.stat())


@pytest.mark.parametrize(
    "name", ["password.~1~", "#password#", "password.rpmsave", "password.dpkg-old", "password_old"]
)
def test_a_hard_link_to_a_copy_is_the_copy(name: str, tmp_path: Path) -> None:
    """People P13: by a name that says nothing, too."""
    own = OwnFiles()
    own.add(tmp_path / "password")
    (tmp_path / name).write_text("x")
    public = tmp_path / "public.txt"
    public.hardlink_to(tmp_path / name)
    assert own.include(str(public), public.stat())


def test_people_u1_a_link_replaced_while_it_is_looked_at_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a path leads is asked of the system in steps; what changes between them is absent.

    The file that was opened by then is closed: a leak would be a warning, and so an error.
    """
    page = tmp_path / "page.html"
    page.write_bytes(b"page")
    own = OwnFiles()
    own.add_folder(tmp_path / "authority")
    assert not own.include(str(page), page.stat())

    def replaced(path: str) -> str:
        raise OSError(errno.EINVAL, "no link any more", path)

    monkeypatch.setattr(os.path, "realpath", replaced)
    assert own.include(str(page), page.stat())
    monkeypatch.setattr(_opening, "OWN_FILES", own)
    with pytest.raises(FileNotFoundError):
        _opening.open_inside(str(tmp_path), str(page), _opening.FollowSymlinks.NEVER)
