"""Files of every kind that people have, made by code and by OpenSSL."""

from __future__ import annotations

import base64
import bz2
import functools
import gzip
import io
import lzma
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7, pkcs12
from cryptography.x509.oid import NameOID

from tlshttp import certs

PASSWORD = "a password"


class Zoo:
    """What the files are made of: a certificate below an intermediate, and its key.

    Args:
        folder: Where OpenSSL works.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = certs.CertificateAuthority.generate("Root")
        self.authority = self.root.issue_authority("Intermediate")
        self.pair = self.authority.issue_server("localhost")
        self.cert = self.pair.to_pem()
        self.key = self.pair.key_to_pem()
        self.leaf = self.pair.leaf.public_bytes(Encoding.PEM)
        self.der = self.pair.leaf.public_bytes(Encoding.DER)
        (folder / "cert.pem").write_bytes(self.cert)
        (folder / "key.pem").write_bytes(self.key)

    @functools.cached_property
    def rsa(self) -> certs.Certificate:
        """Return a self-signed certificate with an RSA key."""
        return certs.self_signed("localhost", key_type=certs.KeyType.RSA_2048)

    def key_as(
        self,
        form: serialization.PrivateFormat,
        encoding: Encoding = Encoding.PEM,
        password: str | None = None,
    ) -> bytes:
        """Return the key in a form."""
        encryption = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        return self.pair.private_key.private_bytes(encoding, form, encryption)

    def openssl(self, *arguments: str) -> bytes:
        """Run OpenSSL, and return what it writes into the file ``out``."""
        command = ["openssl", *arguments, "-out", "out"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=30)
        return (self.folder / "out").read_bytes()

    def made(self, *options: str) -> tuple[bytes, bytes]:
        """Have OpenSSL make a key and a self-signed certificate."""
        names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
        made = self.openssl("req", "-x509", "-nodes", *options, *names, "-days", "9",
                            "-keyout", "made.pem")  # fmt: skip
        return made, (self.folder / "made.pem").read_bytes()

    def pkcs12(self, password: str, *options: str) -> bytes:
        """Have OpenSSL write certificate, chain and key into a PKCS#12 file."""
        given = ("-in", "cert.pem", "-inkey", "key.pem", "-passout", f"pass:{password}")
        return self.openssl("pkcs12", "-export", *given, *options)

    def encrypted(self, *options: str) -> bytes:
        """Have OpenSSL encrypt the key in some way."""
        given = ("-topk8", "-in", "key.pem", "-passout", f"pass:{PASSWORD}")
        return self.openssl("pkcs8", *given, *options)

    def two_keys(self) -> bytes:
        """Return a PKCS#12 file as keytool writes it, of two pairs."""
        return join_pkcs12(
            *(
                pkcs12.serialize_key_and_certificates(
                    name, one.private_key, one.leaf, None, encryption()
                )
                for name, one in ((b"web", self.pair), (b"mail \xc3\xa9", self.rsa))
            )
        )

    def request(self, encoding: Encoding = Encoding.PEM) -> bytes:
        """Return a certificate request."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(
            encoding
        )

    def pkcs7(self, encoding: Encoding = Encoding.PEM) -> bytes:
        """Return leaf and intermediate as PKCS#7."""
        return pkcs7.serialize_certificates([self.pair.leaf, *self.pair.chain], encoding)

    def public_key(self) -> bytes:
        """Return the public key alone."""
        return self.pair.private_key.public_key().public_bytes(
            Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def root_of(self, moment: datetime) -> x509.Certificate:
        """Return another copy of the root, which ended then."""
        return twin(self.root, self.root, moment)


def twin(
    authority: certs.CertificateAuthority,
    issuer: certs.CertificateAuthority,
    until: datetime | None = None,
) -> x509.Certificate:
    """Return another certificate for the key of an authority: cross-signed, or an old copy."""
    own, above = authority.certificate, issuer.certificate
    until = until or datetime.now(UTC) + timedelta(days=30)
    builder = (
        x509.CertificateBuilder()
        .subject_name(own.leaf.subject)
        .issuer_name(above.leaf.subject)
        .public_key(own.leaf.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=900))
        .not_valid_after(until)
    )
    for extension in own.leaf.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(above.private_key.public_key())
    return builder.add_extension(identifier, critical=False).sign(
        above.private_key, hashes.SHA256()
    )


def encryption() -> serialization.KeySerializationEncryption:
    """Return how keytool encrypts, with fewer rounds."""
    return (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(100)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .build(PASSWORD.encode())
    )


def join_pkcs12(first: bytes, second: bytes) -> bytes:
    """Put the lists of two PKCS#12 files into one file, without its MAC, which is optional."""
    from tlshttp.certs import _der

    def parts(content: bytes) -> bytes:
        authenticated = _der.children(_der.read(content))[1]
        inner = _der.children(_der.children(authenticated)[1])[0]
        return _der.read(_der.octets(inner)).content

    safe = _der.encode(_der.SEQUENCE, parts(first), parts(second))
    data = _der.encode(_der.OID, _der.oid("1.2.840.113549.1.7.1"))
    wrapped = _der.encode(0xA0, _der.encode(_der.OCTET_STRING, safe))
    info = _der.encode(_der.SEQUENCE, data, wrapped)
    return _der.encode(_der.SEQUENCE, _der.encode(_der.INTEGER, b"\x03"), info)


def indefinite(der: bytes) -> bytes:
    """Return it without the length of the outermost structure, which ends with two zeros."""
    from tlshttp.certs import _der

    return b"\x30\x80" + _der.read(der).content + b"\0\0"


def zipped(content: bytes) -> bytes:
    """Return a ZIP archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cert.pem", content)
    return file.getvalue()


def relabelled(pem: bytes, label: str) -> bytes:
    """Put the content of a PEM block under another label."""
    body = pem.split(b"-----")[2]
    return b"-----BEGIN %b-----%b-----END %b-----\n" % (label.encode(), body, label.encode())


def compressions(content: bytes) -> dict[str, bytes]:
    """Return the content compressed in several ways."""
    return {
        "gzip": gzip.compress(content),
        "bzip2": bz2.compress(content),
        "xz": lzma.compress(content),
        "zip": zipped(content),
        "base64": base64.b64encode(content),
    }
