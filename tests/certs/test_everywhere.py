"""certificates F8, F17, F19, F32: what holds wherever a certificate, key or name is taken."""

from __future__ import annotations

import http.server
import logging
import shutil
import ssl
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from tests.certs import judges
from tests.certs.zoo import PASSWORD, Zoo
from tlshttp import TLSHTTPServer, _certs_cli, certs
from tlshttp.certs._names import parse_name
from tlshttp.context import ClientAuth, create_server_context
from tlshttp.errors import CertificateError


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Make what the files are made of."""
    return Zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def file(zoo: Zoo, tmp_path: Path) -> Path:
    """Write a PKCS#12 file with a password."""
    path = tmp_path / "pair.p12"
    path.write_bytes(zoo.pkcs12(PASSWORD))
    path.chmod(0o600)
    return path


class Handler(http.server.BaseHTTPRequestHandler):
    pass


def test_certificates_f19_the_server_takes_pkcs12(file: Path) -> None:
    """The drop-in takes it as `certfile`, with the password in each form that `ssl` takes."""
    for password in (PASSWORD, PASSWORD.encode(), bytearray(PASSWORD.encode()), lambda: PASSWORD):
        server = TLSHTTPServer(("127.0.0.1", 0), Handler, certfile=file, password=password)
        server.server_close()
    with pytest.raises(CertificateError, match="is encrypted, or damaged: give its password"):
        TLSHTTPServer(("127.0.0.1", 0), Handler, certfile=str(file))


def test_certificates_f19_a_store_renews_pkcs12(zoo: Zoo, file: Path) -> None:
    """A PKCS#12 file that is replaced is taken up, and a damaged one is not."""
    store = certs.CertificateStore(file, password=PASSWORD)
    context = create_server_context(store)
    renewed = zoo.authority.issue_server("localhost")
    content = pkcs12.serialize_key_and_certificates(
        None, renewed.private_key, renewed.leaf, renewed.chain, NoEncryption()
    )
    file.write_bytes(content[:200])
    with pytest.raises(CertificateError, match="cut off"):
        store.reload()
    assert store.current == zoo.pair
    (zoo.folder / "key2.pem").write_bytes(renewed.key_to_pem())
    (zoo.folder / "cert2.pem").write_bytes(renewed.to_pem())
    file.write_bytes(
        zoo.openssl("pkcs12", "-export", "-in", "cert2.pem", "-inkey", "key2.pem",
                    "-passout", f"pass:{PASSWORD}")
    )  # fmt: skip
    assert store.reload()
    assert store.current == renewed
    context.maintain()
    root = zoo.root.certificate.leaf.public_bytes(Encoding.DER)
    judges.shake_hands(context, ssl.create_default_context(cadata=root), "localhost")


