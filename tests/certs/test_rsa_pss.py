"""certificates F7: keys keep their kind on every way to OpenSSL, and nothing of them is shown."""

from __future__ import annotations

import logging
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certs import judges
from tlshttp import TLSHTTPServer, certs
from tlshttp.certs._memory import pem_path
from tlshttp.certs._rsa_pss import is_rsa_pss
from tlshttp.context import create_server_context
from tlshttp.errors import CertificateError
from tlshttp.profiles import INTERMEDIATE

PASSWORD = "a password"
NAMES = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")

RSA_PSS = ("-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048")
RESTRICTED = (
    *RSA_PSS,
    *("-pkeyopt", "rsa_pss_keygen_md:sha384"),
    *("-pkeyopt", "rsa_pss_keygen_mgf1_md:sha384"),
    *("-pkeyopt", "rsa_pss_keygen_saltlen:48"),
)
EXPLICIT = (
    *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    *("-pkeyopt", "ec_param_enc:explicit"),
)
CURVE_521 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1")
OLD_CRYPTOGRAPHY = hasattr(ec, "SECT283R1")  # it knew curves that are gone, and not these

KINDS = {
    "pss": RSA_PSS,
    "pss-restricted": RESTRICTED,
    "explicit-curve": EXPLICIT,
    "p521": CURVE_521,
    "ed448": ("-newkey", "ed448"),
    "rsa": ("-newkey", "rsa:2048"),
}
"""Options of ``openssl req``. `ssl` serves with all of them, so the drop-in has to."""


@dataclass(frozen=True)
class Pair:
    folder: Path

    @property
    def certfile(self) -> Path:
        """Return the certificate's file."""
        return self.folder / "cert.pem"

    @property
    def keyfile(self) -> Path:
        """Return the key's file, not encrypted."""
        return self.folder / "key.pem"

    def openssl(self, *arguments: object) -> Path:
        """Run OpenSSL in the folder, and return the file that it is told last to write."""
        command = ["openssl", *map(str, arguments)]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=30)
        made = self.folder / str(arguments[-1])
        made.chmod(0o600)
        return made

    def secrets(self) -> list[str]:
        """Return pieces of the key's text."""
        return self.keyfile.read_text().splitlines()[2:-2]


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Have OpenSSL make a self-signed certificate of each kind."""
    pair = Pair(tmp_path_factory.mktemp(request.param))
    options = (*KINDS[request.param], *NAMES, "-days", "9", "-nodes", "-out", "cert.pem")
    pair.openssl("req", "-x509", *options, "-keyout", "key.pem")
    if request.param == "explicit-curve" and OLD_CRYPTOGRAPHY:
        with pytest.raises(CertificateError, match="has the parameters of its curve written out"):
            certs.load(pair.certfile, pair.keyfile)
        pytest.skip("this cryptography reads no curve that is written out, and says so")
    return pair


def load_pem(pair: Pair) -> certs.Certificate:
    """Load the two files."""
    return certs.load(pair.certfile, pair.keyfile)


def load_encrypted(pair: Pair) -> certs.Certificate:
    """Load an encrypted key."""
    passed = ("-passout", f"pass:{PASSWORD}")
    keyfile = pair.openssl("pkcs8", "-topk8", "-in", "key.pem", *passed, "-out", "encrypted.pem")
    return certs.load(pair.certfile, keyfile, PASSWORD)


def load_der(pair: Pair) -> certs.Certificate:
    """Load certificate and key in DER form."""
    keyfile = pair.openssl("pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER",
                           "-out", "key.der")  # fmt: skip
    certfile = pair.openssl("x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.der")
    return certs.load(certfile, keyfile)


def load_pkcs12(pair: Pair) -> certs.Certificate:
    """Load a PKCS#12 file."""
    path = pair.openssl("pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem",
                        "-passout", f"pass:{PASSWORD}", "-out", "pair.p12")  # fmt: skip
    return certs.load(path, password=PASSWORD)


def load_store(pair: Pair) -> certs.Certificate:
    """Load by a store."""
    return certs.CertificateStore(pair.certfile, pair.keyfile).current


def load_written(pair: Pair) -> certs.Certificate:
    """Load what was written again, with a password."""
    load_pem(pair).write(pair.folder / "c2.pem", pair.folder / "k2.pem", PASSWORD)
    return certs.load(pair.folder / "c2.pem", pair.folder / "k2.pem", PASSWORD)


def put_together(pair: Pair) -> certs.Certificate:
    """Make a certificate of parts that somebody else has read."""
    loaded = load_pem(pair)
    leaf = x509.load_pem_x509_certificate(pair.certfile.read_bytes())
    return certs.Certificate(leaf, (), loaded.private_key)


