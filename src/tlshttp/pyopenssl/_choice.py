"""Which of the two ways of having a connection is taken: the direct one, where it works."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from tlshttp.pyopenssl import _library

if TYPE_CHECKING:
    from tlshttp.pyopenssl._way import MakesWays

__all__ = ["best_way", "why_not_direct"]

_log = logging.getLogger("tlshttp.context")


@functools.cache
def best_way() -> MakesWays:
    """Return what makes the way to take; found out once, when the first context is made."""
    reason = why_not_direct()
    if reason is None:
        from tlshttp.pyopenssl._direct_way import DirectWay

        return DirectWay
    from tlshttp.pyopenssl._public import PublicWay

    _log.info(
        "%s: connections are made by public methods, which are slower: %s",
        _library.versions(), reason,
    )  # fmt: skip
    return PublicWay


@functools.cache
def why_not_direct() -> str | None:
    """Say why OpenSSL's functions cannot be used directly; `None` where they can. Found out once.

    That they are there does not mean that they are what they were: so there is a handshake, with
    a name, a protocol, a request, a response and an end.
    """
    if _library.lib is None or _library.ffi is None:
        return "OpenSSL._util has no functions any more"
    lost = [name for name in _library.NEEDED if not _library.has(name)]
    if lost:
        return f"there is no {', '.join(lost)}"
    from tlshttp.pyopenssl._direct_way import DirectWay
    from tlshttp.pyopenssl._trial import try_out

    try:
        try_out(DirectWay)
    except Exception as error:  # noqa: BLE001  # whatever it is, the other way is there
        return f"a trial failed: {type(error).__name__}: {error}"
    return None
