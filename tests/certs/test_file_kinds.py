"""certificates F8, F15 to F19, F32: the files people have load, or are called what they are.

`docs/how-to/use-the-certificate-files-you-have.md` lists these kinds.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certs.file_kinds import LOADS, REFUSED, Given, Making
from tests.certs.zoo import Zoo
from tlshttp import certs
from tlshttp.errors import CertificateError


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Make what the files are made of."""
    return Zoo(tmp_path_factory.mktemp("zoo"))


def write(folder: Path, given: Given) -> tuple[Path, Path | None]:
    """Write the files that are given."""
    certfile, keyfile = folder / "CERT", folder / "KEY"
    for path, content in ((certfile, given.cert), (keyfile, given.key)):
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o600)
    return certfile, None if given.key is None else keyfile


@pytest.mark.parametrize("making", LOADS.values(), ids=LOADS)
def test_certificates_f16_f18_f19_kinds_that_load(
    making: Making, zoo: Zoo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """These load from a path, from bytes and by a store, all to the same, and without a warning."""
    given = making(zoo)
    certfile, keyfile = write(tmp_path, given)
    loaded = certs.load(certfile, keyfile, given.password)
    assert loaded.names == ("localhost",)
    assert certs.load(given.cert, given.key, given.password) == loaded
    store = certs.CertificateStore(certfile, keyfile, given.password)
    assert store.current == loaded
    assert store.current.key_to_pem() == loaded.key_to_pem()
    chain = certs.load_chain(certfile, given.password)
    assert (chain.leaf, chain.chain) == (loaded.leaf, loaded.chain)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(("making", "sentence"), REFUSED.values(), ids=REFUSED)
def test_certificates_f16_f18_f19_kinds_that_are_called_by_their_name(
    making: Making,
    sentence: str,
    zoo: Zoo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of these ends in a sentence that says what it is, and shows nothing of the key."""
    if "sect283r1" in sentence and hasattr(ec, "SECT283R1"):
        pytest.skip("this cryptography still reads the curve")
    monkeypatch.chdir(tmp_path)
    given = making(zoo)
    _, keyfile = write(tmp_path, given)
    names = ("CERT", None if keyfile is None else "KEY")
    with pytest.raises(CertificateError) as loading:
        certs.load(*names, given.password)
    with pytest.raises(CertificateError) as keeping:
        certs.CertificateStore(*names, given.password)
    text = str(loading.value)
    assert sentence in text
    assert text == str(keeping.value)
    assert zoo.key.split(b"\n")[1][40:].decode() not in repr(loading.value)
    assert text.count("convert it") <= 1


def test_certificates_f18_the_how_to_lists_45_kinds() -> None:
    """The page has no fewer rows than were asked for, and the tables here have more."""
    page = Path(__file__).parents[2] / "docs/how-to/use-the-certificate-files-you-have.md"
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    kinds = [row for row in rows if not row.startswith(("| you have", "|---"))]
    assert len(kinds) >= 45
    assert len(LOADS) + len(REFUSED) >= len(kinds)
