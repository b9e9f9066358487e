"""``manage.py runworker``: run tasks until told to stop."""

import argparse
import logging
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tasks_app.backends import own_queues
from tasks_app.conf import conf
from tasks_app.exceptions import InvalidCall
from tasks_app.normalize import queue_error

from ...control import PoolConfig, new_worker_id
from ...embedded import server as embedded
from ...supervisor.rebirth import restart
from ...supervisor.supervisor import Supervisor, Unusable

OURS = ("dtps_site", "workers_app", "tasks_app")
DJANGOS = ("django.tasks", "django_tasks")  # a line at the start and the end of each task
FORMAT = "%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"


class Command(BaseCommand):
    help = "Run tasks, in a supervisor and its executor processes, until SIGTERM or Ctrl-C."
    requires_migrations_checks = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--queues",
            help="comma-separated, all of them share one order; without it those that TASKS names",
        )
        parser.add_argument("--processes", type=_count, help="executor processes")
        parser.add_argument("--threads", type=_count, help="sync tasks at once in each process")
        parser.add_argument("--pool-size", type=_count, help="slots, if not processes x threads")
        parser.add_argument("--min", type=_count, help="fewest slots, for the autoscaler")
        parser.add_argument("--max", type=_count, help="most slots, for the autoscaler")
        parser.add_argument("--no-steal", action="store_true", help="take no other worker's tasks")
        parser.add_argument(
            "--grace", type=_seconds, help="seconds that running tasks get to finish at the end"
        )
        parser.add_argument(
            "--max-tasks", type=_bound, help="tasks after which an executor is replaced; 0: none"
        )
        parser.add_argument(
            "--max-memory", type=_bound, help="megabytes at which an executor is replaced; 0: none"
        )
        parser.add_argument("--name", default="", help="what its id begins with")
        parser.add_argument("--id", default="", help="its whole id, never used before")
        parser.add_argument(
            "--no-coordinator", action="store_true", help="leave recording and reaping to others"
        )

    def handle(self, **options: Any) -> None:
        set_up_logging(options["verbosity"])
        config = _config(options)
        worker = options["id"] or new_worker_id(options["name"])
        if ":" in worker or len(worker) > 64:
            raise CommandError("--id must have at most 64 characters, and no colon.")
        grace = conf().grace_seconds if options["grace"] is None else options["grace"]
        embedded.ensure()
        supervisor = Supervisor(
            worker,
            config,
            grace_seconds=grace,
            with_coordinator=not options["no_coordinator"],
            most_tasks=options["max_tasks"],
            most_memory_mb=options["max_memory"],
        )
        try:
            supervisor.run()
        except Unusable as error:
            raise CommandError(str(error)) from error
        if supervisor.is_to_restart:
            restart(worker)


def _config(options: dict[str, Any]) -> PoolConfig:
    names = {"pool_size": "pool_size", "min": "min_workers", "max": "max_workers"}
    said = {ours: options[name] for name, ours in names.items() if options[name] is not None}
    for name in ("processes", "threads"):
        if options[name] is not None:
            said[name] = options[name]
    said_queues = options["queues"]
    queues = own_queues() if said_queues is None else _parted(said_queues)
    if not queues:
        raise CommandError("--queues names no queue.")
    for queue in queues:
        if wrong := queue_error(queue):
            raise CommandError(f"--queues: {wrong}")
    try:
        return PoolConfig.fitted(
            queues=queues, enable_steal=not options["no_steal"], name=options["name"], **said
        )
    except InvalidCall as error:
        raise CommandError(str(error)) from error


def _parted(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _bound(text: str) -> int:
    bound = int(text)
    if bound < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return bound


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return count


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return seconds


def set_up_logging(verbosity: int) -> None:
    """One line an event on stderr, unless the project has said where our log goes."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    for name in OURS:
        logger = logging.getLogger(name)
        if not logger.hasHandlers():
            logger.addHandler(handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO if verbosity else logging.WARNING)
    for name in DJANGOS if verbosity < 2 else ():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
