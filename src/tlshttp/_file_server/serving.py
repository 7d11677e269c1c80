"""A run of the file server, from what the user wants to the end."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from tlshttp import certs
from tlshttp._command_line import endings
from tlshttp._command_line.own_certificate import own_certificate
from tlshttp._command_line.passwords import (
    STANDARD_INPUT,
    PasswordFile,
    ask_password,
    read_password_file,
)
from tlshttp._default_engine import create_context
from tlshttp._file_server.application import load_application
from tlshttp._file_server.gate import Gate
from tlshttp._file_server.handlers import make_handler
from tlshttp._file_server.listening import FileServer, listen
from tlshttp._file_server.log_settings import configure
from tlshttp._file_server.options import Options
from tlshttp._file_server.qr_code import qr_code, require_library
from tlshttp._file_server.running import Actions, run
from tlshttp._file_server.strange_keys import strange_keys
from tlshttp._file_server.upload_page import PATH
from tlshttp._file_server.uploads import UploadFolder
from tlshttp._file_server.urls import Reached, find_urls
from tlshttp._own_files import OWN_FILES
from tlshttp.errors import ConfigurationError
from tlshttp.handler import TLSRequestHandler
from tlshttp.limits import Limits

__all__ = ["serve"]


def serve(options: Options) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        ConfigurationError: Something has to be mended first.
    """
    configure(options)
    if options.qr:
        require_library()
    if options.authority_folder is not None:
        OWN_FILES.add_folder(options.authority_folder)  # whether or not it is needed
    store, lines = _certificate(options)
    gate = _gate(options)
    uploads = None if options.upload is None else _upload_folder(options.upload, options)
    application = _application(options)
    make = functools.partial(
        FileServer,
        RequestHandlerClass=make_handler(options, gate, uploads, application),
        ssl_context=create_context(store, options.engine),
        # Uploads have a limit of their own, which is said in words.
        limits=Limits() if uploads is None else Limits(max_body_bytes=None),
    )
    servers = listen(options.places, make)
    for server in servers:
        server.logs_exceptions = options.log_format == "json"
    actions = Actions(
        begin=lambda: _greet(options, _reached(options, servers, store), lines),
        reload=functools.partial(_reload, store, gate),
    )
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.server_close)
        with contextlib.suppress(KeyboardInterrupt):
            run(servers, options.workers, actions)
        endings.say("Stopped.")


def _application(options: Options) -> type[TLSRequestHandler] | None:
    """Return the handler class of the application that is served, if one is."""
    if options.wsgi is not None:
        from tlshttp import wsgi

        made: Any = wsgi.handler(load_application(options.wsgi, option="--wsgi"))
        if options.log_format == "json":
            from tlshttp._file_server.application_errors import LoggedErrors

            made.error_stream = LoggedErrors()
        return cast("type[TLSRequestHandler]", made)
    if options.asgi is not None:
        from tlshttp import aio

        return aio.asgi(load_application(options.asgi, option="--asgi"))
    return None


# What is needed --------------------------------------------------------------------------------


def _certificate(options: Options) -> tuple[certs.CertificateStore, list[str]]:
    """Return what is shown to clients, and lines that tell of it."""
    if options.tls_cert is None:
        own = own_certificate([place.host for place in options.places], options.authority_folder)
        return own.store, own.describe()
    file = None if options.tls_password_file is None else _file(options.tls_password_file)
    password = functools.cache(_asked_for_key) if file is None else file.read_to_open()
    tolerate = ["key-exposed", *options.tolerate]
    return certs.CertificateStore(
        options.tls_cert, options.tls_key, password, tolerate=tolerate
    ), []


def _asked_for_key() -> str:
    """Ask for the key's password, when it is first needed: never while serving."""
    return ask_password("Password of the private key", "give --tls-password-file")


