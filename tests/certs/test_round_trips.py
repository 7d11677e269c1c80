from __future__ import annotations

import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlshttp import certs
from tlshttp.certs import _keys, _names

pytestmark = pytest.mark.thorough

LABELS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20).map("n{}".format)
INTERNATIONAL_LABELS = st.text("äöüéñçøåжщ例えคน", min_size=1, max_size=10)
DOMAINS = st.lists(LABELS | INTERNATIONAL_LABELS, min_size=1, max_size=4).map(".".join)
KINDS = {
    "DNS name": DOMAINS,
    "wildcard": DOMAINS.map("*.{}".format),
    "IPv4 address": st.ip_addresses(v=4).map(str),
    "IPv6 address": st.ip_addresses(v=6).map(str),
    "URI": LABELS.map("spiffe://trust.test/{}".format),
    "e-mail address": st.tuples(LABELS, DOMAINS).map("@".join),
}
PASSWORDS = st.none() | st.text(string.printable, min_size=1, max_size=20)


@pytest.mark.parametrize("key_type", certs.KeyType)
def test_issued_written_loaded_compared(
    key_type: certs.KeyType, private_keys: dict[certs.KeyType, _keys.PrivateKey]
) -> None:
    """For every key type, kind of name and password, what was issued comes back the same."""

    # Loading a large RSA key takes long, since its primes are checked.
    @settings(max_examples=3 if key_type.value.startswith("rsa") else 40, deadline=None)
    @given(
        names=st.lists(st.one_of(list(KINDS.values())), min_size=1, max_size=5), password=PASSWORDS
    )
    def round_trip(names: list[str], password: str | None) -> None:
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
            patch.setattr("tlshttp.certs._issue.generate_key", private_keys.__getitem__)
            made = certs.self_signed(*names, "localhost", key_type=key_type)
            certfile, keyfile = Path(folder, "cert.pem"), Path(folder, "key.pem")
            made.write(certfile, keyfile, password)
            loaded = certs.load(certfile, keyfile, password)
        assert loaded == made
        wanted = [_names.render_name(_names.parse_name(name)) for name in [*names, "localhost"]]
        assert loaded.names == tuple(dict.fromkeys(wanted))
        assert loaded.key_to_pem() == made.key_to_pem()

    round_trip()


@pytest.mark.parametrize("key_type", certs.KeyType)
@pytest.mark.usefixtures("cached_keys")
def test_every_key_type_as_authority(key_type: certs.KeyType) -> None:
    """An authority of each key type issues leaves that load with their chain."""
    root = certs.CertificateAuthority.generate("Root", key_type=key_type)
    issued = root.issue_authority("Below", key_type=key_type).issue_server("localhost")
    assert certs.load(issued.to_pem(), issued.key_to_pem()) == issued
