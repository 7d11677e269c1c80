"""The page that shows what is in a folder, in the form `http.server` gives it."""

from __future__ import annotations

import html
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["listing_page"]

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
    # The errors are those that translate_path() decodes with: the link leads back to the name.
    target = quote(link, errors="surrogatepass")
    return f'<li><a href="{target}">{html.escape(shown, quote=False)}</a></li>\n'
