"""Settings that are members of an enumeration: what only looks like one must not be taken for it.

The settings are compared by identity. So ``"required"`` would not count as ``REQUIRED``, and the
weaker branch would be taken without a word.
"""

from __future__ import annotations

import enum

__all__ = ["require_member"]


def require_member(kind: type[enum.Enum], name: str, value: object) -> None:
    """Refuse what is no member of an enumeration.

    Raises:
        TypeError: It names the setting, its members, and what was given.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be one of {', '.join(map(str, kind))}, not {value!r}")
