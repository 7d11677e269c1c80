"""The form for uploads: with its script there is a progress bar, without it another page."""

from __future__ import annotations

import html
from collections.abc import Iterable

from tlshttp.handler._page import page_head

__all__ = ["PATH", "SCRIPT", "form", "form_page", "result_page"]

PATH = "/.upload"
"""Where forms are sent to. Names with a dot are not served, so that it hides no file."""

SCRIPT = """\
"use strict";
(() => {
  const form = document.getElementById("upload");
  const [files, bar, abort, state] =
    ["files", "bar", "abort", "state"].map((name) => document.getElementById(name));
  const send = form.querySelector("button");
  const end = (text) => {
    bar.hidden = abort.hidden = true;
    send.disabled = false;
    state.textContent = text;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const size = Array.from(files.files).reduce((sum, file) => sum + file.size, 0);
    if (size > Number(form.dataset.limit)) {
      end(form.dataset.tooLarge);
      return;
    }
    const request = new XMLHttpRequest();
    request.upload.onprogress = (progress) => {
      const part = progress.total ? progress.loaded / progress.total : 1;
      bar.value = part;
      state.textContent = `${Math.floor(part * 100)} %`;
    };
    request.onload = () => {
      end(request.responseText);
      if (request.status === 201) {
        form.reset();
      }
    };
    request.onerror = () => end("The connection broke. Nothing was kept.");
    request.onabort = () => end("Stopped. Nothing was kept.");
    abort.onclick = () => request.abort();
    bar.value = 0;
    bar.hidden = abort.hidden = false;
    send.disabled = true;
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "text/plain");
    request.send(new FormData(form));
  });
})();
"""

_END = "</main>\n</body>\n</html>\n"


def form(limit: int) -> str:
    """Return the form, with its script.

    Args:
        limit: Bytes that are taken at once.
    """
    return f"""\
<form id="upload" method="post" action="{PATH}" enctype="multipart/form-data"
 data-limit="{limit}" data-too-large="{html.escape(too_large(limit))}">
<label for="files">Add files:</label>
<input type="file" id="files" name="file" multiple required>
<button>Upload</button>
<button type="button" id="abort" hidden>Stop</button>
<progress id="bar" max="1" value="0" aria-label="Progress of the upload" hidden></progress>
<p id="state" role="status"></p>
</form>
<script>{SCRIPT}</script>
"""


def form_page(limit: int) -> bytes:
    """Return a page with the form and nothing else."""
    page = f"{page_head('Upload')}<main>\n<h1>Upload</h1>\n{form(limit)}{_END}"
    return page.encode()


def result_page(sentences: Iterable[str], title: str) -> bytes:
    """Return the page that a browser without the script shows afterwards."""
    lines = "".join(f"<p>{html.escape(sentence, quote=False)}</p>\n" for sentence in sentences)
    page = f'{page_head(title)}<main>\n<h1>{title}</h1>\n{lines}<p><a href="/">Back</a></p>\n{_END}'
    return page.encode()


def too_large(limit: int) -> str:
    """Say what is too much."""
    size, unit = limit, "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size % 1024 == 0 and size >= 1024:
            size, unit = size // 1024, larger
    return f"That is more than {size} {unit}, the most that is taken at once."
