"""What may stand on the command line.

Nothing has a default here: what is not given there may be given in the environment, see
`tlshttp._file_server.environment`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tlshttp._command_line.parsing import COMMANDS, Parser, program
from tlshttp._default_engine import ENGINES
from tlshttp._version import __version__
from tlshttp.certs._findings import TOLERABLE

__all__ = ["make_parser"]

_MOST_WORKERS = 1024
"""More than machines have cores."""

_UNITS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def make_parser() -> Parser:
    """Return the parser for all that can be given to the file server."""
    name = program()
    parser = Parser(
        prog=name,
        usage=f"{name} [options] [[HOST:]PORT]",
        description="Serve a directory, or an application, over HTTPS. Without a certificate one is"
        " made for this run.",
        epilog="Each option can be given in the environment, too: TLSHTTP_BIND,"
        f" TLSHTTP_UPLOAD_LIMIT. Example: {name} 8443 --directory public."
        f" Other commands: {COMMANDS}.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"tlshttp {__version__}")
    _add_places(parser)
    _add_content(parser)
    _add_access(parser)
    _add_certificate(parser)
    _add_logs(parser)
    return parser


def _add(parser: Parser, group: argparse._ArgumentGroup, *names: str, **what: Any) -> None:
    parser.choices.append(group.add_argument(*names, default=None, **what))


def _add_places(parser: Parser) -> None:
    group = parser.add_argument_group("where")
    _add(
        parser, group, "port", nargs="?", metavar="[HOST:]PORT",
        help="port to listen on, and address if that is not all (default: 8000)",
    )  # fmt: skip
    _add(
        parser, group, "-b", "--bind", action="append", metavar="ADDRESS[:PORT]",
        help="listen on this address (default: all); can be given several times",
    )  # fmt: skip
    _add(
        parser, group, "--open", action="store_true", help="open it in the browser of this machine"
    )
    _add(
        parser, group, "--qr", action="store_true",
        help="print a QR code of the address for telephones; needs tlshttp-server[qr]",
    )  # fmt: skip
    _add(
        parser, group, "--workers", type=_number, metavar="N",
        help="serve with so many processes, one for each core (default: 1)",
    )  # fmt: skip


def _add_logs(parser: Parser) -> None:
    group = parser.add_argument_group("logs")
    _add(parser, group, "-q", "--quiet", action="store_true", help="do not log requests")
    _add(
        parser, group, "--log-format", choices=("json", "text"), metavar="FORMAT",
        help="how to log: text, or json for machines (default: text)",
    )  # fmt: skip
    _add(
        parser, group, "--log-level", choices=("debug", "info", "warning", "error", "critical"),
        metavar="LEVEL", help="what to log besides requests: debug, info, warning, error, critical"
        " (default: warning; error with --quiet)",
    )  # fmt: skip


def _add_content(parser: Parser) -> None:
    group = parser.add_argument_group("what")
    _add(
        parser, group, "-d", "--directory", type=_directory, metavar="DIR",
        help="what to serve (default: .)",
    )  # fmt: skip
    _add(
        parser, group, "--wsgi", metavar="MODULE:NAME",
        help="serve this WSGI application instead, or what MODULE:NAME() returns",
    )  # fmt: skip
    _add(
        parser, group, "--asgi", metavar="MODULE:NAME",
        help="the same for an ASGI application: Starlette, FastAPI, Quart",
    )  # fmt: skip
    _add(
        parser, group, "-p", "--protocol", metavar="VERSION", choices=("HTTP/1.0", "HTTP/1.1"),
        help="conform to this HTTP version (default: HTTP/1.1)",
    )  # fmt: skip
    _add(
        parser, group, "--spa", action="store_true",
        help="answer with the directory's index.html where there is nothing else",
    )  # fmt: skip
    _add(
        parser, group, "--cors", action="store_true", help="let pages of other sites read all of it"
    )
    _add(
        parser, group, "--header", action="append", metavar="NAME:VALUE",
        help="send this with each response; can be given several times",
    )  # fmt: skip


def _add_access(parser: Parser) -> None:
    group = parser.add_argument_group("who, and uploads")
    _add(
        parser, group, "--auth", metavar="USER",
        help="let in nobody but this user; the password is asked for, unless there is --auth-file"
        " or $TLSHTTP_AUTH_PASSWORD",
    )  # fmt: skip
    _add(
        parser, group, "--auth-file", metavar="PATH",
        help="file with that password, '-' for standard input",
    )  # fmt: skip
    _add(
        parser, group, "--upload", type=_directory, metavar="DIR",
        help="let visitors put files into this directory",
    )  # fmt: skip
    _add(
        parser, group, "--upload-limit", type=_size, metavar="SIZE",
        help="the most that is taken at once: 500M, 2G (default: 1G)",
    )  # fmt: skip


def _add_certificate(parser: Parser) -> None:
    group = parser.add_argument_group("certificate")
    _add(
        parser, group, "--tls-cert", metavar="PATH",
        help="certificate and its chain, PEM or PKCS#12",
    )  # fmt: skip
    _add(parser, group, "--tls-key", metavar="PATH", help="private key, if it is not in there")
    _add(
        parser, group, "--tls-password-file", metavar="PATH",
        help="file with the private key's password, '-' for standard input",
    )  # fmt: skip
    _add(
        parser, group, "--tolerate", action="append", choices=TOLERABLE, metavar="CODE",
        help=f"put up with this about the certificate, with a warning: {', '.join(TOLERABLE)};"
        " key-exposed always is",
    )  # fmt: skip
    _add(
        parser, group, "--authority-folder", metavar="DIR",
        help="where your local authority is kept, which certifies where there is no --tls-cert;"
        " default: $TLSHTTP_AUTHORITY, or among your data",
    )  # fmt: skip
    _add(
        parser, group, "--engine", choices=ENGINES,
        help="what does the TLS: Python's own ssl, or pyopenssl; default: the faster one here",
    )  # fmt: skip


def _directory(text: str) -> str:
    try:
        found = Path(text).is_dir()
    except (OSError, ValueError):
        found = False
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a directory")
    return text


def _number(text: str) -> int:
    """Read how many workers there are to be."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:9]) <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_WORKERS}")
    return int(text)


def _size(text: str) -> int:
    """Read a number of bytes: ``500000``, ``500k``, ``2G``, ``2GiB``; units are of 1024."""
    lower = text.strip().lower()
    number = lower.rstrip("bikmgt")
    unit = lower[len(number) :].removesuffix("b").removesuffix("i")
    if not number.isascii() or not number.strip().isdecimal() or unit not in _UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500M or 2G")
    size: int = int(number[:20]) * 1024 ** _UNITS[unit]
    if not 0 < size < 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500M or 2G")
    return size
