"""Settings that hold several texts: one text alone must not be taken for a list of its letters."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping

__all__ = ["require_several", "require_texts"]


def require_several(name: str, value: object) -> None:
    """Refuse one text where several values are due.

    Args:
        name: What the setting is called.
        value: What it was given; anything but one text passes.

    Raises:
        TypeError: It names the setting, and shows how to write it.
    """
    if isinstance(value, str | bytes):
        raise TypeError(
            f"{name} must be several, such as a list or tuple, not one {type(value).__name__}:"
            f" write [{value!r}]"
        )


def require_texts(name: str, value: object) -> tuple[str, ...]:
    """Return several texts; refuse all else.

    Raises:
        TypeError: It names the setting, and what was given.
    """
    require_several(name, value)
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        texts = tuple(value)
        found = tuple(one for one in texts if isinstance(one, str))
        if len(found) == len(texts):
            return found
        value = texts
    raise TypeError(f"{name} must be several texts, such as a list, not {reprlib.repr(value)}")
