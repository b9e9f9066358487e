"""Which task types a worker knows, in six characters each: its register is written every second.

The sketch may take a name for a known one that is not, once in some ten thousand; never the other
way round.
"""

import hashlib
from collections.abc import Iterable

WIDTH = 6  # hexadecimal digits of a name
MOST_NAMES = 2000  # of a sketch; of more types nothing is said


def sketch_of(names: Iterable[str]) -> str:
    """The sketch of some names; "" if they are too many."""
    marks = sorted({_mark(name) for name in names})
    return "".join(marks) if len(marks) <= MOST_NAMES else ""


def may_know(sketch: str, name: str) -> bool:
    """Whether a name may be in a sketch; of an empty one nobody can tell, so it may."""
    mark = _mark(name)
    marks = (sketch[at : at + WIDTH] for at in range(0, len(sketch), WIDTH))
    return not sketch or any(each == mark for each in marks)


def _mark(name: str) -> str:
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:WIDTH]
