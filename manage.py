#!/usr/bin/env python
"""Django's command line for this project."""

import os
import signal
import sys


def end_quietly() -> None:
    """Let a signal end a worker that has not begun yet: at once, and without a traceback."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(0))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtps_site.settings")
    if sys.argv[1:2] == ["runworker"]:
        end_quietly()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
