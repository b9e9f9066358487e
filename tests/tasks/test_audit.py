"""The audit: a sound system gives no finding, and each planted violation is found by its id."""

import json
from io import StringIO

import msgspec
import pytest
from django.core.management import call_command
from django.db import connection

from tasks_app.audit import Auditor, Report, auditor, live, register
from tasks_app.broker import keys
from tasks_app.message import Attempt, State, now_us
from tasks_app.models import Dependency, Ledger, Outbox, Quarantine, TaskRecord
from tasks_app.states import Status
from workers_app.coordinator.services.recorder import Recorder

from ..conftest import wait_until
from ..lua.world import claim, content, end, executor_of, outcome, submitted, task
from ..postgres import on_both_databases

HOUR_US = 3_600_000_000
W1 = "w1:0:x"
W2 = "w2:0:x"


def key(name, shard=0):
    return keys.key(shard, name)


def record(broker):
    """Let the recorder write down everything."""
    while broker.stats().unrecorded:
        Recorder(broker).tick()


def audit(broker, **options):
    report = Report(keep=None)
    Auditor(broker, report, settle_seconds=0.01, **options).run()
    return report


def findings(report):
    """What was found: (kind, subject)."""
    return {(f.kind, f.subject) for kept in report.kept.values() for f in kept}


def rewrite(broker, task_id, **changes):
    """Change the header, or the lines, of a state in Redis."""
    state = broker.must_get(task_id).state
    broker.link.call(
        "HSET", key("states"), task_id, text_of(msgspec.structs.replace(state, **changes))
    )


def text_of(state):
    words = [getattr(state, name) for name in State.__struct_fields__[:-1]]
    return "|".join(map(str, words)).encode() + b"\n" + state.lines


def lines(*outcomes, run=1):
    return b"".join(Attempt(run=run, outcome=o).encode() + b"\n" for o in outcomes)


class World:
    """A sound system with a task of every kind; what is recorded, and what is not yet."""

    def __init__(self, broker):
        self.broker = broker
        self.call = broker.link.call
        executor_of(broker, "w1")
        executor_of(broker, "w2")
        self.done = self._ended("completed")
        self._ended("failed")
        end(broker, submitted(broker)[0], "cancelled")
        self.retried = self._retried()
        record(broker)
        self.assigned, self.token = self._held(W1)
        self.processing, _ = self._held(W2, started=True)
        self.pending, self.pending2 = submitted(broker, 2, queue="mail", max_attempts=3)
        self.expiring = submitted(broker, queue="mail", expires_us=now_us() + HOUR_US)[0]
        self.scheduled = submitted(broker, queue="mail", run_after_us=now_us() + HOUR_US)[0]
        self.retrying = self._retrying()
        limit = {"concurrency": 1, "limit": "a-key", "limit_label": "mail"}
        self.limited = submitted(broker, 3, queue="limited", **limit)
        self.admitted, self.waiting, _ = self.limited
        self.child = self._child(self.pending)
        submitted(broker, 3, queue="purged")
        broker.purge("purged")
        record(broker)
        self.over = self._ended("completed", queue="over")  # final, and not recorded yet
        self.news = submitted(broker, queue="news", submitted_us=now_us() - HOUR_US)[0]

    def _ended(self, final, **fields):
        (one,) = submitted(self.broker, **fields)
        end(self.broker, one, final)
        return one

    def _retried(self):
        one = self._ended("completed")
        self.broker.retry(one, self.broker.must_get(one.id).state)
        end(self.broker, one, "failed")
        self.broker.retry(one, self.broker.must_get(one.id).state)
        return one

    def _child(self, parent):
        """A task that waits for another one; what it waits for is in the database alone."""
        (one,) = submitted(self.broker, queue="mail", has_parents=True)
        Dependency.objects.create(child_id=one.id, parent_id=parent.id, position=0)
        return one

    def _held(self, executor, started=False):
        (one,) = submitted(self.broker, queue=f"of {executor}")
        exchange = claim(self.broker, executor, queues=[one.queue])
        if started:
            self.broker.start(executor, [one.id])
        return one, exchange.token

    def _retrying(self):
        (one,) = submitted(self.broker, queue="mail", priority=100, max_attempts=3)
        exchange = claim(self.broker, W1, limit=1, queues=["mail"])
        said = outcome(one.id, exchange.token, "retry", 3_600_000, number=1)
        assert self.broker.finish(W1, [said]) == []
        return one

    def trim(self):
        """Drop the changes, as if they had been recorded."""
        self.call("XTRIM", key("changes"), "MAXLEN", 0)


