"""Commands that make keys and certificates: ``ca``, ``issue``, ``client``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import timedelta

from tlshttp import certs
from tlshttp._certs_cli._arguments import (
    Commands,
    add_command,
    add_issuer,
    add_key_output,
    add_lifetime,
    add_password_file,
    issuer_of,
    lifetime_of,
    sealing_password,
    spare_files,
)


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    _add_ca(commands)
    _add_issue(commands, "issue", "server", _issue_server, "localhost 127.0.0.1 '*.app.test'")
    _add_issue(commands, "client", "client", _issue_client, "me@example.org")


def _add_ca(commands: Commands) -> None:
    parser = add_command(
        commands,
        "ca",
        _make_ca,
        "generate a certificate authority",
        "'Example Inc. internal CA' --certfile ca.pem --keyfile ca-key.pem --encrypt",
    )
    parser.add_argument("common_name", help="what people see in their trust store")
    add_password_file(parser)
    add_key_output(parser, "ca")
    add_lifetime(parser, "3650d")


def _add_issue(
    commands: Commands,
    name: str,
    role: str,
    command: Callable[[argparse.Namespace], int],
    example: str,
) -> None:
    parser = add_command(commands, name, command, f"issue a certificate for a {role}", example)
    parser.add_argument("names", nargs="+", help="DNS name, IP address, e-mail address or URI")
    add_issuer(parser, or_local=True)
    add_key_output(parser, role)
    add_lifetime(parser, "90d, or 7d from the local authority")


def _make_ca(arguments: argparse.Namespace) -> int:
    spare_files(arguments, arguments.certfile, arguments.keyfile)
    lifetime = lifetime_of(arguments)
    authority = certs.CertificateAuthority.generate(
        arguments.common_name,
        key_type=certs.KeyType(arguments.key_type),
        lifetime=timedelta(days=3650) if lifetime is None else lifetime,
    )
    return _write(arguments, authority.certificate)


def _issue_server(arguments: argparse.Namespace) -> int:
    spare_files(arguments, arguments.certfile, arguments.keyfile)
    issued = issuer_of(arguments).issue_server(
        *arguments.names,
        key_type=certs.KeyType(arguments.key_type),
        lifetime=lifetime_of(arguments),
    )
    return _write(arguments, issued)


def _issue_client(arguments: argparse.Namespace) -> int:
    spare_files(arguments, arguments.certfile, arguments.keyfile)
    issued = issuer_of(arguments).issue_client(
        *arguments.names,
        key_type=certs.KeyType(arguments.key_type),
        lifetime=lifetime_of(arguments),
    )
    return _write(arguments, issued)


def _write(arguments: argparse.Namespace, certificate: certs.Certificate) -> int:
    certificate.write(arguments.certfile, arguments.keyfile, sealing_password(arguments))
    print(certificate)
    print(f"written to {arguments.certfile}, private key to {arguments.keyfile}")
    return 0
