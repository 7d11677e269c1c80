"""Settings that are the path of a file."""

from __future__ import annotations

import os

from tlshttp._members import require_instance
from tlshttp.errors import ConfigurationError

__all__ = ["require_path"]


def require_path(
    name: str, value: object, *, wrong: type[ConfigurationError] = ConfigurationError
) -> str:
    """Return a path as text; refuse what is none.

    Args:
        name: What the setting is called.
        value: What it was given: a path as text, as bytes or as `os.PathLike`.
        wrong: What is raised for bytes or text that cannot be a path. It does not have them, since
            they may be a key.

    Raises:
        ConfigurationError: It is empty, or bytes that are no path.
        TypeError: It names the setting, and what was given.
    """
    require_instance(name, value, (str, bytes, os.PathLike), "a path")
    try:
        path = os.fspath(value)  # type: ignore[call-overload]
    except TypeError as error:
        raise TypeError(f"{name} must be a path: {error}") from None
    if not path:
        raise wrong(f"{name} is empty, and names no file")
    if isinstance(path, bytes) and (b"\0" in path or b"-----BEGIN" in path):
        raise wrong(f"{name} must be the path of a file, not what is in it")
    return os.fsdecode(path)
