"""Publishes what is revoked: a small plain HTTP server with CRL (RFC 5280) and OCSP (RFC 6960)."""

from __future__ import annotations

import base64
import contextlib
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from tlshttp.certs import Certificate, CertificateAuthority
from tlshttp.errors import CertificateError
from tlshttp.testing._bad.workshop import Extensions, Signer, root

__all__ = ["Registry"]

_MAXIMUM_QUERY = 64 * 1024
"""Bytes of an OCSP request; a real one has about a hundred."""


@dataclass(frozen=True)
class _Entry:
    issuer: CertificateAuthority
    certificate: x509.Certificate


class Registry:
    """Who asks over HTTP is told what has been entered here."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._others: list[CertificateAuthority] = []
        owner = self

        class Handler(_Handler):
            registry = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._loop = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="tlshttp-testing-revocation"
        )
        self._loop.start()

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def addresses(self) -> Extensions:
        """Return the extensions that lead here."""
        point = x509.DistributionPoint(
            [x509.UniformResourceIdentifier(f"{self.url}/crl")], None, None, None
        )
        access = x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(f"{self.url}/ocsp")
        )
        return {
            "crl": (x509.CRLDistributionPoints([point]), False),
            "ocsp": (x509.AuthorityInformationAccess([access]), False),
        }

    def enter(self, issuer: Signer, certificate: x509.Certificate, *, revoked: bool) -> None:
        """Publish a certificate, revoked or not."""
        authority = _authority(issuer)
        if revoked:
            authority.revoke(certificate, reason=x509.ReasonFlags.key_compromise)
        self._entries[certificate.serial_number] = _Entry(authority, certificate)

    def publish_list_of(self, issuer: Signer, certificate: x509.Certificate) -> None:
        """Make an empty list for the issuer of a certificate, if none has been entered.

        A client that asks for revocation refuses a certificate whose issuer has no list. What is
        no authority by its own certificate gets none: that is its fault.
        """
        if certificate.serial_number not in self._entries:
            with contextlib.suppress(CertificateError):
                self._others.append(_authority(issuer))

    def crls(self) -> list[x509.CertificateRevocationList]:
        """Return the lists of all issuers, and that of the root, which has revoked nothing."""
        own = root()
        top = CertificateAuthority(Certificate(own.certificate, (), own.key))
        issuers = [*(entry.issuer for entry in self._entries.values()), *self._others, top]
        return [issuer.crl() for issuer in issuers]

    def staple(self, serial: int) -> bytes:
        """Return the OCSP response about a certificate, in DER."""
        entry = self._entries.get(serial)
        if entry is None:
            unknown = ocsp.OCSPResponseStatus.UNAUTHORIZED  # RFC 5019, section 2.2.3
            return ocsp.OCSPResponseBuilder.build_unsuccessful(unknown).public_bytes(Encoding.DER)
        return entry.issuer.ocsp_response(entry.certificate).public_bytes(Encoding.DER)

    def close(self) -> None:
        """End it and join its threads."""
        self._server.shutdown()
        self._loop.join()
        self._server.server_close()


def _authority(issuer: Signer) -> CertificateAuthority:
    chain = (root().certificate,)
    return CertificateAuthority(Certificate(issuer.certificate, chain, issuer.key))


class _Handler(BaseHTTPRequestHandler):
    registry: ClassVar[Registry]
    timeout = 5.0  # seconds that a client has, so that none keeps the server from closing

    def do_GET(self) -> None:
        """Send the CRL, or answer an OCSP request in the path (RFC 6960, appendix A.1)."""
        if self.path == "/crl":
            lists = self.registry.crls()
            self._reply(lists[0].public_bytes(Encoding.DER), "application/pkix-crl")
        elif self.path.startswith("/ocsp/"):
            self._reply_ocsp(base64.b64decode(unquote(self.path.removeprefix("/ocsp/"))))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Answer an OCSP request."""
        size = int(self.headers.get("Content-Length", "0"))
        if not 0 <= size <= _MAXIMUM_QUERY:
            self.send_error(413)
            return
        self._reply_ocsp(self.rfile.read(size))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""

    def _reply_ocsp(self, query: bytes) -> None:
        try:
            serial = ocsp.load_der_ocsp_request(query).serial_number
        except ValueError:
            serial = 0  # no certificate's
        self._reply(self.registry.staple(serial), "application/ocsp-response")

    def _reply(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
