"""Whether the server is one that tasks may be trusted to; looked at before a worker starts."""

import logging
from dataclasses import dataclass, field

from redis.exceptions import ResponseError

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
    return judge(_info(broker), _policy(broker))


def judge(info: dict[str, str], policy: str) -> Verdict:
    """Judge by what INFO says, and by the eviction policy."""
    verdict = Verdict()
    version = info.get("redis_version", "0")
    if tuple(int(n) for n in version.split(".")[:2] if n.isdigit()) < OLDEST:
        verdict.refusals.append(
            f"The server is Redis {version}; 7.0 or later, or Valkey, is needed."
        )
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


def _info(broker: Broker) -> dict[str, str]:
    info: dict[str, str] = {}
    for section in ("server", "persistence", "memory"):
        text = broker.link.call("INFO", section).decode()
        info |= dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return info


def _policy(broker: Broker) -> str:
    """The eviction policy; INFO has it too, for a user who may not ask for the configuration."""
    try:
        answer = broker.link.call("CONFIG", "GET", "maxmemory-policy")
        return answer[1].decode()
    except (ResponseError, IndexError):
        return _info(broker).get("maxmemory_policy", "noeviction")
