"""The broker's Lua operations: one file in ``lua/`` each, assembled from the parts it includes."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from ..states import FINAL, MOVES

LUA = files(__package__) / "lua"
INCLUDE = re.compile(r"^-- include: (.+)$", re.MULTILINE)

# A full Redis refuses new work and nothing else, so that it drains.
REFUSED_WHEN_FULL = frozenset({"submit"})
READS_ONLY = frozenset({"read", "stats", "fleet", "glance", "loads", "taker", "standing", "limit"})


@dataclass(frozen=True, slots=True)
class Script:
    """One operation as the server gets it."""

    name: str
    text: str
    sha: str


def _table_of_moves() -> str:
    """The table of states.py for Lua, where finding a word in a text beats building a table."""
    moves = [f"{a}>{b}" for a, after in MOVES.items() if a for b in sorted(after)]
    return f'local MOVES = " {" ".join(moves)} "\nlocal FINAL = " {" ".join(sorted(FINAL))} "\n'


def _flags(name: str) -> str:
    if name in REFUSED_WHEN_FULL:
        return "#!lua"
    # A full Redis 7.0 refuses even a script that only reads, unless it may run out of memory.
    return "#!lua flags=no-writes,allow-oom" if name in READS_ONLY else "#!lua flags=allow-oom"


# A part is a list of declarations, each beginning at the left margin.
DECLARATION = re.compile(r"^(?=local |--)", re.MULTILINE)
DECLARED = re.compile(r"^local (?:function )?([\w, ]+)")


def _used(parts: str, by: str) -> str:
    """The declarations of ``parts`` that ``by`` needs: closures are made at every call."""
    kept = by
    for declaration in reversed(DECLARATION.split(parts)):
        declared = DECLARED.match(declaration)
        names = re.findall(r"\w+", declared[1]) if declared else []
        if any(re.search(rf"\b{name}\b", kept) for name in names):
            kept = declaration + kept
    return kept


# What only few tasks need stands in parts that are one function to all others: these call, say,
# limits().leave(...), and the first such call makes what that offers. Its header says so.
MADE_LATE = re.compile(r"-- \w+, made when first called for: ")


def _made_late(name: str, part: str, by: str) -> str:
    """Such a part, with what ``by`` calls of it; nothing if that is nothing."""
    offers = [f"{each} = {each}" for each in sorted(set(re.findall(rf"\b{name}\(\)\.(\w+)", by)))]
    if not offers:
        return ""
    made = _used(part, by=f"made_{name} = {{ {', '.join(offers)} }}\n")
    return (
        f"local made_{name}\n"
        f"local function {name}()\n"
        f"if made_{name} then return made_{name} end\n"
        f"{made}"
        f"return made_{name}\n"
        "end\n"
    )


def assembled(name: str, others: Mapping[str, str] = MappingProxyType({})) -> Script:
    """Assemble an operation; texts of ``others`` stand in for parts of the same name.

    Raise FileNotFoundError if there is none of that name.
    """
    text = (LUA / f"{name}.lua").read_text()
    included = INCLUDE.search(text)[1].split()
    for part in reversed(included):
        its = others.get(part) or (LUA / "parts" / f"{part}.lua").read_text()
        is_late = MADE_LATE.match(its)
        text = _made_late(part, its, by=text) + text if is_late else _used(its, by=text)
    whole = f"{_flags(name)}\n{_used(_table_of_moves(), by=text)}"
    return Script(name, whole, hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest())


@cache
def script(name: str) -> Script:
    """An operation as it is run. Raise FileNotFoundError if there is none of that name."""
    return assembled(name)


# All of them now: a deploy replaces the files under a process that runs on.
for _path in LUA.iterdir():
    if _path.name.endswith(".lua"):
        script(_path.name.removesuffix(".lua"))
