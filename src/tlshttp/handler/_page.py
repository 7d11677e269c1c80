"""What the pages that we make ourselves look like: a listing, an error, an upload.

They need nothing from anywhere else, so that their policy can forbid everything: one style sheet
in the page, known by its hash. They follow what the visitor has asked the browser for (dark or
light, larger letters), and are read on a telephone without zooming.
"""

from __future__ import annotations

import base64
import functools
import hashlib

__all__ = ["ERROR_PAGE", "STYLE", "page_head", "security_policy"]

# The colours have a contrast of 4.5 to 1 at least to what is behind them (WCAG 2.2, 1.4.3).
_BASIS = """\
:root{color-scheme:light dark;--ink:#1c1e22;--dim:#5a616c;--link:#0a50c4;--ground:#fff;\
--line:#dfe2e7;--near:#f2f5f9}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7eb;--dim:#a3abb7;--link:#8ab8ff;\
--ground:#16181c;--line:#33383f;--near:#22262c}}
body{margin:0 auto;max-width:64rem;padding:1rem;background:var(--ground);color:var(--ink);\
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.25rem;line-height:1.3;overflow-wrap:anywhere}
p,small{color:var(--dim)}
"""

_REST = """\
a{color:var(--link)}
td a{display:block;text-decoration:none;overflow-wrap:anywhere;unicode-bidi:isolate}
a:hover{text-decoration:underline}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
table{width:100%;border-collapse:collapse}
th,td{padding:.35rem .5rem;border-bottom:1px solid var(--line);text-align:left;\
vertical-align:baseline}
tbody tr:hover{background:var(--near)}
th+th,td+td{width:1%;white-space:nowrap;text-align:right;color:var(--dim);\
font-variant-numeric:tabular-nums}
form{margin:1rem 0;padding:1rem;border:1px solid var(--line);border-radius:.5rem}
i{font-style:normal}
form p{margin:.5rem 0 0}
form p:empty{margin:0}
input,button{font:inherit;max-width:100%;margin:.25rem 0}
progress{width:100%}
@media(max-width:40rem){th,td{padding:.6rem .25rem}i{display:none}}
"""

STYLE = _BASIS + _REST


def page_head(title: str, style: str = STYLE) -> str:
    """Return the beginning of a page, up to what is shown.

    Args:
        title: HTML.
        style: The style sheet; a policy is for `STYLE`.
    """
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
"""


ERROR_PAGE = (
    page_head("\0", _BASIS).replace("%", "%%").replace("\0", "%(code)d %(message)s")
    + "<main>\n<h1>%(code)d %(message)s</h1>\n<p>%(explain)s.</p>\n</main>\n</body>\n</html>\n"
)
"""What `http.server` makes a page of, for an error; it is short, since terminals show it, too."""


@functools.cache
def security_policy(*scripts: str) -> str:
    """Return the Content-Security-Policy of a page: its own style, these scripts, and no more.

    With a script it may also send forms and requests to its own server. Nobody may show the page
    within theirs (W3C, Content Security Policy Level 3).

    Args:
        scripts: The scripts in the page, each as it stands between its tags.
    """
    parts = ["default-src 'none'", f"style-src {_hash(STYLE)}", "base-uri 'none'"]
    if scripts:
        parts += [f"script-src {' '.join(map(_hash, scripts))}", "connect-src 'self'"]
    parts += ["form-action 'self'" if scripts else "form-action 'none'", "frame-ancestors 'none'"]
    return "; ".join(parts)


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
