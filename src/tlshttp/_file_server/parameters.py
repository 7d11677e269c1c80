"""Parameters of a field: ``form-data; name="file"; filename="a.txt"`` (RFC 2183, RFC 7578).

Each byte is looked at once, however many semicolons there are: anybody may send these fields.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

__all__ = ["MalformedParameters", "parameters"]

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token: RFC 9110, section 5.6.2
# A value without quotes goes on to the semicolon: old clients write names with spaces like that.
_NEXT = re.compile(
    rf'[ \t]*;[ \t;]*(?:({_NAME})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|(?!")([^;]*)))?', re.DOTALL
)
_ESCAPED = re.compile(r'\\(["\\])')
"""Any other backslash stands for itself: ``C:\\photo.jpg``."""

_CHARSETS = frozenset({"utf-8", "iso-8859-1", "us-ascii"})
"""Of extended values: the first two by RFC 5987, the first alone by RFC 8187."""


class MalformedParameters(ValueError):
    """They cannot be read."""


def parameters(field: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the parameters, in lower case, and these by their name.

    A name is in lower case. Of two with one name the first counts, and an extended one
    (``filename*=UTF-8''%E2%82%AC``: RFC 8187) goes before a plain one.

    Raises:
        MalformedParameters: They are none.
    """
    field = field.rstrip(" \t")
    kind = field.partition(";")[0]
    place = len(kind)
    plain: dict[str, str] = {}
    extended: dict[str, str] = {}
    while place < len(field):
        found = _NEXT.match(field, place)
        if found is None:
            raise MalformedParameters("a parameter cannot be read")
        place = found.end()
        if found[1] is None:  # semicolons, and nothing between them
            continue
        name, value = found[1].lower(), _value(found)
        if name.endswith("*"):
            extended.setdefault(name[:-1], _decoded(value))
        else:
            plain.setdefault(name, value)
    return kind.strip().lower(), plain | extended


def _value(found: re.Match[str]) -> str:
    if found[2] is not None:
        return _ESCAPED.sub(r"\1", found[2])
    return found[3].strip(" \t")


def _decoded(value: str) -> str:
    charset, _, rest = value.partition("'")
    _, quote, text = rest.partition("'")
    if not quote or charset.lower() not in _CHARSETS:
        raise MalformedParameters("a parameter has a character set that is not known")
    return unquote(text, charset.lower(), "replace")
