"""Judges that are not ours: each says nothing about a good certificate and why about a bad one."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import service_identity
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity

from tlshttp import certs
from tlshttp.certs._memory import pem_path


@dataclass(frozen=True)
class Question:
    """What a judge is asked: is this the certificate of a peer of that name?"""

    shown: certs.CertificateChain
    anchors: Sequence[x509.Certificate]
    name: str = "localhost"
    purpose: certs.Purpose = certs.Purpose.SERVER
    crls: Sequence[x509.CertificateRevocationList] = ()

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The name as an IP address, if it is one."""
        try:
            return ipaddress.ip_address(self.name)
        except ValueError:
            return None


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Put certificates into one file."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def openssl(question: Question) -> str | None:
    """Ask ``openssl verify -x509_strict``."""
    kind = "ip" if question.address else "hostname"
    command = ["openssl", "verify", "-x509_strict", "-purpose", f"ssl{question.purpose.value}"]
    if question.purpose is certs.Purpose.SERVER:
        command += [f"-verify_{kind}", question.name]
    with tempfile.TemporaryDirectory() as folder:
        for option, certificates in (
            ("CAfile", question.anchors),
            ("untrusted", question.shown.chain),
        ):
            if certificates:
                Path(folder, option).write_bytes(pem(certificates))
                command += [f"-{option}", str(Path(folder, option))]
        for number, crl in enumerate(question.crls):
            Path(folder, f"crl{number}").write_bytes(crl.public_bytes(Encoding.PEM))
            command += ["-crl_check", "-CRLfile", str(Path(folder, f"crl{number}"))]
        leaf = Path(folder, "leaf")
        leaf.write_bytes(pem([question.shown.leaf]))
        command += ["-no-CApath", "-no-CAstore", str(leaf)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return None if done.returncode == 0 else done.stderr


def pyca(question: Question) -> str | None:
    """Ask the verifier of `cryptography`."""
    builder = (
        verification.PolicyBuilder()
        .store(verification.Store(list(question.anchors)))
        .time(datetime.now(UTC))
    )
    subject: x509.DNSName | x509.IPAddress = (
        x509.IPAddress(question.address) if question.address else x509.DNSName(question.name)
    )
    chain = list(question.shown.chain)
    try:
        if question.purpose is certs.Purpose.SERVER:
            builder.build_server_verifier(subject).verify(question.shown.leaf, chain)
        else:
            builder.build_client_verifier().verify(question.shown.leaf, chain)
    except verification.VerificationError as error:
        return str(error)
    return None


def identity(question: Question) -> str | None:
    """Ask service-identity, which looks at names only."""
    wanted = IPAddress_ID(question.name) if question.address else DNS_ID(question.name)
    try:
        verify_service_identity(extract_patterns(question.shown.leaf), [wanted], [])
    except service_identity.VerificationError as error:
        return str(error)
    return None


def python_client(question: Question) -> str | None:
    """Ask a Python client with the default flags of 3.13, in a handshake in memory."""
    assert isinstance(question.shown, certs.Certificate), "a server needs the key, too"
    client_context = ssl.create_default_context(cadata=pem(question.anchors).decode())
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    if question.crls:
        client_context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        lists = b"".join(crl.public_bytes(Encoding.PEM) for crl in question.crls)
        with pem_path(lists) as path:
            client_context.load_verify_locations(path)
    try:
        shake_hands(server_context(question.shown), client_context, question.name)
    except ssl.SSLCertVerificationError as error:
        return str(error)
    return None


def server_context(shown: certs.Certificate) -> ssl.SSLContext:
    """Return a server's context that shows a certificate."""
    ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pem_path(shown.key_to_pem() + shown.to_pem()) as path:
        ssl_context.load_cert_chain(path)
    return ssl_context


def shake_hands(server_side: ssl.SSLContext, client_side: ssl.SSLContext, name: str) -> None:
    """Make a TLS handshake in memory; raise what the side that refuses raises."""
    upward, downward = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(downward, upward, server_hostname=name)
    server = server_side.wrap_bio(upward, downward, server_side=True)
    waiting = {client, server}
    while waiting:
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.discard(side)
