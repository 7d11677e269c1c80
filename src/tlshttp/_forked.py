"""What a forked child begins anew, since of all threads only the one that forked is there.

What another thread was to bring never comes to a child, and a lock that another thread had is taken
for good. So whoever waits for a thread or a lock says here what to do about it. That costs nothing
until somebody forks, by `tlshttp.service.run` or by `os.fork`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["begin_anew_in_children"]

_T = TypeVar("_T")

_BEGINNINGS: weakref.WeakKeyDictionary[Any, Callable[[Any], object]] = weakref.WeakKeyDictionary()


def begin_anew_in_children(owner: _T, begin: Callable[[_T], object]) -> None:
    """Have a function called in each forked child, before anything else runs there.

    Args:
        owner: What begins anew; it is held weakly.
        begin: Called with it. It must not hold it.
    """
    _BEGINNINGS[owner] = begin


def _begin_anew() -> None:
    for owner, begin in list(_BEGINNINGS.items()):
        begin(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
