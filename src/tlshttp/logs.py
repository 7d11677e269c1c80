"""Logs for machines: one JSON object for each line.

>>> import logging.config
>>> from tlshttp import logs
>>> logging.config.dictConfig(logs.json_config())

It is for every logger of a program, not only ours.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from tlshttp._log_fields import FIELDS, of_this_request

__all__ = ["JSONFormatter", "json_config"]

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", FIELDS}
"""What every record has; all else somebody has added by ``extra=``."""


class JSONFormatter(logging.Formatter):
    """Writes a record as a JSON object (RFC 8259), in ASCII and on one line.

    ``time`` (RFC 3339, in UTC), ``level``, ``logger`` and ``message`` are always there;
    ``exception`` where there is one. Our own loggers add what their lines say in words: ``client``,
    ``reason`` and ``server_name`` of handshakes that failed and connections that were cut, and all
    fields of `~tlshttp.AccessRecord`. While a handler with `~tlshttp.RequestIdMixIn` is at work all
    records have ``request_id`` and, where there is one, ``trace_id``. What a program adds by
    ``extra=`` is there, too; what JSON does not know of it is written as text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= of_this_request.get()
        fields |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        fields |= getattr(record, FIELDS, {})
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        return json.dumps(fields, default=str)


def json_config(level: str = "INFO", stream: str = "ext://sys.stderr") -> dict[str, Any]:
    """Return a configuration for `logging.config.dictConfig` that writes all logs as JSON.

    Args:
        level: What is written at least.
        stream: Where it goes, as `logging.config` names it.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JSONFormatter}},
        "handlers": {
            "json": {"class": "logging.StreamHandler", "formatter": "json", "stream": stream}
        },
        "root": {"level": level, "handlers": ["json"]},
    }


def _timestamp(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(seconds)))
    return f"{whole}.{int(seconds % 1 * 1000):03}Z"
