"""The handler class for what the user wants."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tlshttp._file_server.extras import (
    CrossOriginMixIn,
    ExtraHeadersMixIn,
    GuardedCrossOriginMixIn,
    QuietMixIn,
    SinglePageMixIn,
)
from tlshttp._file_server.gate import Gate, GuardedMixIn
from tlshttp._file_server.options import Options
from tlshttp._file_server.receiving import UploadingMixIn
from tlshttp._file_server.uploads import UploadFolder
from tlshttp.handler import (
    AccessLogMixIn,
    RequestIdMixIn,
    TLSFileRequestHandler,
    TLSRequestHandler,
)

__all__ = ["make_handler"]


def make_handler(
    options: Options,
    gate: Gate | None,
    uploads: UploadFolder | None,
    application: type[TLSRequestHandler] | None = None,
) -> Callable[..., Any]:
    """Return what makes handlers.

    Args:
        options: What the user wants.
        gate: Who is let in; `None`: everybody.
        uploads: Where uploads go; `None`: none are taken.
        application: Has an application answer; `None`: files are served.
    """
    in_json = options.log_format == "json"
    wanted: dict[type[Any], bool] = {
        RequestIdMixIn: in_json,
        AccessLogMixIn: in_json and not options.quiet,
        QuietMixIn: options.quiet or in_json,
        GuardedCrossOriginMixIn: options.cors and gate is not None,
        CrossOriginMixIn: options.cors and gate is None,
        GuardedMixIn: gate is not None and not options.cors,
        SinglePageMixIn: options.spa,
        UploadingMixIn: uploads is not None,
        ExtraHeadersMixIn: bool(options.headers),  # the last: it sees what the others send
    }
    bases = [mixin for mixin, is_wanted in wanted.items() if is_wanted]
    attributes: dict[str, Any] = {
        "protocol_version": options.protocol,
        "extra_headers": options.headers,
        "gate": gate,
        "uploads": uploads,
    }
    if application is not None:
        if not hasattr(application, "_create_answerer"):  # which waits for a body without a thread
            attributes["stream_request"] = False  # frameworks are better off with the whole body
        return type("ApplicationHandler", (*bases, application), attributes)
    made = type("FileHandler", (*bases, TLSFileRequestHandler), attributes)
    return functools.partial(made, directory=options.directory)
