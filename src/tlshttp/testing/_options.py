"""What is said where `serve` is given an argument that nobody takes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["refuse_untaken"]


def refuse_untaken(
    error: TypeError, options: Iterable[str], function: Callable[..., Any], server_class: type
) -> None:
    """Say which arguments there are, where an error is about one that there is not.

    Args:
        error: What the constructor of the server has raised.
        options: The names of the arguments that were passed on to it.
        function: What passes on arguments that are not its own.
        server_class: What was to be made.

    Raises:
        TypeError: It names the arguments there are, instead of the error of whoever was asked last.
    """
    own = _names(function)
    others = [name for name in dict.fromkeys(_accepted(server_class)) if name not in own]
    for name in options:
        if name not in others and f"unexpected keyword argument {name!r}" in str(error):
            alike = difflib.get_close_matches(name, [*own, *others], 1)
            hint = f"; perhaps {alike[0]!r}?" if alike else ":"
            raise TypeError(
                f"{function.__name__}() has no argument {name!r}{hint} it has {', '.join(own)},"
                f" and passes on those of {server_class.__name__}: {', '.join(others)}"
            ) from None


def _accepted(server_class: type) -> Iterator[str]:
    """Return what a class takes by name; also what the next one takes, while each passes it on."""
    for one in server_class.__mro__:
        if "__init__" in vars(one):
            parameters = inspect.signature(vars(one)["__init__"]).parameters.values()
            # The instance, the address and the handler are given by whoever makes a server.
            given = {parameter.name for parameter in list(parameters)[:2]} | {"RequestHandlerClass"}
            yield from (name for name in _names(vars(one)["__init__"]) if name not in given)
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                return


def _names(function: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind in kinds]
