"""What the user wants, from the command line and the environment, read once and whole."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlshttp._command_line.parsing import COMMANDS
from tlshttp._default_engine import Engine
from tlshttp._file_server.environment import PASSWORD_VARIABLE, complete
from tlshttp._file_server.places import DEFAULT_PORT, Place, parse_place, parse_port
from tlshttp._file_server.uploads import UploadFolder
from tlshttp.errors import ConfigurationError

__all__ = ["Options"]

_UPLOAD_LIMIT = 1 << 30
"""Bytes: what `tlshttp.Limits` has for a request body."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

_OURS = frozenset(
    {
        "accept-ranges", "allow", "connection", "content-encoding", "content-length",
        "content-range", "content-type", "date", "etag", "keep-alive", "last-modified", "location",
        "proxy-authenticate", "proxy-connection", "server", "te", "trailer", "transfer-encoding",
        "upgrade", "www-authenticate",
    }
)  # fmt: skip
"""Fields, in lower case, whose value only the server knows, and those of a single connection (RFC
9110, section 7.6.1)."""

_OF_CORS = frozenset({"access-control-allow-origin", "access-control-expose-headers"})


@dataclass(frozen=True, kw_only=True, repr=False)
class Options:
    """What the user wants. Its text would show a password: it has none."""

    places: tuple[Place, ...]
    """Where to listen, one at least; each has a port."""
    directory: str
    wsgi: str | None
    """The WSGI application that is served; `None`: the directory is."""
    asgi: str | None
    """Likewise, of ASGI."""
    protocol: str
    spa: bool
    cors: bool
    headers: tuple[tuple[str, str], ...]
    auth: str | None
    """The user who is let in; `None`: everybody is."""
    auth_file: str | None
    auth_password: str | None
    """The password as the environment has it."""
    upload: str | None
    """Where files are put; `None`: none are taken."""
    upload_limit: int
    """Bytes taken at once."""
    quiet: bool
    log_format: str
    """``text`` or ``json``."""
    log_level: str
    """What is logged at least, besides requests: ``INFO``."""
    workers: int
    """Processes that serve."""
    open: bool
    qr: bool
    tls_cert: str | None
    tls_key: str | None
    tls_password_file: str | None
    tolerate: tuple[str, ...]
    authority_folder: str | None
    engine: Engine | None

    @classmethod
    def read(cls, given: argparse.Namespace, environ: Mapping[str, str]) -> Options:
        """Read all of it.

        Args:
            given: What the parser has found.
            environ: The environment.

        Raises:
            ConfigurationError: Everything that is wrong.
        """
        ConfigurationError.raise_if(_empty(vars(given)))
        values = complete(given, environ)
        password = environ.get(PASSWORD_VARIABLE)
        findings: list[str] = []
        places = _gathered(findings, _places(values))
        headers = _gathered(findings, map(_header, values["header"] or ()))
        findings += _contradictions(values, password)
        if values["cors"]:
            twice = (name for name, _ in headers if name.lower() in _OF_CORS)
            findings += (f"--header {name}: --cors says that already" for name in twice)
        workers = values["workers"] or 1
        if workers > 1:
            findings += _wrong_about_workers(len(places))
        ConfigurationError.raise_if(findings)
        quietest = "error" if values["quiet"] else "warning"
        return cls(
            places=places,
            workers=workers,
            log_format=values["log_format"] or "text",
            log_level=(values["log_level"] or quietest).upper(),
            directory=values["directory"] or ".",
            protocol=values["protocol"] or "HTTP/1.1",
            headers=headers,
            auth_password=password,
            upload_limit=values["upload_limit"] or _UPLOAD_LIMIT,
            tolerate=tuple(values["tolerate"] or ()),
            spa=bool(values["spa"]),
            cors=bool(values["cors"]),
            quiet=bool(values["quiet"]),
            open=bool(values["open"]),
            qr=bool(values["qr"]),
            **{name: values[name] for name in _AS_GIVEN},
        )


_AS_GIVEN = (
    "wsgi", "asgi", "auth", "auth_file", "upload", "tls_cert", "tls_key", "tls_password_file",
    "authority_folder", "engine",
)  # fmt: skip


def _gathered(findings: list[str], values: Iterator[Any]) -> tuple[Any, ...]:
    """Return all values; what is wrong with one is a finding, and ends them."""
    found: list[Any] = []
    try:
        found.extend(values)
    except ConfigurationError as error:
        findings.extend(error.findings)
    return tuple(found)


def _empty(values: dict[str, Any]) -> Iterator[str]:
    """Yield which arguments are empty, as a variable of the shell that is not set leaves them."""
    for option, value in values.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.strip():
                name = "the port" if option == "port" else _name(option)
                yield f"{name}: there is nothing in the argument"


