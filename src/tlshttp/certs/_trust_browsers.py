"""The NSS databases of Chromium, Chrome and Firefox on Linux.

The database that all programs of a user share has moved. It was ``~/.pki/nssdb``; since NSS 3.42 it
is ``$XDG_DATA_HOME/pki/nssdb``, which is used only if the former does not exist. So to make the
former would hide everything in the latter, and it is made only where there is neither.

Firefox has a database in each profile. Its profiles are listed in a ``profiles.ini``, which is in
``~/.mozilla/firefox`` and, from Firefox 147 on, in ``$XDG_CONFIG_HOME/mozilla/firefox``.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from tlshttp.certs._files import read_bounded
from tlshttp.certs._trust_steps import Anchor, Find, Step
from tlshttp.errors import CertificateError

DATABASE = "cert9.db"

_DATABASE_FILES = (DATABASE, "key4.db", "pkcs11.txt")

MARK = "made-by-tlshttp"
"""Tells a database that was made here from one that the user had."""

_SANDBOXED_DATABASES = (
    "snap/*/current/.pki/nssdb",
    "snap/*/current/.local/share/pki/nssdb",
    ".var/app/*/.pki/nssdb",
    ".var/app/*/data/pki/nssdb",
)

_FIREFOX_FOLDERS = (
    ".mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    "snap/firefox/common/.config/mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/config/mozilla/firefox",
    ".librewolf",
)

_ENTRY = re.compile(r"\s[a-zA-Z]*,[a-zA-Z]*,[a-zA-Z]*\s*$")
"""The trust flags at the end of a line of ``certutil -L``."""


def plan_browsers(
    anchor: Anchor,
    home: Path,
    environment: Mapping[str, str],
    *,
    undo: bool = False,
    find: Find,
) -> list[Step]:
    """Plan the commands for every database of this user.

    Raises:
        CertificateError: NSS's certutil is missing.
    """
    folders = find_databases(home, environment)
    if undo and not folders:
        return []
    if not find("certutil"):
        raise CertificateError(
            "certutil is missing, so no browser is told: install libnss3-tools (Debian), nss-tools"
            " (Fedora) or nss (Arch)"
        )
    if undo:
        return [step for folder in folders for step in _undo_steps(anchor, folder)]
    new = database_to_make(home, environment)
    steps = [] if new is None else database_steps(anchor, new, make=True)
    return steps + [step for folder in folders for step in database_steps(anchor, folder)]


def find_databases(home: Path, environment: Mapping[str, str]) -> list[Path]:
    """List the folders of all databases there are, each once."""
    candidates = [*_user_databases(home, environment), *_glob(home, _SANDBOXED_DATABASES)]
    for root in (
        *(home / folder for folder in _FIREFOX_FOLDERS),
        _firefox_of_today(home, environment),
    ):
        candidates += _firefox_profiles(root)
    found: dict[Path, Path] = {}
    for folder in candidates:
        if (folder / DATABASE).is_file():
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def database_to_make(home: Path, environment: Mapping[str, str]) -> Path | None:
    """Return where to make the database of all programs; `None` where the user has one.

    Chromium reads one that was not there when it started for the first time, too.
    """
    old, new = _user_databases(home, environment)
    if (old / DATABASE).exists() or (new / DATABASE).exists():
        return None
    return new if new.is_dir() and not old.is_dir() else old


def database_steps(anchor: Anchor, folder: Path, *, make: bool = False) -> list[Step]:
    """Return the commands that add an authority to a database."""
    database = f"sql:{folder}"
    steps = []
    if make:
        create = ("certutil", "-N", "--empty-password", "-d", database)
        steps = [
            Step(
                "make a folder for the browser's store", ("mkdir", "-p", "-m", "700", str(folder))
            ),
            Step("create the browser's store", create),
            Step("remember who has made it", ("touch", str(folder / MARK))),
        ]
    # "C": trusted to issue for TLS servers; nothing for e-mail and code.
    add = ("certutil", "-A", "-d", database, "-t", "C,,", "-n", anchor.nickname, "-i")
    return [*steps, Step(f"add the authority to {folder}", (*add, str(anchor.certfile)))]


def _undo_steps(anchor: Anchor, folder: Path) -> Iterator[Step]:
    database = f"sql:{folder}"
    # The second is what earlier versions called it.
    for nickname in (anchor.nickname, anchor.name) if anchor.is_local else (anchor.nickname,):
        remove = ("certutil", "-D", "-d", database, "-n", nickname)
        yield Step(
            f"remove the authority from {folder}", remove, condition=partial(_has, folder, nickname)
        )
    if (folder / MARK).exists():
        files = (str(folder / name) for name in (*_DATABASE_FILES, MARK))
        empty = partial(is_empty, folder)
        purpose = "remove the store, which was made for it and has nothing else"
        yield Step(purpose, ("rm", "-f", *files), condition=empty)
        parents = (str(folder), str(folder.parent))
        yield Step("remove its folders", ("rmdir", *parents), may_fail=True, condition=empty)


def is_empty(folder: Path) -> bool:
    """Tell whether a database has no certificate and no key, or is gone."""
    if not (folder / DATABASE).exists():
        return True
    certificates, keys = _ask(folder, "-L"), _ask(folder, "-K")
    entries = [
        line
        for line in certificates.stdout.splitlines()
        if _ENTRY.search(line) and "SSL,S/MIME,JAR/XPI" not in line
    ]
    return certificates.returncode == 0 and not entries and "<" not in keys.stdout


def _has(folder: Path, nickname: str) -> bool:
    """Tell whether a database has a certificate of that name."""
    return _ask(folder, "-L", "-n", nickname).returncode == 0


def _ask(folder: Path, *question: str) -> subprocess.CompletedProcess[str]:
    """Ask certutil about a database; where there is none it fails."""
    command = [shutil.which("certutil") or "certutil", *question, "-d", f"sql:{folder}"]
    try:
        return subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError:
        return subprocess.CompletedProcess(command, 1, "", "")


def _user_databases(home: Path, environment: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the former place and today's, in the order in which they are looked at."""
    return home / ".pki/nssdb", _xdg(
        home, environment, "XDG_DATA_HOME", ".local/share"
    ) / "pki/nssdb"


def _firefox_of_today(home: Path, environment: Mapping[str, str]) -> Path:
    return _xdg(home, environment, "XDG_CONFIG_HOME", ".config") / "mozilla/firefox"


def _xdg(home: Path, environment: Mapping[str, str], variable: str, default: str) -> Path:
    # The XDG Base Directory Specification 0.8 wants relative paths ignored.
    path = Path(environment.get(variable, ""))
    return path if path.is_absolute() else home / default


def _firefox_profiles(root: Path) -> Iterator[Path]:
    """Find profiles, those elsewhere that ``profiles.ini`` names included."""
    yield from _glob(root, ("*",))
    if not (root / "profiles.ini").is_file():
        return
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(read_bounded(root / "profiles.ini").decode("utf-8-sig", "replace"))
    except (configparser.Error, CertificateError):
        return  # the usual place has been looked at
    for section in parser.values():
        # "Profile0" has Path; "Install4F96D1932A9F858E" has Default.
        for key in ("path", "default") if section.name.startswith("Install") else ("path",):
            if section.get(key):
                yield root / section[key]  # an absolute one stays what it is


def _glob(root: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        try:
            yield from sorted(root.glob(pattern))
        except OSError:  # a folder that may not be looked into
            continue
