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
from tlshttp.errors import CertificateError, ConfigurationError
from tlshttp.handler import TLSFileRequestHandler
from tlshttp.server import ThreadingTLSHTTPServer

_PROGRAM = "python -m tlshttp"
_UNUSABLE = 2  # exit status for what the user has to mend, as argparse has it


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
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    try:
        store = _store(options)
        server = _server(options, store)
    except (ConfigurationError, OSError) as error:
        print(f"{_PROGRAM}: error: {_explain(error, options)}", file=sys.stderr)
        return _UNUSABLE
    _serve(server, options, store.current)
    return 0


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
    add("--tls-cert", metavar="PATH", help="PEM file with the certificate and its chain")
    add("--tls-key", metavar="PATH", help="PEM file with the private key, if it is not in there")
    add("--tls-password-file", metavar="PATH", help="file with the private key's password")
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


def _store(options: argparse.Namespace) -> certs.CertificateStore:
    """Load the certificate the user names, or make one; either is renewed while it is served."""
    if options.tls_cert is None:
        names = [f"{name} needs --tls-cert" for name in _given_without_certificate(options)]
        ConfigurationError.raise_if(names)
        return _own_certificate(options.bind)
    password = None
    if options.tls_password_file is not None:
        password = Path(options.tls_password_file).read_bytes().rstrip(b"\r\n")
    return certs.CertificateStore(
        options.tls_cert, options.tls_key, password, tolerate=["key-exposed"]
    )


def _given_without_certificate(options: argparse.Namespace) -> list[str]:
    given = {"--tls-key": options.tls_key, "--tls-password-file": options.tls_password_file}
    return [name for name, value in given.items() if value is not None]


def _own_certificate(bind: str | None) -> certs.CertificateStore:
    """Make a certificate for the names this machine is reached by from itself and its network.

    The developer's own authority issues it where there is one, so that whoever trusts that
    authority is not warned; see ``python -m tlshttp certs trust``.
    """
    authority = certs.find_local_authority()
    issue = certs.self_signed if authority is None else authority.issue_server
    names = ["localhost", "127.0.0.1", "::1"]
    for name in (socket.gethostname(), bind):
        if name and name not in (*names, "0.0.0.0", "::") and _can_be_certified(name, issue):  # noqa: S104
            names.append(name)
    if authority is None:
        return certs.CertificateStore.from_certificate(issue(*names))
    return authority.store(*names)


def _can_be_certified(name: str, issue: Callable[..., certs.Certificate]) -> bool:
    try:
        issue(name)
    except CertificateError:  # a host may be called what no certificate can say
        return False
    return True


def _server(options: argparse.Namespace, store: certs.CertificateStore) -> ThreadingTLSHTTPServer:
    handler = type("FileHandler", (TLSFileRequestHandler,), {"protocol_version": options.protocol})
    make = functools.partial(
        ThreadingTLSHTTPServer,
        RequestHandlerClass=functools.partial(handler, directory=options.directory),
        ssl_context=context.create_server_context(store),
    )
    if options.bind is not None:
        return make((_resolve(options.bind, options.port), options.port))
    try:
        return make(("::", options.port))
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise
    return make(("", options.port))  # a machine without IPv6


def _resolve(host: str, port: int) -> str:
    """Return the host as given, or its address where that is of IPv6."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    families = {family: str(address[0]) for family, _, _, _, address in infos}
    return host if socket.AF_INET in families else families[socket.AF_INET6]


def _explain(error: Exception, options: argparse.Namespace) -> str:
    """Say what is wrong and what can be done about it."""
    if not isinstance(error, OSError):
        return str(error)
    where = f"port {options.port}" + (f" of {options.bind}" if options.bind else "")
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program; choose another port"
    if error.errno == errno.EACCES and error.filename is None:
        return f"{where} needs privileges; choose one of 1024 or more"
    if isinstance(error, socket.gaierror):
        return f"--bind {options.bind}: {error.strerror}"
    return str(error)


def _serve(
    server: ThreadingTLSHTTPServer, options: argparse.Namespace, certificate: certs.Certificate
) -> None:
    signal.signal(signal.SIGTERM, _stop)
    try:
        with server:
            directory = Path(options.directory).resolve()
            print(f"Serving {directory} at {server.url}/ (Ctrl-C ends)", flush=True)
            if options.tls_cert is None:
                own = certificate.leaf.issuer == certificate.leaf.subject
                kind = "Self-signed certificate" if own else "Certificate of your local authority"
                print(f"{kind} for {', '.join(certificate.names)}")
                print(f"SHA-256 fingerprint {certificate.fingerprint()}", flush=True)
            server.serve_forever()
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
