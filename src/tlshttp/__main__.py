"""``python -m tlshttp``: ``python -m http.server`` over HTTPS."""

from __future__ import annotations

import argparse
import errno
import functools
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tlshttp import _audit_cli, _bad_cli, _certs_cli, certs, context
from tlshttp._binding import network_addresses
from tlshttp._command_line import endings
from tlshttp._command_line.own_certificate import is_wildcard, own_certificate
from tlshttp._command_line.passwords import STANDARD_INPUT, PasswordFile, ask_password
from tlshttp._command_line.servers import host_of
from tlshttp._own_files import OWN_FILES
from tlshttp._version import __version__
from tlshttp.certs._load import TOLERABLE
from tlshttp.errors import ConfigurationError
from tlshttp.handler import TLSFileRequestHandler
from tlshttp.server import ThreadingTLSHTTPServer

_PROGRAM = "python -m tlshttp"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        arguments: The command line without the program's name; `None`: that of this process.

    Returns:
        The exit status: 0, or 2 where something has to be mended first.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["certs"]:
        return _certs_cli.main(words[1:])
    if words[:1] == ["audit"]:
        return _audit_cli.main(words[1:])
    if words[:1] == ["bad"]:
        return _bad_cli.main(words[1:])
    options = _parser().parse_args(words)
    return endings.run(_PROGRAM, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    if options.tls_cert is None:
        findings = [f"{name} needs --tls-cert" for name in _given_without_certificate(options)]
        ConfigurationError.raise_if(findings)
        own = own_certificate(options.bind, options.authority_folder)
        store, lines = own.store, own.describe()
    else:
        store, lines = _users_store(options), []
    _serve(_server(options, store), options, lines)
    return endings.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Serve a directory over HTTPS. Without a certificate one is made for this run.",
        epilog=f"example: {_PROGRAM} 8443 --directory public; other commands: certs, audit, bad",
    )
    add = parser.add_argument
    add("-b", "--bind", metavar="ADDRESS", help="listen on this address (default: all)")
    add("-d", "--directory", type=_directory, default=".", help="what to serve (default: .)")
    add(
        "-p",
        "--protocol",
        metavar="VERSION",
        choices=("HTTP/1.0", "HTTP/1.1"),
        default="HTTP/1.1",
        help="conform to this HTTP version (default: %(default)s)",
    )
    add("--tls-cert", metavar="PATH", help="certificate and its chain, PEM or PKCS#12")
    add("--tls-key", metavar="PATH", help="private key, if it is not in there")
    add(
        "--tls-password-file",
        type=PasswordFile,
        metavar="PATH",
        help="file with the private key's password, '-' for standard input",
    )
    add(
        "--tolerate",
        action="append",
        choices=TOLERABLE,
        default=[],
        metavar="CODE",
        help=f"put up with this about the certificate, with a warning: {', '.join(TOLERABLE)};"
        " key-exposed always is",
    )
    add(
        "--authority-folder",
        metavar="DIR",
        help="where your local authority is kept, which certifies where there is no --tls-cert;"
        " default: $TLSHTTP_AUTHORITY, or among your data",
    )
    add("--version", action="version", version=f"tlshttp {__version__}")
    add("port", type=_port, nargs="?", default=8000, help="port to listen on (default: 8000)")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _directory(text: str) -> str:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a directory")
    return text


def _users_store(options: argparse.Namespace) -> certs.CertificateStore:
    """Load the certificate the user names; it is renewed while it is served."""
    file: PasswordFile | None = options.tls_password_file
    if file is not None and file.path != STANDARD_INPUT:
        OWN_FILES.add(file.path)
    password = _asked_once() if file is None else file.read()
    return certs.CertificateStore(
        options.tls_cert, options.tls_key, password, tolerate=["key-exposed", *options.tolerate]
    )


def _asked_once() -> Callable[[], str]:
    """Return what asks for the key's password when it is first needed, and never while serving."""
    return functools.cache(
        lambda: ask_password("Password of the private key", "give --tls-password-file")
    )


def _given_without_certificate(options: argparse.Namespace) -> list[str]:
    given = {"--tls-key": options.tls_key, "--tls-password-file": options.tls_password_file}
    return [name for name, value in given.items() if value is not None]


def _server(options: argparse.Namespace, store: certs.CertificateStore) -> ThreadingTLSHTTPServer:
    handler = type("FileHandler", (TLSFileRequestHandler,), {"protocol_version": options.protocol})
    make = functools.partial(
        ThreadingTLSHTTPServer,
        RequestHandlerClass=functools.partial(handler, directory=options.directory),
        ssl_context=context.create_server_context(store),
    )
    try:
        if options.bind is not None:
            return make((_resolve(options.bind, options.port), options.port))
        try:
            return make(("::", options.port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise
        return make(("", options.port))  # a machine without IPv6
    except OSError as error:
        raise ConfigurationError(_explain(error, options)) from error


def _resolve(bind: str, port: int) -> str:
    """Return the host as given, or its address where that is of IPv6."""
    host = host_of(bind)
    if "%" in host:
        return host
    try:
        infos = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except UnicodeError:
        raise ConfigurationError(f"--bind {bind}: that is not the name of a host") from None
    families = {family: str(address[0]) for family, _, _, _, address in infos}
    return host if socket.AF_INET in families else families[socket.AF_INET6]


def _explain(error: OSError, options: argparse.Namespace) -> str:
    """Say why nothing can listen there, and what can be done about it."""
    bind = options.bind
    where = f"port {options.port}" + (f" of {bind}" if bind else "")
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program; choose another port"
    if error.errno == errno.EACCES:
        return f"{where} needs privileges; choose one of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {where}: this machine has no such address; see 'ip address'"
    if error.errno == errno.EINVAL and (bind or "").lower().startswith("fe80"):
        return f"cannot listen on {where}: add its network interface, as in {bind}%eth0"
    if isinstance(error, socket.gaierror):
        return f"--bind {bind}: {error.strerror}: give a host name or address of this machine"
    return f"cannot listen on {where}: {endings.describe_os_error(error)}"


def _serve(server: ThreadingTLSHTTPServer, options: argparse.Namespace, lines: list[str]) -> None:
    signal.signal(signal.SIGTERM, _stop)
    try:
        with server:
            directory = Path(options.directory).resolve()
            endings.say(f"Serving {directory} at {server.url}/ (Ctrl-C ends)", *lines)
            if is_wildcard(options.bind):
                endings.say(*_other_urls(server.server_port))
            _say_what_is_not_served(directory)
            server.serve_forever()
    except KeyboardInterrupt:
        endings.say("\nStopped.")


def _other_urls(port: int) -> list[str]:
    """Say by which addresses others on the network come here."""
    hosts = [f"[{host}]" if ":" in host else host for host in network_addresses()]
    return [f"From the network: https://{host}:{port}/" for host in hosts]


def _say_what_is_not_served(directory: Path) -> None:
    """Name the server's own files that lie in what is served."""
    own = [Path(path) for path in OWN_FILES.inside(directory)]
    if own:
        names = ", ".join(ascii(str(path.relative_to(directory))) for path in own)
        endings.say(f"Not served, since they are the server's own: {names}")


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
