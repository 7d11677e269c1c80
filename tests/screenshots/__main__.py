"""Open every page of the built documentation in Chromium; ``--help`` shows the options.

Some pages are taken as pictures, on a phone's and a desk's screen, dark and light. All of them are
looked at for what has to be scrolled sideways, and for what axe-core calls serious or critical to
those who cannot see them, or have no mouse: either ends with exit status 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.browser import AXE
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

SERIOUS = """
axe.run({resultTypes: ["violations"]}).then(found => found.violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 100)]))
"""
"""JavaScript: the rule, how often it is broken, and the first place."""


def main() -> int:
    """Take the pictures, print what is too wide or serious, and return the exit status."""
    options = arguments()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None or AXE is None:
        print("there is no chromium, or no axe-core, on this machine")
        return 2
    options.output.mkdir(parents=True, exist_ok=True)
    with chromium(program) as browser:
        take_pictures(browser, options.html, options.output)
        wide = list(too_wide(browser, options.html))
        wrong = list(serious(browser, options.html, AXE.read_text(encoding="utf-8")))
    print(*wide, *wrong, sep="\n")
    print(f"{len(wide)} too wide, {len(wrong)} serious; pictures are in {options.output}")
    return 1 if wide or wrong else 0


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


def serious(browser: Chromium, html: Path, axe: str) -> Iterator[str]:
    """Say of each page what axe-core finds, dark on a phone and light on a desk."""
    for width, height in HEIGHTS.items():
        browser.look(width=width, height=height, dark=width == min(HEIGHTS))
        for file in pages(html):
            browser.open(file.resolve().as_uri())
            browser.evaluate(f"{axe}; undefined")
            for rule, times, where in browser.evaluate(SERIOUS):
                yield f"{file.relative_to(html)} at {width}: {rule}, {times} times: {where!r}"


def pages(html: Path) -> list[Path]:
    """Return the pages that are made of ours, not those that Sphinx adds."""
    made = ("genindex", "py-modindex", "search")
    return [file for file in sorted(html.rglob("*.html")) if file.stem not in made]


if __name__ == "__main__":
    sys.exit(main())
