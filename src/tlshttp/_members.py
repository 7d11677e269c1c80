"""Settings of one kind: what only looks like it must not be taken for it.

Members of an enumeration are compared by identity. So ``"required"`` would not count as
``REQUIRED``, and the weaker branch would be taken without a word.
"""

from __future__ import annotations

import enum
import reprlib

__all__ = ["require_function", "require_instance", "require_member"]


def require_member(kind: type[enum.Enum], name: str, value: object) -> None:
    """Refuse what is no member of an enumeration.

    Raises:
        TypeError: It names the setting, its members, and what was given.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be one of {', '.join(map(str, kind))}, not {value!r}")


def require_instance(name: str, value: object, kinds: type | tuple[type, ...], due: str) -> None:
    """Refuse what is of another kind; a truth value is no number.

    Args:
        name: What the setting is called.
        value: What it was given.
        kinds: What it may be of.
        due: What it must be, in words.

    Raises:
        TypeError: It names the setting, what is due, and what was given.
    """
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise TypeError(f"{name} must be {due}, not {reprlib.repr(value)}")


def require_function(name: str, value: object, does: str) -> None:
    """Refuse what cannot be called.

    Args:
        name: What the setting is called.
        value: What it was given.
        does: What it must do, in words.

    Raises:
        TypeError: It names the setting, what is due, and what was given.
    """
    if not callable(value):
        raise TypeError(f"{name} must be a function that {does}, not {reprlib.repr(value)}")
