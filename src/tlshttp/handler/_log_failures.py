"""A log that cannot be written costs no response.

The disk may be full, the reader of a pipe gone, standard error closed, or `None` (a service on
Windows); and what a program has put in the place of ``log_message()``, or among the handlers of
`logging`, may raise whatever it likes.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

__all__ = ["bear_log_failure"]


def bear_log_failure(handler: Any) -> None:
    """Bear the exception that is being handled, which came out of a handler's logging.

    If the system cannot write the log, there is nowhere to say so. Anything else is a mistake in
    the program, and is reported like any other exception of a handler.
    """
    if isinstance(sys.exception(), OSError):
        return
    with contextlib.suppress(Exception):  # it may have nowhere to be told, either
        handler.server.handle_error(handler.request, handler.client_address)
