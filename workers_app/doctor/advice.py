"""What a check says: one line on how something is, and what to do about it."""

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; the worst one is the exit code."""

    UNKNOWN = -1  # nobody could look
    OK = 0
    WARNING = 1  # works, and will not always
    PROBLEM = 2  # does not work, or loses something


@dataclass(frozen=True, slots=True)
class Advice:
    """One line."""

    level: Level
    said: str  # a sentence
    advice: str = ""  # what to do

    def __str__(self) -> str:
        return f"{self.level.name.lower():<8} {self.said} {self.advice}".rstrip()


def ok(said: str) -> Advice:
    return Advice(Level.OK, said)


def unknown(said: str) -> Advice:
    return Advice(Level.UNKNOWN, said)


def warning(said: str, advice: str) -> Advice:
    return Advice(Level.WARNING, said, advice)


def problem(said: str, advice: str) -> Advice:
    return Advice(Level.PROBLEM, said, advice)
