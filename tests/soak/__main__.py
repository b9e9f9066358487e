"""``make soak``: run a fleet under a nemesis, then count.

Two kinds: by default a little of everything, tasks and faults, for ``--minutes``; with ``--tasks``
so many short tasks in that time, while executors, supervisors, coordinators and Redis are killed.
"""

import argparse
import os
import random
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from .soak import Soak  # noqa: E402  after django.setup()


def main():
    parser = argparse.ArgumentParser(prog="make soak ARGS=...", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None, help="the same one, the same faults")
    parser.add_argument("--tasks", type=int, default=0, help="short ones, spread over the time")
    parser.add_argument("--rate", type=float, default=60, help="of all kinds, each second")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two faults")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="keep logs and data, and say where")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6)
    return Soak(options).run()


if __name__ == "__main__":
    sys.exit(main())
