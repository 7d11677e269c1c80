"""What the program writes about its work, and how."""

from __future__ import annotations

import logging
import logging.config

from tlshttp import logs
from tlshttp._file_server.options import Options

__all__ = ["configure"]


def configure(options: Options) -> None:
    """Have all loggers write to standard error, as the user wants it.

    Requests are not logged by a logger in the text format, but as `http.server` does it; in JSON
    they are, whatever the level, unless the user wants none.
    """
    if options.log_format == "text":
        logging.basicConfig(format="%(name)s: %(message)s", level=options.log_level)
        return
    configuration = logs.json_config(options.log_level)
    if not options.quiet:
        configuration["loggers"] = {"tlshttp.access": {"level": "INFO"}}
    logging.config.dictConfig(configuration)
