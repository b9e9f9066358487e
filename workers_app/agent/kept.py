"""A worker in an interpreter of its own, kept by an agent: it has the code that is there now.

It is not ``manage.py runworker``, which begins itself anew when it is told to restart: this one
asks its agent to, since that knows it by its id.
"""

import os
import sys
from typing import NoReturn

from django.core.management import execute_from_command_line

BEGIN = "import sys; sys.path.insert(0, {!r}); from {} import main; main()"


def become(words: list[str]) -> NoReturn:
    """Turn this process into such a worker; ``words`` are options of ``runworker``."""
    begin = BEGIN.format(sys.path[0], __name__)  # where this process found its code
    os.execv(sys.executable, [sys.executable, "-c", begin, *words])  # noqa: S606 (our own words)


def main() -> None:
    """Run it, with the words that this interpreter was given."""
    execute_from_command_line(["manage.py", "runworker", *sys.argv[1:]])
