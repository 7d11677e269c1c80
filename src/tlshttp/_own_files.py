"""Which files are the server's own: certificates, keys, passwords, lists, logs.

Whoever reads or writes such a file registers it here, and the file handlers serve none of them,
wherever they lie. It is one list for the process, because a file is no less secret to a second
server, or to one that was started before somebody loaded it.

A file is known by what it *is* (device and inode), so that no other name, no link and no hard link
gets round it; and by where it was named, so that its successor is known as soon as it is there.

1.  Folders and files are looked at again when they may have changed: each second, and at once when
    something was renamed or made where one of them lies.
2.  What was there before is remembered with its size and time: an old key that has another name
    still is a key, but a new file that gets its inode is none.
3.  Compressed forms beside a file (``key.pem.gz``), and what programs leave there (``key.pem~``,
    ``server.log.1``), count as the file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from tlshttp._forked import begin_anew_in_children
from tlshttp._user_folders import authority_folders

__all__ = ["OWN_FILES", "OwnFiles"]

_LOOK_SECONDS = 1.0
_RECENT_NS = 1_000_000_000  # two changes within one tick of a file system's clock look like one
_FORMER = 256  # of files that have been replaced; a renewed pair is two
_SUFFIXES = (".", "~", "_", "-")
_USUAL_SUFFIXES = (
    "~", ".1", ".backup", ".bak", ".br", ".dpkg-dist", ".dpkg-old", ".gz", ".old", ".orig",
    ".rpmnew", ".rpmsave", ".save", ".zst", ".~1~", "_old",
)  # fmt: skip
# What editors, archivers, packages and the rotation of logs put behind a name; ``password.html`` is
# a page.
_LEFT_BESIDE = re.compile(
    r"(?:~|[._-](?:backup|bak|copy|new|old|orig|save|tmp)[0-9]*|\.~[0-9]+~"
    r"|\.(?:gz|br|zst|xz|bz2|zip|sw[a-p]|(?:dpkg|ucf)-[a-z]+|rpm[a-z]+|[0-9][0-9_.-]*))+"
)
_PREFIXES = ("#", ".#", ".")
"""What editors put before a name, whatever is behind it: ``#key.pem#``, ``.key.pem.swp``."""
_DESCRIPTORS = ("/dev/", "/proc/")  # such a path soon leads to another file

_Inode = tuple[int, int]
_Form = tuple[int, int, int, int]


