"""An application to be served, found by its name: ``MODULE:NAME``, or ``MODULE:MAKE()``."""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tlshttp.errors import ConfigurationError

__all__ = ["load_application"]

_NAME = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*)(?::([^\W\d]\w*(?:\.[^\W\d]\w*)*)(\(\))?)?")


_USUAL_NAMES = ("application", "app")


def load_application(text: str, *, option: str) -> Callable[..., Any]:
    """Return what a name stands for; modules of the current folder count.

    Args:
        text: ``shop.web:app``, or ``shop.web:create_app()`` for what a function makes without
            arguments. A module alone stands for its ``application``, or its ``app``.
        option: Where the name was given: ``--wsgi``.

    Raises:
        ConfigurationError: There is no such application. Where a module of the user's has failed,
            its traceback has been printed.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{option} {text}: that is neither MODULE:NAME, as shop.web:app, nor MODULE:MAKE()"
        )
    module_name, name, call = match.groups()
    where = f"{option} {text}"
    found: Any = _import(module_name, where)
    usual = [one for one in _USUAL_NAMES if hasattr(found, one)]
    for part in (name or (*usual, _USUAL_NAMES[0])[0]).split("."):
        found = _attribute(found, part, module_name, where)
    if call:
        found = _made(found, where)
    if not callable(found):
        raise ConfigurationError(f"{where}: that is {_kind(found)}, which cannot be called")
    application: Callable[..., Any] = found
    return application


def _import(name: str, where: str) -> ModuleType:
    folder = os.getcwd()  # noqa: PTH109 (an entry of sys.path is a str)
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise ConfigurationError(
                f"{where}: there is no module {missing} here ({folder}), nor among those installed"
            ) from None
        raise _failed(where, f"importing {name}", error) from error
    except Exception as error:
        raise _failed(where, f"importing {name}", error) from error


def _attribute(holder: Any, name: str, module_name: str, where: str) -> Any:
    try:
        return getattr(holder, name)
    except AttributeError:
        callables = [one for one, value in vars(holder).items() if _may_be_meant(one, value)]
        near = difflib.get_close_matches(name, callables, 1)
        hint = f" (is {near[0]} meant?)" if near else ""
        raise ConfigurationError(f"{where}: there is no {name} in {module_name}{hint}") from None


def _may_be_meant(name: str, value: object) -> bool:
    return callable(value) and not name.startswith("_")


def _made(make: Any, where: str) -> Any:
    if not callable(make):
        raise ConfigurationError(f"{where}: that is {_kind(make)}, which cannot be called")
    try:
        return make()
    except Exception as error:
        raise _failed(where, "making it", error) from error


def _failed(where: str, what: str, error: Exception) -> ConfigurationError:
    """Show where a program of the user's has failed, for which a sentence is not enough."""
    traceback.print_exception(error)
    return ConfigurationError(f"{where}: {what} has failed: {type(error).__name__}: {error}")


def _kind(found: object) -> str:
    return f"of type {type(found).__name__}"
