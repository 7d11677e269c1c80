"""Attributes that are computed when they are asked for, and that a user's own may replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["computed"]

_T = TypeVar("_T")


class computed(Generic[_T]):  # noqa: N801 (used as a decorator, as `property` is)
    """A property that an attribute of the same name in an instance replaces.

    A user's subclass may need the name for itself; then nothing of ours reads it.
    """

    def __init__(self, function: Callable[[Any], _T]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | _T:
        """Compute it."""
        return self if instance is None else self._function(instance)
