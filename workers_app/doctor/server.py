"""Checks of Redis: whether it can be trusted with tasks, and answers in time."""

import time
from collections.abc import Iterator
from statistics import median

from tasks_app.broker.connection import safe
from tasks_app.conf import conf

from ..supervisor.safety import OLDEST
from .advice import Advice, ok, problem, warning
from .patient import Patient

PINGS = 20
SLOW_MS, TOO_SLOW_MS = 5.0, 100.0  # of the median answer; a supervisor waits for 400 ms
FULL, ALMOST_OVER = 0.8, 0.95  # of the memory
MOST_SKEW_SECONDS = 1.0
SHORTEST_TIMEOUT = 60  # seconds of silence after which a server may close a connection
GIGA = 1e9


def answers(patient: Patient) -> Iterator[Advice]:
    """Redis is there, and is near."""
    took_ms = median(patient.pings(PINGS))
    said = f"Redis at {safe(conf().redis_url)} answers in {took_ms:.1f} ms."
    if took_ms >= TOO_SLOW_MS:
        yield problem(said, "Leases cannot be kept like that: bring workers and server together.")
    elif took_ms >= SLOW_MS:
        yield warning(said, "Every claim waits for it: bring workers and server closer together.")
    else:
        yield ok(said)


def version(patient: Patient) -> Iterator[Advice]:
    """The server is new enough."""
    said = patient.info.get("redis_version", "0")
    name = f"The server is {patient.info.get('server_name', 'redis')} (Redis {said})."
    if tuple(int(n) for n in said.split(".")[:2] if n.isdigit()) < OLDEST:
        yield problem(name, "Redis 7.0 or later, or Valkey, is needed.")
    else:
        yield ok(name)


def role(patient: Patient) -> Iterator[Advice]:
    """The server takes writes, and is not one of a cluster."""
    if patient.info.get("role") == "slave":
        yield problem("The server is a replica.", "Let DTPS['REDIS_URL'] name the primary.")
    if patient.info.get("cluster_enabled") == "1":
        yield problem("The server is part of a cluster.", "Use one that is not: see operations.md.")
    if patient.info.get("loading") == "1":
        yield problem("The server is still loading its data.", "Wait until it has done so.")


def eviction(patient: Patient) -> Iterator[Advice]:
    """The server never throws a task away."""
    policy = patient.info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield ok("A full server refuses new tasks (noeviction).")
    else:
        yield problem(
            f"The server's maxmemory-policy is {policy}: a full one throws tasks away.",
            "CONFIG SET maxmemory-policy noeviction, and in its configuration file.",
        )


def memory(patient: Patient) -> Iterator[Advice]:
    """There is a bound to its memory, and room below it."""
    used, most = (int(patient.info.get(name, 0)) for name in ("used_memory", "maxmemory"))
    machine = int(patient.info.get("total_system_memory", 0))
    if not most and not patient.is_embedded:
        yield warning(
            "The server has no maxmemory: when its machine is full, it is killed.",
            "Set it to three quarters of that machine's memory; a full server refuses submits.",
        )
    elif machine and most > machine:
        yield warning(
            f"The server's maxmemory is {most / GIGA:.1f} GB, but its machine has "
            f"{machine / GIGA:.1f}.",
            "Set it to three quarters of that.",
        )
    yield from _room(used, most or machine)


def _room(used: int, most: int) -> Iterator[Advice]:
    share = used / most if most else 0.0
    said = f"The server uses {used / GIGA:.2f} GB, {share:.0%} of what it may."
    if share >= ALMOST_OVER:
        yield problem(said, "Submits are refused, or soon will be: add workers, or memory.")
    elif share >= FULL:
        yield warning(said, "Add workers so that it drains, or memory.")
    else:
        yield ok(said)


def append_only_file(patient: Patient) -> Iterator[Advice]:
    """What was accepted outlives the server's process."""
    if patient.info.get("aof_enabled") != "1":
        yield problem(
            "The server has no append-only file: a restart loses tasks.",
            "CONFIG SET appendonly yes, and in its configuration file.",
        )
        return
    if patient.info.get("aof_last_write_status", "ok") != "ok":
        yield problem(
            "The server could not write its append-only file, and refuses writes.",
            "Look for a full disk on its machine.",
        )
    if patient.info.get("aof_last_bgrewrite_status", "ok") != "ok":
        yield warning(
            "The server could not rewrite its append-only file, which grows until it can.",
            "Look at its log, and for free space on its disk.",
        )
    fsync = patient.option("appendfsync")
    if fsync == "no":
        yield warning(
            "The server never says when to write to the disk: a dead machine loses up to 30 s.",
            "CONFIG SET appendfsync everysec, and in its configuration file.",
        )
    else:
        loses = "nothing" if fsync == "always" else "up to a second of submits"
        yield ok(f"Append-only file, appendfsync {fsync}: a dead machine loses {loses}.")


def snapshots(patient: Patient) -> Iterator[Advice]:
    """A failed snapshot does not stop everything."""
    if patient.info.get("rdb_last_bgsave_status", "ok") == "ok":
        return
    if patient.option("save") and patient.option("stop-writes-on-bgsave-error") == "yes":
        yield problem(
            "The server's last snapshot failed, so it refuses writes.",
            "Look at its log; or CONFIG SET save '', since the append-only file keeps the tasks.",
        )
    else:
        yield warning("The server's last snapshot failed.", "Look at its log.")


def connections(patient: Patient) -> Iterator[Advice]:
    """Connections stay open, dead ones are noticed, and there may be enough of them."""
    seconds = int(patient.option("timeout"))
    if 0 < seconds < SHORTEST_TIMEOUT:
        yield warning(
            f"The server closes connections after {seconds} s of silence.",
            "CONFIG SET timeout 0: ours are kept for the next call.",
        )
    if int(patient.option("tcp-keepalive")) == 0:
        yield warning(
            "The server never notices that a client has vanished.", "CONFIG SET tcp-keepalive 300."
        )
    used, most = (int(patient.info.get(n, 0)) for n in ("connected_clients", "maxclients"))
    if most and used >= FULL * most:
        yield warning(
            f"{used} of {most} possible clients are connected to the server.",
            "Raise maxclients: a worker needs about three connections an executor.",
        )


def clock(patient: Patient) -> Iterator[Advice]:
    """The server's clock, by which everything is due, and the one here agree."""
    before = time.time()
    seconds, micros = patient.call("TIME")
    here = (before + time.time()) / 2
    skew = int(seconds) + int(micros) / 1e6 - here
    if abs(skew) > MOST_SKEW_SECONDS:
        is_ahead = "ahead of" if skew > 0 else "behind"
        yield warning(
            f"The server's clock is {abs(skew):.1f} s {is_ahead} the one here.",
            "run_after, deadlines and expires are off by that: let NTP set both clocks.",
        )
    else:
        yield ok(f"The server's clock and the one here agree to {abs(skew) * 1000:.0f} ms.")
