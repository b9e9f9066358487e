"""The books are balanced: what the producer was told, what was executed, what was recorded."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from tasks_app.states import FINAL

from .producer import ACKED, REFUSED

WORD = re.compile("[0-9a-f]{16}")  # what an execution says, and most return


class Execution(NamedTuple):
    """One run of a task's function, as it said itself."""

    id: str
    attempt: int
    pid: int
    word: str
    started_ns: int
    ended_ns: int | None  # None if it was ended, or raised


@dataclass
class Verdict:
    """What is wrong, by kind; sentences with ids."""

    lost: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)
    double_finals: list[str] = field(default_factory=list)
    stale_accepted: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    repeats: int = 0  # executions beyond the first, each of them explained

    @property
    def wrong(self):
        return self.lost + self.ghosts + self.double_finals + self.stale_accepted + self.unexplained

    def numbers(self):
        return {
            "lost": len(self.lost),
            "ghosts": len(self.ghosts),
            "double finals": len(self.double_finals),
            "stale accepted": len(self.stale_accepted),
            "unexplained repeats": len(self.unexplained),
            "repeats, each explained": self.repeats,
        }


def executions(lines):
    """What the lines of the effects' log tell, in order of the starts."""
    found = {}
    for line in lines:
        task_id, attempt, pid, word, what, moment = line.split()
        if what == "start":
            found[word] = Execution(task_id, int(attempt), int(pid), word, int(moment), None)
        else:
            found[word] = found[word]._replace(ended_ns=int(moment))
    return list(found.values())


def balance(told, executed, states):
    """Compare the three books: id -> answer, executions, id -> State where there is one."""
    verdict = Verdict()
    by_id = defaultdict(list)
    for execution in executed:
        by_id[execution.id].append(execution)
    for task_id, answer in told.items():
        state, runs = states.get(task_id), by_id.pop(task_id, [])
        _check_existence(verdict, task_id, answer, state, runs)
        if state is not None:
            _check_endings(verdict, task_id, state, runs)
            _check_repeats(verdict, task_id, state, runs)
    verdict.ghosts += [f"{task_id} was executed and never submitted" for task_id in by_id]
    verdict.ghosts += [f"{i} is recorded and was never submitted" for i in states.keys() - told]
    return verdict


def _check_existence(verdict, task_id, answer, state, runs):
    if answer == ACKED and state is None:
        verdict.lost.append(f"{task_id} was accepted and nobody knows it")
    elif answer != REFUSED and state is not None and state.status not in FINAL:
        verdict.lost.append(f"{task_id} was {answer} and is still {state.status}")
    elif answer == REFUSED and (state is not None or runs):
        verdict.ghosts.append(f"{task_id} was refused and is there: {state}")
    elif state is None and runs:
        verdict.lost.append(f"{task_id} was executed and nobody knows it")


def _check_endings(verdict, task_id, state, runs):
    """One end in each run, and it is the end of what was the task's last execution."""
    lines = state.attempts
    for run in {line.run for line in lines}:
        ends = [line for line in lines if line.run == run and line.outcome in FINAL]
        if len(ends) > 1:
            verdict.double_finals.append(f"{task_id} ended {len(ends)} times: {ends}")
    if not lines or lines[-1].outcome != "completed":
        return
    accepted = lines[-1]
    execution = _ended_as(accepted, runs)
    if execution is None:
        verdict.stale_accepted.append(f"{task_id}: no execution ended as {accepted}")
        return
    earlier = [
        line
        for line in lines[:-1]
        if line.run == accepted.run and line.outcome in ("crashed", "retrying")
    ]
    if execution.attempt != accepted.number or any(
        line.number >= accepted.number for line in earlier
    ):
        verdict.stale_accepted.append(f"{task_id}: {execution} ended it, after {earlier}")


def _ended_as(accepted, runs):
    """The execution whose outcome was accepted: its word tells, or else its number."""
    result = accepted.result
    has_word = isinstance(result, str) and WORD.fullmatch(result)
    for execution in runs:
        if execution.ended_ns is None:
            continue
        if execution.word == result if has_word else execution.attempt == accepted.number:
            return execution
    return None


def _check_repeats(verdict, task_id, state, runs):
    """Each execution has left a line: it returned, failed, crashed, was given back or lost."""
    verdict.repeats += max(len(runs) - 1, 0)
    spare = len(runs) - len(state.attempts)
    if state.status not in FINAL:
        spare -= 1
    if spare > 0:
        verdict.unexplained.append(f"{task_id} was executed {len(runs)} times: {state} {runs}")