@pytest.fixture
def world(broker):
    return World(broker)


@on_both_databases
def test_nothing_at_all_is_clean(broker):
    assert findings(audit(broker)) == set()


@on_both_databases
def test_a_sound_system_is_clean(broker, world):
    report = audit(broker)

    assert findings(report) == set()
    assert report.looked_at["redis"] >= 16  # a scan may show one twice
    assert report.looked_at["database"] == 18


PLANTED = {}


def plants(kind):
    """The test of one violation: it plants it, and returns whose id is to be told."""

    def note(plant):
        PLANTED[f"{kind} {plant.__name__.replace('_', ' ')}"] = kind, plant
        return plant

    return note


# --- G1: lost ---


@plants("G1")
def a_pending_task_in_no_queue(world):
    world.call("ZREM", key("q:mail:ready"), world.pending.id)
    return world.pending.id


@plants("G1")
def a_scheduled_task_in_no_queue(world):
    world.call("ZREM", key("q:mail:scheduled"), world.scheduled.id)
    return world.scheduled.id


@plants("G1")
def a_retrying_task_in_no_queue(world):
    world.call("ZREM", key("q:mail:scheduled"), world.retrying.id)
    return world.retrying.id


@plants("G1")
def a_task_whose_purged_set_is_gone(world):
    (name,) = world.call("LRANGE", key("aside"), 0, -1)
    (task_id,) = world.call("ZPOPMIN", name)[:1]
    return task_id.decode()


@plants("G1")
def a_waiting_id_without_a_definition(world):
    world.call("ZADD", key("q:mail:ready"), 1, "ghost")
    return "ghost"


@plants("G1")
def a_scheduled_id_without_a_definition(world):
    world.call("ZADD", key("q:mail:scheduled"), now_us(), "ghost")
    return "ghost"


@plants("G1")
def a_held_id_without_a_definition(world):
    world.call("HSET", key(f"held:{W1}"), "ghost", world.token)
    return "ghost"


@plants("G1")
def a_state_without_a_definition(world):
    world.call("HSET", key("states"), "ghost", text_of(State(status=Status.FAILED)))
    return "ghost"


@plants("G1")
def a_mark_without_a_definition(world):
    world.call("HSET", key("marks"), "ghost", "{}")
    return "ghost"


@plants("G8")
def a_unique_key_of_a_task_that_is_gone(world):
    world.call("SET", key("unique:k"), "ghost 1")
    return "unique:k"


@plants("G8")
def a_unique_key_of_a_task_that_is_over(world):
    world.call("SET", key("unique:k"), f"{world.done.id} 1")
    return "unique:k"


@plants("G1")
def an_open_row_that_redis_does_not_know(world):
    row = TaskRecord.objects.get(id=world.pending.id)
    world.broker.cancel([row.id])
    world.call("HDEL", key("payloads"), row.id)
    world.call("HDEL", key("states"), row.id)
    return row.id


# --- G2: in the wrong place ---


@plants("G2")
def a_held_task_that_waits_too(world):
    queue = f"q:{keys.escaped(world.assigned.queue)}:ready"
    world.call("ZADD", key(queue), world.assigned.rank, world.assigned.id)
    return world.assigned.id


@plants("G2")
def a_task_in_ready_and_scheduled(world):
    world.call("ZADD", key("q:mail:scheduled"), now_us(), world.pending.id)
    return world.pending.id


@plants("G2")
def a_pending_task_in_scheduled(world):
    world.call("ZREM", key("q:mail:ready"), world.pending.id)
    world.call("ZADD", key("q:mail:scheduled"), now_us(), world.pending.id)
    return world.pending.id


@plants("G2")
def a_scheduled_task_without_a_state(world):
    TaskRecord.objects.filter(id=world.scheduled.id).delete()
    world.call("HDEL", key("states"), world.scheduled.id)
    return world.scheduled.id


