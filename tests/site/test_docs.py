"""The documentation says what the code does: names, addresses, states, tests and links."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver

from tasks_app.conf import Conf
from tasks_app.states import MOVES

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def rows_of(text, heading):
    """The first and second cells of the tables below a heading, without their backticks."""
    part = text.split(f"\n{heading}\n", 1)[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    return {cells[1].strip("` "): cells[2].strip("` ") for cells in (x.split("|") for x in lines)}


def routes(resolver, before=""):
    """Every address below the API with its view, without the doubles that end in a slash."""
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if hasattr(entry, "url_patterns"):
            yield from routes(entry, route)
        elif route.startswith("api/") and not route.endswith("/"):
            yield "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route), entry.callback.view_class


def methods_of(view):
    return {
        name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)
    }


def test_every_option_is_documented_with_its_default():
    documented = rows_of(read("docs/configuration.md"), "## The `DTPS` setting")

    known = {f.name.upper(): str({} if f.default is None else f.default) for f in fields(Conf)}

    assert documented == known


def test_every_environment_variable_is_documented():
    text = read("docs/configuration.md")
    documented = rows_of(text, "## Environment variables of the site")
    name = r'"([A-Z_]{4,})"'
    settings = read("dtps_site/settings.py")
    in_settings = set(re.findall(rf"(?:environ\.get|_list|_flag)\(\s*{name}", settings)) | {
        "DATABASE_URL"
    }
    in_bootstrap = set(re.findall(r"\$\{(DTPS_[A-Z]+):", read("bootstrap")))

    assert set(documented) == in_settings | in_bootstrap


def test_every_endpoint_is_documented_and_every_documented_one_exists():
    text = read("docs/api.md")
    documented = {
        (method, path.split("?")[0])
        for method, path in re.findall(r"^### (\w+) (/api/\S+)$", text, re.MULTILINE)
    }

    known = {(m, path) for path, view in routes(get_resolver()) for m in methods_of(view)}

    assert documented == known


def test_the_diagram_of_states_is_the_table_of_moves():
    diagram = read("docs/architecture.md").split("stateDiagram-v2", 1)[1].split("```")[0]
    drawn = set(re.findall(r"^\s+(\S+) --> (\w+)", diagram, re.MULTILINE))

    moves = {
        ("[*]" if a is None else a.value, b.value) for a, after in MOVES.items() for b in after
    }

    assert drawn == moves


def test_the_keys_in_redis_are_called_as_documented():
    documented = rows_of(read("docs/architecture.md"), "## In Redis")
    names = re.findall(r'"([a-z]+):?"', read("tasks_app/broker/lua/parts/keys.lua"))
    names += re.findall(r'":([a-z]+):?"', read("tasks_app/broker/lua/parts/keys.lua"))

    words = {word for key in documented for word in key.split(":") if word.islower()}

    assert len(documented) > 5
    assert words - {"workers"} <= set(names)


def test_every_guarantee_names_tests_that_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", read("docs/guarantees.md"))

    missing = [f"{path}::{test}" for path, test in named if test not in functions_in(path)]

    assert len(named) > 20
    assert missing == []


def functions_in(path):
    file = ROOT / path
    if not file.exists():
        return set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.name)
def test_links_lead_somewhere(doc):
    links = re.findall(r"\]\(([^)\s]+)\)", doc.read_text(encoding="utf-8"))

    inside = [link for link in links if not link.startswith(("http", "mailto"))]
    assert [link for link in inside if not leads_somewhere(doc, link)] == []


def leads_somewhere(doc, link):
    path, _, anchor = link.partition("#")
    target = doc.parent / path if path else doc
    if not target.exists() or not anchor:
        return target.exists()
    headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.name)
def test_commands_exist_with_their_options(doc):
    text = doc.read_text(encoding="utf-8")
    known = get_commands()

    for name, rest in re.findall(r"manage\.py (\w+)([^\n`]*)", text):
        assert name in known, f"{doc.name} names the command {name}"
        app = known[name]
        command = load_command_class(app, name) if isinstance(app, str) else app
        parser = command.create_parser("manage.py", name)
        options = set(parser._option_string_actions)
        if parser._subparsers is not None:  # its commands have options of their own
            chosen = re.match(r" (\w+)", rest)
            if chosen and chosen[1] in commands_of(parser):
                options |= set(commands_of(parser)[chosen[1]]._option_string_actions)
            elif chosen:
                assert chosen[1].isupper(), f"{doc.name} names the command {name}{rest}"
        rest = rest.partition("|")[0]  # what follows is another command
        assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= options

    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", text, re.MULTILINE)) <= targets
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets


def commands_of(parser):
    """The parsers of a command's own commands, by their names."""
    return parser._subparsers._group_actions[0].choices


def test_every_command_of_the_command_line_is_documented():
    parser = load_command_class("workers_app", "dtps").create_parser("manage.py", "dtps")

    headings = re.findall(r"^## (\w+)$", read("docs/cli.md"), re.MULTILINE)

    assert headings == list(commands_of(parser))


def test_every_reason_is_documented_with_its_code():
    rows = rows_of(read("docs/tasks.md"), "## Why is my task not running?")
    documented = {word for codes in rows for word in re.findall(r"\w+", codes)}
    files = (ROOT / "tasks_app" / "why").glob("*.py")
    text = "".join(file.read_text(encoding="utf-8") for file in files)

    words = (re.findall(r'"(\w+)"', line) for line in re.findall(r"code = (.+)", text))
    codes = {*re.findall(r'Reason\(\s*"(\w+)"', text), *(word for each in words for word in each)}

    assert documented == codes | {"behind", "next"}


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.name)
def test_files_that_are_named_exist(doc):
    text = doc.read_text(encoding="utf-8")
    folders = "tasks_app|workers_app|dtps_site|tests|docs|benchmarks"

    named = re.findall(rf"`((?:{folders})/[\w/.]+\.\w+)(?:::\w+)?`", text)

    assert [name for name in named if not (ROOT / name).exists()] == []
