"""``manage.py runagent``: lets the API start and stop workers on this host, and keeps some."""

import argparse
import logging
from dataclasses import replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tasks_app.exceptions import InvalidCall
from tasks_app.normalize import queue_error

from ...agent.agent import Agent
from ...agent.keeper import FleetConfig
from ...control import PoolConfig
from ...embedded import server as embedded
from ...foreground import asked_to_end, serve

MOST_WORKERS = 1000
PASSED_ON = ("grace", "max_tasks", "max_memory")  # to each worker, as they are
SHAPE = ("processes", "threads", "pool_size", "no_steal", "queues", "name", *PASSED_ON)


class Command(BaseCommand):
    help = (
        "Start and stop workers on this host when the API or the page asks for it. "
        "With --min or --max, also keep as many as there is work for."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        fleet = parser.add_argument_group("a fleet of its own")
        fleet.add_argument("--min", type=_count, help="fewest workers to keep; default 0")
        fleet.add_argument("--max", type=_count, help="most workers to keep; default --min")
        each = parser.add_argument_group("how each of these workers is to be, as in runworker")
        each.add_argument("--queues", help="comma-separated; default: default")
        each.add_argument("--processes", type=int, help="executor processes")
        each.add_argument("--threads", type=int, help="sync tasks at once in each process")
        each.add_argument("--pool-size", type=int, help="slots, if not processes x threads")
        each.add_argument("--no-steal", action="store_true", help="take no other worker's tasks")
        each.add_argument("--name", help="what its id begins with")
        each.add_argument("--grace", help="seconds that running tasks get to finish at the end")
        each.add_argument("--max-tasks", help="tasks after which an executor is replaced")
        each.add_argument("--max-memory", help="megabytes at which an executor is replaced")

    def handle(self, **options: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        fleet = fleet_of(options)
        embedded.ensure()
        agent, asked = Agent(fleet), asked_to_end()
        self.stdout.write(f"Agent {agent.id} is ready to start workers.")
        serve(agent, asked)
        agent.drain(asked)


def fleet_of(options: dict[str, Any]) -> FleetConfig | None:
    """The fleet that was asked for, if any. Raise CommandError."""
    fewest, most = options["min"], options["max"]
    if fewest is None and most is None:
        if any(options[name] for name in SHAPE):
            raise CommandError("These options need --min or --max: they are for workers to keep.")
        return None
    fewest = fewest or 0
    most = fewest if most is None else most
    if not fewest <= most <= MOST_WORKERS or not most:
        raise CommandError(f"--min must be at most --max, and --max from 1 to {MOST_WORKERS}.")
    words = [
        f"--{name.replace('_', '-')}={options[name]}"
        for name in PASSED_ON
        if options[name] is not None
    ]
    return FleetConfig(fewest, most, _config(options), tuple(words))


def _config(options: dict[str, Any]) -> PoolConfig:
    given = (options["queues"] or "default").split(",")
    queues = tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
    for wrong in filter(None, map(queue_error, queues)):
        raise CommandError(f"--queues: {wrong}")
    names = {"poolSize": "pool_size", "processes": "processes", "threads": "threads"}
    said = {key: options[name] for key, name in names.items() if options[name] is not None}
    said |= {"queues": list(queues), "enableSteal": not options["no_steal"]}
    try:
        config = PoolConfig.from_json(said | {"name": options["name"] or ""})
    except InvalidCall as error:
        raise CommandError(str(error)) from error
    # Its bounds are its size: the agent scales, by whole workers.
    return replace(config, min_workers=config.pool_size, max_workers=config.pool_size)


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return count
