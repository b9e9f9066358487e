"""What travels: the order of ranks, the ten levels, and texts that come back as they went."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks_app.message import (
    LEVELS,
    MOST_DUE_MS,
    STEP_MS,
    Attempt,
    State,
    TaskMessage,
    in_doubt,
    level_of,
    moment,
    priority_of,
    queue_in,
    rank_of,
    ranks_of,
    us_of,
    worker_of,
)
from tasks_app.states import FINAL, HELD, MOVES, OPEN, Status, may_move

NOW_MS = 1_764_000_000_000
YEAR_9000_US = 221_845_392_000_000_000
PRIORITIES = range(-100, 101)
QUICK = settings(deadline=None, derandomize=True, database=None, max_examples=100)
FEW = settings(QUICK, max_examples=30)

moments_ms = st.integers(0, 2**47)
texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)


def message(**fields):
    return TaskMessage(**{"id": "1", "type": "test", "submitted_us": NOW_MS * 1000, **fields})


# --- rank ---


@given(st.sampled_from(PRIORITIES), st.sampled_from(PRIORITIES), moments_ms, moments_ms)
@QUICK
def test_a_higher_priority_comes_first_whatever_is_due(p, q, due, other_due):
    if p > q:
        assert rank_of(p, due, NOW_MS) < rank_of(q, other_due, NOW_MS)


@given(st.sampled_from(PRIORITIES), st.integers(-MOST_DUE_MS, MOST_DUE_MS))
@QUICK
def test_inside_a_priority_a_millisecond_counts_and_a_double_holds_it(priority, due):
    first = rank_of(priority, NOW_MS + due, NOW_MS)
    second = rank_of(priority, NOW_MS + due + 1, NOW_MS)

    assert float(first) == first
    assert due == MOST_DUE_MS or float(first) < float(second)


def test_undated_work_is_due_after_the_patience_and_a_deadline_may_come_before(options):
    options(PATIENCE_SECONDS=60)

    assert message().rank == NOW_MS + 60_000
    assert message(run_after_us=(NOW_MS + 5) * 1000).rank == NOW_MS + 60_005
    assert message(run_after_us=1000).rank == NOW_MS + 60_000
    assert message(deadline_us=(NOW_MS + 7) * 1000).rank == NOW_MS + 7
    assert message(deadline_us=1).rank == 0
    assert message(deadline_us=YEAR_9000_US).rank == NOW_MS + MOST_DUE_MS


# --- levels ---


def test_levels_are_djangos_priorities_seen_from_afar():
    assert [priority_of(level) for level in LEVELS] == list(range(-80, 101, 20))
    assert [level_of(priority_of(level)) for level in LEVELS] == list(LEVELS)
    seen = [level_of(priority) for priority in PRIORITIES]
    assert seen == sorted(seen)
    assert (seen[0], seen[100], seen[101], seen[-1]) == (1, 5, 6, 10)


@given(st.sampled_from(PRIORITIES), moments_ms, st.integers(-(2**39), 2**39))
@QUICK
def test_every_rank_is_in_the_range_of_its_level_alone(priority, due, age_ms):
    rank = rank_of(priority, due, NOW_MS)
    levels = [
        level
        for level in LEVELS
        for lowest, highest in [ranks_of(level, NOW_MS + age_ms)]
        if lowest <= rank <= highest
    ]

    assert levels == [level_of(priority)]


def test_the_ranges_of_levels_leave_no_gap():
    ranges = [ranks_of(level, NOW_MS) for level in reversed(LEVELS)]

    assert all(a[1] + 1 == b[0] for a, b in pairwise(ranges))
    assert ranges[0][1] - ranges[0][0] + 1 == 20 * STEP_MS


# --- texts ---


@given(
    args=st.lists(json_values, max_size=3),
    kwargs=st.dictionaries(texts, json_values, max_size=3),
    queue=texts,
    priority=st.sampled_from(PRIORITIES),
    us=st.integers(0, YEAR_9000_US),
)
@FEW
def test_a_message_comes_back_as_it_went(args, kwargs, queue, priority, us):
    one = message(
        args=args, kwargs=kwargs, queue=queue, priority=priority, deadline_us=us,
        run_after_us=us, expires_us=us, max_attempts=3, backoff=0.25, timeout=1e-3,
    )  # fmt: skip

    assert TaskMessage.decode(one.encode()) == one
    assert queue_in(one.encode()) == queue


@pytest.mark.parametrize("queue", ["a|b", " ", "a:b", "é ☃", "{s1}", "%7C", "a\nb", ""])
def test_the_first_line_has_four_fields_whatever_the_queue(queue):
    line, _, body = message(queue=queue, expires_us=1_001).encode().partition(b"\n")

    assert len(line.split(b"|")) == 4
    assert line.split(b"|")[3] == b"2"  # ms, rounded up: never expired too early
    assert json.loads(body)["queue"] == queue


def test_what_is_default_is_not_sent():
    assert set(json.loads(message().encode().partition(b"\n")[2])) == {"id", "type", "submitted_us"}


@pytest.mark.parametrize(
    "text", [b"", b"x", b"2|q|1|0\n{}", b"11|q|1|0\n{}", b"1|q|1|0\n[]", b'1|q|1|0\n{"id":1}']
)
def test_what_is_no_definition_is_refused(text):
    with pytest.raises(ValueError):
        TaskMessage.decode(text)


def test_a_reader_of_today_passes_over_the_fields_of_tomorrow():
    line, _, body = message().encode().partition(b"\n")
    newer = {**json.loads(body), "colour": "red"}

    assert TaskMessage.decode(line + b"\n" + json.dumps(newer).encode()) == message()


@given(result=json_values, error=texts)
@FEW
def test_attempts_come_back_as_they_went(result, error):
    attempts = [
        Attempt(number=1, outcome="retrying", error=error, traceback=error + "\n\u2028\r"),
        Attempt(number=2, outcome="completed", result=result, started_us=YEAR_9000_US + 1),
    ]
    lines = b"".join(attempt.encode() + b"\n" for attempt in attempts)
    raw = b"completed|1|2|7|2|1|0||1764000000000\n" + lines

    state = State.decode(raw)

    assert state.attempts == attempts
    assert (state.status, state.run, state.version, state.is_final) == ("completed", 2, 7, True)


@pytest.mark.parametrize("result", [0, 0.0, False, "", [], {}, None])
def test_a_result_that_is_empty_is_kept(result):
    decoded = State.decode(b"failed|1|1|1|1|1|0||1\n" + Attempt(result=result).encode()).attempts

    assert decoded[0].result == result
    assert type(decoded[0].result) is type(result)


def test_no_state_is_that_of_a_task_that_waits():
    assert State.decode(None) == State.decode(b"") == State()
    assert (State().status, State().attempts, State().worker) == (Status.PENDING, [], "")


@pytest.mark.parametrize("text", [b"x", b"gone|1|1|1|1|1|0||1\n", b"failed|1|1|1\n"])
def test_what_is_no_state_is_refused(text):
    with pytest.raises(ValueError):
        State.decode(text)


def lines(*attempts):
    return b"".join(attempt.encode() + b"\n" for attempt in attempts)


def test_who_crashed_or_may_have_begun_when_its_worker_was_lost_is_suspect():
    doubt = in_doubt(Attempt(worker="w1", ended_us=5, outcome="crashed", error="gone"))
    ran = Attempt(outcome="retrying", error_type="tasks_app.exceptions.WorkerLost")
    quoting = Attempt(outcome="pending", error="tasks_app.exceptions.WorkerLost")

    assert (doubt.worker, doubt.ended_us, doubt.number) == ("w1", 5, 0)
    assert State(crashes=1).is_suspect
    assert State(lines=lines(doubt)).is_suspect
    assert State(lines=lines(ran, doubt)).is_suspect
    for innocent in (b"", lines(ran), lines(doubt, ran), lines(quoting), lines(doubt, quoting)):
        assert not State(lines=innocent).is_suspect


def test_the_worker_in_an_executors_id():
    assert worker_of("web-1.a/b:3:f00") == "web-1.a/b"
    assert worker_of("") == ""


@given(st.integers(1, YEAR_9000_US))
@QUICK
def test_moments_keep_their_microseconds(us):
    assert us_of(moment(us)) == us


# --- states ---


def test_every_status_is_open_or_final_and_has_its_moves():
    assert OPEN | FINAL == set(Status) == set(MOVES) - {None}
    assert not OPEN & FINAL
    assert HELD < OPEN
    assert all(MOVES[final] == {Status.PENDING, Status.WAITING} for final in FINAL)
    assert all(may_move(one, Status.CANCELLED) for one in OPEN)
    assert not any(may_move(None, final) for final in FINAL)
