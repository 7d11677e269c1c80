"""How to make a machine trust the local authority, and how to undo it.

Steps are data: the command line runs them, `trust_instructions` prints them.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tlshttp.certs._inspect import common_name
from tlshttp.certs._local import LocalAuthority, local_authority
from tlshttp.errors import CertificateError

_Find = Callable[[str], str | None]


@dataclass(frozen=True)
class Step:
    """One command that changes what is trusted."""

    purpose: str
    command: tuple[str, ...]
    may_fail: bool = False
    """Whether a failure means only that there was nothing to undo."""

    def __str__(self) -> str:
        return shlex.join(self.command)


@dataclass(frozen=True)
class _SystemStore:
    """Where a family of Linux distributions keeps the authorities that its users add."""

    tool: str
    folder: str
    update: tuple[str, ...]


_SYSTEM_STORES = (
    # Debian, Ubuntu, Alpine: update-ca-certificates(8). SUSE has the tool and another folder.
    _SystemStore(
        "update-ca-certificates", "/usr/local/share/ca-certificates", ("update-ca-certificates",)
    ),
    # Fedora, Red Hat: update-ca-trust(8).
    _SystemStore(
        "update-ca-trust", "/etc/pki/ca-trust/source/anchors", ("update-ca-trust", "extract")
    ),
    # Arch: trust(1) of p11-kit.
    _SystemStore("trust", "/etc/ca-certificates/trust-source/anchors", ("trust", "extract-compat")),
)

_NSS_FOLDERS = (
    ".pki/nssdb",  # Chromium, Chrome
    "snap/chromium/current/.pki/nssdb",
)
_FIREFOX_PROFILES = (
    ".mozilla/firefox/*/cert9.db",
    "snap/firefox/common/.mozilla/firefox/*/cert9.db",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/*/cert9.db",
)

_WITHOUT_LINUX = """\
macOS (Safari, Chrome, curl):
  security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db {certfile}
  undo: security remove-trusted-cert {certfile}

Windows (Edge, Chrome, PowerShell):
  certutil -user -addstore Root {certfile_windows}
  undo: certutil -user -delstore Root "{name}"

Firefox on macOS and Windows uses the store of the system. Elsewhere: Settings, Privacy & Security,
View Certificates, Authorities, Import: {certfile}

Python (ssl, requests, httpx):
  export SSL_CERT_FILE={certfile}
  export REQUESTS_CA_BUNDLE={certfile}

Node.js:
  export NODE_EXTRA_CA_CERTS={certfile}

Java:
  keytool -importcert -cacerts -noprompt -alias tlshttp -file {certfile}
  undo: keytool -delete -cacerts -alias tlshttp
