"""Whether an exception of a handler only passes on what its peer did.

Handlers and their frameworks catch the loss of a client, and raise something else: by ``raise ...
from``, by ``raise`` in the ``except`` clause, or as a group, where tasks are several. That is no
mistake, and has no traceback. A mistake that is made while a lost client is dealt with has one.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["passes_on"]

_MISTAKES = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError,
)  # fmt: skip
"""What Python raises for a mistake in a program, and what programs raise to call something one."""

_LONGEST_CHAIN = 100  # it may be a circle


def passes_on(error: BaseException | None, is_origin: Callable[[BaseException], bool]) -> bool:
    """Return whether `error` is what a peer has caused, or only passes that on.

    Args:
        error: What was raised; a group does so if all in it do.
        is_origin: Tells whether an exception is the one that the peer has caused.
    """
    for _ in range(_LONGEST_CHAIN):
        if error is None:
            return False
        if is_origin(error):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(passes_on(each, is_origin) for each in error.exceptions)
        if isinstance(error, _MISTAKES):
            return False
        error = error.__cause__ or _replaced_by(error)
    return False


def _replaced_by(error: BaseException) -> BaseException | None:
    """Return what was caught where an exception has been raised, in that very function.

    What comes out of a function that was called there has a cause of its own.
    """
    replaced, traceback = error.__context__, error.__traceback__
    if replaced is None or traceback is None or error.__suppress_context__:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame, caught = traceback.tb_frame, replaced.__traceback__
    while caught is not None and caught.tb_frame is not frame:
        caught = caught.tb_next
    return None if caught is None else replaced
