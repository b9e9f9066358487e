"""Any order of calls leaves every task as the model says; and the model finds planted bugs."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from .model import HUNT, OPTIONS, SETTINGS, Machine


@pytest.fixture(autouse=True)
def _options(options):
    options(**OPTIONS)


def test_any_order_of_calls(broker):
    run_state_machine_as_test(lambda: Machine(broker), settings=settings(SETTINGS, max_examples=60))


MUTANTS = {
    "finish without the token": (
        "exchange",
        "tokens[n] and tokens[n] == ARGV[i + 1] and not seen[id]",
        "states[n] and not seen[id]",
    ),
    "reap without the lease": (
        "reap",
        "if lease and tonumber(lease) > now then return { 0, 1 } end",
        "",
    ),
    "submit without a look for the id": ("submit", "if payload then", "if false then"),
    "forget without the version": ("forget", "state.version == ARGV[n * 3 - 1] and", ""),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_bug_is_found(broker, mutant):
    only, old, new = MUTANTS[mutant]
    broker.link.edit(old, new, only=only)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(lambda: Machine(broker), settings=settings(HUNT, max_examples=60))