def _gate(options: Options) -> Gate | None:
    if options.auth is None:
        return None
    if options.auth_file is not None:
        _file(options.auth_file)
        read = functools.partial(read_password_file, options.auth_file)
        if options.auth_file == STANDARD_INPUT:
            return Gate(options.auth, functools.cache(read))
        return Gate(options.auth, read)
    if options.auth_password is not None:
        word = options.auth_password.encode()
    else:
        advice = "give --auth-file"
        word = ask_password(f"Password for {ascii(options.auth)[1:-1]}", advice).encode()
    return Gate(options.auth, lambda: word)


def _file(path: str) -> PasswordFile:
    if path != STANDARD_INPUT:
        OWN_FILES.add(path)
    return PasswordFile(path)


def _upload_folder(path: str, options: Options) -> UploadFolder:
    own = OWN_FILES.inside(path)
    if own:
        names = ", ".join(ascii(str(Path(it).relative_to(Path(path).resolve()))) for it in own)
        raise ConfigurationError(
            f"--upload {path}: the server's own files are in there: {names}; take another folder"
        )
    if OWN_FILES.include(path, Path(path).stat()):
        raise ConfigurationError(f"--upload {path}: that is the server's own; take another folder")
    folder = UploadFolder(path, options.upload_limit)
    try:
        with folder.receiving() as batch:
            batch.add("trial")
    except OSError as error:
        raise ConfigurationError(
            f"--upload {path}: nothing can be put there: {error.strerror}"
        ) from error
    return folder


def _reload(store: certs.CertificateStore, gate: Gate | None) -> None:
    """Read certificate and password again; keep the old ones where the new cannot be used."""
    try:
        renewed = store.reload()
        if gate is not None:
            gate.reload()
    except ConfigurationError as error:
        for finding in error.findings:
            endings.complain("SIGHUP", f"the old one stays in use: {finding}")
    else:
        endings.say(f"Reloaded; the certificate is {'a new one' if renewed else 'the same'}.")


# What is said ----------------------------------------------------------------------------------


def _reached(
    options: Options, servers: Sequence[FileServer], store: certs.CertificateStore
) -> Reached:
    ports = [server.server_port for server in servers]
    chosen = options.tls_cert is not None
    return find_urls(options.places, ports, store.current, chosen=chosen)


def _greet(options: Options, reached: Reached, lines: list[str]) -> None:
    directory = Path(options.directory).resolve()
    first, *others = reached.here
    endings.say(f"Serving {options.wsgi or options.asgi or directory} at {first} (Ctrl-C ends)")
    endings.say(*(f"Also at {url}" for url in others), *lines)
    endings.say(*(f"From the network: {url}" for url in reached.network))
    if reached.strange and options.tls_cert is not None:  # of our own, the lines have it
        endings.say(
            f"The certificate is not for {', '.join(reached.strange)}: clients will refuse it"
        )
    if options.upload is not None:
        endings.say(f"Uploads go to {Path(options.upload).resolve()}: {first[:-1]}{PATH}")
    if options.wsgi is None and options.asgi is None:
        _say_what_is_not_served(directory)
    if options.qr:
        _show_qr_code(options, reached)
    if options.open:
        _open_browser(first)


def _say_what_is_not_served(directory: Path) -> None:
    """Name the server's own files that lie in what is served, and keys that are served."""
    own = [Path(path) for path in OWN_FILES.inside(directory)]
    if own:
        names = ", ".join(ascii(str(path.relative_to(directory))) for path in own)
        endings.say(f"Not served, since they are the server's own: {names}")
    if strange := strange_keys(directory):
        names = ", ".join(map(ascii, strange))
        endings.say(f"Private keys of other programs ARE served: {names}")


def _show_qr_code(options: Options, reached: Reached) -> None:
    """Draw the first URL by which others come."""
    urls = list(reached.network)
    if not any(place.is_wildcard or place.is_loopback for place in options.places):
        urls += reached.here
    if urls:
        endings.say(qr_code(urls[0], getattr(sys.stdout, "encoding", None) or "ascii"))
    elif any(place.is_wildcard for place in options.places):
        endings.say("No QR code: the certificate is for no address of this machine in the network.")
    else:
        endings.say("No QR code: only this machine itself can come to that address.")


def _open_browser(url: str) -> None:
    """Open the page, on a thread of its own: a browser in the terminal would keep this one."""
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
