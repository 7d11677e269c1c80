"""Each rule of `check` by a certificate that breaks it, and by the command line."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from tests.certs import one_fault
from tlshttp import _certs_cli, certs, context
from tlshttp.certs._constraints import constraint_findings
from tlshttp.certs._expiry import describe_left, is_near_end, notice_of
from tlshttp.certs._rules import KEY_KINDS, RULES, Client

EXPECTED = {
    "leaf: unknown critical extension": "unknown-critical",
    "leaf: for 2.5.29.37.0": "no-server-auth",
    "leaf: usage digital_signature+key_cert_sign": "signs-certificates",
    "leaf: usage key_encipherment": "no-digital-signature",
    "leaf: authority None": "leaf-is-authority",
    "leaf: empty subject": "empty-subject",
    "leaf: key P-521": "key-kind",
    "leaf: key secp256k1": "key-kind",
    "leaf: key brainpool": "key-kind",
    "leaf: key Ed25519": "key-kind",
    "leaf: key P-224": "weak-key",
    "leaf: signed with sha224": "signature-kind",
    "leaf: expired just now": "expired",
    "intermediate: no authority": "issuer-no-authority",
    "intermediate: may not sign": "issuer-may-not-sign",
    "intermediate: permitted: other names": "name-constraints",
    "intermediate: excluded: its own name": "name-constraints",
    "intermediate: issues for 1.3.6.1.5.5.7.3.2": "issuer-usage",
    "intermediate: issues for 2.5.29.37.0": "issuer-usage",
    "names: another kind: URI": "no-host-name",
    "names: another kind: e-mail": "no-host-name",
    "names: address as name": "impossible-name",
    "names: IPv6 address as name": "impossible-name",
    "names: port": "impossible-name",
    "names: scheme": "impossible-name",
    "names: blank inside": "impossible-name",
    "names: final dot": "impossible-name",
    "names: leading dot": "impossible-name",
    "names: empty name": "impossible-name",
    "names: wildcard in a label": "impossible-name",
    "names: wildcard inside": "impossible-name",
    "names: two wildcards": "impossible-name",
    "names: wildcard alone": "bare-wildcard",
    "names: wildcard at the top": "wide-wildcard",
    "names: 3000 names": "too-large",
}
GOOD = (
    "leaf: nothing",
    "leaf: unknown extension",
    "leaf: key P-384",
    "leaf: key RSA 2048",
    "leaf: policies",
    "leaf: empty subject, critical names",
    "intermediate: permitted: its own names",
    "intermediate: excluded: other names",
    "intermediate: permitted: addresses",
    "intermediate: excluded: mail",
    "names: wildcard",
    "names: one label",
    "names: URI beside",
    "names: address as address",
    "names: address as IPv6 address",
    "names: some hundred names",
)


@pytest.fixture(scope="module")
def cases() -> dict[str, one_fault.Case]:
    """Return the cases of a server by their fault; where there are two depths, the deeper one."""
    return {case.fault: case for case in one_fault.cases() if case.purpose is certs.Purpose.SERVER}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the current one, and home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path


def found(chain: certs.CertificateChain, **details: object) -> dict[str, certs.Finding]:
    """Return what `check` finds, by code."""
    return {finding.code: finding for finding in chain.check(**details)}  # type: ignore[arg-type]


@pytest.mark.parametrize(("fault", "code"), EXPECTED.items())
def test_certificates_f02_each_fault_has_its_word(
    cases: dict[str, one_fault.Case], fault: str, code: str
) -> None:
    """A fault is found by the rule for it, with a severity that fits who refuses."""
    shown, _ = cases[fault].make()
    findings = found(shown)
    assert code in findings
    assert findings[code].severity is RULES[code].severity
    assert not {"refused-openssl", "refused-cryptography"} & findings.keys()


@pytest.mark.parametrize("fault", GOOD)
def test_certificates_f02_what_is_good_has_no_finding(
    cases: dict[str, one_fault.Case], fault: str
) -> None:
    """What every client accepts is not complained about."""
    shown, _ = cases[fault].make()
    assert found(shown) == {}


def test_certificates_f02_path_length() -> None:
    """An authority that permits none below it has one below it."""
    root = one_fault._authority("root", "root", None)
    middle = one_fault._authority("middle", "root", 0)
    lower = dataclasses.replace(one_fault._authority("middle", "middle", None), subject="lower")
    leaf = one_fault._leaf("middle", certs.Purpose.SERVER)
    chain = (lower.sign(middle), middle.sign(root))
    assert "path-length" in found(certs.CertificateChain(leaf.sign(lower), chain))


@pytest.mark.parametrize("purpose", [certs.Purpose.SERVER, certs.Purpose.CLIENT])
@pytest.mark.parametrize("usage", ["for 2.5.29.37.0", "for 1.3.6.1.5.5.7.3.3"])
def test_certificates_f02_other_usages_are_none(purpose: certs.Purpose, usage: str) -> None:
    """Neither any usage nor another one is enough, for server and client."""
    shown = [
        case.make()[0]
        for case in one_fault.cases()
        if case.purpose is purpose and case.fault == f"leaf: {usage}"
    ]
    assert shown
    for one in shown:
        assert f"no-{purpose.value}-auth" in found(one, purpose=purpose)


def test_certificates_f02_rsa_pss_key(tmp_path: Path) -> None:
    """A key for RSA-PSS only is told from an RSA key, as Chromium does."""
    command = "openssl req -x509 -newkey rsa-pss -pkeyopt rsa_keygen_bits:2048 -nodes -keyout k"
    command += " -out c.pem -days 30 -subj /CN=leaf.test -addext subjectAltName=DNS:leaf.test"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=30)
    findings = found(certs.load_chain(tmp_path / "c.pem"))
    assert "RSA-PSS" in findings["key-kind"].sentence
    assert "Chromium" in findings["key-kind"].sentence


_DIRECTORY = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")])
_PERSON = x509.Name([*_DIRECTORY, x509.NameAttribute(NameOID.COMMON_NAME, "me")])


@pytest.mark.parametrize(
    ("name", "subtree", "inside"),
    [
        (x509.DNSName("a.leaf.test"), x509.DNSName("leaf.test"), True),
        (x509.DNSName("aleaf.test"), x509.DNSName("leaf.test"), False),
        (x509.RFC822Name("me@leaf.test"), x509.RFC822Name("leaf.test"), True),
        (x509.RFC822Name("me@a.leaf.test"), x509.RFC822Name("leaf.test"), False),
        (x509.RFC822Name("me@a.leaf.test"), x509.RFC822Name(".leaf.test"), True),
        (x509.RFC822Name("me@leaf.test"), x509.RFC822Name("you@leaf.test"), False),
        (
            x509.UniformResourceIdentifier("https://leaf.test/a"),
            x509.UniformResourceIdentifier("leaf.test"),
            True,
        ),
        (
            x509.UniformResourceIdentifier("https://leaf.test/a"),
            x509.UniformResourceIdentifier(".leaf.test"),
            False,
        ),
        (x509.DirectoryName(_PERSON), x509.DirectoryName(_DIRECTORY), True),
        (x509.DirectoryName(_DIRECTORY), x509.DirectoryName(_PERSON), False),
    ],
)
def test_certificates_f02_constraints_of_every_kind(
    name: x509.GeneralName, subtree: x509.GeneralName, inside: bool
) -> None:
    """A name inside a subtree is permitted by it and excluded by it, one outside the reverse."""
    authority = one_fault._authority("root", "root", None)
    for permitted, excluded, refused in (([subtree], None, not inside), (None, [subtree], inside)):
        constraints = x509.NameConstraints(permitted, excluded)
        root = authority.with_("name constraints", constraints, critical=True)
        assert bool(list(constraint_findings([name], [root.sign(root)]))) is refused


def test_certificates_f02_a_wildcard_may_stand_for_an_excluded_name() -> None:
    """A wildcard is refused where one of the names it stands for is excluded, and no other."""
    authority = one_fault._authority("root", "root", None)
    for excluded, refused in (("www.leaf.test", True), ("www.other.test", False)):
        constraints = x509.NameConstraints(None, [x509.DNSName(excluded)])
        root = authority.with_("name constraints", constraints, critical=True)
        name = x509.DNSName("*.leaf.test")
        assert bool(list(constraint_findings([name], [root.sign(root)]))) is refused


def test_many_names_below_many_constraints_cost_what_each_of_them_costs() -> None:
    """Twice as many of both is twice the work, not four times: a file of 2048 of each took 9 s."""
    few, many = _calls_for(100), _calls_for(200)
    assert few < many < 3 * few


def _calls_for(count: int) -> int:
    """Count the calls for so many names that are looked for below as many others."""
    others = [x509.DNSName(f"{number}.other.test") for number in range(count)]
    names = [x509.DNSName(f"{number}.leaf.test") for number in range(count)]
    constraints = x509.NameConstraints(None, others)
    root = one_fault._authority("root", "root", None)
    root = root.with_("name constraints", constraints, critical=True)
    authority = root.sign(root)
    calls = 0

    def count_call(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count_call)
    try:
        assert list(constraint_findings(names, [authority])) == []
    finally:
        sys.setprofile(None)
    return calls


def test_every_rule_is_of_use() -> None:
    """Each row has its code as key, a meaning, and an error where a common client refuses."""
    for code, rule in RULES.items():
        assert rule.code == code
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert rule.meaning
    assert RULES["expired"].severity is certs.Severity.ERROR
    assert RULES["odd-serial"].severity is certs.Severity.WARNING
    assert all(Client.CHROMIUM in row.refused_by for row in KEY_KINDS[2:])


@pytest.mark.parametrize("name", ["https://localhost", "*.localhost", "spiffe://a.test/b"])
def test_certificates_f20_issue_says_what_nobody_accepts(
    place: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A server certificate that fits no host is made, as asked, and not without a word."""
    assert _certs_cli.main(["ca", "Test CA"]) == 0
    capsys.readouterr()
    arguments = ["issue", name, "--ca", "ca.pem", "--ca-key", "ca-key.pem"]
    assert _certs_cli.main(arguments) == 0
    assert name in capsys.readouterr().err
    assert (place / "server.pem").exists()