@plants("G2")
def a_final_task_that_still_waits(world):
    world.call("ZADD", key("q:over:ready"), world.over.rank, world.over.id)
    return world.over.id


@plants("G2")
def a_held_task_that_its_state_does_not_know_of(world):
    world.call("HSET", key(f"held:{W1}"), world.pending.id, world.token)
    return world.pending.id


@plants("G2")
def an_assigned_task_that_nobody_holds(world):
    world.call("HDEL", key(f"held:{W1}"), world.assigned.id)
    return world.assigned.id


@plants("G2")
def a_task_that_two_executors_hold(world):
    world.call("HSET", key(f"held:{W2}"), world.assigned.id, "another")
    return world.assigned.id


@plants("G2")
def a_task_in_the_line_of_another_queue(world):
    world.call("ZADD", key("q:news:ready"), world.pending.rank, world.pending.id)
    return world.pending.id


@plants("G2")
def a_task_at_a_wrong_rank(world):
    world.call("ZINCRBY", key("q:mail:ready"), 5, world.pending.id)
    return world.pending.id


@plants("G2")
def a_task_in_a_queue_that_is_not_listed(world):
    world.call("SREM", key("queues"), "news")
    return world.news.id


@plants("G2")
def a_pending_task_with_an_owner(world):
    rewrite(world.broker, world.pending.id, owner=W1, version=2)
    return world.pending.id


@plants("G2")
def a_task_that_waits_for_its_limit_and_is_ready_too(world):
    world.call("ZADD", key("q:limited:ready"), 1, world.waiting.id)
    return world.waiting.id


@plants("G2")
def a_task_that_stands_in_no_line(world):
    world.call("ZREM", key("limit:a-key:line"), world.waiting.id)
    return world.waiting.id


@plants("G2")
def a_task_that_its_limit_does_not_know(world):
    world.call("SADD", key("limit:a-key:admitted"), world.pending.id)
    return world.pending.id


@plants("G2")
def a_task_among_the_waiting_of_another_queue(world):
    world.call("SADD", key("q:mail:waiting"), world.waiting.id)
    return world.waiting.id


@plants("G1")
def a_place_of_a_task_that_is_gone(world):
    world.call("SADD", key("limit:a-key:admitted"), "ghost")
    return "ghost"


@plants("G1")
def a_waiting_task_that_stands_nowhere(world):
    world.call("SREM", key("q:limited:waiting"), world.waiting.id)
    world.call("ZREM", key("limit:a-key:line"), world.waiting.id)
    return world.waiting.id


@plants("G7")
def a_task_that_waits_for_others_that_have_ended(world):
    Dependency.objects.update(parent_id=world.done.id)
    return world.child.id


@plants("G7")
def a_task_that_waits_for_nobody(world):
    Dependency.objects.all().delete()
    return world.child.id


@plants("G7")
def a_task_that_waits_for_others_and_may_have_none(world):
    rewrite(world.broker, world.pending2.id, status=Status.WAITING, version=2)
    world.call("ZREM", key("q:mail:ready"), world.pending2.id)
    world.call("SADD", key("q:mail:waiting"), world.pending2.id)
    return world.pending2.id


@plants("G1")
def a_task_that_waits_for_others_and_stands_nowhere(world):
    world.call("SREM", key("q:mail:waiting"), world.child.id)
    return world.child.id


@plants("G2")
def a_task_that_waits_for_others_and_may_be_claimed(world):
    world.call("ZADD", key("q:mail:ready"), world.child.rank, world.child.id)
    return world.child.id


@plants("G8")
def a_task_that_its_limit_does_not_count(world):
    world.broker.cancel([one.id for one in world.limited[1:]])  # who would have room now
    world.call("SREM", key("limit:a-key:admitted"), world.admitted.id)
    return world.admitted.id


@plants("G8")
def a_waiting_task_that_is_counted(world):
    world.call("SADD", key("limit:a-key:admitted"), world.waiting.id)
    return world.waiting.id


@plants("G7")
def a_limit_with_room_that_lets_nobody_in(world):
    world.call("HSET", key("limit:a-key"), "c", 2)
    return "limit mail"


@plants("G7")
def a_limit_with_a_token_that_nobody_looks_at(world):
    world.call("ZADD", key("parked"), 1, "a-key")
    return "limit mail"


# --- G3: ended twice ---


