"""Other people's clients: Chromium, and Node's `ws`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, Browser
from tests.support import UNIT
from tests.websocket.support import STYLES, Driven, Echo, Style
from tlshttp import ThreadingTLSHTTPServer

_PAGE = """
window.said = [];
const socket = new WebSocket("wss://localhost:%d/", ["b", "a"]);
socket.binaryType = "arraybuffer";
socket.onopen = () => {
  said.push("open " + socket.protocol + " " + socket.extensions.split(";")[0]);
  socket.send("größer");
};
socket.onmessage = (event) => {
  if (typeof event.data === "string" && event.data !== "") {
    said.push(event.data); socket.send(new Uint8Array(100000));
  } else {
    said.push(event.data.byteLength); socket.send("close");
  }
};
socket.onclose = (event) => said.push("closed " + event.code + " " + event.reason);
socket.onerror = () => said.push("error");
"""

_EXPECTED = ["open a permessage-deflate", "größer", 100_000, "closed 4000 as you wish"]


class _Page(Driven):
    """The same, with a page to begin on."""

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", "15")
        self.end_headers()
        self.wfile.write(b"<title>x</title>"[:15])


def _run(page: Any, echo: Echo) -> list[Any]:
    page.run(_PAGE % echo.served.server.server_port + "; 0")
    assert page.becomes("said.some((x) => ('' + x).startsWith('closed'))")
    said: list[Any] = page.run("said")
    return said


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_chromium(tmp_path: Path) -> None:
    """A page of the same host talks, compressed and in its subprotocol; one of another does not."""
    style = Style("page", ThreadingTLSHTTPServer, _Page)
    with style.serving(subprotocols=("a",)) as echo, Browser(tmp_path) as browser:
        port = echo.served.server.server_port
        assert _run(browser.open(f"https://localhost:{port}/"), echo) == _EXPECTED
        foreign = browser.open(f"https://127.0.0.1:{port}/")
        assert _run(foreign, echo) == ["error", "closed 1006 "]


_NODE = """
const WebSocket = require("ws");
const socket = new WebSocket("wss://localhost:" + process.argv[1] + "/", ["b", "a"],
                             {rejectUnauthorized: false});
socket.on("open", () => {
  console.log("open", socket.protocol, Object.keys(socket._extensions).join());
  socket.ping("there?");
  socket.send("größer");
});
socket.on("pong", (data) => console.log("pong", "" + data));
socket.on("message", (data, binary) => {
  console.log(binary ? data.length : "" + data);
  socket.send(binary ? "close" : new Uint8Array(100000));
});
socket.on("close", (code, reason) => console.log("closed", code, "" + reason));
"""

_NODE_PROGRAM = shutil.which("node")


@pytest.mark.skipif(_NODE_PROGRAM is None, reason="node is not installed")
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_ws_of_node(style: Style) -> None:
    """It talks, compressed and in its subprotocol; it is found by ``NODE_PATH``, as node has it."""
    assert _NODE_PROGRAM is not None
    ask = [_NODE_PROGRAM, "-e", 'require("ws")']
    found = subprocess.run(ask, capture_output=True, check=False)
    if found.returncode:
        pytest.skip("the node module ws is not installed")
    with style.serving(subprotocols=("a",)) as echo:
        said = subprocess.run(
            [_NODE_PROGRAM, "-e", _NODE, str(echo.served.server.server_port)],
            capture_output=True,
            timeout=120 * UNIT,
            check=True,
        )
    lines = said.stdout.decode().splitlines()
    assert "pong there?" in lines
    lines.remove("pong there?")
    assert lines == [str(each) for each in _EXPECTED]
