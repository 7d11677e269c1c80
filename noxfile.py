"""The project's sessions. ``nox`` runs what a change must pass; ``nox -l`` lists them all.

What follows ``--`` goes to pytest: ``nox -s tests-3.13 -- -x tests/test_errors.py``.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.download_python = "never"
# nox turns this on under CI; interpreters that a machine lacks are skipped there, too.
nox.options.error_on_missing_interpreters = False
nox.options.stop_on_first_error = False
# The tests come last, so that the last thing a run prints is how many passed.
nox.options.sessions = [
    "lint", "types", "docs", "build", "floors", "interop", "foreign", "applications", "tests",
]  # fmt: skip

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
LOWEST_PYTHON = PYTHONS[0]
TYPED_PYTHONS = PYTHONS[:4]
"""For these both type checkers know the standard library; none need be there."""
OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
FOREIGN_PYTHONS = ["3.11", "3.12", "3.13"]
"""Of these all clients of the foreign project are there."""
BENCH_PYTHON = "3.13"
"""Figures compare on one Python only; ``--force-python 3.14`` takes another."""
BETWEEN_PYTHONS = ["3.12"]
"""Older and newer ones run more cases of the tests."""
SIDE_BY_SIDE = ["--numprocesses", str(min(4, (os.cpu_count() or 1) + 1)), "--dist", "loadfile"]
"""Files of tests run beside one another, one more than there are processors: they wait more than
they compute."""


def group(name: str) -> list[str]:
    """Return the requirements of one dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(PROJECT, name))


def smoke() -> list[str]:
    """Return pytest's arguments for the tests marked smoke: to read all others takes longer."""
    files = sorted(Path("tests").rglob("test_*.py"))
    return ["-m", "smoke", *(str(f) for f in files if "mark.smoke" in f.read_text("utf-8"))]


def at_once(session: nox.Session, *lanes: list[list[str]]) -> None:
    """Run lists of commands beside one another, those of each list one after the other.

    Raises:
        nox.command.CommandFailed: One has failed; the rest of the other lists has been run.
    """

    def run(lane: list[list[str]]) -> None:
        for command in lane:
            session.run(*command)

    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(run, lanes))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, the layers and the spelling."""
    session.install("-e", ".", *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", "--diff", ".")
    session.run("lint-imports")
    session.run("codespell", "README.md", "noxfile.py", "pyproject.toml", "docs", "src", "tests")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: ours strictly, that the public names are fully typed, and users' programs."""
    session.install("-e", ".", *group("types"))
    mypy = [["mypy"]]
    pyright = [["pyright", "--verifytypes", "tlshttp", "--ignoreexternal"]]
    for version in TYPED_PYTHONS:
        mypy += [["mypy", "--python-version", version, "tests/typing"]]
        pyright += [["pyright", "-p", "tests/typing", "--pythonversion", version]]
    at_once(session, mypy, pyright)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, without the network, and run its examples."""
    session.install("-e", ".", *group("docs"))
    strict = ["-n", "-T", "-W", "--keep-going", "-q"]
    builders = [["sphinx-build", *strict, "-b", name, "docs", f"docs/_build/{name}"]
                for name in ("html", "doctest")]  # fmt: skip
    at_once(session, *([builder] for builder in builders))


@nox.session
def build(session: nox.Session) -> None:
    """Build wheel and sdist, look into both, and try the wheel; README and tutorial, too."""
    folder = Path(session.create_tmp()) / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    session.install(*group("build"), *group("test"))
    session.run("python", "-m", "build", "--outdir", str(folder), silent=True)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    check_wheel(session, wheel)
    check_sdist(session, sdist)
    session.install(str(wheel))
    session.install("--force-reinstall", "--no-deps", str(wheel))  # also over the same version
    wheels = folder / "dependencies"
    session.run("python", "-m", "pip", "download", "--quiet", "--dest", str(wheels), str(wheel))
    found = {"TLSHTTP_WHEEL": str(wheel.resolve()), "TLSHTTP_WHEELS": str(wheels.resolve())}
    session.run("python", "-m", "pytest", *(session.posargs or smoke()), env=found)


@nox.session(python=LOWEST_PYTHON)
def floors(session: nox.Session) -> None:
    """Try the lowest run-time dependencies that pyproject.toml allows."""
    lowest = [floor.replace(">=", "==") for floor in PROJECT["project"]["dependencies"]]
    session.install("-e", ".", *lowest, *group("test"))
    session.run("python", "-m", "pytest", *(session.posargs or smoke()))


@nox.session
def interop(session: nox.Session) -> None:
    """Have testssl.sh and sslscan look at both profiles; what a machine lacks is skipped."""
    session.install("-e", ".", *group("test"))
    session.run("python", "-m", "pytest", *(session.posargs or ["tests/interop"]))


@nox.session(python=FOREIGN_PYTHONS)
def foreign(session: nox.Session) -> None:
    """Have a project that is not ours use the wheel: its tests, with everything the kit gives."""
    project = Path("tests/foreign")
    needs = nox.project.load_toml(project / "pyproject.toml")
    wheels = Path(session.create_tmp()).resolve() / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    session.install(
        *group("build"),
        *PROJECT["build-system"]["requires"],
        *needs["project"]["dependencies"],
        *nox.project.dependency_groups(needs, "test"),
    )
    session.run(
        "python", "-m", "build", "--no-isolation", "--wheel", "--outdir", str(wheels), silent=True
    )
    (wheel,) = wheels.glob("*.whl")
    session.install(str(wheel))
    session.install("--force-reinstall", "--no-deps", str(wheel))  # also over the same version
    session.chdir(project)
    for engine in ("ssl", "pyopenssl"):
        session.run("python", "-m", "pytest", "-n", "2", "--tls-engine", engine, *session.posargs)


@nox.session
def applications(session: nox.Session) -> None:
    """Serve what people write with Flask, Django, Bottle, falcon, Starlette, FastAPI, Quart."""
    session.install("-e", ".", *group("applications"))
    session.run("python", "-m", "pytest", *(session.posargs or ["tests/applications"]))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests: all but the exhaustive ones on the Python that runs nox, with both engines.

    The others run them without those marked thorough, too, and with the engine that is Python's
    own, and two cases at most of each (3.12: one). ``TLSHTTP_TEST_ENGINES`` and
    ``TLSHTTP_TEST_CASES`` say otherwise: ``TLSHTTP_TEST_CASES=0`` is all.
    """
    session.install("-e", ".", *group("test"))
    if session.python == OWN_PYTHON:
        most = ["-m", "not exhaustive"]
    else:
        most = ["-m", "not (thorough or exhaustive)"]
        session.env.setdefault("TLSHTTP_TEST_ENGINES", "ssl")
        cases = "1" if session.python in BETWEEN_PYTHONS else "2"
        session.env.setdefault("TLSHTTP_TEST_CASES", cases)
    most += SIDE_BY_SIDE
    session.run("python", "-m", "pytest", *(session.posargs or most))


