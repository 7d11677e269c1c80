from __future__ import annotations

import functools
import importlib.resources
import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.server.support import Client, OneRequest, Plain, running
from tests.support import free_port, nothing_left_behind
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer, certs, errors

ANYWHERE = ("127.0.0.1", 0)

Make = Callable[..., TLSHTTPServer]


@pytest.fixture
def make(server_class: type[TLSHTTPServer]) -> Make:
    """Return either server class, on a free port, with a handler."""
    return functools.partial(server_class, ANYWHERE, OneRequest)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, certificate: certs.Certificate) -> Path:
    """Return a folder with the certificate and its key, in several ways."""
    folder = tmp_path_factory.mktemp("files")
    certificate.write(folder / "cert.pem", folder / "key.pem")
    certificate.write(folder / "cert2.pem", folder / "encrypted.pem", password="sesame")
    both = (folder / "key.pem").read_text() + (folder / "cert.pem").read_text()
    (folder / "both.pem").write_text(both)
    return folder


def protocol_of(server: TLSHTTPServer, client: Client) -> str | None:
    """Serve one connection and return its ALPN protocol."""
    with running(server), client.connect(server) as sock:
        return sock.selected_alpn_protocol()


# What is wrong is said at once --------------------------------------------------------------------


def test_certificate_is_needed(make: Make) -> None:
    """Without a certificate or context the error says how to get one, and nothing is left."""
    with nothing_left_behind(), pytest.raises(errors.ConfigurationError) as caught:
        make()
    assert "certfile=" in str(caught.value)
    assert "certs.self_signed" in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        {"certfile": "cert.pem"},
        {"keyfile": "key.pem"},
        {"password": "sesame"},
        {"alpn_protocols": ["http/1.1"]},
        {"certfile": "cert.pem", "keyfile": "key.pem", "password": "x", "alpn_protocols": ["h2"]},
    ],
)
def test_finished_context_is_not_combined_with_parts_of_one(
    make: Make, server_context: ssl.SSLContext, more: dict[str, Any]
) -> None:
    """``ssl_context`` with anything it should contain is an error that names all of that."""
    with pytest.raises(errors.ConfigurationError) as caught:
        make(ssl_context=server_context, **more)
    assert [finding.split()[0] for finding in caught.value.findings] == list(more)


def test_context_of_a_client_is_refused(make: Make, client_context: ssl.SSLContext) -> None:
    """A context made for clients is an error, listed together with all others."""
    with pytest.raises(errors.ConfigurationError) as caught:
        make(ssl_context=client_context, certfile="cert.pem")
    assert len(caught.value.findings) == 2
    assert "PROTOCOL_TLS_SERVER" in caught.value.findings[1]


@pytest.mark.parametrize("workers", [0, -1])
def test_number_of_workers_is_checked(server_context: ssl.SSLContext, workers: int) -> None:
    """``max_workers`` below one is an error."""
    with pytest.raises(errors.ConfigurationError, match=f"max_workers.*not {workers}"):
        ThreadingTLSHTTPServer(
            ANYWHERE, OneRequest, ssl_context=server_context, max_workers=workers
        )


def test_missing_file_is_named(make: Make, tmp_path: Path) -> None:
    """A certificate file that is not there is an error that names it."""
    with nothing_left_behind(), pytest.raises((errors.CertificateError, OSError)) as caught:
        make(certfile=tmp_path / "none.pem")
    assert "none.pem" in str(caught.value)


def test_key_that_does_not_fit_is_refused(make: Make, files: Path, tmp_path: Path) -> None:
    """A key of another certificate is an error at construction, not at the first handshake."""
    certs.self_signed("localhost").write(tmp_path / "cert.pem", tmp_path / "key.pem")
    with pytest.raises(errors.CertificateError):
        make(certfile=files / "cert.pem", keyfile=tmp_path / "key.pem")


@pytest.mark.parametrize("password", ["wrong", None])
def test_encrypted_key_needs_its_password(make: Make, files: Path, password: str | None) -> None:
    """A wrong or missing password is an error; nobody is asked for one on the terminal."""
    with pytest.raises(errors.CertificateError):
        make(certfile=files / "cert2.pem", keyfile=files / "encrypted.pem", password=password)


def test_bad_certificate_is_refused_before_binding(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, tmp_path: Path
) -> None:
    """A file without a certificate is an error, and the port stays free for another server."""
    (tmp_path / "empty.pem").write_text("")
    address = ("127.0.0.1", free_port())
    with pytest.raises(errors.CertificateError):
        server_class(address, Plain, certfile=tmp_path / "empty.pem")
    server_class(address, Plain, ssl_context=server_context).server_close()


# The signature of Python 3.14's http.server.HTTPSServer -------------------------------------------


