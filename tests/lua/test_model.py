"""Any order of calls leaves every task as the model says; and the model finds planted bugs."""

import pytest

from .hunt import finds_nothing, finds_planted
from .model import OPTIONS
from .model_lead import Deputies, Machine, Rescuers, Thieves, Workers


@pytest.fixture(autouse=True)
def _options(options):
    options(**OPTIONS)


def test_any_order_of_calls(broker):
    finds_nothing(Machine, broker, examples=80)


TERM_CHECK = "if is_over(ARGV[1]) then return LOST_LEAD end"

MUTANTS = {  # what is wrong -> (operation, text, what stands there instead)
    "a known task is submitted again": ("submit", "if payload then", "if false then"),
    "a repeated exchange claims again": (
        "exchange",
        "if last_request == request then",
        "if false then",
    ),
    "who is not announced claims": (
        "exchange",
        'redis.call("SISMEMBER", executors_of(worker), executor) == 1',
        "true",
    ),
    "a claim out of a paused queue": ("exchange", "if paused == 0 then", "if true then"),
    "finish without the token": (
        "exchange",
        "tokens[n] and tokens[n] == ARGV[i + 1] and not seen[id]",
        "states[n] and not seen[id]",
    ),
    "start of what is not held": ("start", "if tokens[n] then", "if states[n] then"),
    "release without the token": (
        "release",
        "if tokens[n] and tokens[n] == ARGV[n * 2 + 1] then",
        "if tokens[n] then",
    ),
    "what was turned away has started": ("exchange", 'outcome == "turned_away" then', "false then"),
    "a hand-over out of a paused queue": (
        "submit",
        'if redis.call("SISMEMBER", PAUSED, queue) == 1 then return end',
        "",
    ),
    "a withdrawal that leaves the offer": (
        "withdraw",
        'redis.call("HDEL", OFFERS, executor)',
        "",
    ),
    "a withdrawal that leaves it to thieves": (
        "withdraw",
        'redis.call("HDEL", TAKERS, executor)',
        "",
    ),
    "a withdrawal that forgets what came": (
        "withdraw",
        "return end_offer(ARGV[1], ARGV[2])",
        "end_offer(ARGV[1], ARGV[2]) return {}",
    ),
    "a claim that forgets what came for the last offer": (
        "exchange",
        'local claimed = former ~= "" and end_offer(executor, former) or {}',
        "local claimed = {}",
    ),
    "theft without the token": (
        "steal",
        "if tokens[n] and tokens[n] == ARGV[n * 2 + 2] and",
        "if",
    ),
    "theft for one who does not offer": ("steal", "if not offered or", 'offered = "x"\nif'),
    "theft for one who was woken": (
        "steal",
        "until_ms ~= false and tonumber(until_ms) > now",
        "true",
    ),
    "theft for one without a lease": ("steal", "or not has_lease(taker)", ""),
    "theft that leaves it in the other hand too": (
        "steal",
        'redis.call("HDEL", held_by(executor), unpack(stolen))',
        "",
    ),
    "cancel that leaves it in hand": ("cancel", 'redis.call("HDEL", held_by(owner), id)', ""),
    "resign of one who holds something": (
        "resign",
        'if redis.call("EXISTS", held_by(executor)) == 1 then return 0 end',
        "",
    ),
    "reap without the lease": (
        "reap",
        "if lease and tonumber(lease) > now then return { 0, 1 } end",
        "",
    ),
    "reap that suspects nobody": (
        "reap",
        'if dead == "" then append_to_run(state, doubt, 0) end',
        "",
    ),
    "promote of what is not due": (
        "promote",
        '"-inf", now, "LIMIT"',
        '"-inf", now + 1000, "LIMIT"',
    ),
    "promote by a former leader": ("promote", TERM_CHECK, ""),
    "reap by a former leader": ("reap", TERM_CHECK, ""),
    "forget by a former leader": ("forget", TERM_CHECK, ""),
    "sweep of what came back": ("sweep", "not is_back(id, state, queue) and", ""),
    "forget without the version": ("forget", "if version == ARGV[n * 3] and", "if version and"),
    "forget of what is open": (
        "forget",
        "and is_final(status) then",
        "then",
    ),
    "a retry that forgets the epoch": (
        "retry",
        "state.status, state.epoch, state.run, state.version = ARGV[3], ARGV[4], ARGV[5], ARGV[6]",
        "state.status, state.run, state.version = ARGV[3], ARGV[5], ARGV[6]",
    ),
    "what is final stays open": (
        "reconcile",
        'return definition and "dropped" or "kept"',
        'return "kept"',
    ),
    "what is newer is overruled": (
        "reconcile",
        "return state.version - recorded.version >= 0",
        "return false",
    ),
    "what is restored stays in its epoch": (
        "reconcile",
        "recorded.epoch, recorded.version = epoch, recorded.version + 1",
        "recorded.version = recorded.version + 1",
    ),
    "what is restored stays in hand": (
        "reconcile",
        'if owner ~= "" then redis.call("HDEL", held_by(owner), id) end',
        "",
    ),
}


FOUND_BY = {
    **dict.fromkeys(["steal", "withdraw"], Thieves),
    **dict.fromkeys(["submit", "exchange", "start", "release", "cancel", "resign"], Workers),
    **dict.fromkeys(["promote", "reap", "sweep", "forget"], Deputies),
    **dict.fromkeys(["retry", "reconcile"], Rescuers),
}


@pytest.mark.parametrize("server", ["valkey"], indirect=True)  # the model is what is tested here
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_bug_is_found(broker, mutant):
    operation, old, new = MUTANTS[mutant]

    finds_planted(FOUND_BY[operation], broker, operation, old, new)
