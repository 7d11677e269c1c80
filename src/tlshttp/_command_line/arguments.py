"""Kinds of arguments, for `argparse`."""

from __future__ import annotations

import argparse

from tlshttp._command_line.servers import ServerAddress, parse_server
from tlshttp.errors import ConfigurationError

_MOST_SECONDS = 1e6


def seconds(text: str) -> float:
    """Read a number of seconds, more than none."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number


def server(text: str) -> ServerAddress:
    """Read the address of a server, or a URL."""
    try:
        return parse_server(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
