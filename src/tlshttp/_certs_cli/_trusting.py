"""Commands that change what this machine trusts: ``trust``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tlshttp import certs
from tlshttp._certs_cli._arguments import PROGRAM, Commands, add_command
from tlshttp._command_line.endings import FAILED, OK, complain
from tlshttp.certs._trust import Step, plan_browsers, plan_system


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    parser = add_command(
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


def _trust(arguments: argparse.Namespace) -> int:
    authority = certs.local_authority()
    if arguments.instructions or not sys.platform.startswith("linux"):
        print(certs.trust_instructions(authority), end="")
        return OK
    steps: list[Step] = []
    if arguments.only != "browsers":
        steps += plan_system(authority, undo=arguments.undo)
    if arguments.only != "system":
        steps += plan_browsers(authority, Path.home(), undo=arguments.undo)
    failed = [step for step in steps if not _run(step, dry_run=arguments.dry_run)]
    return FAILED if failed else OK


def _run(step: Step, *, dry_run: bool) -> bool:
    """Run one step and tell whether it is all right; say what is done before doing it."""
    print(f"# {step.purpose}\n{step}", flush=True)
    if dry_run:
        return True
    # The commands are ours, word by word, and no shell reads them.
    done = subprocess.run(step.command, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    if done.returncode and not step.may_fail:
        complain(PROGRAM, f"this failed with exit code {done.returncode}")
        return False
    return True
