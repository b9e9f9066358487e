"""How long a machine looks for an order of calls after which something is wrong."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    report_multiple_bugs=False,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
# A planted bug need not be made small. Most are found within a few dozen examples; ids differ from
# run to run, and so does what is found when: with so many to try none is missed.
HUNT = settings(SETTINGS, phases=[Phase.generate], max_examples=4000)


def finds_nothing(machine, broker, examples):
    """Try so many orders of calls, each on an empty server."""
    looks = settings(SETTINGS, max_examples=examples)
    run_state_machine_as_test(lambda: machine(broker), settings=looks)


def finds_planted(machine, broker, operation, old, new):
    """Plant a bug in the script of an operation; the machine has to find it.

    What it finds it tries once more. With other ids the same calls may go well then: found it is.
    """
    broker.link.edit(old, new, only=operation)
    with pytest.raises((AssertionError, FlakyFailure)):
        run_state_machine_as_test(lambda: machine(broker), settings=HUNT)
