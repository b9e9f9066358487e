"""Makes the virtual environment and runs a program in it; started by ``./bootstrap``.

Only the standard library, since nothing is installed yet. What is installed is compared by a stamp:
nothing happens while the Python and the requirements are those of the last time.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
RUNTIME, DEV = "requirements.txt", "requirements-dev.txt"
ROOM_BYTES = 700_000_000  # for everything, and for what pip unpacks on the way


class SetupFailed(Exception):
    """The environment cannot be made; the sentence says what to do."""


class Environment:
    """The folder that holds what is installed."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.python = folder / "bin" / "python"

    def stamp(self, requirements: str) -> Path:
        return self.folder / f"{requirements}.installed"

    def is_current(self, requirements: str) -> bool:
        try:
            return self.stamp(requirements).read_text() == digest(requirements)
        except OSError:
            return False

    def prepare(self, requirements: str) -> None:
        """Install what is missing. Raise SetupFailed."""
        if self.is_current(requirements):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder):
            if self.is_current(requirements):  # made by somebody else while we waited
                return
            started_at = time.monotonic()
            say(f"Installing {requirements} into {self.folder} (Python {version()}) ...")
            if not self._is_of_this_python():
                self._create()
            self._install(requirements)
            say(f"Installed in {time.monotonic() - started_at:.0f} s.")

    def _is_of_this_python(self) -> bool:
        try:
            return (self.folder / "python.installed").read_text() == identity()
        except OSError:
            return False

    def _create(self) -> None:
        if shutil.disk_usage(self.folder).free < ROOM_BYTES:
            raise SetupFailed(f"there is no space left: {self.folder} needs about 700 MB.")
        if importlib.util.find_spec("ensurepip") is None:
            install_venv_package()
        run(
            [sys.executable, "-I", "-m", "venv", "--clear", os.fspath(self.folder)],
            f"Python {version()} could not make a virtual environment (see above).",
        )
        (self.folder / "python.installed").write_text(identity())

    def _install(self, requirements: str) -> None:
        run(
            [
                os.fspath(self.python), "-I", "-m", "pip", "install", "--no-input",
                "--disable-pip-version-check", "-r", os.fspath(PROJECT / requirements),
            ],
            "the packages could not be installed (see above): is there a network, and space?",
        )  # fmt: skip
        for name in [RUNTIME, DEV][: 1 + (requirements == DEV)]:
            self.stamp(name).write_text(digest(name))


def install_venv_package() -> None:
    """Debian splits ensurepip off its Python. Raise SetupFailed if it cannot be had."""
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise SetupFailed(
            f"this Python ({sys.executable}) lacks ensurepip: install the package {package} "
            f"(sudo apt-get install {package}) and try again."
        )
    failed = f"the package {package}, which this Python lacks, could not be installed (see above)."
    say(f"Installing {package} ...")
    run([apt, "update", "-q"], failed)
    run([apt, "install", "-q", "-y", "--no-install-recommends", package], failed)


def run(command: list[str], failed: str) -> None:
    """Run a program where everybody can see it. Raise SetupFailed with ``failed``."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if not environment.get("HOME"):  # empty: pip would write into /.cache
        environment.pop("HOME", None)
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SetupFailed(failed)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time installs into a folder."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another installation to end ...")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def version() -> str:
    return ".".join(str(number) for number in sys.version_info[:3])


def identity() -> str:
    """Which Python this is; the same inside and outside of its virtual environments."""
    return f"{version()} {Path(sys.base_prefix).resolve()}"


def digest(requirements: str) -> str:
    """Of everything that decides what gets installed."""
    files = [RUNTIME] if requirements == RUNTIME else [RUNTIME, DEV]
    texts = b"\0".join((PROJECT / file).read_bytes() for file in files)
    return hashlib.sha256(identity().encode() + texts).hexdigest()


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main(arguments: list[str]) -> int:
    requirements = RUNTIME
    if arguments[:1] == ["--dev"]:
        requirements = DEV
        arguments = arguments[1:]
    environment = Environment(PROJECT / (os.environ.get("DTPS_VENV") or ".venv"))
    try:
        environment.prepare(requirements)
    except (SetupFailed, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    python = os.fspath(environment.python)
    os.execv(python, [python, *arguments])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
