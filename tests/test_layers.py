"""Imports go one way: dtps_site -> workers_app -> tasks_app, and at the top of a file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ["tasks_app", "workers_app", "dtps_site"]  # the lowest first
# A door for the tests of projects, that runs what workers run. It lies where a project looks for
# it, and nothing of ours may import it.
KIT = ROOT / "tasks_app" / "testing"
# Inside workers_app: none of a group imports from another of it, or from a later group.
GROUPS = [
    {"autoscaling", "coordinator", "embedded", "executor"},
    {"live", "supervisor"},
    {"agent", "doctor"},
    {"api"},
    {"cli"},
    {"management"},
]
FILES = sorted(file for layer in LAYERS for file in (ROOT / layer).rglob("*.py"))


def imported(node, file):
    """The absolute names of the modules that a statement imports; [] if it is no import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    package = list(file.relative_to(ROOT).parent.parts)
    above = package[: len(package) - node.level + 1] if node.level else []
    return [".".join([*above, *filter(None, [node.module])])]


def reads_the_environment(node):
    """Whether an expression asks for one variable; a whole environment may be handed on."""
    if isinstance(node, ast.Subscript):
        return ast.unparse(node.value) == "os.environ"
    asks = ("os.getenv", "os.environ.get", "os.environ.pop", "os.environ.setdefault")
    return isinstance(node, ast.Call) and ast.unparse(node.func) in asks


def layer_of(name):
    first = name.partition(".")[0]
    return LAYERS.index(first) if first in LAYERS else -1


def package_of(name):
    """The package inside workers_app that a dotted name lies in; "" if in none."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first == "workers_app" else ""


def group_of(package):
    return next((n for n, group in enumerate(GROUPS) if package in group), -1)


def names(file):
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", FILES, ids=names)
def test_nothing_is_imported_from_above(file):
    own = 1 if KIT in file.parents else LAYERS.index(file.relative_to(ROOT).parts[0])
    nodes = list(ast.walk(ast.parse(file.read_text())))

    assert [n for node in nodes for n in imported(node, file) if layer_of(n) > own] == []


@pytest.mark.parametrize("file", [f for f in FILES if KIT not in f.parents], ids=names)
def test_the_testing_kit_is_for_tests_alone(file):
    nodes = ast.walk(ast.parse(file.read_text()))
    found = [name for node in nodes for name in imported(node, file)]

    assert [name for name in found if f"{name}.".startswith("tasks_app.testing.")] == []


@pytest.mark.parametrize("file", [f for f in FILES if ROOT / "workers_app" in f.parents], ids=names)
def test_the_parts_of_a_worker_are_imported_in_one_direction(file):
    own = package_of(".".join(file.relative_to(ROOT).parts))
    found = {
        package_of(name)
        for node in ast.walk(ast.parse(file.read_text()))
        for name in imported(node, file)
    } - {own}

    if group_of(own) >= 0:
        assert [other for other in found if group_of(other) >= group_of(own)] == []


@pytest.mark.parametrize("file", FILES, ids=names)
def test_no_cycle_is_dodged_by_an_import_inside_a_function(file):
    inside = [
        name
        for function in ast.walk(ast.parse(file.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        for name in imported(node, file)
        if layer_of(name) >= 0
    ]

    assert inside == []


@pytest.mark.parametrize(
    "file", [f for f in FILES if not {ROOT / "dtps_site", KIT} & {*f.parents}], ids=names
)
def test_the_environment_is_read_by_the_site_alone(file):
    nodes = ast.walk(ast.parse(file.read_text()))

    assert [node.lineno for node in nodes if reads_the_environment(node)] == []