class OwnFiles:
    """Files that are never served.

    Args:
        always: Returns folders that are the server's own whether or not it has used them.
    """

    def __init__(self, always: Callable[[], Iterable[str]] = tuple) -> None:
        self._always = always
        self._renew_lock()
        begin_anew_in_children(self, OwnFiles._renew_lock)
        self._files: dict[str, None] = {}
        self._folders: dict[str, None] = {}
        self._inodes: frozenset[_Inode] = frozenset()
        self._numbers: frozenset[int] = frozenset()
        self._forms: frozenset[_Form] = frozenset()
        self._former: tuple[_Form, ...] = ()
        self._names: tuple[str, ...] = ()
        self._places: dict[str, int] = {}
        self._real_folders: tuple[str, ...] = ()
        self._next_look = 0.0

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def add(self, path: str | os.PathLike[str]) -> None:
        """Take note of a file, whether or not it is there."""
        self._take_note(self._files, path)

    def add_folder(self, path: str | os.PathLike[str]) -> None:
        """Take note of a folder, with all that is in it."""
        self._take_note(self._folders, path)

    def _take_note(self, known: dict[str, None], path: str | os.PathLike[str]) -> None:
        text = os.path.abspath(os.fsdecode(path))
        with self._lock:
            if text in known or "\0" in text:
                return
            with contextlib.suppress(OSError, ValueError):
                form = _form(os.stat(text))
                self._former = (*self._former, form)[-_FORMER:]
            if not text.startswith(_DESCRIPTORS):
                known[text] = None
            self._next_look = 0.0

    def inside(self, folder: str | os.PathLike[str]) -> list[str]:
        """Return the files and folders that lie below a folder and are there, in order."""
        root = os.path.realpath(folder)
        self._look_if_due()
        with self._lock:
            known = [*self._files, *self._folders, *self._always()]
        found = {os.path.realpath(path) for path in known}
        return sorted(path for path in found if _lies_in(path, root) and os.path.exists(path))

    def may_include(self, name: str, number: int) -> bool:
        """Return whether an entry may be one, by name and inode; if not, `include` says no, too.

        Before the entries of a folder, `include` has to be asked about the folder itself.
        """
        return number in self._numbers or name.lower().startswith(self._names)

    def include(self, path: str, status: os.stat_result) -> bool:
        """Return whether a file or folder is one.

        Args:
            path: A name that it has.
            status: What the system says of the file itself, links followed: of its descriptor
                where it is open.
        """
        self._look_if_due()
        if status.st_ino in self._numbers:
            form = _form(status)
            if form[:2] in self._inodes or form in self._former:
                return True
        if not self._real_folders and not os.path.basename(path).lower().startswith(self._names):
            return False
        try:
            real = os.path.realpath(path)
        except OSError:  # a link on the way was replaced while it was looked at
            return True
        return any(_lies_in(real, folder) for folder in self._real_folders) or self._is_beside(real)

    def _is_beside(self, real: str) -> bool:
        """Return whether a file's name is that of one of ours with something behind it."""
        folder, name = os.path.split(real)
        with self._lock:
            known = list(self._files)
        for path in known:
            own_folder, own_name = os.path.split(path)
            if _is_copy(name.lower(), own_name.lower()):
                with contextlib.suppress(OSError, ValueError):
                    if os.path.samefile(folder, own_folder):
                        return True
        return False

    # Looking ----------------------------------------------------------------------------------

    def _look_if_due(self) -> None:
        now = time.monotonic()
        if now < self._next_look and all(
            _folder_time(place) == known for place, known in self._places.items()
        ):
            return
        with self._lock:
            self._look(now)

    def _look(self, now: float) -> None:
        files = [*self._files, *_log_files()]
        always = list(self._always())
        own_folders = [*self._folders, *always]
        folders = [os.path.dirname(path) for path in files] + own_folders
        forms = frozenset(map(_form, _statuses(files, own_folders)))
        inodes = frozenset((device, inode) for device, inode, _, _ in forms)
        gone = [form for form in self._forms if form[:2] not in inodes]
        self._former = (*self._former, *gone)[-_FORMER:]
        self._forms, self._inodes = forms, inodes
        self._numbers = frozenset(inode for _, inode, _, _ in (*forms, *self._former))
        self._names = tuple(
            start for path in files for start in _beginnings_of_copies(os.path.basename(path))
        )
        deep = [*self._folders, *filter(_has_folders, always)]
        self._real_folders = tuple(map(os.path.realpath, deep))
        self._places = {place: _folder_time(place) for place in folders}
        self._next_look = now + _LOOK_SECONDS


OWN_FILES = OwnFiles(authority_folders)
"""Those of this process."""


def _is_copy(name: str, own: str) -> bool:
    """Return whether a name is what programs make of another one for a copy."""
    if name.startswith(own) and _LEFT_BESIDE.fullmatch(name[len(own) :]):
        return True
    return name.startswith(tuple(prefix + own for prefix in _PREFIXES))


def _beginnings_of_copies(name: str) -> tuple[str, ...]:
    own = name.lower()
    return (*(own + suffix for suffix in _SUFFIXES), *(prefix + own for prefix in _PREFIXES))


def _form(status: os.stat_result) -> _Form:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _folder_time(path: str) -> int:
    """Return when something was last renamed or made in a folder; if lately, never twice the same.

    Our clock and the file system's may differ: then looking costs more.
    """
    try:
        changed = os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return 0
    now = time.time_ns()
    return now if abs(now - changed) < _RECENT_NS else changed


def _has_folders(folder: str) -> bool:
    """Return whether inodes alone do not tell what is in a folder, so that paths are resolved."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.is_dir() for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True


def _usual_copies(path: str) -> Iterator[str]:
    """Yield a path, and where its copies are most often."""
    yield path
    for suffix in _USUAL_SUFFIXES:
        yield path + suffix
    folder, name = os.path.split(path)
    yield os.path.join(folder, f"#{name}#")


def _statuses(files: Iterable[str], folders: Iterable[str]) -> Iterator[os.stat_result]:
    """Yield what the system says of files, of what is beside them, and of all in folders."""
    paths = [copy for path in files for copy in _usual_copies(path)]
    for folder in folders:
        paths.append(folder)
        with contextlib.suppress(OSError, ValueError):
            paths += [os.path.join(folder, name) for name in os.listdir(folder)]
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            yield os.stat(path)
    for stream in (sys.stdout, sys.stderr):  # redirected to a file
        with contextlib.suppress(OSError, ValueError, AttributeError):
            status = os.fstat(stream.fileno())
            if stat.S_ISREG(status.st_mode):
                yield status


def _log_files() -> Iterator[str]:
    """Yield the files that `logging` writes to."""
    loggers = [logging.root, *list(logging.root.manager.loggerDict.values())]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            path = getattr(handler, "baseFilename", None)
            if isinstance(path, str):
                yield path


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))
