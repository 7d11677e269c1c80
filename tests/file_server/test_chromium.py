"""The pages in a browser: sorted by clicks, read on any screen, and uploads with progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import AXE, CHROMIUM, Browser, Page
from tests.file_server.conftest import Serve, Site
from tests.file_server.test_gate import basic
from tests.support import UNIT, wait_until
from tlshttp._file_server.guesses import AT_ONCE

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.timeout(300 * UNIT),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

PHOTOGRAPHS = os.environ.get("TLSHTTP_TEST_PHOTOGRAPHS")
"""A folder for pictures of what was tested, for whoever wants to look; none without it."""


MIB = 1 << 20


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start a browser."""
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def inbox(public: Path) -> Path:
    """Make a folder for uploads in the one that is served, and files of all kinds of names."""
    inbox = public / "inbox"
    inbox.mkdir()
    (public / "file10.txt").write_bytes(b"x" * 10)
    (public / "file2.txt").write_bytes(b"x" * 2_000_000)
    (public / ("long" * 30 + ".tar.gz")).write_bytes(b"x" * 3000)
    (public / "A folder with spaces in its name, and Ünïcödé").mkdir()
    return inbox


@pytest.fixture
def site(serve: Serve, inbox: Path) -> Site:
    """Serve it, with uploads."""
    return serve("--upload", str(inbox), "--upload-limit", "1G")


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """Open its listing."""
    page = browser.open(f"https://localhost:{site.server.server_port}/")
    yield page
    page.call("Page.close")


def let_send(page: Page, rate: int | None) -> None:
    """Let a page send so many bytes a second, or as many as it can."""
    page.call("Network.enable")
    page.call(
        "Network.emulateNetworkConditions",
        offline=False, latency=0, downloadThroughput=-1, uploadThroughput=rate or -1,
    )  # fmt: skip


def names(page: Page) -> list[str]:
    """Return what the rows say, from top to bottom."""
    found: list[str] = page.run("[...document.querySelectorAll('td a')].map((a) => a.innerText)")
    return found


def test_clicks_sort(page: Page) -> None:
    """On the head of a column, and once more for the other direction; without any script."""
    assert names(page)[-4:-2] == ["file2.txt", "file10.txt"]
    page.click("th:nth-child(2) a")
    assert page.becomes(
        "location.search === '?sort=size&order=desc' && document.readyState === 'complete'"
    )
    assert [name for name in names(page) if name.startswith("file")] == ["file2.txt", "file10.txt"]
    page.click("th:nth-child(2) a")
    assert page.becomes(
        "location.search === '?sort=size&order=asc' && document.readyState === 'complete'"
    )
    assert [name for name in names(page) if name.startswith("file")] == ["file10.txt", "file2.txt"]
    assert page.run("document.querySelector('th[aria-sort]').innerText.trim()") == "Size ↑"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_pages_fit(page: Page, site: Site, width: int, dark: bool) -> None:
    """Nothing is wider than the screen, the night is dark, and nothing breaks the policy."""
    for path in ("/", "/nothing", "/.upload", "/inbox/"):
        page.look(width=width, dark=dark)
        page.go(f"https://localhost:{site.server.server_port}{path}")
        assert page.run("document.documentElement.scrollWidth") <= width
        ground = page.run("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(22, 24, 28)" if dark else "rgb(255, 255, 255)"), path
        if PHOTOGRAPHS:
            name = path.strip("/.") or "listing"
            page.photograph(Path(PHOTOGRAPHS) / f"{name}-{width}-{'dark' if dark else 'light'}.png")


def test_the_page_is_told_to_who_cannot_see_it(page: Page) -> None:
    """There is one heading, each link has a name, each field a label, and Tab reaches all."""
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    assert [name for role, name in roles if role == "heading"] == ["Directory listing for /"]
    links = [name for role, name in roles if role == "link"]
    assert len(links) == 3 + len(names(page))
    assert all(links)
    assert ("button", "Upload") in roles
    labels = [name for role, name in roles if role == "button"]
    assert all(labels)
    assert [role for role, _ in roles].count("columnheader") == 3
    reached = []
    for _ in range(len(links) + 3):
        for kind in ("keyDown", "keyUp"):
            page.call(
                "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
            )
        reached.append(page.run("document.activeElement.innerText || document.activeElement.id"))
    assert {"file2.txt", "files", "Upload"} <= set(reached)