@plants("G3")
def a_finished_task_that_is_open_again(world):
    world.call("HSET", key("payloads"), world.done.id, world.done.encode())
    world.call("ZADD", key("q:default:ready"), world.done.rank, world.done.id)
    return world.done.id


@plants("G3")
def a_task_that_ended_in_two_ways(world):
    row = TaskRecord.objects.get(id=world.done.id)
    state = State.decode(row.state)
    other = msgspec.structs.replace(state, status=Status.CANCELLED, version=state.version + 1)
    world.call("HSET", key("payloads"), world.done.id, world.done.encode())
    world.call("HSET", key("states"), world.done.id, text_of(other))
    return world.done.id


@plants("G3")
def two_final_outcomes_of_one_run(world):
    rewrite(world.broker, world.over.id, lines=lines("failed", "completed"))
    return world.over.id


@plants("G3")
def an_attempt_after_the_end_of_its_run(world):
    rewrite(world.broker, world.over.id, lines=lines("completed", "retrying"))
    return world.over.id


@plants("G3")
def an_open_task_whose_run_has_ended(world):
    rewrite(world.broker, world.retrying.id, lines=lines("completed"), version=9)
    return world.retrying.id


@plants("G3")
def an_end_of_a_run_to_come(world):
    rewrite(world.broker, world.over.id, lines=lines("completed") + lines("completed", run=2))
    return world.over.id


# --- G4: tokens ---


@plants("G4")
def one_token_in_two_hands(world):
    (one,) = submitted(world.broker, queue="x")
    claim(world.broker, W2, queues=["x"], request=world.token)
    return {world.assigned.id, one.id}


@plants("G4")
def a_task_held_without_a_token(world):
    world.call("HSET", key(f"held:{W1}"), world.assigned.id, "")
    return {world.assigned.id}


# --- G5, G6: the record ---


@plants("G5")
def a_record_ahead_of_redis(world):
    row = TaskRecord.objects.get(id=world.retrying.id)
    ahead = msgspec.structs.replace(State.decode(row.state), version=row.version + 5)
    TaskRecord.objects.filter(id=row.id).update(version=ahead.version, state=text_of(ahead))
    return row.id


@plants("G5")
def a_record_of_a_later_epoch(world):
    row = TaskRecord.objects.get(id=world.pending.id)
    ahead = msgspec.structs.replace(State.decode(row.state), epoch=7)
    TaskRecord.objects.filter(id=row.id).update(epoch=7, state=text_of(ahead))
    return row.id


@plants("G5")
def a_server_that_was_rolled_back(world):
    last = {"0": f"{now_us() // 1000 + 60_000}-0"}
    Ledger.objects.update_or_create(pk=1, defaults={"last_change": last})
    return "shard 0"


@plants("G5")
def a_server_that_has_lost_its_epoch(world):
    Ledger.objects.update_or_create(pk=1, defaults={"epoch": 3})
    return "shard 0"


@plants("G6")
def a_row_that_differs_at_the_same_version(world):
    rewrite(world.broker, world.retrying.id, lines=lines("crashed"))
    return world.retrying.id


@plants("G6")
def a_row_whose_columns_say_something_else(world):
    TaskRecord.objects.filter(id=world.done.id).update(failures=7)
    return world.done.id


@plants("G6")
def an_end_that_will_never_be_recorded(world):
    record(world.broker)
    (one,) = submitted(world.broker, queue="over")
    end(world.broker, one, "completed")
    rewrite(world.broker, one.id, changed_ms=1)
    world.trim()
    return one.id


@plants("G6")
def a_submit_that_will_never_be_recorded(world):
    record(world.broker)
    (one,) = submitted(world.broker, submitted_us=now_us() - HOUR_US)
    world.trim()
    return one.id


@plants("G6")
def a_task_in_quarantine(world):
    Quarantine.objects.create(task_id=world.over.id, definition=b"", reason="no such column")
    return world.over.id


# --- G7: recovery ---


@plants("G7")
def a_task_that_nobody_sweeps(world):
    Outbox.objects.create(
        id="in-the-outbox", definition=b"", created_us=now_us() - HOUR_US, turn_us=0
    )
    return "in-the-outbox"


