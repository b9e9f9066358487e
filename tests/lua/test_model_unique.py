"""Any order of calls leaves unique keys with whom the model says; and it finds planted bugs."""

import pytest

from .hunt import finds_nothing, finds_planted
from .model_unique import Machine


def test_any_order_of_submits_and_ends(broker):
    finds_nothing(Machine, broker, examples=60)


MUTANTS = {  # what is wrong -> (operation, text, what stands there instead)
    "a key that is not its own is let go": ("submit", "if owner == id then", "if owner then"),
    "a key is not let go": ("cancel", 'redis.call("DEL", unique_of(key))', ""),
    "a key for a period is let go": ("exchange", "mark.u and mark.u.ms == 0 and", "mark.u and"),
    "a key of what was completed is not let go": (
        "exchange",
        "if #ids == 0 or",
        'if ARGV[4] == "0" or #ids == 0 or',
    ),
    "what is put aside keeps its key": (
        "submit",
        'if set and not redis.call("ZSCORE", set, id) then return nil end',
        "",
    ),
    "what is over keeps its key": (
        "submit",
        "if is_final(state.status) then return nil end",
        "",
    ),
    "what is in hand is replaced": (
        "submit",
        'return status ~= "assigned" and status ~= "processing"',
        "return true",
    ),
    "a debounced task is put off for ever": (
        "submit",
        "math.min(now + asked.w, tonumber(first) + asked.most)",
        "now + asked.w",
    ),
    "a debounced task that has started is replaced": ("submit", "and starts == 0 then", "then"),
    "a debounced task that is due is replaced": (
        "submit",
        'if status == "scheduled" and starts == 0 then',
        'if (status == "scheduled" or status == "pending") and starts == 0 then',
    ),
    "a call does not know what it decided": ("submit", "if mine then", "if false then"),
    "what is replaced is not cancelled": (
        "submit",
        "if status and is_waiting(status) then replace(old, state, definition, id, line) end",
        "",
    ),
    "a period does not count": ("submit", "(status or asked.ms > 0)", "status"),
    "what is refused is stored": ("submit", 'return there, "duplicate" end', "end"),
    "a promised id is refused": ("submit", 'ARGV[6] == "1"', "false"),
    "a retry beside another one": (
        "retry",
        "if owner and owner ~= id and unique().open_task(owner) then return { before, owner } end",
        "",
    ),
    "a retry without the key": (
        "retry",
        'if asked then unique().own(asked, id, string.format("%.0f", now)) end',
        "",
    ),
    "a retry begins a period": ("retry", "if asked and asked.ms > 0 then asked = nil end", ""),
    "a forgotten task leaves its mark": (
        "forget",
        'redis.call("HDEL", MARKS, unpack(dropped))',
        "",
    ),
    "a task has no mark": (
        "submit",
        "if mark.u or mark.l then",
        "if false then",
    ),
}


@pytest.mark.parametrize("server", ["valkey"], indirect=True)  # the model is what is tested here
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_bug_is_found(broker, mutant):
    finds_planted(Machine, broker, *MUTANTS[mutant])
