"""The Lua files: headers that cannot lie, and one table of moves for both languages."""

import re
from pathlib import Path

import pytest

from tasks_app.broker import scripts
from tasks_app.states import Status, may_move

FILES = {file.stem: file for file in Path(str(scripts.LUA)).glob("*.lua")}
PARTS = {file.stem: file for file in Path(str(scripts.LUA / "parts")).glob("*.lua")}
WRITES = re.compile(
    r'call\("(?:HSET|HDEL|HINCRBY|Z?ADD|S?ADD|[SZ]REM|ZADD|XADD|RPUSH|LPOP|SET|DEL|RENAME|INCR|ZPOP\w+'
    r'|LTRIM|P?EXPIRE)"'
)


def header_and_code(name):
    lines = FILES[name].read_text().splitlines()
    header = [line for line in lines if line.startswith("--")]
    code = [line.partition(" --")[0] for line in lines if not line.startswith("--")]
    return "\n".join(header), "\n".join(code)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_header_tells_every_argument_and_no_other(name):
    header, code = header_and_code(name)

    told = {int(n) for n in re.findall(r"\bARGV\[(\d+)", header)}
    used = {int(n) for n in re.findall(r"\bARGV\[(\d+)\]|for i = (\d+), ", code) for n in n if n}
    if re.search(r"ARGV[,)]|ARGV\[\w+ \* 2", code):  # all of them
        used.add(1)

    assert header.startswith(f"-- {name}: ")
    assert "\n-- KEYS[1] the shard's anchor\n" in header
    assert "\n-- Returns " in header
    assert told == used == set(range(1, len(told) + 1))
    assert set(re.findall(r"KEYS\[\d+\]", code)) <= {"KEYS[1]"}
    assert max(map(len, FILES[name].read_text().splitlines())) <= 112


def test_every_file_is_an_operation_of_the_broker():
    folder = Path(scripts.__file__).parent
    text = "".join(file.read_text() for file in folder.glob("*.py"))

    assert set(re.findall(r'\brun(?:_as_leader)?\(\s*"(\w+)"', text)) == set(FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_is_included_is_used_and_what_is_used_is_included(name):
    _, code = header_and_code(name)
    included = scripts.INCLUDE.search(FILES[name].read_text())[1].split()
    text = scripts.script(name).text

    for part in included:
        declared = re.findall(r"^local (?:function )?(\w+)", PARTS[part].read_text(), re.MULTILINE)
        assert any(re.search(rf"^local (?:function )?{d}\b", text, re.MULTILINE) for d in declared)
    for part in PARTS.keys() - set(included):
        declared = re.findall(r"^local function (\w+)", PARTS[part].read_text(), re.MULTILINE)
        called = [d for d in declared if re.search(rf"\b{d}\(", code)]
        assert [d for d in called if f"local function {d}" not in code] == []


def test_only_what_brings_new_work_is_refused_by_a_full_server():
    refused = {n for n in FILES if "allow-oom" not in scripts.script(n).text.splitlines()[0]}
    reading = {n for n in FILES if "no-writes" in scripts.script(n).text.splitlines()[0]}

    assert refused == {"submit"}
    assert reading == {n for n in FILES if not WRITES.search(scripts.script(n).text)}


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_servers_compile_it_under_the_name_that_it_is_called_by(broker, name):
    script = scripts.script(name)

    assert broker.link.call("SCRIPT", "LOAD", script.text).decode() == script.sha


def test_both_languages_have_one_table_of_moves(broker):
    parts = [(PARTS[part]).read_text() for part in ("keys", "clock", "tasks")]
    table = scripts.script("cancel").text.splitlines()[1]
    assert table.startswith("local MOVES")
    text = "\n".join(
        ["#!lua", table, *parts,
         "local state = { status = ARGV[1], version = 1 }",
         "return { move(state, ARGV[2]) and 1 or 0, state.version }"],
    )  # fmt: skip

    for before in Status:
        for after in Status:
            allowed = may_move(before, after)
            answer = broker.link.call("EVAL", text, 1, "x", before.value, after.value)
            assert answer == [int(allowed), 1 + allowed], (before, after)