"""


def trust_instructions(authority: LocalAuthority | None = None) -> str:
    """Say how to make each platform and browser trust the local authority, and how to undo it.

    Args:
        authority: The authority; `None` means the one of `local_authority`.

    Raises:
        CertificateError: The local authority cannot be used.
    """
    authority = local_authority() if authority is None else authority
    certfile = str(authority.certfile)
    rest = _WITHOUT_LINUX.format(
        certfile=shlex.quote(certfile),
        certfile_windows=f'"{certfile}"',
        name=common_name(authority.certificate.leaf),
    )
    return "\n".join(_linux_lines(authority)) + "\n" + rest


def _linux_lines(authority: LocalAuthority) -> Iterable[str]:
    yield "Linux, all of the following at once:"
    yield "  python -m tlshttp certs trust"
    yield "  undo: python -m tlshttp certs trust --undo"
    yield ""
    for title, store in zip(
        ("Debian, Ubuntu, Alpine", "Fedora, Red Hat", "Arch"), _SYSTEM_STORES, strict=True
    ):
        yield f"{title} (curl, wget, git, OpenSSL):"
        yield from (f"  {step}" for step in _system_steps(authority, store, privilege=("sudo",)))
        yield ""
    yield "Chromium and Chrome on Linux (certutil is in libnss3-tools, nss-tools or nss):"
    folder = Path.home() / _NSS_FOLDERS[0]
    yield from (f"  {step}" for step in _nss_steps(authority, folder, create=True))
    yield ""


def plan_system(
    authority: LocalAuthority, *, undo: bool = False, find: _Find | None = None
) -> list[Step]:
    """Plan the commands for the store of a Linux system.

    Raises:
        CertificateError: The system's store is of no known kind.
    """
    find = find or shutil.which
    for store in _SYSTEM_STORES:
        if find(store.tool):
            make = _system_undo_steps if undo else _system_steps
            return make(authority, store, privilege=_privilege(find))
    tools = ", ".join(store.tool for store in _SYSTEM_STORES)
    raise CertificateError(
        f"the system's trust store is of no known kind: there is none of {tools}"
    )


def plan_browsers(
    authority: LocalAuthority, home: Path, *, undo: bool = False, find: _Find | None = None
) -> list[Step]:
    """Plan the commands for the NSS databases of Chromium, Chrome and Firefox on Linux.

    Raises:
        CertificateError: NSS's certutil is missing.
    """
    find = find or shutil.which
    if not find("certutil"):
        raise CertificateError(
            "certutil is missing: install libnss3-tools (Debian), nss-tools (Fedora) or nss (Arch)"
        )
    standard = home / _NSS_FOLDERS[0]
    folders = [home / folder for folder in _NSS_FOLDERS if (home / folder / "cert9.db").exists()]
    for pattern in _FIREFOX_PROFILES:
        folders += sorted(database.parent for database in home.glob(pattern))
    if undo:
        return [step for folder in folders for step in _nss_undo_steps(authority, folder)]
    # Chromium reads a database that was not there when it started for the first time, too.
    steps = [] if standard in folders else _nss_steps(authority, standard, create=True)
    return steps + [step for folder in folders for step in _nss_steps(authority, folder)]


def _privilege(find: _Find) -> tuple[str, ...]:
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return () if root or not find("sudo") else ("sudo",)


def _system_steps(
    authority: LocalAuthority, store: _SystemStore, *, privilege: tuple[str, ...]
) -> list[Step]:
    target = _system_file(authority, store)
    copy = (*privilege, "install", "-D", "-m", "644", str(authority.certfile), target)
    return [
        Step("add the authority to the system's store", copy),
        Step("rebuild the system's store", (*privilege, *store.update)),
    ]


def _system_undo_steps(
    authority: LocalAuthority, store: _SystemStore, *, privilege: tuple[str, ...]
) -> list[Step]:
    target = _system_file(authority, store)
    return [
        Step("remove the authority from the system's store", (*privilege, "rm", "-f", target)),
        Step("rebuild the system's store", (*privilege, *store.update)),
    ]


def _system_file(authority: LocalAuthority, store: _SystemStore) -> str:
    # One name for each authority, since several users of a machine may have one.
    short = authority.certificate.fingerprint().replace(":", "")[:16].lower()
    return f"{store.folder}/tlshttp-{short}.crt"


def _nss_steps(authority: LocalAuthority, folder: Path, *, create: bool = False) -> list[Step]:
    database = f"sql:{folder}"
    steps = []
    if create:
        steps = [
            Step(
                "make a folder for the browser's store", ("mkdir", "-p", "-m", "700", str(folder))
            ),
            Step(
                "create the browser's store", ("certutil", "-N", "--empty-password", "-d", database)
            ),
        ]
    # "C": trusted to issue for TLS servers; nothing for e-mail and code.
    add = ("certutil", "-A", "-d", database, "-t", "C,,", "-n", _nickname(authority), "-i")
    return [*steps, Step(f"add the authority to {folder}", (*add, str(authority.certfile)))]


def _nss_undo_steps(authority: LocalAuthority, folder: Path) -> list[Step]:
    command = ("certutil", "-D", "-d", f"sql:{folder}", "-n", _nickname(authority))
    return [Step(f"remove the authority from {folder}", command, may_fail=True)]


def _nickname(authority: LocalAuthority) -> str:
    return common_name(authority.certificate.leaf) or "tlshttp local authority"
