"""Arguments into a finished context of pyOpenSSL, or one error that names all that is wrong."""

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
from tlshttp.pyopenssl._engine import PyOpenSSLEngine
from tlshttp.pyopenssl._server_context import ServerContext
from tlshttp.pyopenssl._staples import OCSPSource, Staples

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
    ocsp_staple: OCSPSource | None = None,
) -> ServerContext:
    """Return a context for a server, on pyOpenSSL.

    The arguments are those of `tlshttp.context.create_server_context`, with the same promises, and
    one more. What is different: the profile is kept to the letter, its groups, TLS 1.3 suites and
    signature algorithms included. A client without the certificate that its name needs is refused
    during the handshake, by an alert. A client with TLS 1.3 gets two session tickets, unless
    ``tickets`` says 0: pyOpenSSL cannot set another number. The context is finished: it cannot be
    tuned like an `ssl.SSLContext`, and only servers of this package take it.

    Args:
        certificate: What the server shows by default.
        more: Further certificates, by name and by kind of key.
        profile: What is negotiated.
        client_auth: Whether clients have to show a certificate.
        client_auth_by_name: The same for single names; `None`: no exceptions.
        client_cas: Certificates of the authorities whose client certificates are accepted.
        client_certificates: Self-signed certificates of single clients, accepted as they are.
        verify_depth: The largest number of intermediate certificates between a client's and that
            of its authority, the highest one that is trusted; `None`: no more than OpenSSL follows.
        crls: Revocation lists of these authorities; `None`: nothing is ever revoked.
        alpn_protocols: Application protocols to offer by ALPN, in order of preference; empty: none.
        unknown_names: What happens to clients that ask for a name no certificate has.
        tickets: How sessions are resumed.
        keylog_file: Where to write the keys of all connections, for Wireshark; `None`: nowhere.
        ocsp_staple: Where OCSP responses for the certificates come from, to be stapled (RFC 6066,
            section 8): the path of a file with one in DER, a function that is given a
            `~tlshttp.certs.Certificate` and returns DER or `None`, or the
            `~tlshttp.certs.CertificateAuthority` that has issued them; `None`: nothing is stapled.
            Asked here for the first time, later in a thread of its own, when a response is half as
            old as it may get. One that is not good, another certificate's, or not of now is never
            stapled, which the log says. A new certificate that must be stapled (RFC 7633) is not
            taken from its store before there is a response for it.

    .. warning::
        Who can read ``keylog_file`` can decrypt all traffic of this server.

    Raises:
        ConfigurationError: It cannot be done as asked, or a certificate that must be stapled (RFC
            7633) has no response; all that is wrong is named.
        TypeError: An argument is of another kind.
    """
    staples = None if ocsp_staple is None else Staples(ocsp_staple)
    terms = agree(
        PyOpenSSLEngine(staples),
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
    if staples is not None:
        staples.fetch(terms.material.certificates)
    return ServerContext(terms, staples)
