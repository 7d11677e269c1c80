"""Opening files below a root, and nothing else.

Checking a path and then opening it leaves a moment in between, in which somebody who may write to
the folder can put a symbolic link in its place. So nothing is checked by path:

1.  The root is opened, and from there one component after the other, each relative to the
    descriptor of the one before and each with ``O_NOFOLLOW``. What is opened in this way lies below
    the root, whatever is renamed meanwhile.
2.  Where that meets a symbolic link and links are followed, the path is resolved to one without
    links; if it leads into the root, rule 1 opens *that* path. A link put there after the
    resolution is not followed: the file is not found.
3.  A FIFO or device is never opened: the type is looked at first. One put there after that look is
    opened without waiting (``O_NONBLOCK``), looked at again and closed.
4.  What is the server's own (`tlshttp._own_files`) counts as absent, whatever it is called. The
    open descriptor tells.

Platforms without ``dir_fd`` (Windows) open the resolved path, and resolve again afterwards.
"""

from __future__ import annotations

import enum
import errno
import io
import os
import stat
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from tlshttp._own_files import OWN_FILES

__all__ = ["FollowSymlinks", "Found", "leads_inside", "list_inside", "open_inside"]

_T = TypeVar("_T")


class FollowSymlinks(enum.Enum):
    """Which symbolic links below the served directory are followed.

    The directory itself may be a link, or lie behind one, in any case.
    """

    NEVER = "never"
    """None: a path with a link in it is not found."""
    INSIDE = "inside"
    """Those that lead to somewhere inside the directory, such as the ones Kubernetes mounts."""
    INSECURE_ANYWHERE = "anywhere"
    """All. Whoever can create a link in the directory can publish any file of the machine that the
    server may read."""


class Found(NamedTuple):
    """An entry of a folder, with as little as will do: there may be a hundred thousand."""

    name: str
    mode: int
    """Type and permissions, of a link those of the link itself."""
    inode: int
    size: int
    changed: float
    """When the content was last changed, in seconds since the epoch."""


_HAVE_DIR_FD = os.open in os.supports_dir_fd and os.scandir in os.supports_fd

# O_PATH needs no read permission for the folders on the way, only search permission.
_FOLDER = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FILE = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_NONBLOCK", 0)
)

# What O_NOFOLLOW says of a link: Linux and macOS ELOOP, with O_DIRECTORY ENOTDIR; FreeBSD EMLINK.
_MAY_BE_LINK = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})


def open_inside(root: str, path: str, follow: FollowSymlinks) -> io.FileIO:
    """Open a regular file below a root for reading.

    Args:
        root: The folder; it may be a symbolic link.
        path: The file, as a path that begins with `root`.
        follow: Which symbolic links are followed.

    Raises:
        IsADirectoryError: It is a folder.
        FileNotFoundError: There is none, it is not a regular file, or it is not below the root.
        OSError: It cannot be opened.
        ValueError: The file system cannot have such a name.
    """
    file = _inside(root, path, follow, _open_regular)
    if OWN_FILES.include(path, os.fstat(file.fileno())):
        file.close()
        raise _absent(path)
    return file


def list_inside(root: str, path: str, follow: FollowSymlinks) -> list[Found]:
    """Return what is in a folder below a root; see `open_inside`."""
    found = _inside(root, path, follow, _list)
    if OWN_FILES.include(path, os.stat(path)):
        raise _absent(path)
    return [it for it in found if not _is_own(path, it)]


def leads_inside(root: str, path: str, follow: FollowSymlinks) -> os.stat_result | None:
    """Return what `path` leads to, or `None` where it may not be followed, or leads nowhere."""
    if follow is FollowSymlinks.NEVER and os.path.islink(path):
        return None
    try:
        if follow is not FollowSymlinks.INSECURE_ANYWHERE:
            _names_below(os.path.realpath(root), os.path.realpath(path, strict=True))
        status = os.stat(path)
    except OSError:
        return None
    return None if OWN_FILES.include(path, status) else status


def _is_own(folder: str, found: Found) -> bool:
    """Return whether something in a folder, if it is no link, is the server's own."""
    if not OWN_FILES.may_include(found.name, found.inode) or stat.S_ISLNK(found.mode):
        return False
    path = os.path.join(folder, found.name)
    try:
        return OWN_FILES.include(path, os.lstat(path))
    except OSError:
        return True


def _inside(
    root: str, path: str, follow: FollowSymlinks, last: Callable[[str, int | None], _T]
) -> _T:
    names = _names_below(root, path)
    if follow is FollowSymlinks.INSECURE_ANYWHERE:
        return last(os.path.realpath(path), None)
    if not _HAVE_DIR_FD:
        return _inside_by_path(root, path, follow, last)
    try:
        return _walk(root, names, last)
    except OSError as error:
        if follow is FollowSymlinks.NEVER or error.errno not in _MAY_BE_LINK:
            raise
    real_root = os.path.realpath(root)
    return _walk(real_root, _names_below(real_root, os.path.realpath(path, strict=True)), last)


def _names_below(root: str, path: str) -> list[str]:
    """Return the names that lead from a root to a path, going by the text alone."""
    if not (path == root or path.startswith(os.path.join(root, ""))):
        root, path = os.path.abspath(root), os.path.abspath(path)
        if not (path == root or path.startswith(os.path.join(root, ""))):
            raise _absent(path)
    below = path[len(root) :].replace(os.altsep or os.sep, os.sep)
    names = [name for name in below.split(os.sep) if name]
    if ".." in names:
        raise _absent(path)
    return names


def _walk(root: str, names: list[str], last: Callable[[str, int | None], _T]) -> _T:
    """Open one folder from within the other; call `last` with the last name and its folder."""
    folder = os.open(root, _FOLDER)
    try:
        for name in names[:-1]:
            inner = os.open(name, _FOLDER | _NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return last(names[-1] if names else ".", folder)
    finally:
        os.close(folder)


def _inside_by_path(
    root: str, path: str, follow: FollowSymlinks, last: Callable[[str, int | None], _T]
) -> _T:
    """Do the same where descriptors cannot be opened from: resolve, open, resolve again."""
    real_root = os.path.realpath(root)
    real = os.path.realpath(path, strict=True)
    names = _names_below(real_root, real)
    if follow is FollowSymlinks.NEVER and names != _names_below(root, path):
        raise _absent(path)
    opened = last(real, None)
    if os.path.realpath(path) == real:
        return opened
    if isinstance(opened, io.FileIO):
        opened.close()
    raise _absent(path)


def _open_regular(name: str, folder: int | None) -> io.FileIO:
    _require_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), name)
    descriptor = os.open(name, _FILE | _NOFOLLOW, dir_fd=folder)
    try:
        _require_regular(os.fstat(descriptor), name)
        return io.FileIO(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def _require_regular(status: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(status.st_mode):
        raise _absent(name)


def _list(name: str, folder: int | None) -> list[Found]:
    if folder is None:
        with os.scandir(name) as entries:
            return [found for entry in entries if (found := _look_at(entry)) is not None]
    readable = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | _NOFOLLOW
    descriptor = os.open(name, readable, dir_fd=folder)
    try:
        with os.scandir(descriptor) as entries:
            return [found for entry in entries if (found := _look_at(entry)) is not None]
    finally:
        os.close(descriptor)


def _look_at(entry: os.DirEntry[str]) -> Found | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # it has gone meanwhile
        return None
    return Found(entry.name, status.st_mode, status.st_ino, status.st_size, status.st_mtime)


def _absent(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
