"""Commands about what this machine trusts: ``trust``, ``folder``."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from tlshttp import certs
from tlshttp._certs_cli._arguments import (
    Commands,
    add_authority_folder,
    add_command,
)
from tlshttp._command_line.endings import FAILED, OK, complain, describe_os_error
from tlshttp._command_line.parsing import program
from tlshttp.certs._trust import Machine, instructions, plan
from tlshttp.certs._trust_steps import Anchor, Step

Run: TypeAlias = Callable[[tuple[str, ...]], int]
"""Runs a command and returns its exit status."""

_STORES = ("system", "browsers", "java")


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    _add_trust(commands)
    parser = add_command(
        commands,
        "folder",
        _folder,
        "print the folder of your own local authority",
        "--authority-folder /mnt/usb/authority",
    )
    add_authority_folder(parser)


def _add_trust(commands: Commands) -> None:
    parser = add_command(
        commands,
        "trust",
        _trust,
        "make this machine trust your own local authority, or another one",
        "--dry-run",
    )
    add = parser.add_argument
    add("certfile", nargs="?", metavar="FILE", help="the certificate of another authority")
    add("--dry-run", action="store_true", help="print the commands, run and make nothing")
    add("--undo", action="store_true", help="take the trust back")
    add("--only", choices=_STORES, help="leave the other kinds of store alone")
    add("--java", action="store_true", help="tell Java, too")
    add("--instructions", action="store_true", help="print what to do on each platform")
    add_authority_folder(parser)


def _folder(arguments: argparse.Namespace) -> int:
    if arguments.authority_folder is None:
        print(certs.local_authority_folder())
    else:
        print(Path(arguments.authority_folder).absolute())
    return OK


def _trust(arguments: argparse.Namespace) -> int:
    anchor = _anchor(arguments)
    if anchor is None:
        return OK
    if arguments.instructions:
        print(instructions(anchor), end="")
        return OK
    planned = plan(anchor, Machine(), _stores(arguments), undo=arguments.undo)
    complain(program("certs"), *planned.problems)
    done = carry_out(planned.steps, dry_run=arguments.dry_run)
    if done and planned.steps and not arguments.dry_run:
        print("done: start browsers that are running anew")
    return OK if done and not planned.problems else FAILED


def carry_out(steps: Iterable[Step], *, dry_run: bool = False, run: Run | None = None) -> bool:
    """Run steps, each though another has failed, and tell whether all are right.

    Args:
        steps: What to do.
        dry_run: Whether to print the commands and run none.
        run: Runs one command; `None` means as a child process.
    """
    right = [_take(step, dry_run=dry_run, run=run or _run) for step in steps]
    return all(right)


def _take(step: Step, *, dry_run: bool, run: Run) -> bool:
    """Take one step and tell whether it is all right; say what is done before doing it."""
    if not dry_run and step.condition is not None and not step.condition():
        return True
    print(f"# {step.purpose}\n{step}", flush=True)
    if dry_run:
        return True
    try:
        status = run(step.command)
    except OSError as error:
        complain(program("certs"), f"this cannot be run: {describe_os_error(error)}")
        return False
    if status and not step.may_fail:
        complain(program("certs"), f"this failed with exit code {status}")
        return False
    return True


def _run(command: tuple[str, ...]) -> int:
    # The commands are ours, word by word, and no shell reads them.
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode  # noqa: S603


def _anchor(arguments: argparse.Namespace) -> Anchor | None:
    """Return whom to trust; `None` where there is nobody whose trust could be taken back."""
    if arguments.certfile is not None:
        return Anchor.load(Path(arguments.certfile))
    folder = arguments.authority_folder
    place = certs.local_authority_folder() if folder is None else Path(folder).absolute()
    if not arguments.dry_run and not arguments.undo:
        return Anchor.of(certs.local_authority(place))
    authority = certs.find_local_authority(place)
    if authority is not None:
        return Anchor.of(authority)
    if arguments.undo:
        print(f"there is no local authority in {str(place)!r}: there is nothing to undo")
        return None
    print(f"# there is no local authority yet: one would be generated in {str(place)!r}")
    return Anchor.unknown(place / "authority.pem")


def _stores(arguments: argparse.Namespace) -> tuple[str, ...]:
    if arguments.only is not None:
        return (arguments.only, "java") if arguments.java else (arguments.only,)
    return _STORES if arguments.java else _STORES[:2]
