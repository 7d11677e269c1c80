"""The trust store of a Linux system."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from tlshttp.certs._trust_steps import Anchor, Find, Step
from tlshttp.errors import CertificateError


@dataclass(frozen=True)
class SystemStore:
    """Where a family of Linux distributions keeps the authorities that its users add."""

    title: str
    tool: str
    folder: str
    update: tuple[str, ...]
    only_with_folder: bool = False
    """Whether others have the same tool, and another folder."""


SYSTEM_STORES = (
    SystemStore(
        "SUSE",
        "update-ca-certificates",
        "/etc/pki/trust/anchors",
        ("update-ca-certificates",),
        only_with_folder=True,
    ),
    # update-ca-certificates(8)
    SystemStore(
        "Debian, Ubuntu, Alpine",
        "update-ca-certificates",
        "/usr/local/share/ca-certificates",
        ("update-ca-certificates",),
    ),
    # update-ca-trust(8)
    SystemStore(
        "Fedora, Red Hat",
        "update-ca-trust",
        "/etc/pki/ca-trust/source/anchors",
        ("update-ca-trust", "extract"),
    ),
    # trust(1) of p11-kit
    SystemStore(
        "Arch",
        "trust",
        "/etc/ca-certificates/trust-source/anchors",
        ("trust", "extract-compat"),
    ),
)

_PRIVILEGE = ("sudo", "doas")


def plan_system(
    anchor: Anchor,
    *,
    undo: bool = False,
    find: Find,
    has_folder: Callable[[str], bool] = os.path.isdir,
) -> list[Step]:
    """Plan the commands for the store of a Linux system.

    Raises:
        CertificateError: The system's store is of no known kind.
    """
    for store in SYSTEM_STORES:
        if find(store.tool) and (not store.only_with_folder or has_folder(store.folder)):
            return system_steps(anchor, store, undo=undo, privilege=_privilege(find))
    tools = ", ".join(dict.fromkeys(store.tool for store in SYSTEM_STORES))
    raise CertificateError(
        f"the system's trust store is of no known kind: there is none of {tools}"
        " (the package ca-certificates has the first)"
    )


def system_steps(
    anchor: Anchor, store: SystemStore, *, undo: bool = False, privilege: tuple[str, ...]
) -> list[Step]:
    """Return the commands for one kind of store."""
    # One name for each authority, since several users of a machine may have one.
    target = f"{store.folder}/tlshttp-{anchor.fingerprint[:16]}.crt"
    if undo:
        first = Step(
            "remove the authority from the system's store", (*privilege, "rm", "-f", target)
        )
    else:
        copy = (*privilege, "install", "-D", "-m", "644", str(anchor.certfile), target)
        first = Step("add the authority to the system's store", copy)
    return [first, Step("rebuild the system's store", (*privilege, *store.update))]


def _privilege(find: Find) -> tuple[str, ...]:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return ()
    return next(((tool,) for tool in _PRIVILEGE if find(tool)), ())
