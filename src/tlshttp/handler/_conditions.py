"""Conditional requests (RFC 9110, section 13) and the validators they compare (section 8.8)."""

from __future__ import annotations

import enum
import hashlib
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC
from email.message import Message
from email.utils import parsedate_to_datetime

__all__ = ["Outcome", "Validators", "evaluate", "listed", "range_applies"]

_SETTLING_SECONDS = 2  # the coarsest clock a file system has: FAT's

_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')  # section 8.8.3


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a file from another.

    The entity tag stands for size, the times of the last change of the content and of the inode (in
    nanoseconds), and the inode: the second time changes with every write, even where a program sets
    the first one back; the inode differs where a file of the same size and time has been moved into
    place. It is a hash, because inode numbers are nobody's business (CVE-2003-1418).

    Both validators are strong (section 8.8.1) once the file has been left alone for two seconds.
    Until then another write could fall into the same tick of the file system's clock and change
    nothing but the content. So until then the tag is weak, and the date proves nothing (8.8.2.2).
    """

    opaque: str
    """The entity tag without quotes."""
    strong: bool
    """Whether they change with every change of the content."""
    last_modified: int
    """Seconds since the epoch; never in the future (section 8.8.2.1)."""

    @classmethod
    def of(
        cls, status: os.stat_result, coding: str | None, *, now: float | None = None
    ) -> Validators:
        """Return those of a file.

        Args:
            status: What ``fstat`` says of it.
            coding: The content coding it is sent with, which tells it from its siblings (section
                8.8.3.3); `None`: none.
            now: Seconds since the epoch; `None`: the clock is asked.
        """
        now = time.time() if now is None else now
        seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, coding)
        return cls(
            opaque=hashlib.blake2b(repr(seen).encode(), digest_size=12).hexdigest(),
            strong=now - status.st_mtime >= _SETTLING_SECONDS,
            last_modified=max(0, int(min(status.st_mtime, now))),
        )

    @property
    def etag(self) -> str:
        """The value of ``ETag``."""
        return f'"{self.opaque}"' if self.strong else f'W/"{self.opaque}"'


class Outcome(enum.Enum):
    """What a request's conditions come to."""

    SEND = enum.auto()
    """They hold, or there are none."""
    NOT_MODIFIED = enum.auto()
    """The client has what it asks for: 304."""
    FAILED = enum.auto()
    """They do not hold: 412."""


def evaluate(headers: Message, validators: Validators, method: str) -> Outcome:
    """Evaluate the conditions of a request for what exists, in the order of section 13.2.2.

    Args:
        headers: The fields of the request.
        validators: Those of what would be sent.
        method: The request's method.
    """
    if not _precondition_holds(headers, validators):
        return Outcome.FAILED
    only_reads = method in ("GET", "HEAD")
    known = listed(headers, "If-None-Match")
    if known is not None:
        unchanged = _matches(known, validators, weak=True)
    else:
        since = _modified_since(headers, "If-Modified-Since", validators)
        unchanged = only_reads and since is False
    if not unchanged:
        return Outcome.SEND
    return Outcome.NOT_MODIFIED if only_reads else Outcome.FAILED


def range_applies(headers: Message, validators: Validators) -> bool:
    """Return whether ``If-Range``, if there is one, lets ``Range`` apply (section 13.1.5).

    It takes a strong validator that is the same, to the letter: parts of different states of a file
    must not be put together.
    """
    field = listed(headers, "If-Range")
    if field is None:
        return True
    if not validators.strong:
        return False
    tag = _ENTITY_TAG.fullmatch(field)
    if tag is not None:
        return not tag[1] and tag[2] == validators.opaque
    return _date(headers, "If-Range") == validators.last_modified


def listed(headers: Message, name: str) -> str | None:
    """Return a field, several lines of it as one list (section 5.3); `None` without it."""
    values = headers.get_all(name)
    return None if values is None else ", ".join(values).strip(" \t")


def _precondition_holds(headers: Message, validators: Validators) -> bool:
    wanted = listed(headers, "If-Match")
    if wanted is not None:
        return _matches(wanted, validators, weak=False)
    return _modified_since(headers, "If-Unmodified-Since", validators) is not True


def _matches(field: str, validators: Validators, *, weak: bool) -> bool:
    """Return whether a list of entity tags has ours, by weak or strong comparison (8.8.3.2)."""
    if field == "*":
        return True
    if not (weak or validators.strong):
        return False
    return any(
        opaque == validators.opaque and (weak or not weakness)
        for weakness, opaque in _ENTITY_TAG.findall(field)
    )


def _modified_since(headers: Message, name: str, validators: Validators) -> bool | None:
    """Return whether the file has changed since the date of a field; `None` without a date."""
    date = _date(headers, name)
    return None if date is None else validators.last_modified > date


def _date(headers: Message, name: str) -> float | None:
    """Return a date as seconds since the epoch; `None` where it is missing or no HTTP-date (5.6.7).

    A field that occurs more than once is no date either.
    """
    values = headers.get_all(name, ())
    if len(values) != 1:
        return None
    try:
        date = parsedate_to_datetime(values[0])
    except (TypeError, IndexError, OverflowError, ValueError):
        return None
    if date.tzinfo is None:  # the asctime format has no zone, and means UTC
        date = date.replace(tzinfo=UTC)
    return date.timestamp() if date.tzinfo is UTC else None
