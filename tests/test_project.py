from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    """The last line of ``.ci/run`` is a command that the README gives."""
    command = (ROOT / ".ci/run").read_text().splitlines()[-1]
    assert command in (ROOT / "README.md").read_text().splitlines()


def test_every_python_that_is_promised_is_tested() -> None:
    """Each version in the classifiers has a session of its own."""
    promised = "Programming Language :: Python :: 3."
    noxfile = (ROOT / "noxfile.py").read_text()
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    minors = [line.split(promised)[1].rstrip('",') for line in lines if promised in line]
    assert minors
    assert all(f'"3.{minor}"' in noxfile for minor in minors)
