"""Commands that make keys and certificates: ``ca``, ``issue``, ``client``, ``sign``, ``pkcs12``."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tlshttp import certs
from tlshttp._certs_cli._arguments import (
    Commands,
    add_addresses,
    add_command,
    add_force,
    add_issuer,
    add_key_output,
    add_lifetime,
    add_password_file,
    add_tolerate,
    issuer_of,
    lifetime_of,
    load_authority,
    opening_password,
    refuse_useless_password,
    refuse_without_ca,
    sealing_password,
    spare_files,
)
from tlshttp._command_line.endings import OK, complain
from tlshttp._command_line.parsing import program
from tlshttp._command_line.passwords import ask_new_password
from tlshttp.certs._files import PRIVATE, PUBLIC, write_atomically
from tlshttp.certs._keys import PrivateKey
from tlshttp.certs._names import parse_name
from tlshttp.certs._parse import open_source, parse_key
from tlshttp.certs._validity import AUTHORITY_LIFETIME
from tlshttp.errors import CertificateError

_ED25519_NOTE = (
    "note: no browser accepts an Ed25519 key, nor do the profiles of this package's servers, modern"
    " and intermediate; programs built on OpenSSL do. The default, ecdsa-p256, is good for all"
)


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    _add_ca(commands)
    example = "localhost 127.0.0.1 '*.app.test'"
    server = _add_issue(commands, "issue", "server", _issue_server, example)
    server.add_argument(
        "--client", action="store_true", help="make it good for a client, too: both key usages"
    )
    _add_issue(commands, "client", "client", _issue_client, "me@example.org")
    _add_sign(commands)
    _add_pkcs12(commands)


def _add_ca(commands: Commands) -> None:
    parser = add_command(
        commands,
        "ca",
        _make_ca,
        "generate a certificate authority, a root or below another one",
        "'Example Inc. internal CA' --certfile ca.pem --keyfile ca-key.pem --encrypt",
    )
    add = parser.add_argument
    add("common_name", help="what people see in their trust store")
    add_issuer(parser, or_local=False, otherwise="; without it, a root is generated")
    add_key_output(parser, "ca")
    add_lifetime(parser, "3650d")
    add(
        "--path-length",
        type=int,
        metavar="N",
        help="how many authorities may stand below it; default: any number, 0 below another one",
    )
    add(
        "--permit",
        action="append",
        metavar="NAME",
        help="domain, IP network or address it may issue for, and nothing else; several times for"
        " several",
    )
    _add_owner(parser)
    parser.set_defaults(key=None, pkcs12=None)


def _add_issue(
    commands: Commands,
    name: str,
    role: str,
    command: Callable[[argparse.Namespace], int],
    example: str,
) -> argparse.ArgumentParser:
    parser = add_command(commands, name, command, f"issue a certificate for a {role}", example)
    parser.add_argument("names", nargs="+", help="DNS name, IP address, e-mail address or URI")
    add_issuer(parser, or_local=True)
    add_addresses(parser)
    add_key_output(parser, role)
    add_lifetime(parser, "90d, or 7d from the local authority")
    parser.add_argument(
        "--key", metavar="FILE", help="private key to certify, instead of generating one"
    )
    parser.add_argument(
        "--pkcs12", metavar="FILE", help="write key and certificate as PKCS#12, too, encrypted"
    )
    _add_owner(parser)
    return parser


def _add_owner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--organization", metavar="TEXT", help="whose it is, for the subject")
    parser.add_argument("--unit", metavar="TEXT", help="which part of that")


def _add_sign(commands: Commands) -> None:
    parser = add_command(
        commands,
        "sign",
        _sign,
        "issue a certificate for a signing request (CSR)",
        "request.pem --ca ca.pem --ca-key ca-key.pem --certfile server.pem",
    )
    add = parser.add_argument
    add("request", metavar="FILE", help="the request, PEM or DER")
    add("names", nargs="*", help="what to certify instead of the names in the request")
    add_issuer(parser, or_local=True)
    add_addresses(parser)
    add("--certfile", default="signed.pem", metavar="FILE", help="default: signed.pem")
    add_force(parser)
    add_lifetime(parser, "90d, or 7d from the local authority")
    add(
        "--purpose",
        choices=("server", "client", "both"),
        default="server",
        help="what it is good for; default: server",
    )


def _add_pkcs12(commands: Commands) -> None:
    parser = add_command(
        commands,
        "pkcs12",
        _convert,
        "put key and certificate into one PKCS#12 file, for browsers, Windows, macOS and Java",
        "client.pem client-key.pem --out client.p12",
    )
    add = parser.add_argument
    add("certfile", metavar="CERTFILE", help="leaf and chain, PEM")
    add("keyfile", metavar="KEYFILE", nargs="?", help="the private key, if not in the same file")
    add("--out", default="certificate.p12", metavar="FILE", help="default: certificate.p12")
    add("--name", metavar="TEXT", help="what people see where it is imported")
    add_password_file(parser)
    add_tolerate(parser)
    add_force(parser)


def _make_ca(arguments: argparse.Namespace) -> int:
    spare_files(arguments, arguments.certfile, arguments.keyfile)
    options = {
        "key_type": certs.KeyType(arguments.key_type),
        "lifetime": lifetime_of(arguments) or AUTHORITY_LIFETIME,
        "name_constraints": _constraints(arguments.permit),
        "organization": arguments.organization,
        "organizational_unit": arguments.unit,
    }
    if arguments.ca is None:
        refuse_without_ca(arguments)
        made = certs.CertificateAuthority.generate(
            arguments.common_name, path_length=arguments.path_length, **options
        )
    else:
        made = load_authority(arguments).issue_authority(
            arguments.common_name, path_length=arguments.path_length or 0, **options
        )
    return _write(arguments, made.certificate)


def _constraints(permitted: list[str] | None) -> x509.NameConstraints | None:
    """Return what restricts an authority to some names; `None` permits all."""
    if permitted is None:
        return None
    findings: list[str] = []
    subtrees: list[x509.GeneralName] = []
    for text in permitted:
        try:
            subtrees.append(_subtree(text))
        except CertificateError as error:
            findings += error.findings
    CertificateError.raise_if(findings)
    return x509.NameConstraints(permitted_subtrees=subtrees, excluded_subtrees=None)


def _subtree(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(text))
    except ValueError:
        name = parse_name(text.removeprefix("*.").removeprefix("."))
    if not isinstance(name, x509.DNSName):
        raise CertificateError(f"{text!r} is neither a domain nor an IP network such as 10.0.0.0/8")
    return name


def _issue_server(arguments: argparse.Namespace) -> int:
    return _issue(
        arguments,
        lambda issuer, **options: issuer.issue_server(
            *arguments.names, also_client=arguments.client, **options
        ),
        certs.Purpose.SERVER,
    )


def _issue_client(arguments: argparse.Namespace) -> int:
    return _issue(
        arguments,
        lambda issuer, **options: issuer.issue_client(*arguments.names, **options),
        certs.Purpose.CLIENT,
    )


def _issue(
    arguments: argparse.Namespace, issue: Callable[..., certs.Certificate], purpose: certs.Purpose
) -> int:
    keyfile = arguments.keyfile if arguments.key is None else None
    spare_files(arguments, arguments.certfile, keyfile, arguments.pkcs12)
    issued = issue(
        issuer_of(arguments),
        key_type=certs.KeyType(arguments.key_type),
        lifetime=lifetime_of(arguments),
        private_key=_own_key(arguments),
        organization=arguments.organization,
        organizational_unit=arguments.unit,
    )
    # Of an Ed25519 key _write() has more to say.
    noted = ("key-kind",) if isinstance(issued.private_key, Ed25519PrivateKey) else ()
    _say_what_is_refused(issued, purpose, noted)
    return _write(arguments, issued)


def _say_what_is_refused(
    issued: certs.CertificateChain, purpose: certs.Purpose, noted: Collection[str] = ()
) -> None:
    """Say what clients refuse about a certificate, except for the codes that are told elsewhere."""
    for finding in issued.check(purpose=purpose):
        if finding.code not in noted:
            print(finding, file=sys.stderr)


def _own_key(arguments: argparse.Namespace) -> PrivateKey | None:
    """Load the key that the user has already; `None` where one is to be generated."""
    if arguments.key is None:
        return None
    if arguments.encrypt:
        raise CertificateError("--encrypt is for a new key: the one of --key stays as it is")
    document = open_source(Path(arguments.key))
    key = parse_key(document, lambda: opening_password(arguments))
    if key is None:
        raise CertificateError(f"there is no private key in {document.label}")
    return key


def _write(arguments: argparse.Namespace, certificate: certs.Certificate) -> int:
    packed = _packed(arguments, certificate) if arguments.pkcs12 is not None else None
    if arguments.key is None:
        certificate.write(arguments.certfile, arguments.keyfile, sealing_password(arguments))
        written = f"written to {arguments.certfile}, private key to {arguments.keyfile}"
    else:
        refuse_useless_password(arguments)
        write_atomically(arguments.certfile, certificate.to_pem(), mode=PUBLIC)
        written = f"written to {arguments.certfile}, for the private key in {arguments.key}"
    if packed is not None:
        write_atomically(arguments.pkcs12, packed, mode=PRIVATE)
        written += f"; both to {arguments.pkcs12}"
    print(certificate)
    print(written)
    if isinstance(certificate.private_key, Ed25519PrivateKey):
        complain(program("certs"), _ED25519_NOTE)
    return OK


def _packed(
    arguments: argparse.Namespace, certificate: certs.Certificate, name: str | None = None
) -> bytes:
    if arguments.password_file is not None:
        password: str | bytes = arguments.password_file.read()
    else:
        password = ask_new_password("New password for the PKCS#12 file", "give --password-file")
    return certificate.to_pkcs12(password, name=name)


def _sign(arguments: argparse.Namespace) -> int:
    spare_files(arguments, arguments.certfile)
    is_client = arguments.purpose == "client"
    purpose = certs.Purpose.CLIENT if is_client else certs.Purpose.SERVER
    issued = issuer_of(arguments).issue_for_request(
        Path(arguments.request),
        *arguments.names,
        purpose=purpose,
        also_client=arguments.purpose == "both",
        lifetime=lifetime_of(arguments),
    )
    refuse_useless_password(arguments)
    _say_what_is_refused(issued, purpose)
    write_atomically(arguments.certfile, issued.to_pem(), mode=PUBLIC)
    print(issued)
    print(f"written to {arguments.certfile}")
    return OK


def _convert(arguments: argparse.Namespace) -> int:
    spare_files(arguments, arguments.out, read=[arguments.certfile, arguments.keyfile])
    keyfile = None if arguments.keyfile is None else Path(arguments.keyfile)
    certificate = certs.load(
        Path(arguments.certfile),
        keyfile,
        lambda: opening_password(arguments),
        tolerate=arguments.tolerate,
    )
    write_atomically(arguments.out, _packed(arguments, certificate, arguments.name), mode=PRIVATE)
    print(f"written to {arguments.out}")
    return OK
