"""Names of a package that are imported when they are first asked for (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

__all__ = ["on_demand"]


def on_demand(
    package: str, sources: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__()`` and ``__dir__()`` for a package.

    Args:
        package: Its name.
        sources: The module that each name comes from, or is.
    """
    here = sys.modules[package]

    def find(name: str) -> object:
        if name not in sources:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=here)
        import importlib

        source = importlib.import_module(sources[name])
        is_module = sources[name] == f"{package}.{name}"
        found = source if is_module else getattr(source, name)
        setattr(here, name, found)  # from now on it is found without this function
        return found

    return find, lambda: sorted({*vars(here), *sources})
