"""Any order of calls admits whom the model says; and the model finds planted bugs."""

import pytest

from .hunt import finds_nothing, finds_planted
from .model import OPTIONS
from .model_limits import Machine


@pytest.fixture(autouse=True)
def _options(options):
    options(**OPTIONS)


def test_any_order_of_calls(broker):
    finds_nothing(Machine, broker, examples=80)


MUTANTS = {  # what is wrong -> (operation, text, what stands there instead)
    "one too many is admitted": (
        "submit",
        "limit.c - count",
        "limit.c + 1 - count",
    ),
    "who is admitted is not counted": (
        "exchange",
        'redis.call("SADD", admitted_of(key), unpack(ids))',
        "",
    ),
    "who ends keeps its place": (
        "exchange",
        "limits().leave(marks)",
        "",
    ),
    "who is given back keeps its place": ("release", "limits().leave(by_mark(back))", ""),
    "who is cancelled keeps its place": (
        "cancel",
        "limits().leave(marks)",
        "",
    ),
    "who is cancelled stays in line": (
        "cancel",
        'redis.call("ZREM", line_of(limit.k), unpack(ids))',
        "",
    ),
    "who is cancelled stays in its queue": (
        "cancel",
        'if before[n] == "waiting" then redis.call("SREM", waiting_of(queue), id) end',
        "",
    ),
    "who is purged is admitted": (
        "exchange",
        'redis.call("SREM", waiting_of(mark.l.q), id) == 1',
        "true",
    ),
    "who is purged is admitted with all of its line": ("exchange", " and not is_purging()", ""),
    "who expires stays in its queue": (
        "promote",
        'redis.call("SREM", waiting_of(queue), id)\n',
        "\n",
    ),
    "who crashes keeps its place": ("reap", "limits().leave(by_mark(back))", ""),
    "a claim spends nothing": ("exchange", "limits().spend(given)", ""),
    "a hand-over spends nothing": ("submit", "limits().spend({ id })", ""),
    "a claim keeps its reservation": (
        "exchange",
        'redis.call("SREM", reserved_of(key), unpack(gone))',
        "",
    ),
    "what is ready has no token reserved": (
        "submit",
        'if limit.n > 0 then redis.call("SADD", reserved_of(key), unpack(ids)) end',
        "",
    ),
    "a bucket fills beyond its brim": (
        "exchange",
        "math.max(tonumber(full or 0), now)",
        "tonumber(full or 0)",
    ),
    "the key is not parked": ("exchange", 'redis.call("ZADD", PARKED, at, key)', ""),
    "a parked key is forgotten": (
        "promote",
        "touched[key] = touched[key] or true\n  end\n  return #due",
        "end\n  return #due",
    ),
    "who takes a token in a wake-up leaves the key alone": (
        "submit",
        "if next(touched) then return write_all() end",
        "",
    ),
    "a bucket is thrown away": ("exchange", "elseif limit.full > now then", "elseif false then"),
    "what is dropped keeps its place": ("reconcile", "limits().leave(by_mark({ id }))", ""),
    "what is restored is not marked": (
        "reconcile",
        "if mark.u or mark.l then write_marks({ id, text }) end",
        "",
    ),
    "what is retried is not marked": ("retry", "write_marks({ id, ARGV[8] })", ""),
    "what is replaced stays in its queue": (
        "submit",
        'redis.call("SREM", waiting_of(queue), id)\n',
        "\n",
    ),
    "sweep of what came back": (
        "sweep",
        'or redis.call("SISMEMBER", waiting_of(queue), id) == 1',
        "",
    ),
}


@pytest.mark.parametrize("server", ["valkey"], indirect=True)  # the model is what is tested here
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_bug_is_found(broker, mutant):
    finds_planted(Machine, broker, *MUTANTS[mutant])
