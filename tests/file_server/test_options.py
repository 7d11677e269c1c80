"""What command lines and environments mean, and what is said of those that mean nothing."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.file_server.conftest import options
from tlshttp.__main__ import main
from tlshttp._file_server.environment import unknown, variable
from tlshttp._file_server.parser import make_parser
from tlshttp._file_server.places import Place, parse_place
from tlshttp.errors import ConfigurationError

# Places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("", "", None),
        ("*", "", None),
        ("*:8443", "", 8443),
        (":8443", "", 8443),
        ("127.0.0.1", "127.0.0.1", None),
        ("127.0.0.1:8443", "127.0.0.1", 8443),
        ("localhost:8443", "localhost", 8443),
        ("localhost", "localhost", None),
        ("::1", "::1", None),
        ("[::1]", "::1", None),
        ("[::1]:8443", "::1", 8443),
        ("[::]:0", "::", 0),
        ("fe80::1%eth0", "fe80::1%eth0", None),
        ("[fe80::1%eth0]:8443", "fe80::1%eth0", 8443),
        ("https://localhost:8443/", "localhost", 8443),
        ("https://[fe80::1%25eth0]:8443", "fe80::1%eth0", 8443),
        (" localhost:8443 ", "localhost", 8443),
    ],
)
def test_people_u7_addresses_as_people_write_them(text: str, host: str, port: int | None) -> None:
    """With brackets or without, with a port or without, as a URL."""
    assert parse_place(text) == Place(host, port)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8443", "is a port, not an address: write :8443"),
        ("localhost:http", "'http' is not a port"),
        ("localhost:", "'' is not a port"),
        ("localhost:65536", "'65536' is not a port"),
        ("localhost:-1", "'-1' is not a port"),
        ("localhost:٣", "'٣' is not a port"),
        ("[localhost]:1", "[localhost] is not an IPv6 address"),
        ("a b", "is not an address"),
        ("a:1:2", "is not an address"),
        ("http://localhost:8443", "HTTPS only"),
        ("https://localhost/page", "is not an address"),
        ("user@localhost", "is not an address"),
    ],
)
def test_what_is_no_address_is_called_that(text: str, says: str) -> None:
    """The sentence has what was written, and what is wrong with it."""
    with pytest.raises(ConfigurationError) as refused:
        parse_place(text)
    assert says in str(refused.value)


@given(st.text())
def test_no_address_fails_otherwise(text: str) -> None:
    """Whatever is written there, it is an address or an error with a sentence."""
    with contextlib.suppress(ConfigurationError):
        assert isinstance(parse_place(text), Place)


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ([], [Place("", 8000)]),
        (["8443"], [Place("", 8443)]),
        (["localhost:8443"], [Place("localhost", 8443)]),
        (["[::1]:8443"], [Place("::1", 8443)]),
        (["8443", "-b", "::1"], [Place("::1", 8443)]),
        (["8443", "-b", "::1", "-b", "localhost:1"], [Place("::1", 8443), Place("localhost", 1)]),
        (["0", "-b", "::1", "-b", "127.0.0.1"], [Place("::1", 0), Place("127.0.0.1", 0)]),
        (["-b", "localhost:9"], [Place("localhost", 9)]),
        (["0", "-b", "0.0.0.0", "-b", "::1"], [Place("0.0.0.0", 0), Place("::1", 0)]),
        (["::1:8443"], None),
    ],
)
def test_places_of_a_command_line(words: list[str], places: list[Place] | None) -> None:
    """Port and addresses stand apart or together; a bare IPv6 address can have no port."""
    if places is None:
        assert options(*words).places == (Place("::1:8443", 8000),)
    else:
        assert list(options(*words).places) == places


# The environment -------------------------------------------------------------------------------


def test_every_option_has_a_variable(tmp_path: Path) -> None:
    """What the environment says is what the command line would; of all options."""
    (tmp_path / "index.html").touch()
    (tmp_path / "in").mkdir()
    folder = str(tmp_path)
    environment = {
        "TLSHTTP_PORT": "8443", "TLSHTTP_BIND": "::1\n127.0.0.1:9\n", "TLSHTTP_OPEN": "yes",
        "TLSHTTP_QR": "1", "TLSHTTP_QUIET": "TRUE", "TLSHTTP_DIRECTORY": folder,
        "TLSHTTP_PROTOCOL": "HTTP/1.0", "TLSHTTP_SPA": "on", "TLSHTTP_CORS": "true",
        "TLSHTTP_HEADER": "X-A: 1, 2\nX-B:3", "TLSHTTP_AUTH": "me", "TLSHTTP_AUTH_FILE": "word",
        "TLSHTTP_UPLOAD": f"{folder}/in", "TLSHTTP_UPLOAD_LIMIT": "5k", "TLSHTTP_TLS_CERT": "c",
        "TLSHTTP_TLS_KEY": "k", "TLSHTTP_TLS_PASSWORD_FILE": "p",
        "TLSHTTP_TOLERATE": "expired\nweak-key", "TLSHTTP_ENGINE": "ssl", "TLSHTTP_WORKERS": "1",
        "TLSHTTP_LOG_FORMAT": "json", "TLSHTTP_LOG_LEVEL": "info",
    }  # fmt: skip
    words = (
        f"8443 -b ::1 -b 127.0.0.1:9 --open --qr -q -d {folder} -p HTTP/1.0 --spa --cors"
        f" --header X-A:1,\x002 --header X-B:3 --auth me --auth-file word --upload {folder}/in"
        " --upload-limit 5120 --tls-cert c --tls-key k --tls-password-file p --tolerate expired"
        " --tolerate weak-key --engine ssl --workers 1 --log-format json --log-level info"
    ).split(" ")
    given = options(*(word.replace("\0", " ") for word in words))
    assert vars(options(**environment)) == vars(given)
    # That of the authority is read by `tlshttp.certs`, of which the command line is only one user;
    # an application is served instead of a folder.
    names = {*environment, "TLSHTTP_AUTHORITY", "TLSHTTP_WSGI", "TLSHTTP_ASGI"}
    assert {variable(action.dest) for action in make_parser().choices} == names


def test_the_command_line_goes_before() -> None:
    """What is given there replaces what the environment says, also where there may be several."""
    given = options("-b", "::1", "1", TLSHTTP_BIND="127.0.0.1", TLSHTTP_PORT="2", TLSHTTP_CORS="no")
    assert given.places == (Place("::1", 1),)
    assert not given.cors


def test_an_empty_variable_is_none() -> None:
    """As in files of containers that set all of them."""
    names = [variable(action.dest) for action in make_parser().choices]
    assert vars(options(**dict.fromkeys(names, ""))) == vars(options())


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("TLSHTTP_CORS", "perhaps", "TLSHTTP_CORS: 'perhaps' is neither yes nor no"),
        ("TLSHTTP_DIRECTORY", "/nowhere", "TLSHTTP_DIRECTORY: '/nowhere' is not a directory"),
        ("TLSHTTP_PROTOCOL", "HTTP/3", "TLSHTTP_PROTOCOL: 'HTTP/3' is none of HTTP/1.0, HTTP/1.1"),
        ("TLSHTTP_TOLERATE", "all", "TLSHTTP_TOLERATE: 'all' is none of"),
        ("TLSHTTP_ENGINE", "rustls", "TLSHTTP_ENGINE: 'rustls' is none of ssl, pyopenssl"),
        ("TLSHTTP_PORT", "tcp://10.0.0.1:8000", "this server speaks HTTPS only"),  # Kubernetes
    ],
)
def test_wrong_variables_are_named(name: str, text: str, says: str) -> None:
    """Whoever set it, perhaps long ago, is told which one it is."""
    with pytest.raises(ConfigurationError) as refused:
        options(**{name: text})
    assert says in str(refused.value)


def test_a_password_without_a_user_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """People P4: whoever sets one does not mean to serve everybody; empty, it is none."""
    monkeypatch.setenv("TLSHTTP_AUTH_PASSWORD", "s3cret")
    assert main(["0"]) == 2
    errors = capsys.readouterr().err
    assert "TLSHTTP_AUTH_PASSWORD needs --auth" in errors
    assert "s3cret" not in errors
    assert options(TLSHTTP_AUTH_PASSWORD="").auth is None


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"TLSHTTP_AUHT": "me"}, "TLSHTTP_AUHT (is TLSHTTP_AUTH meant?)"),
        ({"TLSHTTP_PASSWORD": "s3cret"}, "TLSHTTP_PASSWORD (is "),
        ({"TLSHTTP_AUTHORITY_FOLDER": "a"}, "TLSHTTP_AUTHORITY_FOLDER (is TLSHTTP_AUTHORITY meant"),
        (
            {"TLSHTTP_XYZXYZXYZ": "1", "TLSHTTP_ZZZZZZZZZ": ""},
            "TLSHTTP_XYZXYZXYZ, TLSHTTP_ZZZZZZZZZ",
        ),
        ({"TLSHTTP_TEST_UNIT": "1", "TLSHTTP_SERVICE_PORT_HTTPS": "1"}, None),
        ({"TLSHTTP_PORT_443_TCP_ADDR": "1", "TLSHTTP_SERVICE_HOST": "1"}, None),
        ({"TLSHTTP_AUTH_PASSWORD": "x", "TLSHTTP_AUTHORITY": "x", "TLSHTTPS": "x"}, None),
        ({"HOME": "/", "tlshttp_x": "x"}, None),
    ],
)
def test_unknown_variables_are_named(environment: dict[str, str], says: str | None) -> None:
    """People P4: all of them in one sentence, with what may be meant; never a value."""
    sentence = unknown(environment)
    if says is None:
        assert sentence is None
    else:
        assert sentence is not None
        assert says in sentence
        assert "s3cret" not in sentence


def test_an_unknown_variable_is_no_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """People P4: it is told on a line of its own, before what ends the program."""
    monkeypatch.setenv("TLSHTTP_UPLOD", "here")
    assert main(["--tls-key", "k"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "TLSHTTP_UPLOD (is TLSHTTP_UPLOAD meant?)" in first
    assert "--tls-key needs --tls-cert" in second


def test_no_password_in_its_text() -> None:
    """The options print without the password that the environment has."""
    given = options("--auth", "me", TLSHTTP_AUTH_PASSWORD="s3cret")
    assert given.auth_password == "s3cret"
    assert "s3cret" not in f"{given!r} {given}"


# What is wrong ---------------------------------------------------------------------------------

WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "an option that is none": (("--bin", "x", "--nonsense"), "unrecognized arguments: --nonsense"),
    "an ambiguous option": (("--tls", "x"), "ambiguous option: --tls"),
    "no value": (("--bind",), "-b/--bind: expected one argument"),
    "an option that is nearly one": (("--directroy", "x"), "(is --directory meant?)"),
    "an option for the port": (("--port", "8000"), ": port is given without an option"),
    "a command that is none": (("serve",), "the commands are certs, audit, bad"),
    "a value where none is taken": (("--cors=yes",), "--cors: takes no value, not 'yes'"),
    "two ports": (("8000", "9000"), "unrecognized arguments: 9000"),
    "a port too high": (("70000",), "'70000' is not a port (0 to 65535)"),
    "a port below none": (("--", "-1"), "'-1' is not a port"),
    "a service": (("https",), "'https' is not a port"),
    "a fraction": (("80.5",), "'80.5' is not a port"),
    "an unknown command": (("cert",), "'cert' is not a port"),
    "a folder for a port": (("/",), "to serve that, give --directory /"),
    "no folder": (("-d", "/nowhere"), "-d/--directory: '/nowhere' is not a directory"),
    "a file for a folder": (("-d", __file__), "is not a directory"),
    "a folder that cannot be": (("-d", "a\0b"), "is not a directory"),
    "HTTP/3": (("-p", "HTTP/3"), "invalid choice: 'HTTP/3'"),
    "a port for an address": (("-b", "8443"), "'8443' is a port, not an address"),
    "no host": (("0", "-b", "no.such.host.invalid"), "--bind no.such.host.invalid"),
    "an address of others": (("0", "-b", "192.0.2.9"), "port 0 of 192.0.2.9"),
    "a host that cannot be": (("0", "-b", "a..b"), "--bind a..b: that is not the name of a host"),
    "no interface": (("0", "-b", "fe80::1%none"), "no network interface 'none'"),
    "an address twice": (("-b", "::1", "-b", "::1"), "[::1], port 8000: given twice"),
    "all and one": (("-b", "*", "-b", "::1"), "that includes the other addresses"),
    "all of IPv4 and one": (("-b", "0.0.0.0", "-b", "127.0.0.1"), "includes the other addresses"),
    "both wildcards": (("-b", "0.0.0.0", "-b", "::"), "[::], port 8000: that includes the other"),
    "both wildcards, at any port": (("0", "-b", "::", "-b", "0.0.0.0"), "includes the other"),
    "plain HTTP": (("-b", "http://localhost"), "this server speaks HTTPS only"),
    "a header without colon": (("--header", "X-A"), "'X-A' is not NAME:VALUE"),
    "a header that is none": (("--header", "X A: 1"), "'X A: 1' is not NAME:VALUE"),
    "a header with a line break": (
        ("--header", "X: 1\r\nY: 2"),
        "value is not printable ASCII",
    ),
    "a header of ours": (("--header", "Content-Length: 5"), "the server itself says that"),
    "a password in the open": (("--auth", "me:secret"), "takes a user without a password"),
    "a user without a name": (("--auth", "a\nb"), "that is no name of a user"),
    "a password for nobody": (("--auth-file", "f"), "--auth-file needs --auth"),
    "no password file": (("0", "--auth", "me", "--auth-file", "/none"), "cannot read the password"),
    "a limit for nothing": (("--upload-limit", "1G"), "--upload-limit needs --upload"),
    "a limit that is none": (("--upload-limit", "much"), "'much' is not a size"),
    "a limit of nothing": (("--upload-limit", "0"), "'0' is not a size"),
    "a limit of another unit": (("--upload-limit", "5 parsec"), "is not a size"),
    "no folder for uploads": (("--upload", "/nowhere"), "--upload: '/nowhere' is not a directory"),
    "an application without a page": (("--spa", "-d", "/"), "there is no index.html in '/'"),
    "a key without a certificate": (("--tls-key", "k"), "--tls-key needs --tls-cert"),
    "no certificate": (("0", "--tls-cert", "/none.pem"), "/none.pem"),
    "to tolerate anything": (("--tolerate", "anything"), "invalid choice: 'anything'"),
    "an empty folder": (("-d", ""), "--directory: there is nothing in the argument"),
    "an empty address": (("-b", ""), "--bind: there is nothing in the argument"),
    "a second address that is empty": (("-b", "::1", "-b", " "), "--bind: there is nothing"),
    "an empty port": (("",), "the port: there is nothing in the argument"),
    "an empty folder for uploads": (("--upload", ""), "--upload: there is nothing"),
    "an empty user": (("--auth", ""), "--auth: there is nothing in the argument"),
    "an empty certificate": (("--tls-cert", ""), "--tls-cert: there is nothing"),
    "an empty authority": (("--authority-folder", ""), "--authority-folder: there is nothing"),
    "an authority that is none": (
        ("0", "--authority-folder", "/nowhere"),
        "there is no local authority in there",
    ),
    "an address by two names": (("0", "-b", "127.0.0.1", "-b", "localhost"), "another --bind is"),
    "an address twice, at any port": (("0", "-b", "::1", "-b", "0::1"), "another --bind is"),
    "the header of --cors": (
        ("--cors", "--header", "Access-Control-Allow-Origin: https://a.example"),
        "--header Access-Control-Allow-Origin: --cors says that already",
    ),
    "a header for one hop": (("--header", "keep-alive: 5"), "the server itself says that"),
    "an upgrade": (("--header", "Upgrade: h2c"), "the server itself says that"),
    "a trailer": (("--header", "Trailer: X"), "the server itself says that"),
    "methods": (("--header", "Allow: GET"), "the server itself says that"),
    "a way to guess types": (("--header", "X-Content-Type-Options: x"), "its only value is nosn"),
    "standard input twice": (
        ("--auth", "a", "--auth-file", "-", "--tls-cert", "c", "--tls-password-file", "-"),
        "cannot both be standard input",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_arguments(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ends with status 2 and one sentence, which says what is wrong; nothing is repeated."""
    monkeypatch.setenv("XDG_DATA_HOME", "/nowhere")
    words, says = WRONG[kind]
    assert main(words) == 2
    output, errors = capsys.readouterr()
    assert says in errors
    assert output == ""
    assert len(errors.splitlines()) == 1
    assert errors.startswith("python -m tlshttp: ")
    assert "secret" not in errors


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["certs"], "certs: the following arguments are required: command; see"),
        (["certs", "nothing"], "invalid choice: 'nothing'"),
        (["certs", "issue"], "certs issue: the following arguments are required: names"),
        (["certs", "issue", "a", "--lifetme", "1d"], "unrecognized arguments: --lifetme"),
        (["certs", "check", "--timeout", "x", "a:1"], "'x' is not a number of seconds"),
        (["audit"], "audit: the following arguments are required: HOST[:PORT]"),
        (["audit", "a:b"], "'b' is not a port"),
        (["audit", "a", "--profle", "x"], "(is --profile meant?)"),
        (["bad", "--port", "-1", "expired"], "'-1' is not a port"),
        (["bad", "--honest"], "--honest and --port need the name of a fault"),
    ],
)
def test_wrong_arguments_of_commands(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They end as those of the file server do; and the sentence begins as the user has called."""
    for called, name in (("/x/__main__.py", "python -m tlshttp"), ("/bin/tlshttp", "tlshttp")):
        monkeypatch.setattr(sys, "argv", [called])
        assert main(words) == 2
        output, errors = capsys.readouterr()
        assert says in errors
        assert output == ""
        assert len(errors.splitlines()) == 1
        assert errors.startswith(f"{name} {words[0]}")


@pytest.mark.parametrize("uploads", [".", "..", "link", "sub/.."])
def test_no_application_among_uploads(uploads: str, tmp_path: Path) -> None:
    """People P6: its page would be anybody's; beside and below it uploads may go."""
    public = tmp_path / "public"
    (public / "sub").mkdir(parents=True)
    (public / "index.html").touch()
    (public / "link").symlink_to(".")
    words = ["--spa", "-d", str(public), "--upload"]
    with pytest.raises(ConfigurationError, match=r"index\.html lies there"):
        options(*words, str(public / uploads))
    assert options(*words, str(public / "sub")).spa


def test_all_that_is_wrong_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody mends one thing to be told of the next."""
    assert main(["--header", "X", "--tls-key", "k", "--auth-file", "f", "-b", "1"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 4


# What nobody waits for -------------------------------------------------------------------------


def test_nothing_that_serves_is_imported_to_answer() -> None:
    """``--help``, and what is wrong with arguments, are there before cryptography would be."""
    code = (
        "import sys\n"
        "from tlshttp.__main__ import main\n"
        "for words in (['--help'], ['--auth-file', 'f']):\n"
        "    print('status', main(words), *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    helped, refused = (line for line in lines if line[:1] == ["status"])
    assert (helped[1], refused[1]) == ("0", "2")
    serving = {"cryptography", "http.server", "segno", "tlshttp.server"}
    assert not serving & {*refused}
    assert not {"ssl", *serving} & {*helped}
