"""Who spends the processor's time: it is what a busy machine runs out of."""

from collections.abc import Callable

import psutil

from tasks_app.broker import broker

from .report import Line


def spent(worker: int) -> Callable[[int], list[Line]]:
    """Start counting; call what this returns with a number of tasks to get the costs of each."""
    before = _seconds(worker)

    def lines(tasks: int) -> list[Line]:
        after = _seconds(worker)
        costs = {name: (after[name] - before.get(name, 0)) / tasks * 1e6 for name in after}
        return [Line(f"processor time of the {name}", costs[name], "us a task") for name in costs]

    return lines


def _seconds(worker: int) -> dict[str, float]:
    """Processor seconds so far, by the part that a process has."""
    supervisor = psutil.Process(worker)
    server = psutil.Process(broker().link.client().info("server")["process_id"])
    found = {"server": _of(server), "supervisor": _of(supervisor)}
    for child in supervisor.children():
        part = "coordinator" if "coordinator" in " ".join(child.cmdline()) else "executors"
        found[part] = found.get(part, 0) + _of(child)
    return found


def _of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
