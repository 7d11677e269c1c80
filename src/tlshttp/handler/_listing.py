"""The page that shows what is in a folder, in the form `http.server` gives it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["listing_page"]

# The unreserved characters of RFC 3986, section 2.3, and the slash.
_IS_PLAIN = re.compile(r"[A-Za-z0-9._~/-]+").fullmatch
_UNSAFE = re.compile(r"[^A-Za-z0-9._~/-]")

_PAGE = """\
<!DOCTYPE HTML>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
<hr>
<ul>
{items}</ul>
<hr>
</body>
</html>
"""


def listing_page(path: str, entries: Iterable[tuple[str, bool, bool]]) -> bytes:
    """Return the page.

    Args:
        path: What the folder is called in the request, decoded.
        entries: The names in it, each with whether it is a folder and whether it is a symbolic
            link.
    """
    ordered = sorted(entries, key=lambda entry: entry[0].lower())
    page = _PAGE.format(
        title=html.escape(f"Directory listing for {path}", quote=False),
        items="".join(_item(*entry) for entry in ordered),
    )
    return page.encode("utf-8", "replace")  # a name need not be text; its link still leads to it


def _item(name: str, is_folder: bool, is_link: bool) -> str:  # noqa: FBT001
    link = name + "/" if is_folder else name
    shown = name + "@" if is_link else link
    if _IS_PLAIN(link):  # as nearly all are; 100 000 names are a pause for everybody
        return f'<li><a href="{link}">{shown}</a></li>\n'
    return f'<li><a href="{_quoted(link)}">{html.escape(shown, quote=False)}</a></li>\n'


def _quoted(link: str) -> str:
    """Return what `urllib.parse.quote` does, which looks at each letter by itself."""
    if link.isascii():
        return _UNSAFE.sub(_percent, link)
    # The errors are those that translate_path() decodes with: the link leads back to the name.
    return quote(link, errors="surrogatepass")


def _percent(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"
