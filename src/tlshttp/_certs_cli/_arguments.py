"""Arguments that several commands have, and what is made of them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

from tlshttp import certs
from tlshttp._command_line.parsing import Parser, program
from tlshttp._command_line.passwords import PasswordFile, ask_new_password, ask_password
from tlshttp.certs._files import refuse_special
from tlshttp.certs._findings import TOLERABLE
from tlshttp.errors import CertificateError

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001

_LIFETIME = re.compile(r"(?P<count>\d{1,9})(?P<unit>[mhdwy]?)")
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
    "": timedelta(days=1),
}


def add_command(
    commands: Commands,
    name: str,
    command: Callable[[argparse.Namespace], int],
    purpose: str,
    example: str,
) -> argparse.ArgumentParser:
    """Add a command whose help says what it is for and shows how it is called."""
    parser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example: {program('certs')} {name} {example}",
    )
    parser.set_defaults(command=command)
    return parser


def add_issuer(parser: argparse.ArgumentParser, *, or_local: bool, otherwise: str = "") -> None:
    """Add what names the authority that signs.

    Args:
        parser: Whose arguments they are.
        or_local: Whether the user's own local authority signs where none is named.
        otherwise: What else happens where none is named, for the help.
    """
    if or_local:
        otherwise = "; without it, your own local authority issues"
    add = parser.add_argument
    add("--ca", metavar="FILE", help=f"certificate of the issuing authority{otherwise}")
    add("--ca-key", metavar="FILE", help="its private key, if not in the same file")
    add(
        "--ca-password-file",
        type=PasswordFile,
        metavar="FILE",
        help="file with the password of that key; default: --password-file, or you are asked",
    )
    add_password_file(parser)
    add_tolerate(parser)
    if or_local:
        add_authority_folder(parser)


def add_addresses(parser: argparse.ArgumentParser) -> None:
    """Add where the revocation of what is issued can be asked for."""
    where = "to stand in the certificate; only with --ca"
    parser.add_argument("--crl-url", metavar="URL", help=f"where the CRL is found, {where}")
    parser.add_argument("--ocsp-url", metavar="URL", help=f"where OCSP is answered, {where}")


def add_tolerate(parser: argparse.ArgumentParser) -> None:
    """Add which findings about a certificate or key to put up with."""
    parser.add_argument(
        "--tolerate",
        action="append",
        choices=TOLERABLE,
        default=[],
        metavar="CODE",
        help=f"put up with this, with a warning: {', '.join(TOLERABLE)}",
    )


def add_password_file(parser: argparse.ArgumentParser) -> None:
    """Add the file with the password of every key that has no other."""
    parser.add_argument(
        "--password-file",
        type=PasswordFile,
        metavar="FILE",
        help="file with the password of each encrypted key, '-' for standard input;"
        " without it, you are asked",
    )


def add_authority_folder(parser: argparse.ArgumentParser) -> None:
    """Add the place of the local authority."""
    parser.add_argument(
        "--authority-folder",
        metavar="DIR",
        help="where your local authority is kept; default: $TLSHTTP_AUTHORITY, or among your data",
    )


def add_lifetime(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the two ways to say how long something is valid."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--lifetime",
        metavar="TIME",
        help=f"how long it is valid: 30m, 12h, 90d, 4w, 2y; default: {default}",
    )
    either.add_argument("--days", metavar="N", help="the same in days")


def add_key_output(parser: argparse.ArgumentParser, role: str) -> None:
    """Add where certificate and key are written to, and what kind of key it is."""
    certfile, keyfile = f"{role}.pem", f"{role}-key.pem"
    add = parser.add_argument
    add("--certfile", default=certfile, metavar="FILE", help=f"default: {certfile}")
    add("--keyfile", default=keyfile, metavar="FILE", help=f"default: {keyfile}")
    add(
        "--key-type",
        choices=[key_type.value for key_type in certs.KeyType],
        default=certs.KeyType.ECDSA_P256.value,
        help="default: ecdsa-p256",
    )
    add(
        "--encrypt",
        action="store_true",
        help="encrypt the private key, with the password of --password-file or one you are asked"
        " for",
    )
    add_force(parser)


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add the permission to replace files."""
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def lifetime_of(arguments: argparse.Namespace) -> timedelta | None:
    """Return the lifetime asked for, or `None` for the default.

    Raises:
        CertificateError: It is not one.
    """
    text = arguments.lifetime if arguments.days is None else arguments.days
    if text is None:
        return None
    found = _LIFETIME.fullmatch(text)
    if found is None or (arguments.days is not None and found["unit"]):
        if text.lstrip("-").isdecimal() and not text.startswith("-"):
            raise CertificateError(f"{text} days are too many")
        raise CertificateError(f"{text!r} is not a lifetime such as 30m, 12h, 90d, 4w or 2y")
    try:
        return int(found["count"]) * _UNITS[found["unit"]]
    except OverflowError:
        raise CertificateError(f"{text} is too long a lifetime") from None


