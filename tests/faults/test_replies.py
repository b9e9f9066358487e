"""Row R7: the reply to a script is lost after it took effect, and the call is made once more.

For each script that changes anything: the same story is told twice on an empty server, once
undisturbed and once with a lost reply and a repeated call. Redis must hold the same afterwards.
"""

import re

import pytest
from msgspec.structs import replace

from tasks_app.broker.answers import Changes, Decision, Recorded, Remark
from tasks_app.broker.broker import Broker
from tasks_app.broker.durability import FAST
from tasks_app.broker.scripts import LUA, READS_ONLY
from tasks_app.exceptions import DuplicateTask, UnknownOutcome, WrongState
from tasks_app.message import Attempt, State

from ..lua.world import CRASH, Clock, EditedLink, content, outcome, task
from .proxy import FaultProxy

EXECUTOR, OTHER = "w1:0:x", "w2:0:y"
TASKS = [task(id=f"00000000-0000-7000-8000-00000000000{n}", submitted_us=10**15) for n in range(4)]
IDS = [one.id for one in TASKS]
TOKEN = "t" * 32


class Lossy(EditedLink):
    """Loses the reply to every call of one script, and makes the call once more."""

    def __init__(self, url, proxy, loses):
        super().__init__(url)
        self.unsure = EditedLink(proxy.through(url))
        self.unsure.edits = self.edits
        self.proxy, self.loses, self.lost = proxy, loses, 0

    def run(self, script, anchor, *arguments):
        if script.name == self.loses:
            self._load(script)
            self.proxy.drop_replies()
            with pytest.raises(UnknownOutcome):
                self.unsure.run(script, anchor, *arguments)
            self.lost += 1
        return super().run(script, anchor, *arguments)

    def _load(self, script):
        """Else the reply that is lost would be that the script is unknown."""
        text = script.text
        for only, old, new in self.edits:
            text = text.replace(old, new) if only in (None, script.name) else text
        self.call("SCRIPT", "LOAD", text)

    def close(self):
        super().close()
        self.unsure.close()


# --- the stories: each ends in one call of the script that it is named after ---


def announced(broker):
    broker.fleet.announce("w1", {"pid": 1}, executors=[EXECUTOR])
    broker.fleet.announce("w2", {"pid": 2}, executors=[OTHER])


def claimed(broker, limit=4):
    announced(broker)
    broker.submit_many(TASKS)
    return broker.exchange(EXECUTOR, "w1", ["default"], limit=limit, request=TOKEN)


def submit(broker):
    broker.submit_many(TASKS)


def claim(broker):
    exchange = claimed(broker)
    return [one.message.id for one in exchange.claimed], exchange.stale


def finish(broker):
    claimed(broker)
    outcomes = [
        outcome(IDS[0], TOKEN, worker="w1"),
        outcome(IDS[1], TOKEN, "retry", pause_ms=5000, error="Broken."),
        outcome(IDS[2], TOKEN, "failed", error="Broken."),
        outcome(IDS[3], "another", worker="w1"),
    ]
    return broker.exchange(
        EXECUTOR, "w1", ["default"], limit=1, settlements=outcomes, request="r" * 32
    ).stale


def withdraw(broker):
    announced(broker)
    broker.exchange(EXECUTOR, "w1", ["default"], limit=1, idle_ms=2000, offer=TOKEN)
    broker.submit_many(TASKS)
    return [one.message.id for one in broker.withdraw(EXECUTOR, TOKEN).claimed]


def start(broker):
    claimed(broker)
    broker.start(EXECUTOR, IDS[:2])


def steal(broker):
    claimed(broker)
    broker.exchange(
        OTHER, "w2", ["default"], limit=1, idle_ms=2000, offer="s" * 32, steals=True
    )  # fmt: skip
    broker.steal(EXECUTOR, OTHER, dict.fromkeys(IDS[2:], TOKEN))


def release(broker):
    claimed(broker)
    broker.release(EXECUTOR, dict.fromkeys(IDS, TOKEN))


def reap(broker):
    claimed(broker)
    broker.start(EXECUTOR, IDS[:1])
    broker.reap("w1", EXECUTOR, reason=CRASH, started=IDS[1:2], queues=["default"])


def promote(broker):
    finish(broker)
    broker.link.clock.advance(6000)
    broker.promote()


def cancel(broker):
    claimed(broker, limit=2)
    broker.cancel(IDS)


def retry(broker):
    finish(broker)
    broker.retry(TASKS[0], broker.must_get(IDS[0]).state)


def pause(broker):
    broker.submit_many(TASKS)
    broker.pause("default")


def purge(broker):
    broker.submit_many(TASKS)
    broker.purge("default")
    broker.sweep()
    broker.sweep()


def remark(broker):
    claimed(broker)
    said = Remark(IDS[0], TOKEN, 1, progress=b"{}", checkpoint=b"[1]", lines=b'"a line"\n')
    return broker.remark(EXECUTOR, [said])


def confirm(broker):
    submit(broker)
    return broker.confirm(IDS, FAST)


def bury(broker):
    return broker.bury(TASKS, not_after_ms=10**16)


def admit(broker):
    child = replace(TASKS[0], has_parents=True)
    broker.submit_many([child, replace(TASKS[1], has_parents=True)])
    line = Attempt(outcome="cancelled", error="Its parent failed.").encode()
    decisions = [Decision(IDS[0], 1, 0), Decision(IDS[1], 1, line=line)]
    broker.admit(decisions)


