"""Settings that hold several texts: one text alone must not be taken for a list of its letters."""

from __future__ import annotations

__all__ = ["require_several"]


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
