"""How tasks and tests speak with each other while a task runs: by files."""

import os
import time
from pathlib import Path

LONGEST_SECONDS = 60  # so that nothing stays behind if a test fails


def write(path, text):
    """Append one line to a file: in one write, so that no two lines ever mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


def wait_for(path):
    """Wait until a file exists."""
    until = time.monotonic() + LONGEST_SECONDS
    while not Path(path).exists() and time.monotonic() < until:
        time.sleep(0.01)