def amend(broker):
    submit(broker)
    broker.amend([(TASKS[0].encode(), replace(TASKS[0], priority=50, queue="mail"))])


def reset(broker):
    finish(broker)
    broker.reset_counters()


def acknowledge(broker):
    finish(broker)
    changes = broker.changes(1)
    broker.acknowledge(Changes(changes.last, changes.ids))


def forget(broker):
    finish(broker)
    broker.forget({IDS[0]: broker.must_get(IDS[0]).state.version}, late=[IDS[0]])


def announce(broker):
    announced(broker)
    for text in ("first", "second"):
        broker.fleet.order("w1", {"order": text})
        found = broker.fleet.announce("w1", {"pid": 1}, executors=[EXECUTOR], queues=["default"])
    return found


def orders(broker):
    announced(broker)
    found = []
    for text in ("first", "second", "third"):
        broker.fleet.order("w1", {"order": text})
        found.append(broker.fleet.orders("w1"))
    return found


def resign(broker):
    announced(broker)
    broker.fleet.resign("w1")


def lead(broker):
    return broker.fleet.lead("coordinator")


def abdicate(broker):
    broker.fleet.lead("coordinator")
    broker.fleet.abdicate("coordinator")


def hold(broker):
    return broker.fleet.hold("something", "me", 5000)


def epoch(broker):
    broker.set_epoch(7)


def gate(broker):
    broker.open_gate("a run id")


def demand(broker):
    broker.fleet.keep_demand({"default": {"slots": 2}})


def reconcile(broker):
    state = State(version=5, epoch=1)
    raw = f"{state.status.value}|1|1|5|0|0|0||1\n".encode()
    return broker.reconcile(3, [Recorded(TASKS[0].id, TASKS[0].encode(), raw, False)])


# Script -> a story that uses it, and whether the repeated call answers as the lost one did. (Where
# it does not, whoever calls takes "nothing left to do" for an answer.)
STORIES = {
    "submit": [(submit, False)],
    "exchange": [(claim, True), (finish, True)],
    "withdraw": [(withdraw, True)],
    "start": [(start, True)],
    "steal": [(steal, True)],
    "release": [(release, True)],
    "reap": [(reap, True)],
    "promote": [(promote, True)],
    "cancel": [(cancel, True)],
    "retry": [(retry, False)],
    "pause": [(pause, True)],
    "purge": [(purge, True)],
    "sweep": [(purge, True)],
    "remark": [(remark, True)],
    "admit": [(admit, True)],
    "amend": [(amend, True)],
    "confirm": [(confirm, True)],
    "bury": [(bury, True)],
    "reset": [(reset, True)],
    "acknowledge": [(acknowledge, True)],
    "forget": [(forget, True)],
    "announce": [(announce, True)],
    "orders": [(orders, True)],
    "resign": [(resign, True)],
    "lead": [(lead, True)],
    "abdicate": [(abdicate, True)],
    "hold": [(hold, True)],
    "epoch": [(epoch, True)],
    "gate": [(gate, True)],
    "demand": [(demand, True)],
    "reconcile": [(reconcile, False)],
}
# What a repeated call appends twice, and why that does no harm.
APPENDED = {
    "sample": "a point of a curve more",
    "decision": "a line of a list that is read by people",
    "order": "stopping, pausing or cancelling twice is the same",
    "answer": "the first one is heard, the other one expires",
}
TABLE = [(name, *story) for name, stories in STORIES.items() for story in stories]


def test_R7_every_script_that_changes_anything_has_its_story():
    scripts = {path.name.removesuffix(".lua") for path in LUA.iterdir() if path.is_file()}

    assert STORIES.keys() | APPENDED.keys() == scripts - READS_ONLY
    assert not STORIES.keys() & APPENDED.keys()


@pytest.fixture
def proxy(redis_server):
    proxy = FaultProxy(redis_server.socket)
    yield proxy
    proxy.close()


def told(server, story, link):
    """Tell a story on an empty server. Return what it answered and what is there then."""
    broker = Broker(link)
    broker.link.call("FLUSHALL")
    link.clock = Clock(broker)
    link.clock.now_ms = 10**12
    link.clock.advance(0)
    try:
        answer = story(broker)
    except (DuplicateTask, WrongState) as error:
        answer = error
    there = content(broker)
    broker.link.close()
    return answer, {_timeless(name): _timeless(value) for name, value in there.items()}


def _timeless(value):
    """Without what differs each time: names of stream entries, moments, random words."""
    return re.sub(r'\d{13,}-\d+|(?<="ended_us":)\d+|[0-9a-f]{32}', "*", repr(value))


@pytest.mark.parametrize(
    ("name", "story", "answers_the_same"), TABLE, ids=[f"{n}-{s.__name__}" for n, s, _ in TABLE]
)
def test_R7_a_lost_reply_and_a_repeated_call_change_no_more_than_one_call(
    redis_server, proxy, name, story, answers_the_same
):
    wanted = told(redis_server, story, EditedLink(redis_server.url))
    lossy = Lossy(redis_server.url, proxy, loses=name)

    found = told(redis_server, story, lossy)

    assert lossy.lost > 0
    assert found[1] == wanted[1]
    if answers_the_same:
        assert found[0] == wanted[0]