WAYS: list[Callable[[Pair], certs.Certificate]] = [
    load_pem,
    load_encrypted,
    load_der,
    load_pkcs12,
    load_store,
    load_written,
    put_together,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_certificates_f07_every_way_of_loading_serves(
    pair: Pair, way: Callable[[Pair], certs.Certificate]
) -> None:
    """However a key comes, a client accepts it, and the certificate has the bytes of the file."""
    loaded = way(pair)
    assert loaded.to_pem() == pair.certfile.read_bytes()
    profile = INTERMEDIATE.replace(certificate_keys=())
    server_side = create_server_context(loaded, profile=profile)
    client_side = ssl.create_default_context(cafile=pair.certfile)
    judges.shake_hands(server_side, client_side, "localhost")
    with pem_path(loaded.key_to_pem("x") + loaded.to_pem()) as path:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password="x")


def test_certificates_f07_the_drop_in_serves_as_ssl_does(pair: Pair) -> None:
    """The arguments of http.server.HTTPSServer take every key that `ssl` takes."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair.certfile, pair.keyfile)
    server = TLSHTTPServer(
        ("127.0.0.1", 0), BaseHTTPRequestHandlerChild, certfile=pair.certfile, keyfile=pair.keyfile
    )
    server.server_close()


class BaseHTTPRequestHandlerChild(BaseHTTPRequestHandler):
    pass


def test_certificates_f07_renewal_to_such_a_key_is_taken(pair: Pair, tmp_path: Path) -> None:
    """A store takes over a renewed pair of every kind, and the context shows it."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    certs.self_signed("localhost").write(certfile, keyfile)
    store = certs.CertificateStore(certfile, keyfile)
    context = create_server_context(store, profile=INTERMEDIATE.replace(certificate_keys=()))
    certfile.write_bytes(pair.certfile.read_bytes())
    keyfile.write_bytes(pair.keyfile.read_bytes())
    store.reload()
    context.maintain()
    assert store.last_error is None
    client_side = ssl.create_default_context(cafile=pair.certfile)
    judges.shake_hands(context, client_side, "localhost")


def test_certificates_f07_no_key_is_shown(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Neither repr nor log has a piece of the key."""
    with caplog.at_level(logging.DEBUG):
        loaded = load_pem(pair)
        texts = [repr(loaded), str(loaded), repr(vars(loaded)), caplog.text]
    assert not [piece for piece in pair.secrets() if any(piece in text for text in texts)]


def test_certificates_f07_an_authority_says_that_it_cannot(tmp_path: Path) -> None:
    """An RSA-PSS key issues nothing that clients would refuse: it is refused at once."""
    pair = Pair(tmp_path)
    pair.openssl("req", "-x509", *RSA_PSS, "-subj", "/CN=Root", "-days", "9", "-nodes",
                 "-out", "cert.pem", "-keyout", "key.pem")  # fmt: skip
    with pytest.raises(CertificateError, match="RSA-PSS only"):
        certs.CertificateAuthority.load(pair.certfile, pair.keyfile)


@pytest.mark.skipif(sys.platform == "win32", reason="there the file has another line end")
def test_certificates_f07_public_bytes_are_those_of_the_file(pair: Pair) -> None:
    """Nothing of a certificate is written anew, not even a curve in full."""
    der = ssl.PEM_cert_to_DER_cert(pair.certfile.read_text())
    assert load_pem(pair).leaf.public_bytes(Encoding.DER) == der


def test_certificates_f07_pkcs12_that_would_lose_the_restriction_is_refused(pair: Pair) -> None:
    """A plain RSA key would not fit the certificate beside it; all other kinds come back."""
    shown = load_pem(pair)
    if is_rsa_pss(shown.leaf):
        with pytest.raises(CertificateError, match="openssl pkcs12 -export"):
            shown.to_pkcs12(PASSWORD)
    else:
        assert certs.load(shown.to_pkcs12(PASSWORD), password=PASSWORD) == shown


@pytest.mark.parametrize("pair", ["pss", "pss-restricted"], indirect=True)
def test_certificates_f07_a_request_that_would_lose_the_restriction_is_refused(pair: Pair) -> None:
    """A certificate of a plain RSA key would not fit the key of whoever asks for it."""
    names = ("-subj", "/CN=a.test", "-addext", "subjectAltName=DNS:a.test")
    request = pair.openssl("req", "-new", "-key", "key.pem", *names, "-out", "request.pem")
    authority = certs.CertificateAuthority.generate("Root")
    with pytest.raises(CertificateError, match="signs by RSA-PSS only"):
        authority.issue_for_request(request)


def test_certificates_f07_a_context_of_pyopenssl_shows_it(pair: Pair) -> None:
    """Certificate and key are of one kind there, too: `check_privatekey` is content."""
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_METHOD)
    load_pem(pair).configure(context)
    context.check_privatekey()
