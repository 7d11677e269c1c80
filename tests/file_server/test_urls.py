"""What a run says of where it is: nothing that its own certificate contradicts."""

from __future__ import annotations

import re
import socket
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.file_server.program import Program
from tests.support import UNIT
from tlshttp import certs
from tlshttp._command_line.own_certificate import own_certificate
from tlshttp._file_server import urls
from tlshttp._file_server.places import parse_place
from tlshttp._file_server.urls import Reached, find_urls
from tlshttp.errors import CertificateError

PORT = 8443
ADDRESSES = ["198.51.100.7", "2001:db8::7"]


@pytest.fixture(autouse=True)
def in_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this machine two addresses that no local authority may certify."""
    monkeypatch.setattr(urls, "network_addresses", lambda: list(ADDRESSES))


def reached(binds: Sequence[str], *names: str, chosen: bool = True, port: int = PORT) -> Reached:
    """Return what is said of a run with a certificate for these names."""
    places = [parse_place(text) for text in binds]
    return find_urls(places, [port] * len(places), certs.self_signed(*names), chosen=chosen)


@pytest.mark.parametrize(
    ("binds", "names", "here", "network", "strange"),
    [
        (["*"], ["localhost", *ADDRESSES], ["localhost"], ["198.51.100.7", "[2001:db8::7]"], []),
        (["0.0.0.0"], ["localhost", *ADDRESSES], ["localhost"], ["198.51.100.7"], []),
        (["*"], ["localhost", "198.51.100.7"], ["localhost"], ["198.51.100.7"], []),
        (["*"], ["localhost"], ["localhost"], [], []),
        (["*"], ["2001:db8:0::7"], ["[2001:db8::7]"], ["[2001:db8::7]"], []),
        (["*"], ["a.example", "localhost"], ["localhost"], ["a.example"], []),
        (["*"], ["a.example", "b.example"], ["a.example"], ["a.example", "b.example"], []),
        (["*"], ["*.a.example"], ["localhost"], [], ["localhost"]),
        (["*"], ["https://a.example/x", "a@b.example", "x.test"], ["x.test"], ["x.test"], []),
        (["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"], [], []),
        (["127.0.0.1"], ["localhost"], ["localhost"], [], []),
        (["::1"], ["localhost"], ["localhost"], [], []),
        (["127.0.0.2"], ["localhost"], ["127.0.0.2"], [], ["127.0.0.2"]),
        (["127.0.0.1"], ["a.example"], ["127.0.0.1"], [], ["127.0.0.1"]),
        (["198.51.100.7"], ["a.example"], ["a.example"], [], []),
        (["www.a.example"], ["*.a.example"], ["www.a.example"], [], []),
        (["fe80::1%eth0"], ["fe80::1"], ["[fe80::1%eth0]"], [], []),
        (["::1", "127.0.0.2"], ["::1"], ["[::1]", "127.0.0.2"], [], ["127.0.0.2"]),
        (["a_b"], ["a.example"], ["a.example"], [], []),
    ],
)
def test_what_is_said_fits_the_certificate(
    binds: list[str], names: list[str], here: list[str], network: list[str], strange: list[str]
) -> None:
    """An address that the certificate lacks gives way to one that it has, or is named as such."""
    expected = [tuple(f"https://{host}:{PORT}/" for host in hosts) for hosts in (here, network)]
    assert reached(binds, *names) == Reached(expected[0], expected[1], tuple(strange))


def test_names_that_nobody_chose_are_not_said() -> None:
    """The machine's own name need not be known to others: it is in the certificate only."""
    said = reached(["*"], "localhost", "machine.local", "198.51.100.7", chosen=False)
    assert said.network == (f"https://198.51.100.7:{PORT}/",)


def test_the_usual_port_is_left_out() -> None:
    """As in every URL."""
    said = reached(["*"], "localhost", "198.51.100.7", port=443)
    assert (said.here, said.network) == (("https://localhost/",), ("https://198.51.100.7/",))


@pytest.mark.parametrize("address", [*ADDRESSES, "192.168.7.7", "fd00::7"])
def test_a_local_authority_fits_what_is_said(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private address is certified and said, one of the Internet is neither."""
    for module in (urls, sys.modules[own_certificate.__module__]):
        monkeypatch.setattr(module, "network_addresses", lambda: [address])
    authority = certs.local_authority(tmp_path)
    leaf = own_certificate([""], str(tmp_path)).store.current
    said = find_urls([parse_place("*")], [PORT], leaf, chosen=False)
    if address in ADDRESSES:
        assert said.network == ()
        with pytest.raises(CertificateError, match="is not for"):
            leaf.verify([authority.certificate.leaf], address)
    else:
        assert len(said.network) == 1
        leaf.verify([authority.certificate.leaf], address)


def test_who_trusts_the_authority_is_warned_nowhere(tmp_path: Path) -> None:
    """Each URL that a run prints, whatever this machine's addresses, is one for its certificate."""
    authority = certs.local_authority(tmp_path / "authority")
    (tmp_path / "inbox").mkdir()
    program = Program(
        "0", "-d", str(tmp_path), "--upload", str(tmp_path / "inbox"),
        TLSHTTP_AUTHORITY=str(tmp_path / "authority"),
    )  # fmt: skip
    lines = [program.banner]
    while not lines[-1].startswith("Uploads go to"):
        lines.append(program.more())
    said = re.findall(r"https://(\S+):(\d+)/", "".join(lines))
    trusting = ssl.create_default_context(cafile=str(authority.certfile))
    for host, port in said:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=50 * UNIT) as raw,
            trusting.wrap_socket(raw, server_hostname=host.strip("[]")) as connection,
        ):
            assert connection.version()
    assert program.end()[0] == 0
    assert len(said) >= 2  # of the first line and of the last


def test_a_certificate_of_ones_own_that_fits_nothing_is_said(tmp_path: Path) -> None:
    """One sentence, and the server runs: the user may know a name for it that we do not."""
    files = str(tmp_path / "c.pem"), str(tmp_path / "k.pem")
    certs.self_signed("*.a.example").write(*files)
    program = Program("0", "-b", "127.0.0.1", "--tls-cert", files[0], "--tls-key", files[1])
    assert program.more() == "The certificate is not for 127.0.0.1: clients will refuse it\n"
    assert program.end()[0] == 0
