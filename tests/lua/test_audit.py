"""The audit's own scripts, on both servers: they read, say what they read, and hold nobody up."""

import re
from pathlib import Path

import pytest

from tasks_app.audit import scripts
from tasks_app.audit.live import Live, Stray

from .test_scripts import WRITES
from .world import claim, executor_of, held, submitted, task

FILES = {file.stem: file for file in Path(str(scripts.HERE)).glob("*.lua")}


@pytest.fixture
def live(broker):
    return Live(broker)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_header_tells_every_argument_and_no_other(name):
    lines = FILES[name].read_text().splitlines()
    header = "\n".join(line for line in lines if line.startswith("--"))
    code = "\n".join(line for line in lines if not line.startswith("--"))

    told = {int(n) for n in re.findall(r"\bARGV\[(\d+)", header)}
    used = {int(n) for n in re.findall(r"\bARGV\[(\d+)\]", code)}
    used |= {int(n) for n in re.findall(r"for i = (\d+), #ARGV", code)}

    assert header.startswith(f"-- {name}: ")
    assert "\n-- KEYS[1] the shard's anchor\n" in header
    assert "\n-- Returns " in header
    assert told == used == set(range(1, len(told) + 1))
    assert max(map(len, lines)) <= 112


@pytest.mark.parametrize("name", sorted(FILES))
def test_it_compiles_and_may_not_write(broker, name):
    script = scripts.script(name)

    assert script.text.startswith("#!lua flags=no-writes,allow-oom\n")
    assert not WRITES.search(FILES[name].read_text())
    assert broker.link.call("SCRIPT", "LOAD", script.text).decode() == script.sha


def test_a_task_is_seen_with_its_place(broker, live):
    (waiting,) = submitted(broker, queue="mail")
    one, _ = held(broker)

    first, second, third = live.tasks([waiting.id, one.id, "unknown"])

    assert (first.definition, first.state) == (waiting.encode(), b"")
    assert (first.rank, first.due_ms, first.is_held, first.is_listed) == (
        waiting.rank, None, False, True,
    )  # fmt: skip
    assert (second.rank, second.is_held) == (None, True)
    assert (third.definition, third.is_listed) == (b"", False)


def test_big_tasks_are_seen_in_slices(broker, live):
    tasks = submitted(broker, 12, args=["x" * 1_000_000])

    seen = list(live.tasks([one.id for one in tasks]))

    assert [one.definition for one in seen] == [one.encode() for one in tasks]


def test_big_members_are_judged_in_slices(broker, live):
    tasks = submitted(broker, 12, args=["x" * 1_000_000])
    ids = [one.id for one in tasks]

    assert list(live.strays("queue", "q:default:ready", "default", ids)) == []
    strays = live.strays("queue", "q:default:ready", "other", ids)
    assert list(strays) == [Stray(one, True, "default") for one in ids]


@pytest.mark.parametrize("count", [1, 3000])
def test_every_field_is_scanned_whatever_the_server_can_leave_out(broker, live, count):
    ids = {one.id for n in range(0, count, 1000) for one in submitted(broker, min(count, 1000))}

    assert {one for some in live.fields("payloads") for one in some} == ids
    live._knows_novalues = False
    assert {one for some in live.fields("payloads") for one in some} == ids


def test_bytes_that_are_no_text_are_kept(broker, live):
    broker.link.call("HSET", live.key("payloads"), b"\xff\x00", task().encode())

    (name,) = [one for some in live.fields("payloads") for one in some]
    (seen,) = live.tasks([name])

    assert seen.definition


def test_a_full_server_is_looked_at_too(broker, private_server):
    own = type(broker)(type(broker.link)(private_server.url))
    (one,) = submitted(own)
    own.link.call("CONFIG", "SET", "maxmemory", 1)

    (seen,) = Live(own).tasks([one.id])

    assert seen.rank == one.rank
    own.link.close()


def test_who_answers_for_an_executor_is_told(broker, live):
    executor = executor_of(broker)
    (one,) = submitted(broker)
    claim(broker, executor)

    known, unknown = live.holders([executor, "w9:0:x"])

    assert (known.held, known.some_ids, known.is_announced) == (1, [one.id], True)
    assert known.lease_until_ms > known.now_ms
    assert (unknown.held, unknown.is_registered, unknown.lease_until_ms) == (0, False, 0)
