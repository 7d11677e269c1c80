"""``certificate=``: the short way to a hardened server, on either engine."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engines import NEEDS_GROUPS, create_with_ssl
from tests.server.support import Client, OneRequest, running
from tests.support import nothing_left_behind
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, context, errors, pyopenssl

ANYWHERE = ("127.0.0.1", 0)

KINDS: dict[str, type] = {
    "ssl": context.ServerContext,
    "pyopenssl": pyopenssl.ServerContext,
    "public": pyopenssl.ServerContext,
}

Make = Callable[..., TLSHTTPServer]


@pytest.fixture
def make(server_class: type[TLSHTTPServer]) -> Make:
    """Return either server class, on a free port, with a handler."""
    return functools.partial(server_class, ANYWHERE, OneRequest)


def test_a_certificate_is_enough(
    make: Make, certificate: certs.Certificate, client: Client, engine: str
) -> None:
    """The server has a context of the default engine's, and serves."""
    with running(make(certificate=certificate)) as server:
        assert type(server.ssl_context) is KINDS[engine]
        assert client.get(server, "/short").body == b"/short"


def test_the_context_is_the_hardened_one(make: Make, certificate: certs.Certificate) -> None:
    """TLS 1.1, and a cipher that Mozilla's guideline does not have, are refused."""
    client_context = ssl.create_default_context(cadata=certificate.to_pem().decode())
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    client_context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with running(make(certificate=certificate)) as server:
        with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
            Client(client_context).get(server)
        client_context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        assert Client(client_context).get(server).status == 200


def test_a_store_reloads(make: Make, certificate: certs.Certificate, client: Client) -> None:
    """What replaces the certificate is shown to the next client."""
    store = certs.CertificateStore.from_certificate(certificate)
    with running(make(certificate=store)) as server:
        assert client.get(server).status == 200
        store.replace(certs.self_signed("127.0.0.1"))
        with pytest.raises(ssl.SSLCertVerificationError):
            client.get(server)
        trusting = ssl.create_default_context(cadata=store.current.to_pem().decode())
        assert Client(trusting).get(server).status == 200


def test_the_leaf_of_the_local_authority_is_served(make: Make, tmp_path: Path) -> None:
    """`LocalAuthority.store` is a store like others."""
    authority = certs.local_authority(tmp_path)
    trusting = Client(ssl.create_default_context(cafile=str(authority.certfile)))
    with running(make(certificate=authority.store("127.0.0.1", "localhost"))) as server:
        assert trusting.get(server).status == 200


@pytest.mark.parametrize("name", ["ssl", pytest.param("pyopenssl", marks=NEEDS_GROUPS)])
def test_the_engine_may_be_chosen(
    make: Make,
    certificate: certs.Certificate,
    client: Client,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the default is."""
    monkeypatch.setattr(context, "create_server_context", create_with_ssl)
    with running(make(certificate=certificate, engine=name)) as server:
        assert type(server.ssl_context) is KINDS[name]
        assert client.get(server).status == 200


def test_protocols_may_stand_beside_it(make: Make, certificate: certs.Certificate) -> None:
    """``alpn_protocols`` is what is offered."""
    client_context = ssl.create_default_context(cadata=certificate.to_pem().decode())
    client_context.set_alpn_protocols(["http/1.1", "other"])
    server = make(certificate=certificate, alpn_protocols=["other"])
    with running(server), Client(client_context).connect(server) as sock:
        assert sock.selected_alpn_protocol() == "other"


# What is wrong is said at once --------------------------------------------------------------------


def test_other_ways_do_not_stand_beside_it(
    make: Make, certificate: certs.Certificate, server_context: ssl.SSLContext
) -> None:
    """Each of them is named, and nothing is left."""
    others = {"certfile": "c.pem", "keyfile": "k.pem", "password": "x"}
    with nothing_left_behind(), pytest.raises(errors.ConfigurationError) as caught:
        make(certificate=certificate, ssl_context=server_context, **others)
    named = [finding.split()[0] for finding in caught.value.findings]
    assert named == [*others, "ssl_context"]


@pytest.mark.parametrize("beside", ["certfile", "ssl_context"])
def test_an_engine_belongs_to_a_certificate(
    make: Make, server_context: ssl.SSLContext, beside: str
) -> None:
    """Files are served by the standard library's `ssl`, and a finished context has an engine."""
    other = server_context if beside == "ssl_context" else "cert.pem"
    with pytest.raises(errors.ConfigurationError, match=f"engine cannot be .* with {beside}"):
        make(engine="ssl", **{beside: other})


def test_an_engine_alone_is_not_enough(make: Make) -> None:
    """A certificate is needed, which the error says how to get."""
    with pytest.raises(errors.ConfigurationError, match="a certificate is needed"):
        make(engine="ssl")


@pytest.mark.parametrize("engine_name", ["openssl", "", "SSL"])
def test_there_is_no_other_engine(
    make: Make, certificate: certs.Certificate, engine_name: str
) -> None:
    """The error names both."""
    with pytest.raises(errors.ConfigurationError, match='engine must be "ssl" or "pyopenssl"'):
        make(certificate=certificate, engine=engine_name)


@pytest.mark.parametrize("given", [pyopenssl, True, b"ssl"])
def test_an_engine_is_given_by_its_name(
    make: Make, certificate: certs.Certificate, given: Any
) -> None:
    """A module is easily taken for one."""
    with pytest.raises(TypeError, match='engine must be "ssl" or "pyopenssl"'):
        make(certificate=certificate, engine=given)


def _wrong_certificates(folder: Path, right: certs.Certificate) -> dict[str, tuple[Any, str]]:
    return {
        "path": (folder / "cert.pem", "certs.CertificateStore(certfile, keyfile)"),
        "text": ("cert.pem", "certs.load()"),
        "PEM": (right.to_pem(), "certs.load()"),
        "pair": (("cert.pem", "key.pem"), "context.create_server_context(first, second)"),
        "several": ([right, right], "context.create_server_context(first, second)"),
        "x509": (right.leaf, "it has no private key"),
        "context": (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "ssl_context="),
        "authority": (certs.CertificateAuthority.generate("ours"), 'issue_server("localhost")'),
        "local": (certs.local_authority(folder), 'authority.store("localhost")'),
    }


def test_what_is_no_certificate_is_called_that(
    certificate: certs.Certificate, tmp_path: Path
) -> None:
    """The error says of what kind it is, and what to give instead."""
    for given, advice in _wrong_certificates(tmp_path, certificate).values():
        with pytest.raises(TypeError, match=r"^certificate must be a certs\.Certificate") as caught:
            ThreadingTLSHTTPServer(ANYWHERE, OneRequest, certificate=given)
        assert type(given).__name__ in str(caught.value)
        assert advice in str(caught.value)
        assert "PRIVATE" not in str(caught.value)
