"""How to make a machine trust an authority, and how to undo it.

Steps are data: the command line runs them, `trust_instructions` prints them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tlshttp.certs._local import LocalAuthority, local_authority
from tlshttp.certs._trust_browsers import (
    database_steps,
    database_to_make,
    find_databases,
    plan_browsers,
)
from tlshttp.certs._trust_elsewhere import plan_java, plan_macos, plan_windows
from tlshttp.certs._trust_linux import SYSTEM_STORES, plan_system, system_steps
from tlshttp.certs._trust_steps import Anchor, Find, Step
from tlshttp.errors import CertificateError

_ELSEWHERE = """\
macOS (Safari, Chrome, curl):
  security add-trusted-cert -r trustRoot -p ssl -p basic -k ~/Library/Keychains/login.keychain-db {certfile}
  undo: security remove-trusted-cert {certfile}
        security delete-certificate -Z {sha1} ~/Library/Keychains/login.keychain-db

Windows (Edge, Chrome, PowerShell):
  certutil -user -addstore Root {certfile_windows}
  undo: certutil -user -delstore Root {sha1}

Firefox on macOS and Windows uses the store of the system. Elsewhere: Settings, Privacy & Security,
View Certificates, Authorities, Import: {certfile}

Python (ssl, requests, httpx):
  export SSL_CERT_FILE={certfile}
  export REQUESTS_CA_BUNDLE={certfile}

Node.js:
  export NODE_EXTRA_CA_CERTS={certfile}

Java:
  keytool -importcert -cacerts -noprompt -alias tlshttp-{short} -file {certfile}
  undo: keytool -delete -cacerts -alias tlshttp-{short}
"""  # noqa: E501


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise CertificateError("the user has no home folder: set HOME") from None


@dataclass(frozen=True)
class Plan:
    """What to run, and what cannot be told of the authority."""

    steps: tuple[Step, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is to trust an authority."""

    platform: str = field(default_factory=lambda: sys.platform)
    home: Path = field(default_factory=_home)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    find: Find = shutil.which


def plan(anchor: Anchor, machine: Machine, stores: Collection[str], *, undo: bool = False) -> Plan:
    """Plan the commands for the trust stores of a machine.

    Args:
        anchor: Whom to trust.
        machine: Where.
        stores: Which kinds of store: ``"system"``, ``"browsers"``, ``"java"``.
        undo: Whether to take the trust back.
    """
    steps: list[Step] = []
    problems: list[str] = []
    for store in stores:
        try:
            steps += _plan_one(store, anchor, machine, undo=undo)
        except CertificateError as error:
            problems += error.findings
    return Plan(tuple(steps), tuple(problems))


def trust_instructions(authority: LocalAuthority | None = None) -> str:
    """Say how to make each platform and browser trust the local authority, and how to undo it.

    Args:
        authority: The authority; `None` means the one of `local_authority`.

    Raises:
        CertificateError: The local authority cannot be used.
    """
    return instructions(Anchor.of(local_authority() if authority is None else authority))


def instructions(anchor: Anchor) -> str:
    """Say how to make each platform and browser trust an authority, and how to undo it."""
    certfile = str(anchor.certfile)
    rest = _ELSEWHERE.format(
        certfile=shlex.quote(certfile),
        certfile_windows=f'"{certfile}"',
        sha1=anchor.sha1,
        short=anchor.fingerprint[:16],
    )
    return "\n".join(_linux_lines(anchor)) + "\n" + rest


def _plan_one(store: str, anchor: Anchor, machine: Machine, *, undo: bool) -> list[Step]:
    if store == "java":
        return plan_java(anchor, machine.environment, undo=undo, find=machine.find)
    if machine.platform in ("darwin", "win32"):
        if store == "browsers":
            return []  # they look at the system's
        if machine.platform == "darwin":
            return plan_macos(anchor, machine.home, undo=undo)
        return plan_windows(anchor, machine.environment, undo=undo)
    if store == "browsers":
        return plan_browsers(
            anchor, machine.home, machine.environment, undo=undo, find=machine.find
        )
    return plan_system(anchor, undo=undo, find=machine.find)


def _linux_lines(anchor: Anchor) -> Iterable[str]:
    command = "python -m tlshttp certs trust"
    if not anchor.is_local:
        command += f" {shlex.quote(str(anchor.certfile))}"
    yield "Linux, macOS and Windows, all of the following at once:"
    yield f"  {command}"
    yield f"  undo: {command} --undo"
    yield ""
    for store in SYSTEM_STORES:
        yield f"{store.title} (curl, wget, git, OpenSSL):"
        yield from (f"  {step}" for step in system_steps(anchor, store, privilege=("sudo",)))
        yield ""
    yield "Chromium and Chrome on Linux (certutil is in libnss3-tools, nss-tools or nss):"
    machine = Machine()
    new = database_to_make(machine.home, machine.environment)
    if new is not None:
        yield from (f"  {step}" for step in database_steps(anchor, new, make=True))
    for folder in find_databases(machine.home, machine.environment):
        yield from (f"  {step}" for step in database_steps(anchor, folder))
    yield ""
