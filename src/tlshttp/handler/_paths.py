"""Which request paths may name a file at all: decided on text, before the file system is asked.

A path is refused, never repaired, with one exception: a ``.``, plain or encoded, leads nowhere and
is dropped (RFC 3986, section 5.2.4), because apt asks for ``/repository/./Packages``. Clients
remove ``..`` before they send a path; one that still has it is an attempt. Where the file system
itself reads a name in more than one way (Windows), every second way is refused.
"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

__all__ = [
    "decode",
    "has_too_many_names",
    "is_servable",
    "is_servable_name",
    "origin_form",
    "path_of",
]

_WELL_KNOWN = ".well-known"  # RFC 8615, section 3: at the root of the site, and there only

_MOST_NAMES = 255
"""Names in a path: more than people use, and few enough for code that joins them one by one."""

_DOTS = (".", "%2e", "%2E")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENCODED_SLASH = re.compile(r"%2f", re.IGNORECASE)

# Windows: separators, drives and alternate streams, wildcards; what it cuts off the end of a name;
# short names (GIT~1 is .git); devices, with any extension, the superscript digits among them.
# Microsoft, "Naming Files, Paths, and Namespaces", 2024-08.
_WINDOWS = re.compile(
    r'[\\:<>"|?*]|[. ]$|~[0-9]|^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?$',
    re.IGNORECASE,
)


def origin_form(target: str) -> str | None:
    """Return a request target as path and query; `None` where it has no path.

    A server has to take the absolute form as well (RFC 9112, section 3.2.2).
    """
    if target.startswith("/"):
        return _without_dots(target)
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    return _without_dots(f"{parts.path}?{parts.query}" if parts.query else parts.path)


def _without_dots(target: str) -> str:
    """Return a target that begins with one slash and has no ``.`` for a name.

    With two slashes it would name another host where a redirect is made of it.
    """
    path = path_of(target)
    rest = target[len(path) :]
    if "/." in path or "/%2" in path:
        names = path.split("/")
        if names[-1] in _DOTS:
            names.append("")
        path = "/".join(name for name in names if name not in _DOTS)
    return "/" + path.lstrip("/") + rest


def has_too_many_names(path: str) -> bool:
    """Return whether a path, as sent or decoded, has more names than any that is served.

    ``SimpleHTTPRequestHandler.translate_path`` copies what it has for each name: 32 000 take 57 ms.
    """
    return path.count("/") + path.count("\\") > _MOST_NAMES


def path_of(target: str) -> str:
    """Return the path of a target in origin form, as sent: without query and fragment."""
    return re.split(r"[?#]", target, maxsplit=1)[0]


def decode(path: str) -> str:
    """Undo percent-encoding once, as ``SimpleHTTPRequestHandler.translate_path`` does."""
    try:
        return unquote(path, errors="surrogatepass")
    except UnicodeDecodeError:
        return unquote(path)


def is_servable(path: str, *, serve_dotfiles: bool, windows: bool = os.name == "nt") -> bool:
    """Return whether a path, as sent, may name a file.

    An encoded slash is refused as Apache's ``AllowEncodedSlashes Off`` does: whoever guards a path
    in front of us does not see what it separates.

    Args:
        path: The path of the request target, percent-encoded, without query.
        serve_dotfiles: Whether names that begin with a dot are served.
        windows: Whether the rules of Windows hold as well.
    """
    if has_too_many_names(path) or _ENCODED_SLASH.search(path):
        return False
    names = decode(path).lstrip("/").split("/")
    return all(
        not name
        or is_servable_name(
            name, at_root=position == 0, serve_dotfiles=serve_dotfiles, windows=windows
        )
        for position, name in enumerate(names)
    )


def is_servable_name(
    name: str, *, at_root: bool, serve_dotfiles: bool, windows: bool = os.name == "nt"
) -> bool:
    """Return whether one name, decoded, may be served.

    Args:
        name: A single component of a path, not empty.
        at_root: Whether it stands directly below the root; only there ``.well-known`` may be.
        serve_dotfiles: Whether names that begin with a dot are served; ``.`` and ``..`` never are.
        windows: Whether the rules of Windows hold as well.
    """
    if name in (".", "..") or _CONTROL.search(name) or (windows and _WINDOWS.search(name)):
        return False
    return serve_dotfiles or not name.startswith(".") or (at_root and name == _WELL_KNOWN)
