"""The count that every row ends with notices what is wrong."""

import pytest

from tasks_app.message import Attempt, State
from tasks_app.states import Status

from .accounts import balance, executions
from .producer import ACKED, REFUSED, UNKNOWN

ONE, TWO, NEVER_SAID = "1" * 16, "2" * 16, "3" * 16  # words
FIRST = [f"a 1 100 {ONE} start 10", f"a 1 100 {ONE} end 20"]
SECOND = [f"a 2 200 {TWO} start 30", f"a 2 200 {TWO} end 40"]
CRASHED = Attempt(number=1, outcome="crashed", worker="w1")


def state(*attempts, status=Status.COMPLETED):
    return State(status=status, lines=b"".join(line.encode() + b"\n" for line in attempts))


def completed(word, number=1, run=1):
    return Attempt(number=number, run=run, outcome="completed", result=word)


ONCE = state(completed(ONE))
AGAIN = state(CRASHED, completed(TWO, number=2))


@pytest.mark.parametrize(
    ("told", "lines", "states"),
    [
        (ACKED, FIRST, {"a": ONCE}),
        (ACKED, [*FIRST[:1], *SECOND], {"a": AGAIN}),
        (UNKNOWN, [], {}),
        (UNKNOWN, FIRST, {"a": ONCE}),
        (REFUSED, [], {}),
        (ACKED, FIRST[:1], {"a": state(Attempt(number=1, outcome="failed"), status="failed")}),
    ],
)
def test_what_is_right_is_found_right(told, lines, states):
    assert balance({"a": told}, executions(lines), states).wrong == []


@pytest.mark.parametrize(
    ("kind", "told", "lines", "states"),
    [
        ("lost", ACKED, [], {}),
        ("lost", ACKED, [], {"a": State()}),
        ("lost", UNKNOWN, FIRST, {}),
        ("lost", UNKNOWN, [], {"a": State()}),
        ("ghosts", REFUSED, [], {"a": ONCE}),
        ("ghosts", REFUSED, FIRST, {}),
        (
            "double_finals",
            ACKED,
            FIRST,
            {"a": state(completed(ONE), completed(ONE))},
        ),
        ("stale_accepted", ACKED, FIRST, {"a": state(completed(NEVER_SAID))}),
        ("stale_accepted", ACKED, FIRST, {"a": state(CRASHED, completed(ONE))}),
        (
            "stale_accepted",
            ACKED,
            FIRST,
            {"a": state(CRASHED, completed(ONE, number=2))},
        ),
        (
            "unexplained",
            ACKED,
            [*FIRST, *SECOND],
            {"a": state(completed(TWO, number=2))},
        ),
        ("unexplained", ACKED, FIRST, {"a": state(status="failed")}),
    ],
)
def test_what_is_wrong_is_found_wrong(kind, told, lines, states):
    verdict = balance({"a": told}, executions(lines), states)

    assert getattr(verdict, kind), verdict


def test_what_nobody_submitted_is_a_ghost():
    verdict = balance({}, executions(FIRST), {"b": ONCE})

    assert len(verdict.ghosts) == 2


def test_a_run_that_an_operator_opened_may_end_too():
    ends = state(completed(ONE), completed(TWO, number=1, run=2))
    lines = [*FIRST, *(line.replace("a 2", "a 1") for line in SECOND)]

    assert balance({"a": ACKED}, executions(lines), {"a": ends}).wrong == []
