"""What a submit has to survive: a choice with a name, that is kept or refused, never weakened.

``fast``        the server's memory has it: survives a killed process, of the server too
``fsync``       its disk has it: survives a power cut; needs ``appendfsync always``
``replicated``  so many replicas have it too: survives the loss of the server's host

What each survives, and what it costs, stands in docs/guarantees.md.
"""

from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from ..conf import conf
from ..exceptions import NotDurable, QueueUnavailable

if TYPE_CHECKING:
    from .connection import Link

FAST, FSYNC, REPLICATED = "fast", "fsync", "replicated"
MODES = (FAST, FSYNC, REPLICATED)


def must_be_possible(link: "Link", mode: str) -> None:
    """Ask the server whether it can confirm a write so. Raise NotDurable, or as ``call`` does."""
    if why := _why_not(link, mode):
        raise NotDurable(f"Nothing was stored: {why}")


def confirmation(mode: str) -> tuple[Any, ...]:
    """The command that waits until what a connection wrote before is so durable."""
    milliseconds = int(conf().confirm_seconds * 1000)
    if mode == FSYNC:
        return "WAITAOF", 1, 0, milliseconds
    return "WAIT", conf().submit_replicas, milliseconds


def is_confirmed(mode: str, answer: Any) -> bool:
    """Whether the answer to that command says so."""
    if mode == FSYNC:
        return answer[0] >= 1
    return answer >= conf().submit_replicas


def _why_not(link: "Link", mode: str) -> str:
    if mode == FSYNC:
        return _why_no_fsync(link)
    return _why_not_replicated(link) if mode == REPLICATED else ""


def _why_no_fsync(link: "Link") -> str:
    if not link.call("COMMAND", "INFO", "WAITAOF")[0]:
        return "fsync needs Redis 7.2 or any Valkey."
    said = _info(link, "persistence")
    if said.get("aof_enabled") != "1":
        return "fsync needs the append-only file, which is off (appendonly)."
    if said.get("aof_last_write_status") == "err":
        return "the server cannot write its append-only file."
    # With "everysec" Valkey 9.1 says yes to WAITAOF up to a second before it asks its disk.
    policy = _appendfsync(link)
    return "" if policy == "always" else f"fsync needs appendfsync always, and it is {policy}."


def _appendfsync(link: "Link") -> str:
    try:
        return link.call("CONFIG", "GET", "appendfsync")[1].decode()
    except (ResponseError, QueueUnavailable):  # not everybody may ask
        return "not known, since CONFIG GET is refused"


def _why_not_replicated(link: "Link") -> str:
    said, wanted = _info(link, "replication"), conf().submit_replicas
    online = sum("state=online" in said.get(f"slave{n}", "") for n in range(_connected(said)))
    return "" if online >= wanted else f"{wanted} replicas are wanted, and {online} are connected."


def _connected(said: dict[str, str]) -> int:
    return int(said.get("connected_slaves", 0))


def _info(link: "Link", section: str) -> dict[str, str]:
    lines = link.call("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
