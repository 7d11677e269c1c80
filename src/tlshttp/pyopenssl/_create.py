"""Arguments into a finished context of pyOpenSSL, or one error that names all that is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from cryptography import x509

from tlshttp import profiles
from tlshttp._engines.client_auth import ClientAuth
from tlshttp._engines.crls import CRLSource
from tlshttp._engines.directory import UnknownNames
from tlshttp._engines.terms import agree
from tlshttp._engines.tickets import Tickets
from tlshttp.certs import Certificate, CertificateStore
from tlshttp.pyopenssl._engine import ENGINE
from tlshttp.pyopenssl._server_context import ServerContext

__all__ = ["create_server_context"]


def create_server_context(
    certificate: Certificate | CertificateStore,
    *more: Certificate | CertificateStore,
    profile: profiles.TLSProfile = profiles.INTERMEDIATE,
    client_auth: ClientAuth = ClientAuth.NONE,
    client_auth_by_name: Mapping[str, ClientAuth] | None = None,
    client_cas: Iterable[x509.Certificate] = (),
    client_certificates: Iterable[x509.Certificate] = (),
    verify_depth: int | None = None,
    crls: Iterable[CRLSource] = (),
    alpn_protocols: Sequence[str] = ("http/1.1", "http/1.0"),
    unknown_names: UnknownNames = UnknownNames.SERVE_DEFAULT,
    tickets: Tickets = Tickets(),
    keylog_file: str | os.PathLike[str] | None = None,
) -> ServerContext:
    return ServerContext(
        agree(
            ENGINE,
            (certificate, *more),
            profile=profile,
            client_auth=client_auth,
            client_auth_by_name=client_auth_by_name,
            client_cas=client_cas,
            client_certificates=client_certificates,
            verify_depth=verify_depth,
            crls=crls,
            alpn_protocols=alpn_protocols,
            unknown_names=unknown_names,
            tickets=tickets,
            keylog_file=keylog_file,
        )
    )