@pytest.mark.skipif(AXE is None, reason="axe-core-python is not installed")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(page: Page, site: Site, dark: bool) -> None:
    """The usual checker of accessibility has nothing to say about any page, contrast included."""
    assert AXE is not None
    page.call("Page.setBypassCSP", enabled=True)
    page.look(width=390, dark=dark)
    for path in ("/", "/nothing", "/.upload", "/sub/"):
        page.go(f"https://localhost:{site.server.server_port}{path}")
        page.run(AXE.read_text(encoding="utf-8") + "; undefined")
        page.run("axe.run().then((found) => { window.found = found; }); undefined")
        assert page.becomes("window.found !== undefined")
        wrong = page.run("found.violations.map((one) => [one.id, one.impact, one.nodes[0].html])")
        assert wrong == [], path
        assert page.run("found.passes.map((one) => one.id)").count("color-contrast") == 1


def test_an_upload_shows_its_progress(page: Page, site: Site, inbox: Path, tmp_path: Path) -> None:
    """200 MiB arrive whole, the bar moves meanwhile, and a second visitor is served."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(200 * MIB)  # without blocks of its own: it is read as zeros
        file.seek(0)
        file.write(b"beginning")
    let_send(page, 20 * MIB)
    page.choose_files("#files", large)
    page.run(
        "window.seen = [];"
        "new MutationObserver(() => seen.push(document.getElementById('bar').value))"
        ".observe(document.getElementById('state'), {childList: true, subtree: true});"
        "document.querySelector('#upload button').click()"
    )
    assert page.becomes("new Set(seen).size > 3")
    assert site.ask("/hello.txt").status == 200
    let_send(page, None)
    assert page.becomes(
        "document.getElementById('state').innerText.startsWith('Uploaded')", 120 * UNIT
    )
    assert page.run("document.getElementById('state').innerText").strip() == "Uploaded: large.bin"
    assert page.run("document.getElementById('bar').hidden")
    steps = page.run("seen")
    assert steps == sorted(steps)
    kept = inbox / "large.bin"
    assert kept.stat().st_size == 200 * MIB
    with kept.open("rb") as file:
        assert file.read(10) == b"beginning\0"


def test_an_upload_can_be_stopped(page: Page, site: Site, inbox: Path, tmp_path: Path) -> None:
    """The button ends it, the page says so, and nothing is kept."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(200 * MIB)
    let_send(page, 5 * MIB)
    page.choose_files("#files", large)
    page.click("#upload button")
    assert page.becomes("document.getElementById('bar').value > 0")
    page.click("#abort")
    assert page.becomes(
        "document.getElementById('state').innerText === 'Stopped. Nothing was kept.'"
    )
    assert page.run("document.getElementById('abort').hidden")
    assert site.ask("/hello.txt").status == 200
    assert wait_until(lambda: not list(inbox.iterdir()))


def test_what_is_too_large_is_not_sent(page: Page, inbox: Path, tmp_path: Path) -> None:
    """The page knows the limit, and says it before anything is sent."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(1025 * MIB)
    page.choose_files("#files", large)
    page.click("#upload button")
    assert page.becomes("document.getElementById('state').innerText.includes('more than 1 GiB')")
    assert list(inbox.iterdir()) == []


def test_an_uploaded_page_runs_no_script(page: Page, site: Site, inbox: Path) -> None:
    """It is shown, and can neither run nor read anything in the server's name."""
    (inbox / "evil.html").write_text("<p id=p>text</p><script>p.innerText = 'ran'</script>")
    page.go(f"https://localhost:{site.server.server_port}/inbox/evil.html")
    assert page.run("document.getElementById('p').innerText") == "text"
    assert page.run("self.origin") == "null"


def test_whom_the_gate_has_let_in_stays_in(browser: Browser, serve: Serve) -> None:
    """A browser takes the cookie, on a port of ``localhost`` too, and no stranger locks it out."""
    site = serve("--auth", "me", password=b"s3cret")
    port = site.server.server_port
    page = browser.open(f"https://me:s3cret@localhost:{port}/hello.txt")
    cookies = page.call("Network.getCookies", urls=[f"https://localhost:{port}/"])["cookies"]
    (cookie,) = [it for it in cookies if it["name"] == f"__Host-tlshttp-{port}"]
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    guesses = [basic("me", f"guess {number}") for number in range(AT_ONCE + 1)]
    assert [site.ask("/", Authorization=guess).status for guess in guesses][-1] == 429
    page.go(f"https://localhost:{port}/hello.txt?again")
    assert page.run("document.body.innerText").strip() == "Hello, world!"
    page.call("Page.close")
