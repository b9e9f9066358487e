"""Whether the server is one that tasks may be trusted to; looked at before a worker starts."""

import logging
from dataclasses import dataclass, field

from tasks_app.broker import Broker

logger = logging.getLogger(__name__)

OLDEST = (7, 0)  # Redis; Valkey says 7.2 or later of itself


@dataclass
class Verdict:
    """Why a worker does not start on this server, and what its operator should know."""

    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def look_at(broker: Broker) -> Verdict:
    """Ask the server. Raise QueueUnavailable if it does not answer."""
    info: dict[str, str] = {}
    for section in ("server", "persistence", "memory"):
        text = broker.link.call("INFO", section).decode()
        info |= dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return judge(info)


def judge(info: dict[str, str]) -> Verdict:
    """Judge a server by what it says in INFO."""
    verdict = Verdict()
    version = info.get("redis_version", "0")
    if tuple(int(n) for n in version.split(".")[:2] if n.isdigit()) < OLDEST:
        verdict.refusals.append(
            f"The server is Redis {version}; 7.0 or later, or Valkey, is needed."
        )
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        verdict.refusals.append(
            f"The server's maxmemory-policy is {policy}: it would throw tasks away. "
            "Set it to noeviction."
        )
    if info.get("aof_enabled") != "1":
        verdict.warnings.append(
            "The server has no append-only file: a restart loses tasks. Set appendonly to yes."
        )
    return verdict
