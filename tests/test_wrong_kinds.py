"""Arguments of another kind end in a sentence that names the argument, at the start."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.engines import CREATE, NEEDS_GROUPS
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, pyopenssl, service
from tlshttp._trusted_proxies import TrustedProxies
from tlshttp.context import ClientAuth, Tickets
from tlshttp.errors import ConfigurationError
from tlshttp.pyopenssl._staples import Staples

CERTIFICATE = certs.self_signed("localhost")
AUTHORITY = certs.CertificateAuthority.generate("kinds")

ANYTHING: tuple[object, ...] = (
    "text", b"bytes", 7, 0, True, False, 1.5, None, [], ["text"], [7], [None], {}, {"a": 7},
    object(), object, lambda: 7,
)  # fmt: skip

# Which of these an argument takes, or refuses by an error that says what else is wrong with it.
OF_CONTEXTS: dict[str, Sequence[object]] = {
    "certificate": (),
    "profile": (),
    "client_auth": (),
    "client_auth_by_name": (None, {}),
    "client_cas": ([], {}),
    "client_certificates": ([], {}),
    "verify_depth": (None, 7, 0),
    "crls": (None, [], ["text"]),
    "alpn_protocols": ([], ["text"]),
    "unknown_names": (),
    "tickets": (),
    "keylog_file": (None, "text", b"bytes"),
}
OF_SERVERS: dict[str, Sequence[object]] = {
    "certfile": (None, "text", b"bytes"),
    "keyfile": (None, "text", b"bytes"),
    "password": (None, "text", b"bytes", object, ANYTHING[-1]),
    "alpn_protocols": (None, [], ["text"]),
    "ssl_context": (None,),
    "limits": (),
    "redirect_plain_http": (True, False),
    "listening_socket": (None,),
    "trusted_proxies": ([], ["text"], {}, {"a": 7}),
    "certificate": (None,),
    "engine": (None, "text"),
    "RequestHandlerClass": (object, ANYTHING[-1]),
    "server_address": ("text", b"bytes"),
}


def wrong_for(taken: Sequence[object]) -> list[object]:
    """Return what is of another kind."""
    return [one for one in ANYTHING if not any(one == it and type(one) is type(it) for it in taken)]


def is_said_of(argument: str, make: Callable[..., object], value: object, **more: Any) -> None:
    """Make sure that a sentence names an argument and says what is due."""
    with pytest.raises(TypeError, match=r"must be|missing 1 required positional") as caught:
        make(**more)
    words = str(caught.value)
    assert argument in words or words.startswith(("a CRL must be", "each")), (value, words)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("engine", ["ssl", pytest.param("pyopenssl", marks=NEEDS_GROUPS)])
@pytest.mark.parametrize("argument", OF_CONTEXTS)
def test_context_says_what_is_of_another_kind(argument: str, engine: str) -> None:
    """None of Python's own errors for what was done with it; nothing is taken for another thing."""
    for value in wrong_for(OF_CONTEXTS[argument]):
        arguments = {"certificate": CERTIFICATE, argument: value}
        is_said_of(argument, CREATE[engine], value, **arguments)


def test_further_certificates_are_looked_at_too() -> None:
    """A certificate without its key, for one, is no further certificate."""
    for value in (CERTIFICATE.leaf, "b.pem", [CERTIFICATE]):
        for create in (CREATE["ssl"], pyopenssl.create_server_context):
            with pytest.raises(TypeError, match="certificate must be"):
                create(CERTIFICATE, value)  # type: ignore[arg-type]


def test_staples_come_from_somewhere() -> None:
    """A path, a function or an authority."""
    for value in (*wrong_for((None, "text", ANYTHING[-1])), certs.CertificateAuthority):
        is_said_of(
            "ocsp_staple", pyopenssl.create_server_context, value,
            certificate=CERTIFICATE, ocsp_staple=value,
        )  # fmt: skip


@pytest.mark.parametrize("field", ["number", "lifetime", "rotation"])
def test_tickets_have_a_number_and_times(field: str) -> None:
    """Seconds are no time, and a truth value is no number."""
    taken = (7, 0) if field == "number" else (timedelta(1),)
    for value in wrong_for(taken):
        is_said_of(f"Tickets.{field}", Tickets, value, **{field: value})


