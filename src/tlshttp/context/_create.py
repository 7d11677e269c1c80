"""Arguments into a finished context, or into one error that names all that is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tlshttp import profiles
from tlshttp._engines.client_auth import ClientAuth
from tlshttp._engines.crls import CRLSource
from tlshttp._engines.directory import UnknownNames
from tlshttp._engines.terms import agree
from tlshttp._engines.tickets import Tickets
from tlshttp.context._engine import ENGINE
from tlshttp.context._server_context import ServerContext

if TYPE_CHECKING:
    from cryptography import x509

    from tlshttp.certs import Certificate, CertificateStore

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
    crls: Iterable[CRLSource] | None = None,
    alpn_protocols: Sequence[str] = ("http/1.1", "http/1.0"),
    unknown_names: UnknownNames = UnknownNames.SERVE_DEFAULT,
    tickets: Tickets = Tickets(),
    keylog_file: str | os.PathLike[str] | None = None,
) -> ServerContext:
    """Return a context for a server.

    Args:
        certificate: What the server shows by default: also to clients that ask for no name.
        more: Further certificates. A client that asks for a name (SNI) gets those that have it,
            exactly or by wildcard, and of those with different kinds of keys the one that it
            can use. A store is polled, and sessions survive its changes.
        profile: What is negotiated. The `ssl` module before Python 3.15 can set neither groups nor
            TLS 1.3 suites nor signature algorithms: there OpenSSL's own suites and signatures hold,
            which `tlshttp.context.audit` names, and the servers of this package see to the groups.
        client_auth: Whether clients have to show a certificate.
        client_auth_by_name: The same for single names, ``"*.example.org"`` for all names one label
            below; `None`: no exceptions. Clients of the other names are asked, too, since TLS asks
            before the name is known, but need not comply.
        client_cas: Certificates of the authorities whose client certificates are accepted, such as
            those from `tlshttp.certs.load_trust_anchors`.
        client_certificates: Self-signed certificates of single clients, which are accepted as they
            are, and nothing that they have issued. They do not go together with ``crls``, where the
            authority's word counts: to revoke one of these, leave it out.
        verify_depth: The largest number of intermediate certificates between a client's and that
            of its authority in ``client_cas``; 0: only clients of these authorities themselves. It
            counts up to the highest: of a root and an intermediate of it in ``client_cas``, up to
            the root, as in ``openssl verify -verify_depth``; the intermediate is one. Certificates
            that an authority issued to itself do not count (RFC 5280, section 4.2.1.9). With a
            number, who shows the certificate of a root itself is refused: that of a single client
            belongs into ``client_certificates``. `None`: no more than OpenSSL follows, which is 100
            (``SSL_set_verify(3)``).
        crls: Revocation lists of these authorities: paths of PEM or DER files, which are looked at
            every five seconds, `tlshttp.certs.CRLStore` objects, or lists. With any, there has to
            be one for every authority between a client's certificate and the trusted root, else the
            client is refused. `None`: nothing is ever revoked; to have none otherwise is an error.
        alpn_protocols: Application protocols to offer by ALPN (RFC 7301), in order of preference;
            empty: none. A client that offers ALPN, but none of these, is refused by the servers of
            this package. HTTP/1.0 is among them for clients that offer nothing else, such as
            ``curl --http1.0`` and the health checks of proxies.
        unknown_names: What happens to clients that ask for a name no certificate has.
        tickets: How sessions are resumed.
        keylog_file: Where to write the keys of all connections, for Wireshark; `None`: nowhere.

    .. warning::
        Who can read ``keylog_file`` can decrypt all traffic of this server.

    Raises:
        ConfigurationError: It cannot be done as asked; all that is wrong is named.
        TypeError: An argument is of another kind, such as a text for a ``profile``; one text, or
            one revocation list, where several are due; or ``client_cas`` are no certificates.
    """
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
