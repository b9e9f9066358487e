"""How it went: rates out of counters that only grow, but for a reset; and gauges as they stood."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

COUNTED = ("submitted", "completed", "failed")
GAUGES = ("ready", "slots", "busy")
STEP_MS = 3000  # a point of the series
POINTS = 100  # five minutes
NOW_MS = 5000  # "now" is the mean of so long, so that the number can be read
LONGEST_GAP_MS = 10_000  # a gauge may have stood still for so long
LONGEST_NOW_MS = 60_000  # an older sample says nothing about now

Sample = dict[str, Any]


def throughput(samples: Sequence[Sample]) -> float:
    """Tasks ended a second, now: up to the last sample. 0 if there is nothing to compare with."""
    if len(samples) < 2:
        return 0.0
    last = samples[-1]
    base = _base(samples[:-1], last["at_ms"])
    if base is None:
        return 0.0
    ended = sum(_growth(base[name], last[name]) for name in ("completed", "failed"))
    return round(ended * 1000 / max(1, last["at_ms"] - base["at_ms"]), 1)


def _base(samples: Sequence[Sample], now_ms: int) -> Sample | None:
    """The oldest sample that still belongs to now, else the newest that is not too old."""
    for sample in samples:
        if sample["at_ms"] >= now_ms - NOW_MS:
            return sample
    return samples[-1] if samples[-1]["at_ms"] >= now_ms - LONGEST_NOW_MS else None


def _growth(before: int, after: int) -> int:
    return after - before if after >= before else after  # it was reset in between


def series(samples: Sequence[Sample], now_ms: int) -> list[Sample]:
    """Rates a second and gauges over the last minutes, one point each STEP_MS, oldest first.

    A gauge is None where nobody sampled it. Points lie on multiples of STEP_MS, so that a chart
    moves on and does not tremble.
    """
    last = now_ms - now_ms % STEP_MS
    edges = [last - STEP_MS * back for back in range(POINTS, -1, -1)]
    grown = {name: _totals_at(edges, samples, name) for name in COUNTED}
    stood = _samples_at(edges[1:], samples)
    return [
        {"at": edges[n + 1]}
        | {name: round((t[n + 1] - t[n]) * 1000 / STEP_MS, 1) for name, t in grown.items()}
        | {name: stood[n].get(name) for name in GAUGES}
        for n in range(POINTS)
    ]


def _samples_at(edges: Sequence[int], samples: Sequence[Sample]) -> list[Sample]:
    """The last sample up to each moment; an empty one if that is too long ago."""
    times = [sample["at_ms"] for sample in samples]
    found: list[Sample] = []
    for edge in edges:
        after = bisect_right(times, edge)
        is_near = after > 0 and times[after - 1] > edge - LONGEST_GAP_MS
        found.append(samples[after - 1] if is_near else {})
    return found


def _totals_at(edges: Sequence[int], samples: Sequence[Sample], name: str) -> list[float]:
    """What had been counted at each moment since the first sample, straight between two samples."""
    times, totals, total = [], [], 0
    for before, sample in zip((None, *samples), samples, strict=False):
        total += _growth(before[name], sample[name]) if before else 0
        times.append(sample["at_ms"])
        totals.append(total)
    return [_between(edge, times, totals) for edge in edges]


def _between(moment: int, times: Sequence[int], totals: Sequence[int]) -> float:
    after = bisect_right(times, moment)
    if after == 0:
        return 0.0
    if after == len(times):
        return totals[-1]
    start, end = times[after - 1], times[after]
    part = (moment - start) / (end - start)
    return totals[after - 1] + (totals[after] - totals[after - 1]) * part