def _places(values: dict[str, Any]) -> Iterator[Place]:
    """Yield where to listen: what ``--bind`` says, and the port of it or of the argument."""
    word: str = values["port"] or ""
    own = _of_argument(word) if word else Place("", None)
    binds = [_of_bind(text) for text in values["bind"] or ()]
    if own.host or not binds:
        binds.insert(0, own)
    port = DEFAULT_PORT if own.port is None else own.port
    places = [Place(it.host, port if it.port is None else it.port) for it in binds]
    for place in places:
        same = [it for it in places if it.port == place.port]
        if place.port and same.count(place) > 1:
            raise ConfigurationError(f"{place}: given twice")
        if any(place.includes(it) for it in same if it is not place):
            raise ConfigurationError(f"{place}: that includes the other addresses")
    yield from places


def _of_argument(word: str) -> Place:
    if word.isascii() and word.isdecimal():
        return Place("", parse_port(word))
    if Path(word).is_dir():
        raise ConfigurationError(f"{word!r} is not a port; to serve that, give --directory {word}")
    if ":" not in word:
        raise ConfigurationError(
            f"{word!r} is not a port (0 to 65535), nor HOST:PORT; the commands are {COMMANDS}"
        )
    return parse_place(word)


def _of_bind(text: str) -> Place:
    try:
        return parse_place(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"--bind {text}: {error}") from None


def _header(text: str) -> tuple[str, str]:
    """Read ``NAME:VALUE``."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _TOKEN.fullmatch(name):
        raise ConfigurationError(f"--header {text!r} is not NAME:VALUE, as Cache-Control:no-store")
    if name.lower() in _OURS:
        raise ConfigurationError(f"--header {name}: the server itself says that")
    if name.lower() == "x-content-type-options" and value.lower() != "nosniff":
        raise ConfigurationError(f"--header {name}: its only value is nosniff")
    if not value.isprintable() or not value.isascii():
        raise ConfigurationError(f"--header {name}: its value is not printable ASCII")
    return name, value


def _contradictions(values: dict[str, Any], password: str | None) -> Iterator[str]:
    """Yield what does not go together."""
    for option in ("tls_key", "tls_password_file"):
        if values[option] is not None and values["tls_cert"] is None:
            yield f"{_name(option)} needs --tls-cert"
    if values["tolerate"] and values["tls_cert"] is None:
        yield "--tolerate needs --tls-cert"
    yield from _wrong_about_user(values, password)
    if values["upload_limit"] is not None and values["upload"] is None:
        yield "--upload-limit needs --upload"
    applications = [option for option in ("wsgi", "asgi") if values[option] is not None]
    if len(applications) > 1:
        yield "--wsgi and --asgi are both given: which of them is it?"
    if applications:
        yield from _wrong_about_application(values, applications[0])
    elif values["spa"]:
        yield from _wrong_about_page(values)
    if values["auth_file"] == "-" == values["tls_password_file"]:
        yield "--auth-file and --tls-password-file cannot both be standard input"


def _wrong_about_application(values: dict[str, Any], option: str) -> Iterator[str]:
    """Yield what is about files, which an application answers for."""
    for other in ("directory", "spa", "cors", "upload"):
        if values[other]:
            yield f"--{other} is about files, and --{option} serves none"


def _wrong_about_workers(places: int) -> Iterator[str]:
    if not hasattr(os, "fork"):
        yield "--workers: this platform has no fork(), so there can be only one"
    if places > 1:
        yield "--workers and several addresses do not go together: run a program for each address"


def _wrong_about_page(values: dict[str, Any]) -> Iterator[str]:
    page = Path(values["directory"] or ".", "index.html")
    if not page.is_file():
        yield f"--spa: there is no index.html in {values['directory'] or '.'!r}"
    elif values["upload"] is not None and UploadFolder(values["upload"], 1).contains(str(page)):
        yield (
            f"--spa and --upload {values['upload']}: index.html lies there, and what visitors may"
            " put there is nobody's page; take another folder for uploads"
        )


def _wrong_about_user(values: dict[str, Any], password: str | None) -> Iterator[str]:
    user: str | None = values["auth"]
    if user is None:
        if values["auth_file"] is not None:
            yield "--auth-file needs --auth"
        if password:
            yield f"{PASSWORD_VARIABLE} needs --auth: without a user everybody is let in"
        return
    if not user or not user.isprintable():
        yield "--auth: that is no name of a user"
    elif ":" in user:  # RFC 7617, section 2; and a password must not stand there
        yield "--auth takes a user without a password: give that by --auth-file, or when asked"
    if password is not None and values["auth_file"] is not None:
        yield f"--auth-file and {PASSWORD_VARIABLE} are both given: which of them counts?"
    elif password == "":
        yield f"{PASSWORD_VARIABLE} is empty"


def _name(option: str) -> str:
    return "--" + option.replace("_", "-")
