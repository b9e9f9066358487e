"""What the server itself can do: the same payloads through a plain list, in pipelines."""

import time

from tasks_app.broker import broker
from tasks_app.slices import slices

from .report import Line
from .work import SLICE, messages


def measure(count: int) -> list[Line]:
    client = broker().link.client()
    payloads = [message.encode() for message in messages(count)]
    pushed = _timed(client, [("LPUSH", "bench:floor", each) for each in payloads])
    popped = _timed(client, [("LPOP", "bench:floor")] * count)
    return [
        Line("LPUSH in pipelines of 1,000", count / pushed, "/s"),
        Line("LPOP in pipelines of 1,000", count / popped, "/s"),
        Line("both, as a task would need it", count / (pushed + popped), "/s"),
    ]


def _timed(client, commands: list[tuple]) -> float:
    began = time.perf_counter()
    for some in slices(commands, SLICE):
        pipeline = client.pipeline(transaction=False)
        for command in some:
            pipeline.execute_command(*command)
        pipeline.execute()
    return time.perf_counter() - began
