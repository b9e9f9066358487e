"""One reason: a word for programs, a sentence for people, and the numbers behind it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)  # JSON; names and moments too

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "sentence": self.sentence, "numbers": self.numbers}
