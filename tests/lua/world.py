"""Short words for the broker's tests: a task, a worker, an outcome, all that the server holds."""

import hashlib
import json
from collections import defaultdict
from fnmatch import fnmatchcase

import uuid_utils

from tasks_app.broker import keys
from tasks_app.broker.answers import Settlement
from tasks_app.broker.connection import Link
from tasks_app.broker.scripts import Script, script
from tasks_app.message import Attempt, State, TaskMessage, now_us
from tasks_app.states import FINAL, HELD, Status

PATIENCE_SECONDS = 60
REAL_TIME = 'redis.call("TIME")'
TEST_TIME = '{ 0, redis.call("GET", KEYS[1] .. ":clock") * 1000 }'


class EditedLink(Link):
    """Sends the scripts with some of their text replaced: a clock for tests, a planted bug."""

    def __init__(self, url):
        super().__init__(url, timeout=PATIENCE_SECONDS)
        # (operation or None for all, old text, new text)
        self.edits = [(None, "local TOKEN_MS = 5000", "local TOKEN_MS = 600000")]  # a slow machine

    def edit(self, old, new, only=None):
        if only and old not in script(only).text:  # or a bug would seem to be planted
            raise LookupError(f"{only} has no {old!r} (any more)")
        self.edits.append((only, old, new))

    def calls(self, commands):
        """The answers to many commands in one go."""
        connection = self._take()
        connection.send_packed_command(connection.pack_commands(commands))
        answers = [connection.read_response() for _ in commands]
        self._keep(connection)
        return answers

    def run(self, script, anchor, *arguments):
        text = script.text
        for only, old, new in self.edits:
            if only in (None, script.name):
                text = text.replace(old, new)
        sha = hashlib.sha1(text.encode()).hexdigest()
        return super().run(Script(script.name, text, sha), anchor, *arguments)


class Clock:
    """Time in the scripts, which stands still until it is moved."""

    def __init__(self, broker):
        self.link = broker.link
        self.now_ms = now_us() // 1000
        self.advance(0)
        broker.link.edit(REAL_TIME, TEST_TIME)

    def advance(self, ms):
        self.now_ms += ms
        self.link.call("SET", keys.key(0, "clock"), self.now_ms)

    def in_us(self, ms):
        """The moment so many milliseconds from now, as messages have it."""
        return (self.now_ms + ms) * 1000


def task(**fields):
    """A new task as submitted at this moment."""
    given = {"id": str(uuid_utils.uuid7()), "type": "test", "submitted_us": now_us(), **fields}
    return TaskMessage(**given)


def submitted(broker, count=1, **fields):
    """Submit some equal tasks; return them in order of their ids."""
    tasks = [task(**fields) for _ in range(count)]
    broker.submit_many(tasks)
    return tasks


def executor_of(broker, worker="w1", number=0):
    """The id of an executor of an announced worker."""
    executor = f"{worker}:{number}:x"
    broker.fleet.announce(worker, {"pid": 1}, executors=[executor])
    return executor


def claim(broker, executor, limit=10, queues=("default",), **more):
    return broker.exchange(executor, executor.split(":")[0], queues, limit=limit, **more)


def held(broker, executor="w1:0:x", started=False, **fields):
    """Submit one task and claim it. Return (task, its token)."""
    executor_of(broker, *executor.split(":")[:1], int(executor.split(":")[1]))
    (one,) = submitted(broker, **fields)
    exchange = claim(broker, executor, limit=1000, queues=[one.queue])
    assert one.id in ids_of(exchange)
    if started:
        assert broker.start(executor, [one.id]) == 1
    return one, exchange.token


def ids_of(exchange):
    return [stored.message.id for stored in exchange.claimed]


def outcome(id, token, outcome="completed", pause_ms=0, **attempt):
    line = Attempt(**attempt).encode() if attempt else b""
    return Settlement(id=id, token=token, outcome=outcome, pause_ms=pause_ms, line=line)


def end(broker, one, final="completed"):
    """Bring a waiting task to one of the final states."""
    if final == "cancelled":
        broker.cancel([one.id])
        return
    executor = executor_of(broker, "ender")
    claim(broker, executor, limit=1000, queues=[one.queue], idle_ms=0)
    token = broker.held_ids(executor)[one.id]
    assert broker.finish(executor, [outcome(one.id, token, final)]) == []


def state(broker, one):
    return broker.must_get(one.id).state


def status(broker, one):
    return state(broker, one).status


CRASH = Attempt(outcome="crashed", error="The process died.")
# What a refused call may touch: it is counted, and its answer is kept to be repeated.
TRACES = ("counters", "reply:")


def dump(broker, without=TRACES):
    """Everything on the server, to be compared."""
    names = [name for name in key_names(broker) if not name.startswith(without or "\0")]
    full = [keys.key(0, name) for name in names]
    kinds = broker.link.calls([("TYPE", name) for name in full])
    # A hash or a set that grows is put into another order bit by bit, also while it is only read.
    commands = {b"hash": "HGETALL", b"set": "SMEMBERS"}
    reads = [(commands.get(kind, "DUMP"), name) for name, kind in zip(full, kinds, strict=True)]
    found = dict(zip(names, broker.link.calls(reads), strict=True))
    for name, kind in zip(names, kinds, strict=True):
        if kind == b"hash":
            found[name] = dict(zip(found[name][::2], found[name][1::2], strict=True))
        elif kind == b"set":
            found[name] = set(found[name])
    return found


