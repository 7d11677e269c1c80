"""Commands that take certificates back: ``revoke``, ``crl``."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp import certs
from tlshttp._certs_cli._arguments import (
    Commands,
    add_command,
    add_issuer,
    add_lifetime,
    lifetime_of,
    load_authority,
    opening_password,
    refuse_useless_password,
)
from tlshttp._command_line.endings import OK
from tlshttp._issued_by import is_below
from tlshttp.certs._documents import open_list
from tlshttp.certs._last_list import CRL_LABEL, write_list
from tlshttp.certs._parse import open_source, parse_certificates, pem_labels
from tlshttp.certs._reading import read_once
from tlshttp.certs._revoking import STATEMENT_LIFETIME
from tlshttp.errors import CertificateError

_REASONS = {
    reason.name.replace("_", "-"): reason
    for reason in x509.ReasonFlags
    if reason is not x509.ReasonFlags.remove_from_crl
}


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    parser = add_command(
        commands,
        "revoke",
        _revoke,
        "take a certificate back: write it into the authority's revocation list (CRL)",
        "client.pem --ca ca.pem --ca-key ca-key.pem --crl ca.crl",
    )
    add = parser.add_argument
    add("certfile", nargs="?", metavar="FILE", help="the certificate")
    add("--serial", metavar="HEX", help="its serial number, where the certificate is lost")
    add("--reason", choices=sorted(_REASONS), default="unspecified", help="default: unspecified")
    _add_list(parser)
    parser = add_command(
        commands,
        "crl",
        _renew,
        "write an authority's revocation list (CRL) anew, before the last one ends",
        "--ca ca.pem --ca-key ca-key.pem --crl ca.crl --lifetime 30d",
    )
    _add_list(parser)


def _add_list(parser: argparse.ArgumentParser) -> None:
    add_issuer(parser, or_local=False)
    parser.add_argument(
        "--crl",
        default="ca.crl",
        metavar="FILE",
        help="the list, which is also the memory of what was revoked; default: ca.crl",
    )
    add_lifetime(parser, "7d")


def _revoke(arguments: argparse.Namespace) -> int:
    if (arguments.certfile is None) == (arguments.serial is None):
        raise CertificateError("give the certificate, or its serial number by --serial")
    with _alone(arguments):
        authority = _authority(arguments)
        if arguments.certfile is None:
            certificate: certs.CertificateChain | int = _serial(arguments.serial)
        else:
            certificate = _certificate(arguments, authority)
        authority.revoke(certificate, reason=_REASONS[arguments.reason])
        return _write(arguments, authority)


def _renew(arguments: argparse.Namespace) -> int:
    with _alone(arguments):
        return _write(arguments, _authority(arguments))


@contextmanager
def _alone(arguments: argparse.Namespace) -> Iterator[None]:
    """Keep other commands from the authority's list until ours has been written.

    Of two that read it at the same time, the later one would forget what the other has revoked.
    They may be given the authority by two files, but not the list by two folders.
    """
    if arguments.ca is None:
        raise CertificateError("--ca is missing: the authority that has issued the certificate")
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with ExitStack() as locked:
        if Path(arguments.ca).is_file():  # what else is wrong with it is found when it is read
            file = locked.enter_context(Path(arguments.ca).open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(OSError):  # no such folder, or on a file system that locks none
            folder = os.open(Path(os.path.realpath(arguments.crl)).parent, os.O_RDONLY)
            locked.callback(os.close, folder)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield


def _authority(arguments: argparse.Namespace) -> certs.CertificateAuthority:
    """Load the authority with what it has revoked so far."""
    crlfile = Path(arguments.crl)
    if not crlfile.exists():
        return load_authority(arguments)
    document = open_list(crlfile)
    if document.is_pem and any(label != CRL_LABEL for label in pem_labels(document)):
        raise CertificateError(
            f"{document.label} has more in it than a CRL, which would be lost: give a file with"
            " the CRL alone"
        )
    return load_authority(arguments, crlfile)


def _certificate(
    arguments: argparse.Namespace, authority: certs.CertificateAuthority
) -> certs.CertificateChain:
    """Load the certificate to take back, which must be the only one of the authority in its file.

    Else it is not known which one is meant, and somebody would be let in who was to be refused.
    """
    path, own = Path(arguments.certfile), authority.certificate.leaf
    password = functools.cache(lambda: opening_password(arguments))
    with read_once():
        found = parse_certificates(open_source(path), password)
        issued = {one for one in found if one != own and is_below(one, own)}
        if len(issued) > 1:
            raise CertificateError(
                f"there are {len(issued)} certificates of this authority in {str(path)!r}: give a"
                " file with one of them, or its serial number by --serial"
            )
        return certs.load_chain(path, password)


def _serial(text: str) -> int:
    try:
        return int(text.replace(":", ""), 16)
    except ValueError:
        raise CertificateError(f"{text!r} is not a serial number such as 2a:01:ff") from None


def _write(arguments: argparse.Namespace, authority: certs.CertificateAuthority) -> int:
    refuse_useless_password(arguments)
    crl = authority.crl(lifetime=lifetime_of(arguments) or STATEMENT_LIFETIME)
    crlfile = Path(arguments.crl)
    is_new = not crlfile.exists()
    is_der = not is_new and not open_list(crlfile).is_pem
    write_list(crlfile, crl, Encoding.DER if is_der else Encoding.PEM)
    count = len(list(crl))
    print(
        f"written to {arguments.crl}: {count} certificate{'' if count == 1 else 's'} revoked, good"
        f" until {crl.next_update_utc:%Y-%m-%d %H:%M} UTC"
        f"{' (a new list: there was no such file)' if is_new else ''}"
    )
    return OK