@plants("G7")
def a_holder_without_a_lease(world):
    world.call("ZREM", key("workers:leases"), "w1")
    return W1


@plants("G7")
def a_holder_whose_worker_is_not_registered(world):
    world.call("HDEL", key("workers"), "w1")
    return W1


@plants("G7")
def a_holder_that_no_worker_announced(world):
    world.call("SREM", key("executors:w1"), W1)
    return W1


@plants("G7")
def a_queue_that_the_promoter_does_not_know(world):
    world.call("ZREM", key("due"), "mail")
    return "queue mail"


@plants("G7")
def a_queue_that_the_promoter_looks_at_too_late(world):
    world.call("ZINCRBY", key("due"), 86_400_000, "mail")
    return "queue mail"


@plants("G7")
def a_task_that_was_due_long_ago(world):
    world.call("ZADD", key("q:mail:scheduled"), 1000, world.scheduled.id)
    world.call("ZADD", key("due"), 1000, "mail")
    return "queue mail"


@plants("G7")
def a_task_that_would_never_expire(world):
    world.call("ZREM", key("q:mail:expiring"), world.expiring.id)
    return world.expiring.id


# --- G8: bounds ---


@plants("G8")
def a_wake_up_that_stays_for_ever(world):
    world.call("RPUSH", key("wake:w9:0:x"), "1")
    return "wake:w9:0:x"


@plants("G8")
def a_bell_that_rings_and_rings(world):
    world.call("RPUSH", key("workers:bell:w1"), "1", "1")
    world.call("PEXPIRE", key("workers:bell:w1"), 600_000)
    return "workers:bell:w1"


@plants("G8")
def a_reply_that_is_kept_for_ever(world):
    world.call("PERSIST", key(f"reply:{W1}"))
    return f"reply:{W1}"


@plants("G8")
def samples_without_end(world):
    world.call("RPUSH", key("samples"), *["{}"] * 901)
    return "samples"


@plants("G8")
def an_executor_of_a_worker_that_resigned(world):
    world.call("SADD", key("executors:w9"), "w9:0:x")
    return "w9:0:x"


@plants("G8")
def an_offer_of_nobody(world):
    world.call("HSET", key("offers"), "w9:0:x", "token")
    return "w9:0:x"


@plants("G8")
def a_counter_that_went_below_zero(world):
    world.call("HINCRBY", key("counters"), "completed", -1000)
    return "completed"


# --- G9: attempts that do not add up ---


@plants("G9")
def more_failures_than_attempts(world):
    rewrite(world.broker, world.over.id, starts=9, failures=2)
    return world.over.id


@plants("G9")
def fewer_starts_than_ends(world):
    rewrite(world.broker, world.over.id, starts=0)
    return world.over.id


@plants("G9")
def more_crashes_than_any_task_may_have(world):
    rewrite(world.broker, world.pending.id, starts=4, crashes=4, version=2)
    return world.pending.id


# --- G10: texts, ids and keys ---


@plants("G10")
def an_id_with_a_line_break(world):
    one = task(id="a\nb", queue="news")
    world.call("HSET", key("payloads"), one.id, one.encode())
    world.call("ZADD", key("q:news:ready"), one.rank, one.id)
    return one.id


@plants("G10")
def a_definition_that_cannot_be_read(world):
    world.call("HSET", key("payloads"), world.news.id, world.news.encode()[:-5])
    return world.news.id


@plants("G10")
def a_definition_of_another_task(world):
    other = msgspec.structs.replace(world.news, id=world.pending.id)
    world.call("HSET", key("payloads"), world.news.id, other.encode())
    return world.news.id


@plants("G10")
def a_first_line_that_is_not_of_the_rest(world):
    first, rest = world.news.encode().split(b"\n")
    world.call("HSET", key("payloads"), world.news.id, first[:-1] + b"7\n" + rest)
    world.call("ZADD", key("q:news:expiring"), now_us(), world.news.id)
    world.call("ZADD", key("due"), 1, "news")
    return world.news.id


@plants("G10")
def a_state_that_cannot_be_read(world):
    world.call("HSET", key("states"), world.over.id, "done|1|1\n")
    return world.over.id


@plants("G10")
def attempts_that_cannot_be_read(world):
    rewrite(world.broker, world.over.id, lines=b"{not json\n")
    return world.over.id