def copy_of(broker):
    """Everything on the server, to be restored: key -> what DUMP says."""
    names = key_names(broker)
    answers = broker.link.calls([("DUMP", keys.key(0, name)) for name in names])
    return dict(zip(names, answers, strict=True))


def named(broker, pattern):
    """The keys of the first shard that match, without their anchor."""
    return [name for name in key_names(broker) if fnmatchcase(name, pattern)]


def key_names(broker):
    base = keys.anchor() + ":"
    return sorted(name.decode().removeprefix(base) for name in broker.link.call("KEYS", "*"))


def places(broker, names=None):
    """Where each task waits or is held: id -> list of (key, score or token)."""
    names = key_names(broker) if names is None else names
    lines = [name for name in names if name.endswith(":waiting")]
    sets = [n for n in names if n.startswith("aside:") or n.endswith((":ready", ":scheduled"))]
    sets = [name for name in sets if name not in lines]
    hashes = [name for name in names if name.startswith("held:")]
    answers = broker.link.calls(
        [("ZRANGE", keys.key(0, name), 0, -1, "WITHSCORES") for name in sets]
        + [("HGETALL", keys.key(0, name)) for name in hashes]
        + [("SMEMBERS", keys.key(0, name)) for name in lines]
    )
    found = defaultdict(list)
    for name, members in zip(lines, answers[len(sets + hashes) :], strict=True):
        for member in members:
            found[member.decode()].append((name, ""))
    for name, flat in zip(sets + hashes, answers[: len(sets + hashes)], strict=True):
        for member, value in zip(flat[::2], flat[1::2], strict=True):
            said = value.decode() if name in hashes else float(value)
            found[member.decode()].append((name, said))
    return found


def states(broker):
    """Every task that Redis knows: id -> state."""
    ids = [task_id.decode() for task_id in broker.link.call("HKEYS", keys.key(0, "payloads"))]
    return {task_id: State.decode(raw) for task_id, (_, raw) in broker.read(ids).items()}


def audit(broker):
    """One place for each task, the right one for its status, and the promoter's list complete."""
    audit_places(places(broker), states(broker))
    audit_due(broker)
    audit_limits(broker)


def audit_limits(broker, names=None):
    """Who is admitted and who stands in line, by the keys of limits and by the tasks' states."""
    names = key_names(broker) if names is None else names
    known = states(broker)
    marks = broker.link.call("HGETALL", keys.key(0, "marks"))
    keyed = {
        task_id.decode(): mark["l"]["k"]
        for task_id, text in zip(marks[::2], marks[1::2], strict=True)
        if "l" in (mark := json.loads(text))
    }
    where = places(broker, names)
    aside = {i for i, at in where.items() if any(key.startswith("aside:") for key, _ in at)}
    stored = broker.link.call("HGETALL", keys.key(0, "states"))
    aside |= {  # they wait for others, and for no limit yet
        task_id.decode()
        for task_id, text in zip(stored[::2], stored[1::2], strict=True)
        if text.startswith(b"waiting|")
    }
    for part, command, wanted in (
        ("line", ("ZRANGE", 0, -1), {Status.WAITING}),
        ("admitted", ("SMEMBERS",), {Status.PENDING, *HELD}),
    ):
        found = set()
        for name in names:
            if name.startswith("limit:") and name.endswith(f":{part}"):
                ids = broker.link.call(command[0], keys.key(0, name), *command[1:])
                found |= {(task_id.decode(), name.split(":")[1]) for task_id in ids}
        right = {(i, key) for i, key in keyed.items() if known[i].status in wanted}
        assert {each for each in right ^ found if each[0] not in aside} == set(), part


def audit_places(found, known):
    """What waits or is held is known, and is in the one place that its state tells."""
    for task_id, one in known.items():
        live = [key for key, _ in found.get(task_id, ()) if not key.startswith("aside:")]
        aside = len(found.get(task_id, ())) - len(live)
        if one.status in HELD:
            assert live == [f"held:{one.owner}"], (task_id, one, live)
        elif one.status in FINAL:
            assert live == [], (task_id, one, live)
        else:
            kinds = {Status.PENDING: ":ready", Status.WAITING: ":waiting"}
            kind = kinds.get(one.status, ":scheduled")
            where = [key[-len(kind) :] for key in live]
            assert one.owner == "" and (where == [kind] or (live == [] and aside)), (task_id, one)
    for task_id in found.keys() - known.keys():
        assert all(key.startswith("aside:") for key, _ in found[task_id])


def audit_due(broker, names=None):
    """No queue with scheduled or expiring tasks is looked at later than its first one is due."""
    names = key_names(broker) if names is None else names
    names = [n for n in names if n.endswith((":scheduled", ":expiring"))]
    due = ("ZRANGE", keys.key(0, "due"), 0, -1, "WITHSCORES")
    heads = [("ZRANGE", keys.key(0, n), 0, 0, "WITHSCORES") for n in names]
    flat, *found = broker.link.calls([due, *heads])
    looked_at = dict(zip(flat[::2], flat[1::2], strict=True))
    for name, (_, head) in zip(names, found, strict=True):
        assert float(looked_at[name.split(":")[1].encode()]) <= float(head), name


READERS = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"stream": ("XRANGE", "-", "+"),
}


def content(broker):
    """What the server holds, whatever its encoding: key -> items in order of their text."""
    call = broker.link.call
    found = {}
    for name in call("KEYS", "*"):
        command, *rest = READERS[call("TYPE", name)]
        value = call(command, name, *rest)
        found[name] = value if command in ("LRANGE", "GET") else sorted(map(repr, value))
    return found
