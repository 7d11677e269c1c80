"""Arguments of another kind end in a sentence that names the argument, at the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.engines import CREATE, NEEDS_GROUPS
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, pyopenssl
from tlshttp.context import Tickets

CERTIFICATE = certs.self_signed("localhost")

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
    for value in wrong_for((None, "text", object, ANYTHING[-1])):
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