def test_certificates_f20_issue_says_what_is_too_large(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five thousand names fit into a certificate, and into no handshake."""
    assert _certs_cli.main(["ca", "Test CA"]) == 0
    names = [f"host{number}.some-department.example.test" for number in range(5000)]
    arguments = ["issue", *names, "--ca", "ca.pem", "--ca-key", "ca-key.pem"]
    assert _certs_cli.main(arguments) == 0
    assert "Spread the names" in capsys.readouterr().err
    assert _certs_cli.main(["check", str(place / "server.pem")]) == 1


def test_certificates_f21_an_authority_is_checked_as_one(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``certs ca`` makes is good for an authority, and a server's certificate is not."""
    assert _certs_cli.main(["ca", "Test CA"]) == 0
    assert _certs_cli.main(["issue", "leaf.test", "--ca", "ca.pem", "--ca-key", "ca-key.pem"]) == 0
    capsys.readouterr()
    assert _certs_cli.main(["check", "ca.pem", "--purpose", "authority"]) == 0
    assert capsys.readouterr().out == "nothing to complain about\n"
    assert _certs_cli.main(["check", "server.pem", "--purpose", "authority"]) == 1
    assert "no-authority" in capsys.readouterr().out
    assert _certs_cli.main(["check", "ca.pem"]) == 1
    assert place.joinpath("ca.pem").exists()


@pytest.mark.parametrize(("serial", "code"), [("0", "odd-serial"), ("-5", "negative-serial")])
def test_certificates_f24_serial_numbers_have_a_finding_and_no_warning(
    tmp_path: Path, serial: str, code: str
) -> None:
    """Zero and negative serial numbers are found; Python's warning does not leak to the user."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem"
    command += f" -out c.pem -days 30 -subj /CN=leaf.test -set_serial={serial}".replace("=-", " -")
    command = command.replace("-set_serial=", "-set_serial ")
    command += " -addext subjectAltName=DNS:leaf.test -addext basicConstraints=critical,CA:FALSE"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=30)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        assert code in found(certs.load_chain(tmp_path / "c.pem"))
    arguments = [sys.executable, "-m", "tlshttp", "certs", "show", "c.pem"]
    done = subprocess.run(
        arguments, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""


@pytest.mark.parametrize("serial", ["0", "-5"])
@pytest.mark.parametrize(
    ("name", "convert"),
    [
        ("der.cer", "x509 -in c.pem -outform DER -out der.cer"),
        ("trusted.pem", "x509 -in c.pem -trustout -out trusted.pem"),
        ("pair.p12", "pkcs12 -export -in c.pem -inkey key.pem -passout pass: -out pair.p12"),
    ],
)
def test_certificates_f24_no_form_of_a_file_warns(
    tmp_path: Path, serial: str, name: str, convert: str
) -> None:
    """Nor does any other form, whatever is asked of what was read; nor an audit."""
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out c.pem"
    make += f" -days 30 -subj /CN=leaf.test -set_serial {serial}"
    make += " -addext subjectAltName=DNS:leaf.test -addext basicConstraints=critical,CA:FALSE"
    for command in (make, convert):
        arguments = ["openssl", *command.split()]
        subprocess.run(arguments, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    (tmp_path / "key.pem").chmod(0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        read = certs.load_chain(tmp_path / name, "")
        assert {"odd-serial", "negative-serial"} & found(read).keys()
        assert "serial" in str(read)
        shown = certs.load(tmp_path / "c.pem", tmp_path / "key.pem")
        context.audit(context.create_server_context(shown))


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("lifetime", "notice"),
    [(90 * DAY, 21 * DAY), (3650 * DAY, 21 * DAY), (63 * DAY, 21 * DAY), (6 * DAY, 2 * DAY)],
)
def test_certificates_f03_the_end_is_announced(lifetime: timedelta, notice: timedelta) -> None:
    """The finding comes 21 days or a third of the lifetime before the end, whichever is less."""
    begin = datetime(2026, 6, 1, tzinfo=UTC)
    shown = certs.self_signed("leaf.test", not_valid_before=begin, lifetime=lifetime)
    end = shown.not_valid_after
    assert abs(notice_of(shown.leaf) - notice) < timedelta(seconds=1)
    assert not is_near_end(shown.leaf, end - notice - timedelta(seconds=5))
    assert "expires-soon" not in found(shown, at=end - notice - timedelta(seconds=5))
    for moment in (end - notice + timedelta(seconds=5), end - timedelta(seconds=1), end):
        finding = found(shown, at=moment)["expires-soon"]
        assert finding.severity is certs.Severity.WARNING
    assert "expired" in found(shown, at=end + timedelta(seconds=1))
    assert "expires-soon" not in found(shown, at=end + timedelta(seconds=1))


def test_certificates_f03_the_end_of_an_intermediate_counts() -> None:
    """The leaf has time, its issuer has none: that is announced, too."""
    now = datetime.now(UTC)
    root = certs.CertificateAuthority.generate("root")
    middle = root.issue_authority(
        "middle", not_valid_before=now - 85 * DAY, not_valid_after=now + 5 * DAY
    )
    leaf = middle.issue_server("leaf.test", not_valid_after=now + 60 * DAY)
    assert "'middle' expires in 5 days" in found(leaf)["expires-soon"].sentence
    assert leaf.ends_within(6 * DAY)
    assert not leaf.ends_within(4 * DAY)


@pytest.mark.parametrize(
    ("left", "words"),
    [(5 * DAY, "5 days"), (47 * timedelta(hours=1), "47 hours"), (DAY / 96, "15 minutes")],
)
def test_time_left_in_words(left: timedelta, words: str) -> None:
    """What is left is said in the unit that is of use."""
    assert describe_left(left) == words


@pytest.mark.parametrize(
    ("days", "option", "code"), [(30, "31", 1), (30, "29", 0), (30, "0", 0), (5, "6", 1)]
)
def test_certificates_f03_exit_code_for_a_nightly_job(
    place: Path, days: int, option: str, code: int
) -> None:
    """The command ends with 1 where the certificate ends within the days that were given."""
    soon = datetime.now(UTC) + days * DAY
    shown = certs.self_signed("leaf.test", not_valid_after=soon, lifetime=90 * DAY)
    shown.write(place / "server.pem", place / "key.pem")
    assert _certs_cli.main(["check", "server.pem", "--expires-in", option]) == code


@pytest.mark.parametrize("days", ["-1", "soon", "99999999999"])
def test_expires_in_is_a_number_of_days(
    place: Path, capsys: pytest.CaptureFixture[str], days: str
) -> None:
    """What is no number of days is wrong use, and says so."""
    assert _certs_cli.main(["check", str(place / "server.pem"), f"--expires-in={days}"]) == 2
    assert "--expires-in" in capsys.readouterr().err
