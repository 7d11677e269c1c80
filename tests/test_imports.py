"""What is imported when: nobody waits for modules that they do not use."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator

import pytest

PACKAGES = [
    "tlshttp",
    "tlshttp.certs",
    "tlshttp.context",
    "tlshttp.handler",
    "tlshttp.pyopenssl",
    "tlshttp.testing",
    "tlshttp.wsgi",
]

EXTRAS = {
    "_access_log",
    "_authorize",
    "_hsts",
    "_listing",
    "_opening",
    "_order",
    "_page",
    "_static",
}
"""What of `tlshttp.handler` only some handlers use."""

MAKERS = {"_authority", "_fetch", "_issue", "_local", "_trust"}
"""What of `tlshttp.certs` a server with certificate files has no use for."""

AUDIT = {"_audit", "_peers", "_probe", "_registry", "_report"}
"""What of `tlshttp.context` only an audit uses."""


def modules_after(program: str) -> set[str]:
    """Return the modules that a program brings into a new interpreter."""
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"  # coverage may have begun already
        f"{program}\n"
        "print(*sys.modules.keys() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def parts(modules: set[str], package: str) -> set[str]:
    """Return the names of a package's own modules among those."""
    return {name.removeprefix(f"{package}.") for name in modules if name.startswith(f"{package}.")}


@pytest.mark.smoke
def test_the_package_alone_imports_next_to_nothing() -> None:
    """``import tlshttp`` brings no server, no certificates, and none of what those are made of."""
    modules = modules_after("import tlshttp")
    assert parts(modules, "tlshttp") == {"_on_demand", "_version"}
    assert not modules & {"cryptography", "dataclasses", "http.server", "inspect", "logging", "ssl"}


def test_a_server_imports_no_certificates() -> None:
    """A server whose context is the user's own needs no cryptography and no further handlers."""
    modules = modules_after(
        "import ssl, tlshttp\n"
        "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
        "address, handler = ('127.0.0.1', 0), tlshttp.TLSRequestHandler\n"
        "tlshttp.ThreadingTLSHTTPServer(address, handler, ssl_context=context).server_close()"
    )
    assert not modules & {"cryptography", "tlshttp.certs", "tlshttp.context", "tlshttp.profiles"}
    assert not parts(modules, "tlshttp.handler") & EXTRAS


def test_certificates_import_no_server() -> None:
    """Who only makes certificates has neither the connection machinery nor the HTTP layer."""
    modules = modules_after("from tlshttp import certs; certs.self_signed('localhost')")
    assert not modules & {"tlshttp.context", "tlshttp.handler", "tlshttp.server", "http.server"}


def test_certificate_files_import_no_authority_and_no_audit() -> None:
    """A context from certificates that are there needs nothing that makes or examines them."""
    modules = modules_after(
        "from tlshttp import certs, context\n"
        "certs.load, certs.CertificateStore, context.create_server_context"
    )
    assert not parts(modules, "tlshttp.certs") & MAKERS
    assert not parts(modules, "tlshttp.context") & AUDIT


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_what_type_checkers_take_it_for(package: str) -> None:
    """All names in ``__all__`` are in ``dir()`` and are the objects that the annotations import."""
    module = importlib.import_module(package)
    annotated = dict(imports_for_annotations(package))
    assert set(module.__all__) - set(annotated) <= {"__version__"}
    assert set(module.__all__) <= set(dir(module))
    assert [name for name, value in annotated.items() if getattr(module, name) is not value] == []


def imports_for_annotations(package: str) -> Iterator[tuple[str, object]]:
    """Yield the names that a package imports below ``if TYPE_CHECKING``, with their values."""
    tree = ast.parse(inspect.getsource(importlib.import_module(package)))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and not isinstance(node.test, ast.UnaryOp)
    )
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        source = str(statement.module)
        for name in statement.names:
            if source == package:
                yield name.name, importlib.import_module(f"{source}.{name.name}")
            else:
                yield name.name, getattr(importlib.import_module(source), name.name)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_not_there_is_an_attribute_error(package: str) -> None:
    """A name that was mistyped is reported as of any other module."""
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'TLSHTTPSever'"):
        importlib.import_module(package).TLSHTTPSever  # noqa: B018
