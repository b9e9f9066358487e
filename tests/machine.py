"""What the tests need of the machine besides Python: found, or installed where that is allowed.

``make test`` runs this first. A test that needs something which is missing fails in CI.
"""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

# What is needed -> the programs that will do, and Debian's package with one of them.
PROGRAMS = {
    "redis-server": ["redis-server"],
    "chromium": ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
}
POLICY = Path("/usr/sbin/policy-rc.d")  # Debian asks it before a package starts its service


def find(name):
    """The path of a program that the tests need; None if this machine has none."""
    return next(filter(None, map(shutil.which, PROGRAMS[name])), None)


def missing():
    return [name for name in PROGRAMS if find(name) is None]


def install(packages):
    """Install packages with apt-get, if this machine has it and we may."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    print(f"Installing {' and '.join(packages)} for the tests ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-q", "-y", "--no-install-recommends"]
    with no_services():
        for words in (["update", "-q"], ["install", *options, *packages]):
            subprocess.run([apt, *words], env=environment, stdin=subprocess.DEVNULL, check=False)


@contextmanager
def no_services():
    """Let no package start a service: the tests start their own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def main():
    if missing():
        install(missing())
    if "chromium" in missing():  # Playwright's own, where its servers can be reached
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    for name in missing():
        print(f"This machine has no {name}: the tests that need it will say so.", flush=True)


if __name__ == "__main__":
    main()