@nox.session
def exhaustive(session: nox.Session) -> None:
    """Run the tests of every combination, some minutes of the same."""
    session.install("-e", ".", *group("test"))
    session.run("python", "-m", "pytest", "-m", "exhaustive", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests and report what they cover, started programs and forked children included."""
    session.install("-e", ".", *group("test"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", silent=True)
    session.run("coverage", "report")


@nox.session(python=LOWEST_PYTHON)
def fuzz(session: nox.Session) -> None:
    """Fuzz what reads requests, for five minutes; arguments are libFuzzer's."""
    session.install("-e", ".", *group("fuzz"))
    seeds = Path(session.create_tmp()) / "seeds"
    shutil.rmtree(seeds, ignore_errors=True)
    seeds.mkdir()
    options = session.posargs or ["-max_total_time=300"]
    session.run(
        "python", "tests/fuzz/fuzz_http.py", "--seeds", str(seeds), "-timeout=10",
        "-rss_limit_mb=2048", "-print_final_stats=1", *options, str(seeds),
        env={"PYTHONPATH": "."},
    )  # fmt: skip


@nox.session(python=BENCH_PYTHON)
def bench(session: nox.Session) -> None:
    """Measure speed beside what people would pick instead; ``-- --help`` shows the options."""
    session.install("-e", ".", *group("bench"))
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session(python=BENCH_PYTHON)
def first_byte(session: nox.Session) -> None:
    """Measure how soon a test's server answers, beside pytest-httpserver with trustme."""
    session.install("-e", ".", *group("bench"))
    session.run("python", "-m", "tests.benchmarks.first_byte", *session.posargs)


@nox.session(python=BENCH_PYTHON)
def pieces(session: nox.Session) -> None:
    """Measure the pieces inside one process."""
    session.install("-e", ".", *group("bench"))
    options = ["--benchmark-columns=median,iqr,rounds", "-p", "no:randomly"]
    session.run("python", "-m", "pytest", "tests/benchmarks", *options, *session.posargs)


@nox.session(python=BENCH_PYTHON)
def reports(session: nox.Session) -> None:
    """Have clients visit the bad servers, and write what they report into the documentation."""
    session.install("-e", ".", *group("reports"))
    session.run("python", "-m", "tests.reports", *session.posargs)


@nox.session
def screenshots(session: nox.Session) -> None:
    """Look at the documentation in Chromium: pictures, what is too wide, and what axe finds."""
    axe = [name for name in group("test") if name.startswith("axe")]
    session.install("-e", ".", *group("docs"), *axe)
    session.run("sphinx-build", "-q", "-b", "html", "docs", "docs/_build/html")
    session.run("python", "-m", "tests.screenshots", *session.posargs)


def check_wheel(session: nox.Session, wheel: Path) -> None:
    """Fail unless the wheel has the files of src, the licence and its metadata, no more."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = {
        file.relative_to("src").as_posix()
        for file in Path("src/tlshttp").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    metadata = {name for name in names if ".dist-info/" in name}
    if names - metadata != source:
        session.error(f"wheel and src differ: {sorted((names - metadata) ^ source)}")
    if not {"LICENSE", "METADATA"} <= {Path(name).name for name in metadata}:
        session.error(f"the wheel lacks its licence or metadata: {sorted(metadata)}")


def check_sdist(session: nox.Session, sdist: Path) -> None:
    """Fail unless the sdist has what it takes to build, document and test tlshttp."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"LICENSE", "README.md", "noxfile.py", "pyproject.toml"}
    needed |= {"docs/conf.py", "src/tlshttp/py.typed", "tests/conftest.py"}
    missing = needed - names
    unwanted = {name for name in names if "_build" in name or "__pycache__" in name}
    if missing or unwanted:
        session.error(f"sdist: missing {sorted(missing)}, unwanted {sorted(unwanted)}")
