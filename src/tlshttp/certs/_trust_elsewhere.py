"""The trust stores of macOS, Windows and Java."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tlshttp.certs._trust_steps import Anchor, Find, Step
from tlshttp.errors import CertificateError

_JAVA_PASSWORD = "changeit"  # noqa: S105
"""Of the store ``cacerts`` as every Java is delivered: it protects nothing that is secret."""


def plan_macos(anchor: Anchor, home: Path, *, undo: bool = False) -> list[Step]:
    """Plan the commands for the login keychain, which Safari, Chrome and Firefox look at."""
    keychain = str(home / "Library/Keychains/login.keychain-db")
    certfile = str(anchor.certfile)
    if undo:
        distrust = ("security", "remove-trusted-cert", certfile)
        remove = ("security", "delete-certificate", "-Z", anchor.sha1, keychain)
        return [
            Step("take the trust in the authority back", distrust, may_fail=True),
            Step("remove the authority from the login keychain", remove, may_fail=True),
        ]
    # Trusted for TLS, and for nothing else: e-mail and code are other policies.
    options = ("-r", "trustRoot", "-p", "ssl", "-p", "basic", "-k", keychain)
    add = ("security", "add-trusted-cert", *options, certfile)
    return [Step("add the authority to the login keychain, trusted for TLS", add)]


def plan_windows(
    anchor: Anchor, environment: Mapping[str, str], *, undo: bool = False
) -> list[Step]:
    """Plan the commands for the user's root store, which Edge, Chrome and Firefox look at."""
    # By its path: NSS has a certutil, too.
    certutil = environment.get("SystemRoot", r"C:\Windows") + r"\System32\certutil.exe"
    if undo:
        remove = (certutil, "-user", "-delstore", "Root", anchor.sha1)
        return [Step("remove the authority from your root store", remove, may_fail=True)]
    add = (certutil, "-user", "-addstore", "Root", str(anchor.certfile))
    return [Step("add the authority to your root store; Windows asks once more", add)]


def plan_java(
    anchor: Anchor, environment: Mapping[str, str], *, undo: bool = False, find: Find
) -> list[Step]:
    """Plan the commands for the store of the Java that is found first.

    Raises:
        CertificateError: There is no keytool.
    """
    home = environment.get("JAVA_HOME")
    keytool = find(str(Path(home) / "bin" / "keytool")) if home else None
    keytool = keytool or find("keytool")
    if keytool is None:
        raise CertificateError("keytool is missing, so Java is not told: set JAVA_HOME")
    store = (
        "-cacerts",
        "-storepass",
        _JAVA_PASSWORD,
        "-alias",
        f"tlshttp-{anchor.fingerprint[:16]}",
    )
    if undo:
        remove = (keytool, "-delete", *store)
        return [Step("remove the authority from Java's store", remove, may_fail=True)]
    add = (keytool, "-importcert", "-noprompt", *store, "-file", str(anchor.certfile))
    return [Step("add the authority to Java's store", add)]
