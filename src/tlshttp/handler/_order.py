"""In which order a folder is listed."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl

__all__ = ["Column", "Entry", "Order"]

_MOST_FIELDS = 16
"""Fields in a query; we know two."""

_DIGITS = re.compile("0*([0-9]+)")


class Entry(NamedTuple):
    """Something in a folder. A listing may have a hundred thousand, and a tuple is quickly made."""

    name: str
    is_folder: bool
    """Whether it is one, or a link that leads to one."""
    is_link: bool
    size: int
    """Bytes, of a file."""
    changed: float
    """When the content was last changed, in seconds since the epoch."""


class Column(enum.Enum):
    """What a listing can be ordered by."""

    NAME = "name"
    SIZE = "size"
    DATE = "date"


@dataclass(frozen=True)
class Order:
    """An order of entries: folders first, then by a column."""

    column: Column = Column.NAME
    descending: bool = False

    @classmethod
    def of_query(cls, query: str) -> Order:
        """Read ``sort=size&order=desc``; what is not understood is ignored."""
        try:
            fields = dict(parse_qsl(query, max_num_fields=_MOST_FIELDS))
        except ValueError:
            fields = {}
        column = next((it for it in Column if it.value == fields.get("sort")), Column.NAME)
        return cls(column, fields.get("order") == "desc")

    def next_for(self, column: Column) -> Order:
        """Return the order that a click on a column leads to: the other way round the second time.

        The largest and the newest are what people look for first.
        """
        if column is self.column:
            return Order(column, not self.descending)
        return Order(column, column is not Column.NAME)

    @property
    def query(self) -> str:
        """The query that stands for it."""
        return f"sort={self.column.value}&order={'desc' if self.descending else 'asc'}"

    def sort(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return entries in this order; of equal ones the names decide."""
        ordered = sorted(entries, key=_natural)
        if self.column is not Column.NAME:
            ordered.sort(key=_KEYS[self.column], reverse=self.descending)
        elif self.descending:
            ordered.reverse()
        ordered.sort(key=_is_file)
        return ordered


# Other threads run while the keys are made one by one, but not while they are sorted. So keys are
# of the kinds that compare fastest, text and numbers: 100 000 of them take 13 ms.


def _natural(entry: Entry) -> str:
    """Return what puts ``file2`` before ``file10``: digits have their number before them."""
    name = entry.name
    return _DIGITS.sub(_with_length, name.lower()) + "\0" + name


def _with_length(match: re.Match[str]) -> str:
    return f"0{chr(len(match[1]))}{match[1]}"


def _is_file(entry: Entry) -> bool:
    return not entry.is_folder


def _size(entry: Entry) -> int:
    return 0 if entry.is_folder else entry.size


def _date(entry: Entry) -> float:
    return entry.changed


_KEYS: dict[Column, Callable[[Entry], float]] = {Column.SIZE: _size, Column.DATE: _date}
