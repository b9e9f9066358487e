"""The audit's own Lua: each file looks at one moment and changes nothing."""

import hashlib
from functools import cache
from importlib.resources import files

from ..broker.scripts import INCLUDE, LUA, Script

HERE = files(__package__) / "lua"
# A full server is looked at too; it refuses even a script that only reads, without the second flag.
FLAGS = "#!lua flags=no-writes,allow-oom"


@cache
def script(name: str) -> Script:
    """Assemble a look from its file and the broker's parts that it includes."""
    text = (HERE / f"{name}.lua").read_text()
    names = INCLUDE.search(text)[1].split()
    parts = [(LUA / "parts" / f"{part}.lua").read_text() for part in names]
    whole = "\n".join([FLAGS, *parts, text])
    return Script(name, whole, hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest())
