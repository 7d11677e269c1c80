"""The reader of pages: that it finds out what is wrong."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.docs.pages import EXAMPLES
from tests.docs.reading import PATIENCE, read

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(PATIENCE + 10)]

PAGES = {
    "a name from nowhere": (
        """
        ```python
        print(handler)
        ```
        """,
        "NameError",
    ),
    "other output": (
        """
        ```python
        print(1)
        ```

        ```output
        2
        ```
        """,
        "the page says:\n2",
    ),
    "another answer": (
        """
        ```python
        >>> 1 + 1
        3
        ```
        """,
        "Expected:\n    3",
    ),
    "a failing command": (
        """
        ```sh
        false
        true
        ```
        """,
        "exit status 1",
    ),
    "a failing test": (
        """
        ```python
        def test_it():
            assert False
        ```
        """,
        "1 failed",
    ),
    "a skipped test": (
        """
        ```python
        import pytest


        def test_it():
            pytest.skip("it")
        ```
        """,
        "1 skipped",
    ),
    "a server that says nothing": (
        """
        ```python
        class Silent:
            def serve_forever(self):
                return


        Silent().serve_forever()
        ```
        """,
        "nobody answers",
    ),
    "a folder that is not empty": (
        """
        ```sh
        test -n "$(ls *.pem)"
        ```
        """,
        "exit status 1",
    ),
}


@pytest.mark.parametrize(("text", "complaint"), PAGES.values(), ids=PAGES)
def test_a_wrong_page_is_found_out(text: str, complaint: str, tmp_path: Path) -> None:
    """What would stop a reader stops the test, and the message says where and why."""
    page = tmp_path / "wrong.md"
    page.write_text(textwrap.dedent(text), encoding="utf-8")
    done = read(page, tmp_path)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.startswith(("wrong.md:", "end of the page"))


def test_a_traceback_at_the_end_is_found_out(tmp_path: Path) -> None:
    """A program that Ctrl-C ends with a traceback is wrong."""
    hello = (EXAMPLES / "hello.py").read_text(encoding="utf-8")
    program = hello.replace("# hello.py\n", "").replace(
        "suppress(KeyboardInterrupt)", "nullcontext()"
    )
    page = tmp_path / "wrong.md"
    page.write_text(f"```python\n{program}```\n", encoding="utf-8")
    done = read(page, tmp_path)
    assert done.returncode == 1
    assert "KeyboardInterrupt" in done.stderr