@pytest.mark.parametrize("server", [TLSHTTPServer, ThreadingTLSHTTPServer])
@pytest.mark.parametrize("argument", OF_SERVERS)
def test_server_says_what_is_of_another_kind(argument: str, server: type[TLSHTTPServer]) -> None:
    """At the start, and not at the first connection."""
    given: dict[str, Any] = {
        "server_address": ("127.0.0.1", 0),
        "RequestHandlerClass": BaseHTTPRequestHandler,
        "certificate": CERTIFICATE,
    }
    if argument in ("certfile", "keyfile", "password", "ssl_context"):
        del given["certificate"]
    for value in wrong_for(OF_SERVERS[argument]):
        is_said_of(argument, server, value, **{**given, argument: value})


class PathIn:
    """A path as an object, which need not be one as text.

    Args:
        path: What it is.
    """

    def __init__(self, path: Any) -> None:
        self._path = path

    def __fspath__(self) -> Any:
        """Return it."""
        return self._path


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("verify_depth", 10**30, "verify_depth must be at most"),
        ("tickets", Tickets(number=10**30), "Tickets.number must be at most 255"),
        ("tickets", Tickets(number=2**31), "Tickets.number must be at most 255"),
        ("keylog_file", "/tmp/\0", "keylog_file: "),
        ("keylog_file", PathIn(b""), "keylog_file is empty"),
        ("crls", [""], "a path in crls is empty"),
        ("crls", [b"-----BEGIN X509 CRL-----"], "a path in crls must be the path of a file"),
    ],
)
@pytest.mark.parametrize("engine", ["ssl", pytest.param("pyopenssl", marks=NEEDS_GROUPS)])
def test_what_cannot_be_is_named(argument: str, value: object, words: str, engine: str) -> None:
    """A number that no library takes, and a path that no file has."""
    arguments = {
        "client_auth": ClientAuth.REQUIRED, "client_cas": [AUTHORITY.certificate.leaf],
        argument: value,
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match=words):
        CREATE[engine](CERTIFICATE, **arguments)


@pytest.mark.parametrize("engine", ["ssl", pytest.param("pyopenssl", marks=NEEDS_GROUPS)])
def test_a_path_may_be_bytes(tmp_path: Path, engine: str) -> None:
    """As everywhere in Python; and so may that of an object which is a path."""
    crl, pair, keys = (tmp_path / name for name in ("list.pem", "both.pem", "keys"))
    crl.write_bytes(AUTHORITY.crl().public_bytes(Encoding.PEM))
    CERTIFICATE.write(pair)
    for kind in (os.fsencode, lambda path: PathIn(os.fsencode(path))):
        CREATE[engine](
            certs.CertificateStore(kind(pair), kind(pair)),
            client_auth=ClientAuth.REQUIRED,
            client_cas=[AUTHORITY.certificate.leaf],
            crls=[kind(crl), certs.CRLStore(kind(crl))],
            keylog_file=kind(keys),
            verify_depth=sys.maxsize,
        )


def test_stores_say_what_is_of_another_kind(tmp_path: Path) -> None:
    """Which argument it is, whether a path or an interval; no content of a file is repeated."""
    CERTIFICATE.write(tmp_path / "both.pem")
    paths: tuple[object, ...] = (None, 7, True, [], PathIn(7))
    for value in paths:
        is_said_of("crlfile", certs.CRLStore, value, crlfile=value)
        is_said_of("certfile", certs.CertificateStore, value, certfile=value)
    intervals: tuple[object, ...] = ("5", True, None, [])
    for value in intervals:
        is_said_of(
            "poll_interval", certs.CertificateStore, value,
            certfile=tmp_path / "both.pem", poll_interval=value,
        )  # fmt: skip
    for value in (7, None, [7]):
        is_said_of("tolerate", certs.load, value, certfile=tmp_path / "both.pem", tolerate=value)
    for content in (CERTIFICATE.key_to_pem(), b"0\x82\0secret"):
        with pytest.raises(ConfigurationError, match="must be the path of a file") as caught:
            certs.CertificateStore(tmp_path / "both.pem", content)
        assert repr(content)[2:-1] not in str(caught.value)


