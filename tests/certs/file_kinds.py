"""The kinds of files that `test_file_kinds` gives to `certs.load`, and what comes of it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from tests.certs.zoo import PASSWORD, Zoo, compressions, indefinite, relabelled

OPENSSL, PKCS8 = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8


@dataclass(frozen=True)
class Given:
    """What somebody gives to `certs.load`."""

    cert: bytes
    key: bytes | None = None
    password: Any = None


def lines(pem: bytes, end: bytes, start: bytes = b"") -> bytes:
    """Return PEM with other ends, or beginnings, of its lines."""
    return b"".join(start + line + end for line in pem.splitlines())


Making = Callable[[Zoo], Given]

LOADS: dict[str, Making] = {
    "PEM, two files": lambda zoo: Given(zoo.cert, zoo.key),
    "PEM, one file, certificate first": lambda zoo: Given(zoo.cert + zoo.key),
    "PEM, one file, key first": lambda zoo: Given(zoo.key + zoo.cert),
    "PEM, the leaf alone": lambda zoo: Given(zoo.leaf, zoo.key),
    "PEM with text around it": lambda zoo: Given(b"Bag Attributes\n" + zoo.cert + b"end", zoo.key),
    "PEM with the line ends of Windows": lambda zoo: Given(
        lines(zoo.cert, b"\r\n"), lines(zoo.key, b"\r\n")
    ),
    "PEM with the line ends of old Macs": lambda zoo: Given(
        lines(zoo.cert, b"\r"), lines(zoo.key, b"\r")
    ),
    "PEM with a byte order mark": lambda zoo: Given(
        b"\xef\xbb\xbf" + zoo.cert, b"\xef\xbb\xbf" + zoo.key
    ),
    "PEM indented, as from YAML": lambda zoo: Given(lines(zoo.cert, b"\n", b"    "), zoo.key),
    "PEM with blank lines": lambda zoo: Given(lines(zoo.cert, b"\r\n\r\n"), zoo.key),
    "PEM with blanks at line ends": lambda zoo: Given(lines(zoo.cert, b"  \n"), zoo.key),
    "PEM joined without ends of lines": lambda zoo: Given(
        zoo.cert.strip().replace(b"-----\n-----", b"----------") + zoo.key
    ),
    "PEM in quotation marks": lambda zoo: Given(b'"' + zoo.cert + b'"', b'"' + zoo.key + b'"'),
    "PEM with parameters of Diffie and Hellman": lambda zoo: Given(
        zoo.cert + relabelled(zoo.key, "DH PARAMETERS") + zoo.key
    ),
    "X509 CERTIFICATE": lambda zoo: Given(relabelled(zoo.leaf, "X509 CERTIFICATE"), zoo.key),
    "TRUSTED CERTIFICATE": lambda zoo: Given(
        zoo.openssl("x509", "-in", "cert.pem", "-trustout", "-addtrust", "serverAuth"), zoo.key
    ),
    "TRUSTED CERTIFICATE in a chain": lambda zoo: Given(
        zoo.openssl("x509", "-in", "cert.pem", "-trustout", "-setalias", "me")
        + zoo.cert.removeprefix(zoo.leaf),
        zoo.key,
    ),
    "DER": lambda zoo: Given(zoo.der, zoo.key_as(PKCS8, Encoding.DER)),
    "DER with the older form of a key": lambda zoo: Given(
        zoo.der, zoo.key_as(OPENSSL, Encoding.DER)
    ),
    "DER with an encrypted key": lambda zoo: Given(
        zoo.der, zoo.key_as(PKCS8, Encoding.DER, PASSWORD), PASSWORD
    ),
    "EC PRIVATE KEY": lambda zoo: Given(zoo.cert, zoo.key_as(OPENSSL)),
    "EC PRIVATE KEY after EC PARAMETERS": lambda zoo: Given(
        zoo.cert, relabelled(zoo.key, "EC PARAMETERS") + zoo.key_as(OPENSSL)
    ),
    "ENCRYPTED PRIVATE KEY": lambda zoo: Given(
        zoo.cert, zoo.key_as(PKCS8, password=PASSWORD), PASSWORD
    ),
    "ENCRYPTED PRIVATE KEY, password by function": lambda zoo: Given(
        zoo.cert, zoo.key_as(PKCS8, password=PASSWORD), lambda: PASSWORD
    ),
    "PRIVATE KEY encrypted by Proc-Type": lambda zoo: Given(
        zoo.cert, zoo.key_as(OPENSSL, password=PASSWORD), PASSWORD
    ),
    "PRIVATE KEY encrypted with an empty password": lambda zoo: Given(
        zoo.cert, zoo.openssl("pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:"), ""
    ),
    "DER key encrypted with an empty password": lambda zoo: Given(
        zoo.cert,
        zoo.openssl("pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:", "-outform", "DER"),
        b"",
    ),
    "password that is not needed": lambda zoo: Given(zoo.cert, zoo.key, "not needed"),
    "ENCRYPTED PRIVATE KEY by Camellia": lambda zoo: Given(
        zoo.cert, zoo.encrypted("-v2", "camellia-256-cbc"), PASSWORD
    ),
    "ENCRYPTED PRIVATE KEY by ARIA": lambda zoo: Given(
        zoo.cert, zoo.encrypted("-v2", "aria256"), PASSWORD
    ),
    "ENCRYPTED PRIVATE KEY by scrypt": lambda zoo: Given(
        zoo.cert, zoo.encrypted("-scrypt"), PASSWORD
    ),
    "ENCRYPTED PRIVATE KEY of the time before AES": lambda zoo: Given(
        zoo.cert, zoo.encrypted("-v1", "PBE-SHA1-3DES"), PASSWORD
    ),
    "RSA": lambda zoo: Given(zoo.rsa.to_pem(), zoo.rsa.key_to_pem()),
    "RSA-PSS": lambda zoo: Given(
        *zoo.made("-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048")
    ),
    "Ed25519": lambda zoo: Given(*zoo.made("-newkey", "ed25519")),
    "Ed448": lambda zoo: Given(*zoo.made("-newkey", "ed448")),
    "PKCS#12": lambda zoo: Given(zoo.pkcs12(PASSWORD), None, PASSWORD),
    "PKCS#12, password by function": lambda zoo: Given(
        zoo.pkcs12(PASSWORD), None, lambda: PASSWORD
    ),
    "PKCS#12 named twice": lambda zoo: Given(zoo.pkcs12(PASSWORD), zoo.pkcs12(PASSWORD), PASSWORD),
    "PKCS#12 with a key of its own in PEM": lambda zoo: Given(
        zoo.pkcs12(PASSWORD), zoo.key, PASSWORD
    ),
    "PEM with a key in PKCS#12": lambda zoo: Given(zoo.cert, zoo.pkcs12(PASSWORD), PASSWORD),
    "PKCS#12 with an empty password, as from Windows": lambda zoo: Given(zoo.pkcs12("")),
    "PKCS#12 with an empty password, given": lambda zoo: Given(zoo.pkcs12(""), None, ""),
    "PKCS#12 by the algorithms of old": lambda zoo: Given(
        zoo.pkcs12(PASSWORD, "-legacy"), None, PASSWORD
    ),
    "PKCS#12 in BER, as NSS writes it": lambda zoo: Given(
        indefinite(zoo.pkcs12(PASSWORD)), None, PASSWORD
    ),
    "PKCS#12 without MAC": lambda zoo: Given(zoo.pkcs12(PASSWORD, "-nomac"), None, PASSWORD),
    "PKCS#12, nothing encrypted": lambda zoo: Given(
        zoo.pkcs12("", "-keypbe", "NONE", "-certpbe", "NONE", "-nomac")
    ),
}

PVK = b"\x1e\xf1\xb5\xb0\0\0\0\0\1\0\0\0"
OPENSSH = ed25519.Ed25519PrivateKey.generate().private_bytes(
    Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
)
PKCS7 = "it is a PKCS#7 bundle: convert it with 'openssl pkcs7 -in"

REFUSED: dict[str, tuple[Making, str]] = {
    "certificate alone": (lambda zoo: Given(zoo.cert), "no private key in"),
    "certificate for a key": (
        lambda zoo: Given(zoo.cert, zoo.cert),
        "no private key in 'KEY', it is a certificate",
    ),
    "key alone": (
        lambda zoo: Given(zoo.key),
        "no certificate in 'CERT', it is a private key: give the file of its certificate",
    ),
    "swapped": (
        lambda zoo: Given(zoo.key, zoo.cert),
        "the two files are swapped: 'CERT' has the private key, and 'KEY' the certificate",
    ),
    "swapped, one of them encrypted": (
        lambda zoo: Given(zoo.key_as(PKCS8, password=PASSWORD), zoo.cert, PASSWORD),
        "the two files are swapped",
    ),
    "swapped, DER": (
        lambda zoo: Given(zoo.key_as(PKCS8, Encoding.DER), zoo.der),
        "the two files are swapped",
    ),
    "key of somebody else": (lambda zoo: Given(zoo.cert, zoo.rsa.key_to_pem()), "does not belong"),
    "CSR": (lambda zoo: Given(zoo.request(), zoo.key), "certificate request (CSR): an authority"),
    "CSR of older programs": (
        lambda zoo: Given(relabelled(zoo.request(), "NEW CERTIFICATE REQUEST"), zoo.key),
        "certificate request (CSR): an authority",
    ),
    "CSR in DER": (lambda zoo: Given(zoo.request(Encoding.DER), zoo.key), "request (CSR)"),
    "PKCS#7": (lambda zoo: Given(zoo.pkcs7(), zoo.key), f"{PKCS7} CERT -print_certs"),
    "PKCS#7 in DER": (
        lambda zoo: Given(zoo.pkcs7(Encoding.DER), zoo.key),
        f"{PKCS7} CERT -inform DER -print_certs",
    ),
    "PKCS#7 called a certificate": (
        lambda zoo: Given(relabelled(zoo.pkcs7(), "CERTIFICATE"), zoo.key),
        "certificate 1 in 'CERT' is a PKCS#7 bundle: convert it with",
    ),
    "CMS": (lambda zoo: Given(relabelled(zoo.pkcs7(), "CMS"), zoo.key), PKCS7),
    "public key": (lambda zoo: Given(zoo.cert, zoo.public_key()), "it is a public key"),
    "public key, RSA": (
        lambda zoo: Given(zoo.cert, relabelled(zoo.public_key(), "RSA PUBLIC KEY")),
        "it is a public key",
    ),
    "CRL": (
        lambda zoo: Given(zoo.root.crl().public_bytes(Encoding.PEM), zoo.key),
        "it is a revocation list (CRL)",
    ),
    "CRL in DER": (
        lambda zoo: Given(zoo.root.crl().public_bytes(Encoding.DER), zoo.key),
        "it is a revocation list (CRL)",
    ),
    "DH parameters": (
        lambda zoo: Given(zoo.cert, relabelled(zoo.key, "DH PARAMETERS")),
        "it is parameters for a key: leave the file out",
    ),
    "PEM of an unknown kind": (
        lambda zoo: Given(relabelled(zoo.key, "CAT PICTURE"), zoo.key),
        "PEM of another kind, 'CAT PICTURE'",
    ),
    "OpenSSH key": (lambda zoo: Given(zoo.cert, OPENSSH), "an OpenSSH key: convert a copy of it"),
    "SSH2 key": (
        lambda zoo: Given(zoo.cert, b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/5\n"),
        "it is an SSH2 key",
    ),
    "SSH public key": (lambda zoo: Given(zoo.cert, b"ssh-ed25519 AAAA me@here"), "key of SSH"),
    "PuTTY key": (
        lambda zoo: Given(zoo.cert, b"PuTTY-User-Key-File-3: ssh-rsa\n"),
        "it is a PuTTY key: convert it with 'puttygen KEY",
    ),
    "OpenPGP": (
        lambda zoo: Given(zoo.cert, relabelled(zoo.key, "PGP PRIVATE KEY BLOCK")),
        "it is OpenPGP",
    ),
    "key in a TPM": (
        lambda zoo: Given(zoo.cert, relabelled(zoo.key, "TSS2 PRIVATE KEY")),
        "a key that only its TPM can use (TSS2)",
    ),
    "JKS": (
        lambda zoo: Given(b"\xfe\xed\xfe\xed\0\0\0\2", None, PASSWORD),
        "a Java keystore (JKS): convert it with 'keytool -importkeystore -srckeystore CERT",
    ),
    "JCEKS": (
        lambda zoo: Given(b"\xce\xce\xce\xce\0\0\0\2", None, PASSWORD),
        "with -srcstoretype JCEKS",
    ),
    "PVK": (lambda zoo: Given(zoo.cert, PVK), "convert it with 'openssl rsa -inform PVK -in KEY"),
    "NSS": (lambda zoo: Given(b"SQLite format 3\0" + bytes(99), zoo.key), "pk12util"),
    "UTF-16 with a mark": (
        lambda zoo: Given(zoo.cert.decode().encode("utf-16"), zoo.key),
        "text in UTF-16, as PowerShell writes it: convert it with 'iconv",
    ),
    "UTF-16 without a mark": (
        lambda zoo: Given(zoo.cert, zoo.key.decode().encode("utf-16-le")),
        "text in UTF-16",
    ),
    "UTF-16, the other order": (
        lambda zoo: Given(zoo.cert.decode().encode("utf-16-be"), zoo.key),
        "text in UTF-16",
    ),
    "escaped line ends": (
        lambda zoo: Given(zoo.cert.replace(b"\n", b"\\n"), zoo.key),
        r"end in the two characters '\n', as in JSON or an environment variable",
    ),
    "escaped line ends of Windows": (
        lambda zoo: Given(zoo.cert, zoo.key.replace(b"\n", b"\\r\\n")),
        r"end in the two characters '\n'",
    ),
    "escaped line ends, twice": (
        lambda zoo: Given(b'"' + zoo.cert.replace(b"\n", b"\\\\n") + b'"', zoo.key),
        r"end in the two characters '\n'",
    ),
    "base64 of PEM": (
        lambda zoo: Given(zoo.cert, base64.b64encode(zoo.key)),
        "it is the base64 of a PEM file: decode it with 'base64 -d KEY'",
    ),
    "base64 without its lines": (
        lambda zoo: Given(base64.encodebytes(zoo.der), zoo.key),
        "base64 without the lines '-----BEGIN",
    ),
    "dashes of a word processor": (
        lambda zoo: Given(zoo.cert.replace(b"-----", "\u2014\u2014-".encode()), zoo.key),
        "PEM whose dashes are not five hyphens",
    ),
    "web page": (
        lambda zoo: Given(b"\r\n<!DOCTYPE html>\n<title>404</title>", zoo.key),
        "it is a web page: the download has failed",
    ),
    "XML": (lambda zoo: Given(b"<?xml version='1.0'?><Error/>", zoo.key), "it is XML"),
    "JSON": (lambda zoo: Given(b'{"errors": ["denied"]}', zoo.key), "it is JSON"),
    "Kubernetes secret": (
        lambda zoo: Given(b"apiVersion: v1\nkind: Secret\ndata:\n", zoo.key),
        "secret of Kubernetes",
    ),
    "gzip": (lambda zoo: Given(compressions(zoo.cert)["gzip"], zoo.key), "'gunzip -k CERT'"),
    "bzip2": (lambda zoo: Given(compressions(zoo.cert)["bzip2"], zoo.key), "'bunzip2 -k CERT'"),
    "xz": (lambda zoo: Given(compressions(zoo.cert)["xz"], zoo.key), "'unxz -k CERT'"),
    "zip": (lambda zoo: Given(compressions(zoo.cert)["zip"], zoo.key), "'unzip CERT'"),
    "Ansible vault": (lambda zoo: Given(zoo.cert, b"$ANSIBLE_VAULT;1.1;AES256\n"), "ansible-vault"),
    "age": (lambda zoo: Given(zoo.cert, b"age-encryption.org/v1\n"), "decrypt it with 'age -d"),
    "Git LFS": (
        lambda zoo: Given(b"version https://git-lfs.github.com/spec/v1\n", zoo.key),
        "fetch the file with 'git lfs pull'",
    ),
    "empty": (lambda zoo: Given(b"", zoo.key), "no certificate in 'CERT', it is empty"),
    "blank": (lambda zoo: Given(zoo.cert, b" \r\n\n"), "no private key in 'KEY', it is empty"),
    "certificate cut off": (lambda zoo: Given(zoo.cert[:300], zoo.key), "the file is cut off"),
    "key cut off": (lambda zoo: Given(zoo.cert, zoo.key[:100]), "the file is cut off"),
    "DER cut off": (lambda zoo: Given(zoo.der[:300], zoo.key), "it is cut off, or damaged"),
    "PKCS#12 cut off": (
        lambda zoo: Given(zoo.pkcs12(PASSWORD)[:300], None, PASSWORD),
        "the PKCS#12 file 'CERT' is ",
    ),
    "encrypted, no password": (
        lambda zoo: Given(zoo.cert, zoo.key_as(PKCS8, password=PASSWORD)),
        "the private key in 'KEY' is encrypted: give its password",
    ),
    "encrypted, empty password": (
        lambda zoo: Given(zoo.cert, zoo.key_as(PKCS8, password=PASSWORD), ""),
        "the password for the private key in 'KEY' is empty",
    ),
    "encrypted, empty password in bytes": (
        lambda zoo: Given(zoo.cert, zoo.key_as(OPENSSL, password=PASSWORD), b""),
        "the password for the private key in 'KEY' is empty",
    ),
    "encrypted, a function without an answer": (
        lambda zoo: Given(zoo.cert, zoo.key_as(PKCS8, password=PASSWORD), lambda: None),
        "the function for its password returned None",
    ),
    "encrypted, a function with an empty answer": (
        lambda zoo: Given(zoo.cert, zoo.key_as(PKCS8, password=PASSWORD), lambda: ""),
        "the password for the private key in 'KEY' is empty",
    ),
    "encrypted, wrong password": (
        lambda zoo: Given(zoo.cert, zoo.key_as(PKCS8, password=PASSWORD), "wrong"),
        "the password does not open the private key in 'KEY'",
    ),
    "DER, encrypted, no password": (
        lambda zoo: Given(zoo.cert, zoo.key_as(PKCS8, Encoding.DER, PASSWORD)),
        "the private key in 'KEY' is encrypted: give its password",
    ),
    "DER, encrypted, empty password": (
        lambda zoo: Given(zoo.cert, zoo.key_as(PKCS8, Encoding.DER, PASSWORD), ""),
        "the password for the private key in 'KEY' is empty",
    ),
    "PKCS#12, no password": (
        lambda zoo: Given(zoo.pkcs12(PASSWORD)),
        "the PKCS#12 file 'CERT' is encrypted, or damaged: give its password",
    ),
    "PKCS#12, empty password": (
        lambda zoo: Given(zoo.pkcs12(PASSWORD), None, ""),
        "the password for the PKCS#12 file 'CERT' is empty",
    ),
    "PKCS#12, a function without an answer": (
        lambda zoo: Given(zoo.pkcs12(PASSWORD), None, lambda: None),
        "the function for its password returned None",
    ),
    "PKCS#12, wrong password": (
        lambda zoo: Given(zoo.pkcs12(PASSWORD), None, "wrong"),
        "the PKCS#12 file 'CERT' is damaged, or the password is wrong",
    ),
    "PKCS#12 with two keys, in BER": (
        lambda zoo: Given(indefinite(zoo.two_keys()), None, PASSWORD),
        "has 2 private keys ('web', 'mail \\xe9')",
    ),
    "PKCS#12 with two keys": (
        lambda zoo: Given(zoo.two_keys(), None, PASSWORD),
        "has 2 private keys ('web', 'mail \\xe9'): take one out with 'keytool",
    ),
    "PKCS#12 without a key": (
        lambda zoo: Given(zoo.openssl("pkcs12", "-export", "-nokeys", "-in", "cert.pem",
                                      "-passout", f"pass:{PASSWORD}"), None, PASSWORD),
        "no private key in 'CERT'",
    ),
    "PKCS#12 without a certificate": (
        lambda zoo: Given(pkcs12.serialize_key_and_certificates(
            None, zoo.pair.private_key, None, None, NoEncryption())),
        "no certificate in 'CERT'",
    ),
    "a curve that nobody has": (
        lambda zoo: Given(*zoo.made("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:sect283r1")),
        "not supported, curve sect283r1: use ECDSA",
    ),
    "another curve that nobody has": (
        lambda zoo: Given(*zoo.made("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp160r1",
                                    "-sha256")),
        "not supported, curve secp160r1: use ECDSA",
    ),
    "RSA of three primes": (
        lambda zoo: Given(*zoo.made("-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_primes:3")),
        "is RSA of more than two primes",
    ),
}  # fmt: skip
