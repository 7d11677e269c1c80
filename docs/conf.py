"""How Sphinx builds the documentation; ``nox -s docs`` runs it."""

from __future__ import annotations

import builtins
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tlshttp

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement, document
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "tlshttp"
author = "the tlshttp authors"
copyright = "2026, the tlshttp authors"
release = version = tlshttp.__version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

extensions = [
    "bad_servers",
    "from_source",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"tlshttp {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = [("scrolling.js", {"defer": "defer"})]

add_module_names = False
default_role = "py:obj"
maximum_signature_line_length = 88
python_use_unqualified_type_names = True

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False

# What examples provoke on purpose is not shown.
doctest_global_setup = "import logging; logging.getLogger('tlshttp').setLevel(logging.CRITICAL)"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Names of others are links where the documentation is published, and plain text where it is built
# without the network; names of ours must resolve everywhere.
if os.environ.get("READTHEDOCS"):
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "cryptography": ("https://cryptography.io/en/latest", None),
        "OpenSSL": ("https://www.pyopenssl.org/en/latest", None),
    }
OTHERS = {*sys.stdlib_module_names, "OpenSSL", "cryptography", "pytest", "typing_extensions"}
nitpick_ignore_regex = [
    ("py:.*", rf"({'|'.join(map(re.escape, sorted(OTHERS)))})(\..*)?"),
    ("py:.*", rf"({'|'.join(map(re.escape, dir(builtins)))})(\..*)?"),
    ("py:.*", r"x509\..*"),
    ("py:.*", r"(.*\.)?_[A-Z]\w*"),  # type variables
    ("py:class", r"tlshttp\.certs\._reloading\.ReloadingStore"),  # its methods are shown
    ("py:class", r"tlshttp\.certs\._revoking\.Revoking"),  # and of this one
    ("py:class", r"tlshttp\._engines\.managed\.ManagedContext"),  # and of these, which are
    ("py:class", r"tlshttp\.context\._tuning\.TunableContext"),  # what servers' contexts share
    ("py:class", r"(.*\.)?(Buffer|IncomingBuffer|OutgoingBuffer|TLSObject|CRLSource|OCSPSource)"),
]


def setup(app: Sphinx) -> None:
    """Let docstrings be written as they are read in the source, and pages be read aloud."""
    app.connect("missing-reference", resolve_by_last_name)
    app.connect("autodoc-process-signature", say_it_shorter)
    app.connect("autodoc-process-docstring", hide_colons, priority=400)  # napoleon has 500
    app.connect("autodoc-process-docstring", show_colons, priority=600)
    app.connect("html-page-context", say_what_is_no_list)


SHORTER = (
    (r"(?s)\benviron\(\{.*\}\)", "os.environ"),  # whoever builds this has secrets in there
    (r"\bLimits\([^()]+\)", "Limits()"),
    (r"\bTLSProfile\(name='intermediate'.*?, hsts_max_age=\d+\)", "INTERMEDIATE"),
    (r"<class '[\w.]*\.(\w+)'>", r"\1"),
    (r"\bHTTPServer\]", "http.server.HTTPServer]"),
)
"""Patterns of what takes long in a signature, and what is shown instead."""

NOT_CALLED = {
    "tlshttp.context.ServerContext",
    "tlshttp.pyopenssl.ServerContext",
    "tlshttp.testing.RecordedRequest",
    "tlshttp.testing.RunningServer",
    "tlshttp.websocket.BlockingWebSocket",
    "tlshttp.websocket.WebSocket",
}
"""Classes whose instances users get, and never make."""


def say_it_shorter(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """Show the context that users have, not its private protocol, and defaults by name."""
    if not signature:
        return None
    if name in NOT_CALLED:
        return "", returns
    signature = signature.replace("TLSContext", "ssl.SSLContext")
    for long, short in SHORTER:
        signature = re.sub(long, short, signature)
    return signature, returns


HIDDEN_COLON = "\ue000"  # for private use


def hide_colons(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking what stands before an attribute's first colon for its type."""
    if what in ("attribute", "data", "property"):
        lines[:] = [line.replace(":", HIDDEN_COLON) for line in lines]


def show_colons(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Undo `hide_colons`."""
    lines[:] = [line.replace(HIDDEN_COLON, ":") for line in lines]


def resolve_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: TextElement
) -> Element | None:
    """Look a Python name up as if it had been written with a leading dot."""
    if node.get("refdomain") != "py" or node.hasattr("refspecific"):
        return None
    node["refspecific"] = True
    return env.domains.python_domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], node["reftarget"], node, text
    )


SIGNATURE = '<dl{}>\n<dd><em class="sig-param">'
"""The lines of one, which Sphinx sets as descriptions of nothing."""


def say_what_is_no_list(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: document | None
) -> None:
    """Keep screen readers from announcing each signature of several lines as a list."""
    if "body" in context:
        none = SIGNATURE.format(' role="presentation"')
        context["body"] = context["body"].replace(SIGNATURE.format(""), none)