def test_certificates_f19_commands_take_pkcs12(
    zoo: Zoo, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`certs show` and `certs check` open it, and ask for a password only if there is one."""
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return PASSWORD

    monkeypatch.setattr("getpass.getpass", answer)
    assert _certs_cli.main(["show", str(file)]) == 0
    assert zoo.pair.fingerprint() in capsys.readouterr().out
    assert _certs_cli.main(["check", str(file)]) == 0
    assert len(asked) == 2
    file.write_bytes(zoo.pkcs12(""))
    assert _certs_cli.main(["check", str(file)]) == 0
    assert len(asked) == 2


def test_certificates_f19_trust_anchors_may_be_in_pkcs12(zoo: Zoo) -> None:
    """Java keeps its trust anchors in such files, without a key."""
    roots = [zoo.root.certificate.leaf, zoo.authority.certificate.leaf]
    content = pkcs12.serialize_key_and_certificates(None, None, None, roots, NoEncryption())
    assert certs.load_trust_anchors(content) == roots


def test_certificates_f19_load_pkcs12_names_other_files(zoo: Zoo) -> None:
    """Whoever says that it is PKCS#12 is told what it is instead."""
    with pytest.raises(CertificateError, match=r"there is no PKCS#12 in .*: use load$"):
        certs.load_pkcs12(zoo.cert)
    with pytest.raises(CertificateError, match="a Java keystore"):
        certs.load_pkcs12(b"\xfe\xed\xfe\xed")


@pytest.mark.skipif(shutil.which("keytool") is None, reason="keytool is not installed")
def test_certificates_f32_two_keys_of_keytool(tmp_path: Path) -> None:
    """What Java's own tool writes: two keys are named, its advice works, JKS is recognised."""
    options = ("-keyalg", "EC", "-groupname", "secp256r1", "-storepass", "changeit")

    def keytool(*arguments: str) -> None:
        command = ["keytool", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=50)

    for alias in ("web", "mail"):
        keytool("-genkeypair", "-alias", alias, "-dname", f"CN={alias}", *options,
                "-ext", f"san=dns:{alias}.test", "-storetype", "PKCS12",
                "-keystore", "two.p12")  # fmt: skip
    with pytest.raises(CertificateError, match=r"2 private keys \('web', 'mail'\): take one out"):
        certs.load(tmp_path / "two.p12", password="changeit")
    keytool("-importkeystore", "-srckeystore", "two.p12", "-srcalias", "mail", "-destkeystore",
            "pair.p12", "-deststoretype", "PKCS12", "-srcstorepass", "changeit",
            "-deststorepass", "changeit")  # fmt: skip
    (tmp_path / "pair.p12").chmod(0o600)
    assert certs.load(tmp_path / "pair.p12", password="changeit").names == ("mail.test",)
    for kind in ("JKS", "JCEKS"):
        keytool("-importkeystore", "-srckeystore", "pair.p12", "-destkeystore", kind,
                "-deststoretype", kind, "-srcstorepass", "changeit",
                "-deststorepass", "changeit")  # fmt: skip
        with pytest.raises(CertificateError, match=rf"a Java keystore \({kind}\): convert it"):
            certs.load(tmp_path / kind, password="changeit")


def test_certificates_f32_two_keys_in_pem(zoo: Zoo, caplog: pytest.LogCaptureFixture) -> None:
    """The first of two keys is used, as by `ssl`, and never in silence; one twice is one."""
    other = zoo.rsa.key_to_pem()
    assert certs.load(zoo.cert + zoo.key + zoo.key) == zoo.pair
    assert not caplog.records
    assert certs.load(zoo.cert, zoo.key + other) == zoo.pair
    assert "there are 2 private keys in the given PEM or DER, and the first is used" in caplog.text
    with pytest.raises(CertificateError, match="does not belong"):
        certs.load(zoo.cert, other + zoo.key)


def anchors(zoo: Zoo, *marks: str) -> bytes:
    """Return the root as OpenSSL writes it with marks of trust."""
    (zoo.folder / "root.pem").write_bytes(zoo.root.certificate.to_pem())
    return zoo.openssl("x509", "-in", "root.pem", "-trustout", *marks)


@pytest.mark.parametrize(
    "marks",
    [
        (),
        ("-setalias", "my root"),
        ("-addtrust", "clientAuth"),
        ("-addtrust", "serverAuth", "-addtrust", "clientAuth"),
        ("-addtrust", "anyExtendedKeyUsage"),
        ("-addreject", "emailProtection"),
    ],
    ids=" ".join,
)
def test_certificates_f08_trusted_anchors_are_read(zoo: Zoo, marks: tuple[str, ...]) -> None:
    """An anchor in OpenSSL's own form counts, beside others, and lets its clients in."""
    found = certs.load_trust_anchors(zoo.authority.certificate.to_pem() + anchors(zoo, *marks))
    assert found == [*_chain(zoo.authority), zoo.root.certificate.leaf]
    create_server_context(
        zoo.pair, client_auth=ClientAuth.REQUIRED, client_cas=[zoo.root.certificate.leaf]
    )


def _chain(authority: certs.CertificateAuthority) -> list[object]:
    return [authority.certificate.leaf, *authority.certificate.chain]


@pytest.mark.parametrize(
    "marks",
    [
        ("-addtrust", "serverAuth"),
        ("-addreject", "clientAuth"),
        ("-addreject", "anyExtendedKeyUsage"),
        ("-addtrust", "clientAuth", "-addreject", "clientAuth"),
    ],
    ids=" ".join,
)
def test_certificates_f08_distrusted_anchors_fail_closed(
    zoo: Zoo, marks: tuple[str, ...], tmp_path: Path
) -> None:
    """What `openssl verify` does not trust for clients is an error that names it."""
    path = tmp_path / "ca.pem"
    path.write_bytes(anchors(zoo, *marks))
    with pytest.raises(CertificateError, match=r"'Root' in .* is marked as not to be trusted for"):
        certs.load_trust_anchors(path)
    client = zoo.root.issue_client("me@example.org")
    (tmp_path / "client.pem").write_bytes(client.to_pem())
    done = subprocess.run(
        ["openssl", "verify", "-purpose", "sslclient", "-CAfile", "ca.pem", "client.pem"],
        cwd=tmp_path, capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode != 0
    assert certs.load_chain(path).leaf == zoo.root.certificate.leaf


PIN = "1234-is-my-pin"
URIS = [
    f"pkcs11:token=foo;object=bar?pin-value={PIN}",
    f"PKCS11:token=foo?pin-value={PIN}",
    f"engine:pkcs11:{PIN}",
    f"handle:0x81000001?pass={PIN}",
    f"tpmkey:file={PIN}",
    f"file:///etc/ssl/{PIN}.pem",
    f"https://user:{PIN}@example.org/cert.pem",
    f"vault:{PIN}",
]
WAYS: list[Callable[[str], object]] = [
    certs.load,
    lambda uri: certs.load(certs.self_signed("localhost").to_pem(), uri),
    certs.CertificateStore,
    lambda uri: certs.CertificateStore(uri, uri),
    certs.load_chain,
    certs.load_trust_anchors,
    certs.load_pkcs12,
    certs.CertificateAuthority.load,
    lambda uri: TLSHTTPServer(("127.0.0.1", 0), Handler, certfile=uri),
]


@pytest.mark.parametrize("uri", URIS)
def test_certificates_f17_tokens_are_called_tokens(
    uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No way of loading shows what comes after the scheme: not in the error, nor in its context."""
    for way in WAYS:
        with caplog.at_level(logging.DEBUG), pytest.raises(CertificateError) as caught:
            way(uri)
        shown = "".join(traceback.format_exception(caught.value))
        context: BaseException | None = caught.value
        while context is not None:
            shown += repr(context) + str(context)
            context = context.__cause__ or context.__context__
        assert PIN not in shown + caplog.text
        assert uri.partition(":")[0].lower() in str(caught.value)


def test_certificates_f17_files_may_be_named_so(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files named as a URI are files as long as they are there."""
    monkeypatch.chdir(tmp_path)
    path = Path("vault:x.pem")
    path.write_bytes(zoo.cert + zoo.key)
    path.chmod(0o600)
    assert certs.CertificateStore(path).current == zoo.pair


def test_certificates_f17_a_key_taken_for_a_path_is_not_shown(zoo: Zoo) -> None:
    """The base64 of a key without its first line is no path, and stays secret."""
    body = "".join(zoo.key.decode().splitlines()[1:-1])
    for text in (body, "\n".join(zoo.key.decode().splitlines()[1:-1])):
        with pytest.raises(CertificateError, match="characters of base64 are no path") as caught:
            certs.load(zoo.cert, text)
        assert body[40:60] not in repr(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "\u2014\u2014BEGIN PRIVATE KEY\u2014\u2014 secret",
        "---BEGIN RSA PRIVATE KEY--- secret",
        "secret\nsecret\n",
        "secret" * 60,
    ],
)
def test_certificates_f17_other_texts_are_not_shown(text: str, zoo: Zoo) -> None:
    """What cannot be a path is not repeated: it may be a key that was damaged on its way."""
    with pytest.raises(CertificateError, match=r"a text of \d+ characters is no path") as caught:
        certs.load(zoo.cert, text)
    assert "secret" not in repr(caught.value)


def test_folders_are_called_folders(tmp_path: Path) -> None:
    """A folder is not a file that cannot be read for some reason."""
    with pytest.raises(CertificateError, match="is a folder: name the file in it"):
        certs.load(tmp_path)


@pytest.mark.parametrize(
    "name", ["example.org.", "*.example.org.", "localhost.", "me@example.org.", "b\u00fccher.de."]
)
def test_certificates_f32_final_dots(name: str) -> None:
    """The dot that DNS has at the end has no place in a certificate, and the error says so."""
    with pytest.raises(CertificateError, match="leave out the final dot"):
        parse_name(name)


def test_certificates_f32_first_dots() -> None:
    """The dot of cookies and proxies at the front is explained, too."""
    with pytest.raises(CertificateError, match="leave out the first dot"):
        parse_name(".example.org")


def test_open_files_have_no_repr(zoo: Zoo) -> None:
    """Nothing that holds the content of a file shows it."""
    from tlshttp.certs import _der
    from tlshttp.certs._documents import open_source

    secret = zoo.key.decode().splitlines()[1]
    assert secret[:20] not in repr(open_source(zoo.key))
    der = zoo.key_as(PrivateFormat.PKCS8, Encoding.DER)
    assert repr(der)[5:30] not in repr(_der.read(der))
