"""Logs for machines: one JSON object for each line.

>>> import logging.config
>>> from tlshttp import logs
>>> logging.config.dictConfig(logs.json_config())

It is for every logger of a program, not only ours.
"""

from __future__ import annotations

import json
import logging
import math
import time
from typing import Any

from tlshttp._log_fields import FIELDS, of_this_request

__all__ = ["JSONFormatter", "json_config"]

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", FIELDS}
"""What every record has; all else somebody has added by ``extra=``."""

_ALWAYS = frozenset({"time", "level", "logger", "message"})

_MOST_BITS = 4096
"""Python writes no integers of more than 4300 digits (`sys.set_int_max_str_digits`)."""

_DEEPEST = 20
"""Of structures within structures what is deeper is left out."""


class JSONFormatter(logging.Formatter):
    """Writes a record as a JSON object (RFC 8259), in ASCII and on one line.

    ``time`` (RFC 3339, in UTC), ``level``, ``logger`` and ``message`` are always there;
    ``exception`` where there is one. Our own loggers add what their lines say in words: ``client``,
    ``reason`` and ``server_name`` of handshakes that failed and connections that were cut, and all
    fields of `~tlshttp.AccessRecord`. While a handler with `~tlshttp.RequestIdMixIn` is at work all
    records have ``request_id`` and, where there is one, ``trace_id``. What a program adds by
    ``extra=`` is there, too; what JSON does not know of it is written as text, and what has the
    name of one of the first four with ``extra_`` before that. No record is lost for what it has.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[Any, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        added = {name: value for name, value in vars(record).items() if name not in _USUAL}
        for more in (of_this_request.get(), added, getattr(record, FIELDS, {})):
            fields |= {f"extra_{name}" if name in _ALWAYS else name: more[name] for name in more}
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        try:
            return json.dumps(fields, default=str, allow_nan=False)
        except Exception:  # noqa: BLE001 (whatever somebody's __str__() raises)
            return json.dumps(_plain(fields, ()))


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


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 (words and arguments do not fit; or as above)
        return f"{_text(record.msg)} {_text(record.args)}"


def _plain(value: Any, around: tuple[int, ...]) -> Any:
    """Return what JSON can say of anything.

    Args:
        value: It may be, or hold, whatever somebody has given to a logger.
        around: The structures that it stands in, by their numbers.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, int) and value.bit_length() <= _MOST_BITS:
        return int(value)
    if not isinstance(value, dict | list | tuple):
        return _text(value)
    if id(value) in around or len(around) == _DEEPEST:
        return "..."
    around = (*around, id(value))
    if isinstance(value, dict):
        return {_text(name): _plain(it, around) for name, it in value.items()}
    return [_plain(it, around) for it in value]


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 (as above)
        return f"<{type(value).__name__} that cannot be written>"