@plants("G10")
def a_key_of_another_type(world):
    world.call("SET", key("q:odd:ready"), "text")
    return "q:odd:ready"


@plants("G10")
def a_key_with_a_space(world):
    world.call("ZADD", key("q:a b:idle"), 1, W1)
    return "q:a b:idle"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found_and_nothing_else(broker, world, name):
    kind, plant = PLANTED[name]

    planted = plant(world)

    subjects = planted if isinstance(planted, set) else {planted}
    report = audit(broker)
    told = findings(report)
    assert told <= {(kind, subject) for subject in subjects}, report.lines()
    assert told, "nothing was found"


# --- what takes options to be wrong ---


@pytest.mark.django_db(transaction=True)
def test_a_lease_that_ended_long_ago_is_found(broker, world, options, monkeypatch):
    monkeypatch.setattr(register, "MARGIN_MS", 0)
    options(LEASE_SECONDS=0.2, RENEW_SECONDS=0.05)
    wait_until(live.Live(broker).uptime_ms, "a server that is older than two leases")
    broker.link.call("ZADD", key("workers:leases"), 1000, "w1")
    broker.link.call("ZADD", key("workers:leases"), now_us(), "w2")

    report = audit(broker)

    assert findings(report) == {("G7", W1)}
    assert world.assigned.id in report.lines()[0]