def test_signature_is_the_one_of_https_server(
    server_class: type[TLSHTTPServer], files: Path, client: Client
) -> None:
    """All arguments of Python 3.14's ``HTTPSServer`` are taken, the first three by position."""
    server = server_class(
        ANYWHERE,
        OneRequest,
        True,
        certfile=str(files / "cert2.pem"),
        keyfile=str(files / "encrypted.pem"),
        password="sesame",
        alpn_protocols=["http/1.1"],
    )
    with running(server):
        assert client.get(server, "/served").body == b"/served"


@pytest.mark.parametrize(
    "password",
    ["sesame", b"sesame", bytearray(b"sesame"), lambda: "sesame", lambda: b"sesame"],
    ids=["str", "bytes", "bytearray", "function of str", "function of bytes"],
)
def test_password_may_be_given_as_ssl_takes_it(
    make: Make, files: Path, client: Client, password: Any
) -> None:
    """Text, bytes or a function: as for ``SSLContext.load_cert_chain()``."""
    server = make(certfile=files / "cert2.pem", keyfile=files / "encrypted.pem", password=password)
    with running(server):
        assert client.get(server).status == 200


@pytest.mark.parametrize("kind", [str, Path, lambda path: str(path).encode()])
def test_files_may_be_given_as_open_takes_them(
    make: Make, files: Path, client: Client, kind: Callable[[Path], Any]
) -> None:
    """A path is text, bytes or a `pathlib.Path`; one file may hold certificate and key."""
    for arguments in (
        {"certfile": kind(files / "cert.pem"), "keyfile": kind(files / "key.pem")},
        {"certfile": kind(files / "both.pem")},
    ):
        server = make(**arguments)
        with running(server):
            assert client.get(server).status == 200


@pytest.mark.parametrize(
    ("offered", "agreed"), [(None, "http/1.1"), (["http/1.1"], "http/1.1"), (("other",), "other")]
)
def test_alpn_protocols_are_offered(
    make: Make, files: Path, certificate: certs.Certificate, offered: Any, agreed: str
) -> None:
    """``alpn_protocols`` is what is offered; without it HTTP/1.1 and 1.0."""
    client_context = ssl.create_default_context(cadata=certificate.to_pem().decode())
    client_context.set_alpn_protocols(["other", "http/1.1"])
    server = make(certfile=files / "both.pem", alpn_protocols=offered)
    assert protocol_of(server, Client(client_context)) == agreed


# Certificates of others ---------------------------------------------------------------------------


def standard_library_file(name: str) -> Path:
    """Return a certificate file of CPython's own tests, which are not installed everywhere."""
    try:
        folder = Path(str(importlib.resources.files("test")))
    except ModuleNotFoundError:
        pytest.skip("this interpreter comes without its tests")
    for candidate in (folder / "certdata" / name, folder / name):  # 3.13 moved them
        if candidate.exists():
            return candidate
    pytest.skip(f"this interpreter comes without {name}")


@pytest.mark.parametrize(
    ("certfile", "keyfile", "password"),
    [
        ("keycert.pem", None, None),
        ("keycert.passwd.pem", None, "somepass"),
        ("ssl_cert.pem", "ssl_key.pem", None),
        ("ssl_cert.pem", "ssl_key.passwd.pem", "somepass"),
        ("keycert3.pem", None, None),
        ("keycertecc.pem", None, None),
    ],
)
def test_certificates_of_the_standard_librarys_tests_serve(
    make: Make, certfile: str, keyfile: str | None, password: str | None
) -> None:
    """What Python's own ``HTTPSServer`` is tested with is accepted, whatever its validity."""
    key = None if keyfile is None else standard_library_file(keyfile)
    server = make(certfile=standard_library_file(certfile), keyfile=key, password=password)
    client_context = ssl.create_default_context()
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    with running(server):
        assert Client(client_context).get(server).status == 200


@pytest.mark.parametrize("kind", trustme.KeyType)
def test_certificates_of_trustme_serve(make: Make, tmp_path: Path, kind: trustme.KeyType) -> None:
    """A chain that trustme has issued is accepted, and trusted by those who trust its authority."""
    authority = trustme.CA(key_type=kind)
    intermediate = authority.create_child_ca()
    leaf = intermediate.issue_cert("localhost", "127.0.0.1", key_type=kind)
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "chain.pem")
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    server = make(certfile=tmp_path / "chain.pem")
    with running(server):
        assert Client(client_context).get(server).status == 200


# Attributes ---------------------------------------------------------------------------------------


def test_server_is_what_its_bases_are(make: Make, server_context: ssl.SSLContext) -> None:
    """It is an `http.server.HTTPServer`, with the attributes of one."""
    import http.server
    import socketserver

    with make(ssl_context=server_context) as server:
        assert isinstance(server, http.server.HTTPServer)
        assert isinstance(server, socketserver.TCPServer)
        assert server.RequestHandlerClass is OneRequest
        assert server.limits == Limits()
        assert server.ssl_context is server_context
        assert issubclass(OneRequest, BaseHTTPRequestHandler)
