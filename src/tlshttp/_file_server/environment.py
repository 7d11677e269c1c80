"""Options in the environment: ``TLSHTTP_UPLOAD_LIMIT`` stands for ``--upload-limit``.

What the command line says goes before. An option that takes no value takes a yes or a no here; one
that can be given several times takes one value a line.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Mapping
from typing import Any

from tlshttp._file_server.parser import make_parser
from tlshttp.errors import ConfigurationError

__all__ = ["PASSWORD_VARIABLE", "complete", "unknown", "variable"]

_PREFIX = "TLSHTTP_"

_OTHER_NAMES = {"authority_folder": "TLSHTTP_AUTHORITY"}  # which `tlshttp.certs` has, too

PASSWORD_VARIABLE = "TLSHTTP_AUTH_PASSWORD"  # noqa: S105 (its name)
"""The one that no option stands for: a password is never an argument."""

_OF_OTHERS = re.compile(r"TLSHTTP_(?:TEST_\w*|SERVICE_(?:HOST|PORT\w*)|PORT_[0-9]+_\w+)")
"""Those of our tests, and what Kubernetes sets for a service that is called ``tlshttp``."""

_YES = ("1", "yes", "true", "on")
_NO = ("0", "no", "false", "off")


def variable(dest: str) -> str:
    """Return the variable that stands for an option."""
    return _OTHER_NAMES.get(dest, _PREFIX + dest.upper())


def complete(given: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what is given on the command line and, where it is not there, in the environment.

    Args:
        given: What the parser has found.
        environ: The environment. A variable that is empty counts as none.

    Raises:
        ConfigurationError: What is wrong with variables, all of it.
    """
    values = vars(given).copy()
    findings = []
    for action in make_parser().choices:
        if action.dest in _OTHER_NAMES:  # whose owner reads it
            continue
        name = variable(action.dest)
        text = environ.get(name, "")
        if values[action.dest] is not None or not text.strip():
            continue
        try:
            values[action.dest] = _read(action, text)
        except argparse.ArgumentTypeError as error:
            findings.append(f"{name}: {error}")
    ConfigurationError.raise_if(findings)
    return values


def unknown(environ: Mapping[str, str]) -> str | None:
    """Return a sentence on variables that look like ours and are none; `None` where all are."""
    known = [variable(action.dest) for action in make_parser().choices]
    known.append(PASSWORD_VARIABLE)
    strange = []
    for name in sorted(environ):
        # Windows writes all names in capitals; elsewhere "tlshttp_auth" is not ours.
        if name.startswith(_PREFIX) and name not in known and not _OF_OTHERS.fullmatch(name):
            near = difflib.get_close_matches(name, known, 1)
            strange.append(f"{name} (is {near[0]} meant?)" if near else name)
    return f"these variables mean nothing: {', '.join(strange)}" if strange else None


def _read(action: argparse.Action, text: str) -> Any:
    if action.nargs == 0:
        return _read_choice(text)
    if isinstance(action, argparse._AppendAction):  # noqa: SLF001 (there is no other name for it)
        return [_read_value(action, line.strip()) for line in text.splitlines() if line.strip()]
    return _read_value(action, text)


def _read_choice(text: str) -> bool:
    word = text.strip().lower()
    if word not in (*_YES, *_NO):
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return word in _YES


def _read_value(action: argparse.Action, text: str) -> Any:
    value = action.type(text) if callable(action.type) else text
    if action.choices is not None and value not in action.choices:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of {', '.join(map(str, action.choices))}"
        )
    return value