@pytest.mark.django_db(transaction=True)
def test_a_server_that_has_just_started_is_given_time_to_hear_of_leases(broker, world):
    broker.link.call("ZADD", key("workers:leases"), now_us() // 1000 - 3_600_000, "w1")

    (holder,) = live.Live(broker).holders([W1])

    assert list(register.abandoned(holder, uptime_ms=5_000)) == []
    assert [f.code for f in register.abandoned(holder, uptime_ms=3_600_000)] == ["no-lease"]


@pytest.mark.django_db(transaction=True)
def test_too_many_changes_are_found(broker, world, options):
    options(MAX_RECORDER_LAG=3)
    assert findings(audit(broker)) == {("G8", "changes")}


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_is_too_long_is_found(broker, world, options, monkeypatch):
    monkeypatch.setattr(register, "MOST_HANDED", 0)
    options(MAX_QUEUE_DEPTH=4)
    assert findings(audit(broker)) == {("G8", "queue mail")}


# --- shards ---


@pytest.fixture
def shards(options):
    options(SHARDS={"far": 1})


@pytest.mark.django_db(transaction=True)
def test_two_shards_are_clean(shards, broker, world):
    submitted(broker, 2, queue="far")
    assert findings(audit(broker)) == set()


@pytest.mark.django_db(transaction=True)
def test_a_task_in_two_shards_is_found(shards, broker, world):
    (one,) = submitted(broker, queue="far")
    broker.link.call("HSET", key("payloads"), one.id, one.encode())
    assert findings(audit(broker)) == {("G1", one.id)}


@pytest.mark.django_db(transaction=True)
def test_a_task_in_the_shard_of_other_queues_is_found(broker, world, options):
    options(SHARDS={"news": 1})
    assert findings(audit(broker)) == {("G1", world.news.id)}


# --- two looks ---


@pytest.mark.django_db(transaction=True)
def test_what_is_right_at_the_second_look_is_not_told(broker, world, monkeypatch):
    record(broker)
    a_pending_task_in_no_queue(world)
    looks = []

    def put_right(seconds):
        looks.append(seconds)
        world.call("ZADD", key("q:mail:ready"), world.pending.rank, world.pending.id)

    monkeypatch.setattr(auditor.time, "sleep", put_right)

    assert findings(audit(broker)) == set()
    assert len(looks) == 1


@pytest.mark.django_db(transaction=True)
def test_what_moves_is_looked_at_again_and_not_told_while_it_does(broker, world, monkeypatch):
    record(broker)
    due = now_us() // 1000 - 3_600_000
    world.call("ZADD", key("q:mail:scheduled"), due, world.scheduled.id)
    world.call("ZADD", key("due"), due, "mail")
    looks = []

    def promote_one(seconds):
        looks.append(seconds)
        world.call("ZINCRBY", key("q:mail:scheduled"), 1, world.scheduled.id)

    monkeypatch.setattr(auditor.time, "sleep", promote_one)

    assert findings(audit(broker)) == set()
    assert len(looks) == auditor.ROUNDS


@pytest.mark.django_db(transaction=True)
def test_what_still_waits_to_be_recorded_is_not_told(broker, world):
    """However old it is: the recorder may have been away for days."""
    rewrite(broker, world.over.id, changed_ms=1)
    rewrite(broker, world.retrying.id, changed_ms=1, version=9)
    world.call("XADD", key("changes"), "*", "ids", world.retrying.id)

    assert findings(audit(broker)) == set()


@pytest.mark.django_db(transaction=True)
def test_many_suspects_are_looked_at_in_between(broker, world, monkeypatch):
    monkeypatch.setattr(auditor, "MOST_SUSPECTS", 2)
    ghosts = {f"ghost{n}": n for n in range(5)}
    for ghost, rank in ghosts.items():
        world.call("ZADD", key("q:mail:ready"), rank, ghost)

    assert findings(audit(broker)) == {("G1", ghost) for ghost in ghosts}


# --- the command ---


def run(*words):
    """Run the command. Return (exit code, stdout, stderr)."""
    out, err = StringIO(), StringIO()
    try:
        call_command("audit", "--seconds", "0.01", *words, stdout=out, stderr=err)
    except SystemExit as end:
        return end.code, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_clean_system_exits_with_0(broker, world):
    code, said, noted = run()

    assert (code, noted) == (0, "")
    assert said.startswith("Nothing found in 17 tasks in Redis and 18 in the database, ")


@pytest.mark.django_db(transaction=True)
def test_findings_are_told_one_a_line_with_their_ids(broker, world):
    a_task_that_two_executors_hold(world)

    code, said, _ = run()

    first, summary = said.splitlines()
    assert code == 1
    assert first == (
        f"G2 {world.assigned.id}: is held by w2:0:x, but its state names w1:0:x as owner"
    )
    assert summary.startswith("1 findings (1 of G2) in ")


@pytest.mark.django_db(transaction=True)
def test_only_the_first_of_many_are_told_unless_all_are_asked_for(broker, world):
    for n in range(25):
        world.call("ZADD", key("q:mail:ready"), n, f"ghost{n}")

    code, said, _ = run()
    _, all_of_it, _ = run("--all")

    assert code == 1
    assert len(said.splitlines()) == 20 + 2
    assert "G1 … and 5 more (--all shows them)" in said
    assert len(all_of_it.splitlines()) == 25 + 1


@pytest.mark.django_db(transaction=True)
def test_programs_get_json(broker, world):
    a_key_with_a_space(world)

    code, said, _ = run("--json")

    told = json.loads(said)
    assert code == 1
    assert told["clean"] is False
    assert told["counts"] == {"G10": 1}
    assert [each["subject"] for each in told["findings"]] == ["q:a b:idle"]


@pytest.mark.django_db(transaction=True)
def test_what_somebody_put_into_an_id_stays_on_its_line(broker, world):
    planted = an_id_with_a_line_break(world)

    _, said, _ = run()

    assert planted == "a\nb"
    assert said.startswith("G10 a\\nb: this is no id of a task\n")


@pytest.mark.django_db(transaction=True)
def test_without_redis_it_cannot_look(settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "REDIS_URL": f"unix://{tmp_path}/none.sock"}

    code, said, noted = run()

    assert (code, said) == (2, "")
    assert "could not look: Redis cannot be reached" in noted


@pytest.mark.django_db(transaction=True)
def test_without_the_database_it_cannot_look(broker, world):
    table = TaskRecord._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO away")
        try:
            code, said, noted = run()
        finally:
            cursor.execute(f"ALTER TABLE away RENAME TO {table}")

    assert (code, said) == (2, "")
    assert "could not look" in noted


@pytest.mark.django_db(transaction=True)
def test_a_server_that_no_leader_has_looked_at_is_noted(broker, world):
    broker.open_gate("another")

    code, _, noted = run()

    assert code == 0
    assert "no leader has looked at it yet" in noted


@pytest.mark.django_db(transaction=True)
def test_it_changes_nothing(broker, world):
    a_task_in_ready_and_scheduled(world)
    before = content(broker)

    assert run()[0] == 1

    assert content(broker) == before