def spare_files(
    arguments: argparse.Namespace, *files: str | None, read: Iterable[str | None] = ()
) -> None:
    """Refuse to overwrite files, before anything is generated.

    Args:
        arguments: Those of the command.
        *files: What it is going to write.
        read: What it reads besides what options of all commands name.

    Raises:
        CertificateError: One of them exists, and ``--force`` is not given; or it is no file, or one
            that the command reads, of which ``--force`` would leave nothing.
    """
    passwords = (getattr(arguments, name, None) for name in ("password_file", "ca_password_file"))
    inputs = (
        *read,
        *(getattr(arguments, name, None) for name in ("ca", "ca_key", "key", "request")),
        *(one.path for one in passwords if one is not None),
    )
    outputs = [file for file in dict.fromkeys(files) if file is not None]
    CertificateError.raise_if(
        f"{file} is read by this command, and would be lost: give another name for what it writes"
        for file in outputs
        if any(_are_one_file(file, one) for one in inputs if one is not None)
    )
    for file in outputs:
        if arguments.force:
            refuse_special(file)
    if not arguments.force:
        CertificateError.raise_if(
            f"{file} exists: give --force to replace it, or another name"
            for file in outputs
            if Path(file).exists()
        )


def _are_one_file(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):  # one of them is not there
        return False


def issuer_of(arguments: argparse.Namespace) -> certs.CertificateAuthority:
    """Load the authority that signs: the one named, or the user's own.

    Raises:
        CertificateError: It cannot be used.
    """
    if arguments.ca is None:
        refuse_without_ca(arguments)
        return certs.local_authority(arguments.authority_folder)
    return load_authority(arguments)


def refuse_without_ca(arguments: argparse.Namespace) -> None:
    """Refuse what would say something of an authority that is not named.

    Raises:
        CertificateError: There is something.
    """
    options = ("--ca-key", "--ca-password-file", "--crl-url", "--ocsp-url")
    CertificateError.raise_if(
        f"{option} needs --ca, the authority that it belongs to"
        for option in options
        if getattr(arguments, option[2:].replace("-", "_"), None) is not None
    )


def load_authority(
    arguments: argparse.Namespace, crlfile: Path | None = None
) -> certs.CertificateAuthority:
    """Load the authority that ``--ca`` names.

    Raises:
        CertificateError: It cannot be used.
    """
    return certs.CertificateAuthority.load(
        Path(arguments.ca),
        None if arguments.ca_key is None else Path(arguments.ca_key),
        lambda: _authority_password(arguments),
        crlfile=crlfile,
        tolerate=arguments.tolerate,
        crl_url=getattr(arguments, "crl_url", None),
        ocsp_url=getattr(arguments, "ocsp_url", None),
    )


def opening_password(arguments: argparse.Namespace) -> str | bytes:
    """Return the password of a key that the user has.

    Raises:
        CertificateError: There is none.
    """
    if arguments.password_file is not None:
        return bytes(arguments.password_file.read_to_open())
    return ask_password("Password of the private key", "give --password-file")


def sealing_password(arguments: argparse.Namespace) -> str | bytes | None:
    """Return the password to encrypt a new key with; `None` leaves it open.

    Raises:
        CertificateError: There is none though it was asked for, or one that nothing needs: who
            gives a password does not expect an open key.
    """
    file: PasswordFile | None = arguments.password_file
    if arguments.encrypt:
        if file is not None:
            return file.read()
        return ask_new_password("New password for the private key", "give --password-file")
    refuse_useless_password(arguments, "give --encrypt, too, to encrypt the new private key")
    return None


def refuse_useless_password(
    arguments: argparse.Namespace, advice: str = "leave the option out"
) -> None:
    """Refuse a password that nothing has needed: who gives one expects that it protects.

    Raises:
        CertificateError: There is one.
    """
    file: PasswordFile | None = arguments.password_file
    if file is not None and not file.was_needed:
        raise CertificateError(f"nothing here needs the password of --password-file: {advice}")


def _authority_password(arguments: argparse.Namespace) -> str | bytes:
    file: PasswordFile | None = arguments.ca_password_file or arguments.password_file
    if file is not None:
        return file.read_to_open()
    return ask_password("Password of the authority's private key", "give --ca-password-file")
