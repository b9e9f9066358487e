"""Waiting, by nothing but what Django offers."""

import time

PATIENCE_SECONDS = 90


def wait_until(condition, what="the condition"):
    until = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < until, f"{what} did not come true"
        time.sleep(0.02)
    return value


def finished(result):
    """Wait until a task has ended; return its result."""

    def has_ended():
        result.refresh()
        return result.is_finished

    wait_until(has_ended, f"the end of {result}")
    return result


def value_of(result):
    """What a task returned."""
    finished(result)
    assert result.status == "SUCCESSFUL", result.errors
    return result.return_value
