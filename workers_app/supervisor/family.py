"""Ends processes together with all that they have started."""

import contextlib
import os
import signal
from collections.abc import Iterable

import psutil


def end_families(leaders: Iterable[int]) -> None:
    """Kill process group leaders, their groups, and whatever descends from them.

    What left the group, as a daemon does, is found while its parents still live. All stand still
    first, so that none of them starts another one meanwhile.
    """
    leaders = list(leaders)
    for leader in leaders:
        _tell(leader, signal.SIGSTOP)
    for leader in leaders:
        descendants = _descendants(leader)
        _tell(leader, signal.SIGKILL)
        for each in descendants:
            with contextlib.suppress(psutil.Error):
                each.kill()


def end_group(leader: int) -> None:
    """Kill what is left of the process group of a leader that is dead."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_orphan(leader: int, title: str) -> None:
    """The same for one that nobody waits for: its number may be another process' by now."""
    try:
        process = psutil.Process(leader)
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        words = process.cmdline()
    except psutil.NoSuchProcess:
        is_dead, words = True, []
    except (psutil.Error, OSError):
        return
    if is_dead:
        end_group(leader)
    elif words and words[0].startswith(title):
        end_families([leader])


def _tell(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(leader, number)  # right after the fork it has no group of its own yet
        os.killpg(leader, number)


def _descendants(leader: int) -> list[psutil.Process]:
    try:
        return psutil.Process(leader).children(recursive=True)
    except (psutil.Error, OSError):  # also: too many open files
        return []
