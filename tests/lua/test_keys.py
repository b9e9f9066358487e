"""The names of everything: one shard, one slot; and no name that a user chose leads astray."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks_app.broker import keys, scripts
from tasks_app.broker.answers import Remark
from tasks_app.broker.durability import FAST
from tasks_app.message import escaped, unescaped

from .world import CRASH, claim, executor_of, ids_of, outcome, state, submitted

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts)
@settings(deadline=None, derandomize=True, database=None)
def test_two_queues_never_share_a_key(a, b):
    names = {f(queue) for queue in (a, b) for f in (keys.ready, keys.scheduled)}

    assert len(names) == (2 if a == b else 4)
    assert unescaped(escaped(a)) == a
    assert re.fullmatch(r"[\w.~%-]*", escaped(a), re.ASCII)


def test_shards_come_from_the_settings(options):
    options(SHARDS={"mail": 3, "ä": 1}, NAMESPACE="mine")

    assert (keys.shard_of("mail"), keys.shard_of("other")) == (3, 0)
    assert keys.shards() == [0, 1, 3]
    assert keys.ready("mail") == "mine:{s3}:q:mail:ready"


def work(broker):
    """A bit of everything, so that every key is there."""
    executor, idle = executor_of(broker, number=0), executor_of(broker, number=1)
    broker.fleet.announce_agent("agent", {})
    broker.fleet.order_agent("agent", {})
    broker.fleet.order("w1", {})
    broker.fleet.lead("a")
    broker.fleet.hold("a lease", "a", 60_000)
    broker.fleet.keep_sample({})
    broker.fleet.keep_demand({"a b": {}})
    broker.fleet.keep_decision({})
    broker.fleet.answer("a request", {})
    broker.set_epoch(1)
    broker.open_gate(broker.run_id())
    broker.reset_counters()
    claim(broker, idle, queues=["a b", "other"], idle_ms=60_000)
    offering = {"idle_ms": 60_000, "offer": "x", "steals": True}
    claim(broker, executor_of(broker, number=2), queues=["quiet"], **offering)
    one, two = submitted(broker, 2, queue="a b", expires_us=10**16)
    token = claim(broker, executor, queues=["a b"], limit=1).token
    broker.finish(executor, [outcome(one.id, token), outcome(two.id, "old")])
    broker.retry(one, state(broker, one))
    again = claim(broker, executor, queues=["a b"], limit=1)
    broker.remark(executor, [Remark(ids_of(again)[0], again.token, progress=b"{}")])
    broker.acknowledge(broker.changes(1))
    broker.confirm([one.id], FAST)
    submitted(broker, queue="other", unique_key="a-digest", idempotency_key="a key")
    submitted(broker, 2, queue="limited", limit="another-digest", rate="1/h")
    ids_of(claim(broker, executor, queues=["limited"]))
    submitted(broker, 2, queue="limited", limit="yet-another", rate="1/h")
    submitted(broker, queue="purged")
    broker.purge("purged")
    submitted(broker, queue="later", run_after_us=10**16)
    broker.pause("later")
    broker.reap("nobody", reason=CRASH)


def documented():
    """What lua/parts/keys.lua says: pattern of the names -> type."""
    text = Path(scripts.LUA / "parts" / "keys.lua").read_text()
    found = {}
    for expression, kind in re.findall(r"(base \.\. .+?)(?: end)? -- (\w+)  ", text):
        parts = [part.strip() for part in expression.split("..")[1:]]
        pattern = "".join(re.escape(p.strip('"')) if p[0] == '"' else ".+" for p in parts)
        found[pattern] = kind
    return found


def test_every_key_is_in_its_shards_slot_and_what_the_list_of_keys_says(broker):
    work(broker)
    base = keys.anchor() + ":"
    assert base == "dtps:{s0}:"

    patterns, kinds = documented(), {}
    for name in (name.decode() for name in broker.link.call("KEYS", "*")):
        assert name.startswith(base)
        fitting = [each for each in patterns if re.fullmatch(each, name.removeprefix(base))]
        if fitting:  # limit:KEY:line is also like limit:KEY, which has an open end
            kind = broker.link.call("TYPE", name).decode()
            kinds.setdefault(max(fitting, key=len), set()).add(kind)
    assert kinds == {pattern: {kind} for pattern, kind in patterns.items()}


@pytest.mark.parametrize("name", ["dtps:{s0}:payloads", "*", "a b", "\n"])
def test_a_worker_may_be_called_anything(broker, name):
    broker.fleet.announce(name, {})

    assert list(broker.fleet.workers()) == [name]
    assert broker.fleet.resign(name)
