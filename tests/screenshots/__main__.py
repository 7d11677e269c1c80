"""Open every page of the built documentation in Chromium; ``--help`` shows the options.

Some pages are taken as pictures, on a phone's and a desk's screen, dark and light. Of all of them
it is measured whether anything has to be scrolled sideways, which ends with exit status 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.screenshots.chromium import Chromium, chromium

PICTURES = ("index", "how-to/index", "how-to/serve-files", "explanation/performance")
"""The pages to look at, without ``.html``."""

HEIGHTS = {390: 844, 1400: 900}
"""Screens: width and height, in CSS pixels; of a phone and of a small desk."""

WIDER = """
[...document.querySelectorAll("html, .table-wrapper, article pre")]
  .filter(box => box.scrollWidth > box.clientWidth + 1)
  .map(box => [box.className || box.localName, box.scrollWidth, box.clientWidth,
               box.textContent.trim().slice(0, 60)])
"""
"""JavaScript: what is wider than its place, with both widths. One pixel is rounding."""


def main() -> int:
    """Take the pictures, print what is too wide, and return the exit status."""
    options = arguments()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        print("there is no chromium on this machine")
        return 2
    options.output.mkdir(parents=True, exist_ok=True)
    with chromium(program) as browser:
        take_pictures(browser, options.html, options.output)
        wide = list(too_wide(browser, options.html))
    print(*wide, sep="\n")
    print(f"{len(wide)} too wide; pictures are in {options.output}")
    return 1 if wide else 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--html", type=Path, default=Path("docs/_build/html"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("build/screenshots"), metavar="FOLDER")
    return parser.parse_args()


def take_pictures(browser: Chromium, html: Path, output: Path) -> None:
    """Write a picture of each page, screen and colour scheme: ``index-390-dark.png``."""
    for width, height in HEIGHTS.items():
        for dark in (False, True):
            browser.look(width=width, height=height, dark=dark)
            for page in PICTURES:
                browser.open((html / f"{page}.html").resolve().as_uri())
                name = f"{page.replace('/', '-')}-{width}-{'dark' if dark else 'light'}.png"
                (output / name).write_bytes(browser.picture())


def too_wide(browser: Chromium, html: Path) -> Iterator[str]:
    """Say of each page what has to be scrolled sideways.

    On a phone a table or a listing may be wider than the screen, in a frame of its own; a page may
    not.
    """
    for width, height in HEIGHTS.items():
        browser.look(width=width, height=height, dark=False)
        for file in pages(html):
            browser.open(file.resolve().as_uri())
            for kind, needs, has, text in browser.evaluate(WIDER):
                if width == max(HEIGHTS) or "html" in kind or "js" in kind:
                    page = file.relative_to(html)
                    yield f"{page} at {width}: {kind} needs {needs} of {has}: {text!r}"


def pages(html: Path) -> list[Path]:
    """Return the pages that are made of ours, not those that Sphinx adds."""
    made = ("genindex", "py-modindex", "search")
    return [file for file in sorted(html.rglob("*.html")) if file.stem not in made]


if __name__ == "__main__":
    sys.exit(main())
