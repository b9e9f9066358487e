"""The task types that come with the system: each does real work, of a kind of its own."""

import asyncio
import hashlib
import math
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from .compat import task
from .files import readable_file

MOST_PRIMES = 50_000_000
MOST_SLEEP = 3600.0  # seconds
SEGMENT = 1 << 20  # numbers sieved at once, so that any limit takes a megabyte
COMMONEST = 10
WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
# Those of a length of their own; the others would have to be told one.
ALGORITHMS = sorted(name for name in hashlib.algorithms_guaranteed if "shake" not in name)


@task
def test(payload: Any = None) -> Any:
    """Answer the payload."""
    return payload


@task
def wordcount(payload: Any) -> dict[str, Any]:
    """Count the words of a text, or of a file: {"file": "architecture.md"}."""
    lines = characters = 0
    words: Counter[str] = Counter()
    for line in _lines(payload):
        lines += 1
        characters += len(line)
        words.update(word.lower() for word in WORD.findall(line))
    return {
        "words": words.total(),
        "different": len(words),
        "lines": lines,
        "characters": characters,
        "commonest": dict(words.most_common(COMMONEST)),
    }


def _lines(payload: Any) -> Iterable[str]:
    match payload:
        case str(text) | {"text": str(text)}:
            return text.splitlines(keepends=True)
        case {"file": name}:
            return _lines_of(name)
    raise ValueError('The payload must be a text, {"text": "..."} or {"file": "..."}.')


def _lines_of(name: Any) -> Iterator[str]:
    with readable_file(name).open(encoding="utf-8", errors="replace") as file:
        yield from file


@task
def primes(payload: Any = 1_000_000) -> int:
    """Count the primes up to a limit, at most 50 million."""
    return count_primes(int(_number(payload, "limit", MOST_PRIMES)))


def count_primes(limit: int) -> int:
    """How many primes there are up to ``limit``, by a sieve of odd numbers, piece by piece."""
    if limit < 2:
        return 0
    small = _odd_primes(math.isqrt(limit))
    return 1 + sum(
        _count_odd(low, min(low + SEGMENT, limit + 1), small)
        for low in range(3, limit + 1, SEGMENT)
    )


def _odd_primes(limit: int) -> list[int]:
    return [n for n in range(3, limit + 1, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2))]


def _count_odd(low: int, end: int, small: list[int]) -> int:
    """How many odd primes there are from the odd number ``low`` to before ``end``."""
    size = (end - low + 1) // 2
    sieve = bytearray(b"\1") * size
    for prime in small:
        if prime * prime >= end:
            break
        first = max(prime * prime, -(-low // prime) * prime)
        first += prime * (first % 2 == 0)
        start = (first - low) // 2
        if start < size:
            sieve[start::prime] = bytes(-(-(size - start) // prime))
    return sieve.count(1)


@task
def sleep(payload: Any = 1) -> float:
    """Wait so many seconds, at most an hour, as a slow service makes one wait."""
    seconds = _number(payload, "seconds", MOST_SLEEP)
    time.sleep(seconds)
    return seconds


@task
async def sleep_async(payload: Any = 1) -> float:
    """Wait so many seconds, at most an hour, without occupying a thread."""
    seconds = _number(payload, "seconds", MOST_SLEEP)
    await asyncio.sleep(seconds)
    return seconds


@task
def checksum(payload: Any) -> dict[str, Any]:
    """Hash a file: {"file": "architecture.md", "algorithm": "sha256"}."""
    match payload:
        case str(name):
            algorithm = "sha256"
        case {"file": name}:
            algorithm = payload.get("algorithm", "sha256")
        case _:
            raise ValueError('The payload must be {"file": "...", "algorithm": "sha256"}.')
    if algorithm not in ALGORITHMS:
        raise ValueError(f"The algorithm must be one of {', '.join(ALGORITHMS)}.")
    with readable_file(name).open("rb") as file:
        digest = hashlib.file_digest(file, algorithm)
        return {"algorithm": algorithm, "digest": digest.hexdigest(), "bytes": file.tell()}


@task(max_attempts=4, backoff=0.5)
def flaky(payload: Any = 0.5) -> str:
    """Fail with the given probability, to show retries."""
    probability = _number(payload, "probability", 1)
    if random.random() < probability:  # noqa: S311
        raise RuntimeError(f"Failed on purpose, as {probability:.0%} of the attempts do.")
    return "It went well this time."


def _number(payload: Any, name: str, most: float) -> float:
    """The number in ``5``, ``"5"`` or ``{name: 5}``, from 0 to ``most``. Raise ValueError."""
    given = payload[name] if isinstance(payload, dict) and name in payload else payload
    try:
        number = float(given) if isinstance(given, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= most:  # which NaN is not
        raise ValueError(f"The {name} must be a number from 0 to {most:,.0f}.")
    return number
