"""The table of README.md is complete, and every test in it exists."""

import ast
import re

from ..workers.processes import ROOT

HERE = ROOT / "tests" / "faults"
TABLE = (HERE / "README.md").read_text()
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")

ROWS = {
    *(f"F{n}" for n in range(1, 16)),
    *(f"R{n}" for n in (*range(1, 10), 11, 15, 16, 18, 19, 20)),
    *(f"D{n}" for n in (*range(1, 7), 8)),
    *(f"L{n}" for n in (*range(1, 7), 9, 10, 13, 14, 15)),
}


def names_in(path):
    tree = ast.parse(path.read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return {name for name in names if name.startswith("test_")}


def test_every_row_has_a_test_and_every_test_exists():
    rows = dict(re.findall(r"^\| (\w+) \|(.+)$", TABLE, re.MULTILINE))
    rows.pop("row")

    assert rows.keys() == ROWS
    for row, text in rows.items():
        named = NAMED.findall(text)
        assert named, row
        for file, name in named:
            path = ROOT / file if "/" in file else HERE / file
            assert name in names_in(path), (row, file, name)


def test_every_test_of_a_row_is_in_the_table():
    mine = {name for path in HERE.glob("test_*.py") for name in names_in(path)}
    of_rows = {name for name in mine if re.match(r"test_[FRDL]\d", name)}

    assert of_rows - {name for _, name in NAMED.findall(TABLE)} == {
        "test_R7_every_script_that_changes_anything_has_its_story"
    }
