"""What is imported when: nobody waits for modules that they do not use."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tlshttp import certs

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
    "_forwarded",
    "_hsts",
    "_listing",
    "_opening",
    "_order",
    "_page",
    "_request_id",
    "_static",
}
"""What of `tlshttp.handler` only some handlers use."""

MAKERS = {"_authority", "_fetch", "_issue", "_local", "_trust"}
"""What of `tlshttp.certs` a server with certificate files has no use for."""

RULES = {"_check", "_check_chain", "_check_extensions", "_check_keys", "_check_names", "_rules"}
RULES |= {"_check_old_forms", "_constraints", "_verifiers"}
"""What of `tlshttp.certs` is for a certificate of which there is something to say."""

RELOADING = {"_crl_succession", "_crls", "_reloading", "_store"}
"""What of it looks for new files."""

OTHER_FORMS = {"_pkcs12", "_pkcs12_reader", "_pkcs8"}
"""What of it reads and writes what is not the usual PEM."""

CLIENTS = {"gaps", "key_log", "stand_in", "standing"}
"""What of `tlshttp._engines` a context without client certificates and key log has no use for."""

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
    assert not modules & {"tlshttp._proxied", "tlshttp._machinery.proxy_header"}


def test_a_server_behind_a_proxy_has_all_it_reads_by_at_once() -> None:
    """What the first connection needs is not imported then: there may be no descriptor left."""
    modules = modules_after(
        "import ssl, tlshttp\n"
        "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
        "address, handler = ('127.0.0.1', 0), tlshttp.TLSRequestHandler\n"
        "tlshttp.ThreadingTLSHTTPServer(address, handler, ssl_context=context,"
        " trusted_proxies=['127.0.0.1']).server_close()"
    )
    assert "tlshttp._machinery.proxy_header" in modules


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


@pytest.mark.parametrize("engine", ["ssl", "pyopenssl"])
def test_a_sound_certificate_imports_no_rules(tmp_path: Path, engine: str) -> None:
    """Until a server listens it imports nothing but what a certificate without faults needs."""
    certificate = certs.self_signed("localhost")
    certificate.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    files = f"{str(tmp_path / 'cert.pem')!r}, {str(tmp_path / 'key.pem')!r}"
    modules = modules_after(
        "import tlshttp\n"
        f"certificate = tlshttp.certs.load({files})\n"
        "address, handler = ('127.0.0.1', 0), tlshttp.TLSRequestHandler\n"
        "tlshttp.ThreadingTLSHTTPServer("
        f"address, handler, certificate=certificate, engine={engine!r}).server_close()"
    )
    parts_of_certs = parts(modules, "tlshttp.certs")
    assert not parts_of_certs & (RULES | RELOADING | OTHER_FORMS | {"_authority", "_local"})
    assert not parts(modules, "tlshttp._engines") & CLIENTS
    assert not parts(modules, "tlshttp.context") & AUDIT
    assert not modules & {"asyncio", "logging.config", "logging.handlers", "subprocess"}


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
