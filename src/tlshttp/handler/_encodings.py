"""Which stored form of a file a client gets: ``Accept-Encoding`` (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["SUFFIXES", "preferred_coding"]

SUFFIXES = {"br": ".br", "gzip": ".gz"}
"""Content codings (section 8.4.1) and what the names of such files end with, the best one first."""

_MEMBER = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?",
    re.IGNORECASE,
)
_IDENTITY = "identity"


def preferred_coding(field: str | None, available: Sequence[str]) -> str | None:
    """Return the coding to send, or `None` for the file as it is.

    Without the field any coding would be acceptable; the file as it is suits every client. It is
    also sent where nothing available is acceptable, which the section allows, rather than 406.

    Args:
        field: The value of ``Accept-Encoding``; `None` without it.
        available: The codings there are, the best one first.
    """
    if not field or not available:
        return None
    weights = _weights(field)
    best, best_weight = None, weights.get(_IDENTITY, 0.0)
    for coding in reversed(available):
        weight = weights.get(coding, weights.get("*", 0.0))
        if weight > 0 and weight >= best_weight:
            best, best_weight = coding, weight
    return best


def _weights(field: str) -> dict[str, float]:
    """Return the weight of each coding that is named (section 12.4.2), without malformed ones."""
    weights = {}
    for member in field.split(","):
        found = _MEMBER.fullmatch(member)
        if found is not None:
            name = found[1].lower()
            coding = "gzip" if name == "x-gzip" else name  # section 8.4.1.3
            weights[coding] = float(found[2] or 1)
    return weights