def test_stores_in_memory_have_certificates() -> None:
    """One without its key is none; and what is to be called can be."""
    store = certs.CertificateStore.from_certificate(CERTIFICATE)
    values: tuple[object, ...] = (7, None, "text", CERTIFICATE.leaf)
    for value in values:
        is_said_of("certificate", certs.CertificateStore.from_certificate, value, certificate=value)
        is_said_of("certificate", store.replace, value, certificate=value)
        is_said_of("source", certs.CertificateStore.from_callable, value, source=value)
        is_said_of("judge", store.require, value, judge=value)
        is_said_of("on_change", store.subscribe, value, on_change=value)
    assert store.current is CERTIFICATE


def made(address: object, **more: Any) -> ThreadingTLSHTTPServer:
    """Return a server at an address."""
    given = {"certificate": CERTIFICATE, **more}
    return ThreadingTLSHTTPServer(address, BaseHTTPRequestHandler, **given)


def test_addresses_and_numbers_of_servers() -> None:
    """What `http.server` takes is taken, and what it does not is named."""
    for host in ("127.0.0.1", b"127.0.0.1", bytearray(b"127.0.0.1")):
        with made((host, 0), max_workers=3) as server:
            assert server.server_name == "127.0.0.1"
    addresses: tuple[object, ...] = (
        (), ("localhost",), (None, 0), (Path("localhost"), 0), ([], 0), ("localhost", "0"),
        (ipaddress.ip_address("127.0.0.1"), 0), ("localhost", True), ("localhost", 0.0),
    )  # fmt: skip
    for address in addresses:
        is_said_of("server_address", made, address, address=address)
    for port in (70_000, -1):
        with pytest.raises(ConfigurationError, match="the port in server_address must be from 0"):
            made(("localhost", port))
    numbers: tuple[object, ...] = ("3", [], 2.5, float("nan"), True)
    for workers in numbers:
        is_said_of("max_workers", made, workers, address=("localhost", 0), max_workers=workers)
    is_said_of(
        "ssl_context", made, ssl.SSLContext,
        address=("localhost", 0), certificate=None, ssl_context=ssl.SSLContext,
    )  # fmt: skip


def test_host_of_a_socket_that_is_taken_over() -> None:
    """What the server is known by, which may be left out; and for how long it drains."""
    values: tuple[object, ...] = ("3", [], True)
    known: dict[object, str] = {
        (): "127.0.0.1",
        (None, 0): "127.0.0.1",
        (b"a.example", 0): "a.example",
    }
    for address, name in known.items():
        with socket.create_server(("127.0.0.1", 0)) as listening_socket:
            is_said_of("host", made, 7, address=(7, 0), listening_socket=listening_socket)
            with made(address, listening_socket=listening_socket) as server:
                assert server.server_name == name
                for value in values:
                    is_said_of("timeout", server.drain, value, timeout=value)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no AF_UNIX sockets")
def test_a_path_may_be_an_address(tmp_path: Path) -> None:
    """As text, as bytes and as a `pathlib.Path`."""
    path = tmp_path / "socket"
    for address in (path, str(path), os.fsencode(path)):
        with made(address) as server:
            assert os.fsdecode(server.server_address) == str(path)


def test_a_service_is_given_a_function_and_numbers() -> None:
    """A function that has no return statement is found out, too."""

    def run(**given: Any) -> None:
        service.run(**{"make_server": lambda: None, **given})

    kinds: dict[str, tuple[object, ...]] = {
        "make_server": (7, None, "text"),
        "workers": ("2", 2.0, True, None),
        "drain_timeout": ("3", True, []),
    }
    for argument, values in kinds.items():
        for value in values:
            is_said_of(argument, run, value, **{argument: value})
    with pytest.raises(TypeError, match="make_server must return a TLSHTTPServer, not None"):
        run()


def test_one_network_of_proxies_is_one() -> None:
    """It is taken as it stands, and not as millions of addresses."""
    proxies = TrustedProxies(ipaddress.ip_network("10.0.0.0/8"))
    assert proxies.trusts(("10.255.0.1", 7))
    assert not proxies.trusts(("11.0.0.1", 7))
    assert len(proxies._networks) == 1


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_response_may_be_any_bytes(kind: Callable[[bytes], Any]) -> None:
    """A function reads it from anywhere."""
    certificate = AUTHORITY.issue_server("localhost")
    response = AUTHORITY.ocsp_response(certificate).public_bytes(Encoding.DER)
    staples = Staples(lambda _: kind(response))
    staples.fetch([certificate])
    found = staples.find(certificate.leaf.public_bytes(Encoding.DER))
    assert type(found) is bytes
    assert found == response
