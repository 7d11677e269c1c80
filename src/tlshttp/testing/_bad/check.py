"""What a bad server cannot be made of: other kinds of things, contradictions, the unreachable."""

from __future__ import annotations

import dataclasses
import math
import ssl
from collections.abc import Iterator, Sequence
from typing import get_args

from tlshttp.certs import Certificate
from tlshttp.errors import ConfigurationError
from tlshttp.testing._bad.vocabulary import (
    HONEST_BODY,
    At,
    Close,
    Deed,
    Drip,
    Refuse,
    Reply,
    Reset,
    Show,
    Stall,
    Terms,
    Timed,
    Trait,
)

__all__ = ["check"]

_KINDS: dict[str, type | tuple[type, ...]] = {
    "at": At,
    "after": int,
    "request": (int, type(None)),
    "connection": (int, type(None)),
    "Show.connection": int,
    "seconds": (int, float, type(None)),
    "pause": (int, float),
    "size": int,
    "times": int,
    "data": bytes,
    "body": bytes,
    "headers": (tuple, list),
    "status": int,
    "alert": int,
    "certificate": (str, Certificate),
    "minimum_version": ssl.TLSVersion,
    "maximum_version": ssl.TLSVersion,
    "ciphers": (str, type(None)),
    "group": (str, type(None)),
    "alpn": (str, type(None)),
    "forced_alpn": (str, type(None)),
}
"""The types of the vocabulary's fields: those without a type checker hear of mistakes at once."""


def check(traits: tuple[Trait, ...], hosts: Sequence[str]) -> None:
    """Refuse what can never happen.

    Args:
        traits: What a server is to be made of.
        hosts: The hosts that faults need in the URL.

    Raises:
        ConfigurationError: It lists all of that.
    """
    ConfigurationError.raise_if(finding for one in traits for finding in _kind_findings(one))
    found = [finding for trait in traits for finding in trait.findings()]
    terms = [trait for trait in traits if isinstance(trait, Terms)]
    if len(terms) > 1:
        found.append("a server has one set of Terms, and here are several: join them")
    if len(set(hosts)) > 1:
        found.append(f"a URL has one host, and here are several: {', '.join(sorted(set(hosts)))}")
    shows = [trait.connection for trait in traits if isinstance(trait, Show)]
    found += [
        f"connection {number} cannot show two certificates"
        for number in sorted({one for one in shows if shows.count(one) > 1})
    ]
    found += _contradictions(traits)
    found += _unreachable(traits)
    longest = max([len(HONEST_BODY), *(len(one.body) for one in traits if isinstance(one, Reply))])
    found += [
        f"{one!r}: no body is that long; the longest has {longest} bytes"
        for one in traits
        if isinstance(one, Timed) and one.at is At.BODY and one.after > longest
    ]
    ConfigurationError.raise_if(found)


def _contradictions(traits: tuple[Trait, ...]) -> Iterator[str]:
    """Say where two things are asked for and only one can be."""
    seen = set()
    for trait in traits:
        if isinstance(trait, Reply | Drip | Refuse):
            place = type(trait), getattr(trait, "request", None), trait.connection
            if place in seen:
                yield f"{trait!r}: there is another {type(trait).__name__} for the same"
            seen.add(place)


def _kind_findings(trait: object) -> Iterator[str]:
    """Say what is of another kind than it has to be."""
    if not isinstance(trait, get_args(Trait)):
        yield f"{trait!r} is no name of a fault, no Fault and no deed such as Reset(At.BODY, 100)"
        return
    for field in dataclasses.fields(trait):
        kind = _KINDS.get(f"{type(trait).__name__}.{field.name}", _KINDS.get(field.name, object))
        if not isinstance(getattr(trait, field.name), kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            names = " or ".join(one.__name__.replace("NoneType", "None") for one in kinds)
            yield f"{trait!r}: {field.name} has to be {names}"
        elif field.name == "headers" and not all(map(_is_a_field, getattr(trait, "headers", ()))):
            yield f"{trait!r}: headers has to be pairs of str, name and value"


def _is_a_field(one: object) -> bool:
    return isinstance(one, tuple | list) and [*map(type, one)] == [str, str]


def _unreachable(traits: Sequence[Trait]) -> Iterator[str]:
    """Say which deeds come after one that has ended all the connections that they are for."""
    deeds = [trait for trait in traits if not isinstance(trait, Show | Terms)]
    deeds.sort(key=_place)  # of several at one place the first given stays the first
    for index, deed in enumerate(deeds):
        for earlier in deeds[:index]:
            if _ends(earlier) and _covers(earlier, deed):
                yield f"{deed!r} never comes: {earlier!r} ends the connection before"
                break


def _ends(deed: Deed) -> bool:
    """Return whether nothing comes after it on its connection."""
    return isinstance(deed, Reset | Close | Refuse) or (
        isinstance(deed, Stall) and deed.seconds is None
    )


def _covers(earlier: Deed, later: Deed) -> bool:
    """Return whether a deed is done wherever another is due."""
    return all(
        getattr(earlier, word, None) in (None, getattr(later, word, None))
        for word in ("request", "connection")
    )


def _place(deed: Deed) -> tuple[int, float]:
    """Return where in the life of a connection something comes."""
    moments = list(At)
    if isinstance(deed, Timed):
        return moments.index(deed.at), deed.after
    if isinstance(deed, Refuse):
        return moments.index(At.HELLO), math.inf  # an alert, after all else at the hello
    return moments.index(At.HEAD), 0.5  # a response is seen by its first byte
