"""The command line of `tlshttp.certs`: ``python -m tlshttp certs``."""

from __future__ import annotations

import argparse
import getpass
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

from tlshttp import certs
from tlshttp.certs._trust import Step, plan_browsers, plan_system
from tlshttp.errors import CertificateError, ConfigurationError

_PROGRAM = "python -m tlshttp certs"
_FAILED = 1
_WRONG_USE = 2
_MOST_DAYS = 36500

_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<host>[^:/\s]+)):(?P<port>\d{1,5})"
)


def main(argv: Sequence[str]) -> int:
    """Run the command line.

    Args:
        argv: The arguments after ``certs``.

    Returns:
        0 for success, 1 where something checked is not in order, 2 for what cannot be done.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as exit_:
        # argparse has said why; it is up to the caller to end the process.
        return exit_.code if isinstance(exit_.code, int) else _WRONG_USE
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except ConfigurationError as error:
        for finding in error.findings:
            print(f"{_PROGRAM}: {finding}", file=sys.stderr)
    except OSError as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
    return _WRONG_USE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Make, look at, check and trust certificates.",
        epilog=f"example: {_PROGRAM} issue localhost 127.0.0.1",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_ca(commands)
    _add_issue(commands, "issue", "server", _issue_server, "localhost 127.0.0.1 '*.app.test'")
    _add_issue(commands, "client", "client", _issue_client, "me@example.org")
    _add_show(commands)
    _add_check(commands)
    _add_trust(commands)
    return parser


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def _add(
    commands: _Commands,
    name: str,
    command: Callable[[argparse.Namespace], int],
    purpose: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example: {_PROGRAM} {name} {example}",
    )
    parser.set_defaults(command=command)
    return parser


def _add_ca(commands: _Commands) -> None:
    parser = _add(
        commands,
        "ca",
        _make_ca,
        "generate a certificate authority",
        "'Example Inc. internal CA' --certfile ca.pem --keyfile ca-key.pem --encrypt",
    )
    parser.add_argument("common_name", help="what people see in their trust store")
    _add_output(parser, "ca.pem", "ca-key.pem", days=3650)


def _add_issue(
    commands: _Commands,
    name: str,
    role: str,
    command: Callable[[argparse.Namespace], int],
    example: str,
) -> None:
    parser = _add(commands, name, command, f"issue a certificate for a {role}", example)
    parser.add_argument("names", nargs="+", help="DNS name, IP address, e-mail address or URI")
    parser.add_argument(
        "--ca",
        metavar="FILE",
        help="certificate of the issuing authority; without it, your own local authority issues",
    )
    parser.add_argument(
        "--ca-key",
        metavar="FILE",
        help="its private key, if not in the same file; encrypted"
        " keys are asked for their password",
    )
    _add_output(parser, f"{role}.pem", f"{role}-key.pem", days=None)


def _add_output(
    parser: argparse.ArgumentParser, certfile: str, keyfile: str, days: int | None
) -> None:
    lifetime = "90, or 7 from the local authority" if days is None else str(days)
    parser.add_argument("--certfile", default=certfile, metavar="FILE", help=f"default: {certfile}")
    parser.add_argument("--keyfile", default=keyfile, metavar="FILE", help=f"default: {keyfile}")
    parser.add_argument(
        "--key-type",
        choices=[key_type.value for key_type in certs.KeyType],
        default=certs.KeyType.ECDSA_P256.value,
        help="default: ecdsa-p256",
    )
    parser.add_argument(
        "--days", type=int, default=days, metavar="N", help=f"lifetime, default: {lifetime}"
    )
    parser.add_argument(
        "--encrypt", action="store_true", help="ask for a password to encrypt the private key with"
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def _add_show(commands: _Commands) -> None:
    parser = _add(commands, "show", _show, "show a certificate", "localhost:8443")
    parser.add_argument("subject", metavar="FILE|HOST:PORT", help="a file, or a server to ask")


def _add_check(commands: _Commands) -> None:
    parser = _add(
        commands,
        "check",
        _check,
        "check what today's clients refuse about a certificate",
        "localhost:8443",
    )
    parser.add_argument("subject", metavar="FILE|HOST:PORT", help="a file, or a server to ask")
    parser.add_argument(
        "--purpose",
        choices=[purpose.value for purpose in certs.Purpose],
        default=certs.Purpose.SERVER.value,
        help="default: server; 'authority' for what 'certs ca' makes",
    )
    parser.add_argument(
        "--expires-in",
        type=_days,
        metavar="DAYS",
        help="end with 1 where the certificate, or one in its chain, expires within so many days",
    )


def _add_trust(commands: _Commands) -> None:
    parser = _add(
        commands,
        "trust",
        _trust,
        "make this machine trust your own local authority",
        "--dry-run",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    parser.add_argument("--undo", action="store_true", help="take the trust back")
    parser.add_argument(
        "--only", choices=["system", "browsers"], help="leave the other kind of store alone"
    )
    parser.add_argument(
        "--instructions", action="store_true", help="print what to do on other platforms, too"
    )


def _make_ca(arguments: argparse.Namespace) -> int:
    _spare_files(arguments)
    authority = certs.CertificateAuthority.generate(
        arguments.common_name,
        key_type=certs.KeyType(arguments.key_type),
        lifetime=_lifetime(arguments.days) or timedelta(),
    )
    return _write(arguments, authority.certificate)


def _issue_server(arguments: argparse.Namespace) -> int:
    _spare_files(arguments)
    issued = _issuer(arguments).issue_server(
        *arguments.names,
        key_type=certs.KeyType(arguments.key_type),
        lifetime=_lifetime(arguments.days),
    )
    for finding in issued.check():
        print(finding, file=sys.stderr)
    return _write(arguments, issued)


def _issue_client(arguments: argparse.Namespace) -> int:
    _spare_files(arguments)
    issued = _issuer(arguments).issue_client(
        *arguments.names,
        key_type=certs.KeyType(arguments.key_type),
        lifetime=_lifetime(arguments.days),
    )
    return _write(arguments, issued)


def _issuer(arguments: argparse.Namespace) -> certs.CertificateAuthority:
    if arguments.ca is None:
        if arguments.ca_key is not None:
            raise CertificateError("--ca-key needs --ca, the certificate that it belongs to")
        return certs.local_authority()
    return certs.CertificateAuthority.load(
        Path(arguments.ca), None if arguments.ca_key is None else Path(arguments.ca_key), _ask
    )


def _lifetime(days: int | None) -> timedelta | None:
    if days is None:
        return None
    try:
        return timedelta(days=days)
    except OverflowError:
        raise CertificateError(f"{days} days are too many") from None


def _spare_files(arguments: argparse.Namespace) -> None:
    """Refuse to overwrite files, before anything is generated."""
    if not arguments.force:
        CertificateError.raise_if(
            f"{file} exists: give --force to replace it, or another name"
            for file in dict.fromkeys((arguments.certfile, arguments.keyfile))
            if Path(file).exists()
        )


def _write(arguments: argparse.Namespace, certificate: certs.Certificate) -> int:
    password = _ask_twice() if arguments.encrypt else None
    certificate.write(arguments.certfile, arguments.keyfile, password)
    print(certificate)
    print(f"written to {arguments.certfile}, private key to {arguments.keyfile}")
    return 0


def _ask() -> str:
    return getpass.getpass("Password of the private key: ")


def _ask_twice() -> str:
    password = getpass.getpass("New password for the private key: ")
    if password != getpass.getpass("The same again: "):
        raise CertificateError("the two passwords differ")
    return password


def _show(arguments: argparse.Namespace) -> int:
    print(_find(arguments.subject))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    shown = _find(arguments.subject)
    findings = shown.check(purpose=certs.Purpose(arguments.purpose))
    for finding in findings:
        print(finding)
    ends = arguments.expires_in is not None and shown.ends_within(arguments.expires_in)
    if ends and not any(finding.code in {"expired", "expires-soon"} for finding in findings):
        print(f"error: expires within {arguments.expires_in.days} days (--expires-in)")
    elif not findings:
        print("nothing to complain about")
    failed = ends or any(finding.severity is certs.Severity.ERROR for finding in findings)
    return _FAILED if failed else 0


def _days(text: str) -> timedelta:
    """Read a number of days for argparse, which names the option in its error."""
    days = int(text)
    if not 0 <= days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be 0 to {_MOST_DAYS} days, not {days}")
    return timedelta(days=days)


def _find(subject: str) -> certs.CertificateChain:
    """Load the chain of a file, or fetch it from a server."""
    server = _HOST_AND_PORT.fullmatch(subject)
    if Path(subject).exists() or server is None:
        return certs.load_chain(Path(subject), _ask)
    return certs.fetch(server["address"] or server["host"], int(server["port"]))


def _trust(arguments: argparse.Namespace) -> int:
    authority = certs.local_authority()
    if arguments.instructions or not sys.platform.startswith("linux"):
        print(certs.trust_instructions(authority), end="")
        return 0
    steps: list[Step] = []
    if arguments.only != "browsers":
        steps += plan_system(authority, undo=arguments.undo)
    if arguments.only != "system":
        steps += plan_browsers(authority, Path.home(), undo=arguments.undo)
    failed = [step for step in steps if not _run(step, dry_run=arguments.dry_run)]
    return _FAILED if failed else 0


def _run(step: Step, *, dry_run: bool) -> bool:
    """Run one step and tell whether it is all right; say what is done before doing it."""
    print(f"# {step.purpose}\n{step}", flush=True)
    if dry_run:
        return True
    # The commands are ours, word by word, and no shell reads them.
    done = subprocess.run(step.command, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    if done.returncode and not step.may_fail:
        print(f"{_PROGRAM}: this failed with exit code {done.returncode}", file=sys.stderr)
        return False
    return True
