"""`./bootstrap`: the newest Python that is good enough, and an environment made once."""

import os
import shutil
import subprocess
import sys

import pytest

from .programs import FOREIGN, ROOT

TOOLS = ("cut", "dirname", "head", "sed", "sh", "sort", "tr")


@pytest.fixture
def machine(tmp_path):
    """A machine with no Python at all: its PATH has only what a shell script needs."""
    return Machine(tmp_path)


class Machine:
    def __init__(self, root):
        self.bin = root / "bin"
        self.pyenv = root / "pyenv"
        self.project = root / "pro ject"
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        (self.project / "dtps_site").mkdir(parents=True)
        for name in ("bootstrap", "dtps_site/environment.py"):
            shutil.copy(ROOT / name, self.project / name)
        for name in ("requirements.txt", "requirements-dev.txt"):
            (self.project / name).write_text("# nothing\n")

    def python(self, path, version, code=0):
        """Put a Python there that says it is of that version."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{version}'\nexit {code}\n")
        path.chmod(0o755)

    def start(self, *words, **variables):
        mine = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        mine.pop("DTPS_PYTHON", None), mine.pop("DTPS_VENV", None)
        mine |= {"PATH": str(self.bin), "HOME": "", "PYENV_ROOT": str(self.pyenv), **variables}
        return subprocess.Popen(
            [self.project / "bootstrap", *words], env=mine, cwd="/", text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words, **variables):
        process = self.start(*words, **variables)
        said, errors = process.communicate(timeout=300)
        return process.returncode, said, errors


def test_newest_python_is_found_on_the_path_and_among_pyenvs(machine):
    machine.python(machine.bin / "python3", "3 9 18", code=3)
    machine.python(machine.bin / "python3.11", "3 11 4")
    machine.python(machine.bin / "python3.14", "3 14 0", code=3)  # a pre-release
    machine.python(machine.pyenv / "versions/3.12.1/bin/python3", "3 12 1")
    machine.python(machine.pyenv / "versions/3.9.1/bin/python3", "3 9 1", code=3)

    code, said, _ = machine.run("--list")

    assert code == 0
    assert said.splitlines() == [
        f"3.12.1 {machine.pyenv}/versions/3.12.1/bin/python3",
        f"3.11.4 {machine.bin}/python3.11",
    ]


def test_machine_without_a_new_enough_python_is_told_so(machine):
    machine.python(machine.bin / "python3", "3 10 13", code=3)

    code, _, errors = machine.run("manage.py", "up")

    assert code == 1
    assert "no Python 3.11 or newer was found" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("version", "sentence"), [("3 10 13", "names Python 3.10.13"), ("", "cannot be run")]
)
def test_named_python_that_will_not_do_is_refused(machine, version, sentence):
    path = machine.bin / "mine"
    machine.python(path, version, code=3)

    code, _, errors = machine.run("manage.py", DTPS_PYTHON=str(path))

    assert code == 1
    assert sentence in errors


def test_environment_is_made_once_and_again_when_requirements_change(machine):
    words = ("-c", "import sys; print('in', sys.prefix)")
    both = [machine.start(*words, DTPS_PYTHON=sys.executable) for _ in range(2)]

    said = [process.communicate(timeout=300) for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert all(f"in {machine.project}/.venv\n" in out for out, _ in said)
    assert sum("Installing" in out for out, _ in said) == 1
    assert "Installing" not in machine.run(*words)[1]

    (machine.project / "requirements.txt").write_text("# another nothing\n")

    assert "Installing requirements.txt" in machine.run(*words)[1]

    (machine.project / "requirements.txt").write_text("./no-such-directory\n")
    code, _, errors = machine.run(*words)

    assert code == 1
    assert errors.splitlines()[-1].startswith("Error: the packages could not be installed")
