"""Django's interface to tasks, in a foreign project: its own suite, run once, told by test."""

import ast
from xml.etree import ElementTree

import pytest
from django import VERSION

from ..conftest import wait_until
from .foreign import PROJECT

SUITE = PROJECT / "suite"


def names():
    """The functions of the suite, as ``module.test``; what others wrote needs Django 6."""
    paths = sorted(SUITE.glob("contract_*.py"))
    for path in paths if VERSION >= (6,) else filter(lambda p: p.stem != "contract_apps", paths):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.stem}.{node.name}"


@pytest.fixture(scope="module")
def outcomes(foreign):
    """What became of each test of the suite: name -> its complaints, [] if it passed."""
    foreign.start_worker("--queues", "default,mail,reports,Bücher & mehr: a b", "--processes", "3",
                         BOOKSHOP_IS_OLD="1")  # fmt: skip
    foreign.start_worker("--queues", "line", "--processes", "1", "--no-coordinator")
    report = foreign.directory / "report.xml"
    suite = str(foreign.directory / "suite")
    words = (
        "-m",
        "pytest",
        suite,
        "-c",
        f"{suite}/pytest.ini",
        f"--junitxml={report}",
        "-q",
        "--maxfail=4",
    )  # each may have waited for long
    try:
        foreign.python(*words)
    except AssertionError as error:
        if not report.exists():
            raise
        print(error)  # pytest shows it with each test that failed
    return outcomes_in(ElementTree.parse(report))


def outcomes_in(tree):
    found = {}
    for case in tree.iter("testcase"):
        module, name = case.get("classname").split(".")[-1], case.get("name").partition("[")[0]
        test = f"{module}.{name}"
        found.setdefault(test, []).extend(
            f"{case.get('name')}: {each.text}"
            for each in case
            if each.tag in ("failure", "error", "skipped")
        )
    return found


@pytest.mark.parametrize("name", [*names()])
def test_the_contract_holds(name, outcomes):
    assert name in outcomes, "It did not run: the suite ends after four failures."
    assert not outcomes[name], "\n".join(outcomes[name])


def test_the_worker_ends_in_order_when_it_is_told_to(foreign):
    worker = foreign.start_worker("--processes", "1")
    worker.wait_for("event=executor_started")
    assert " queues=default,mail,reports " in worker.log  # those that TASKS names

    wait_until(lambda: "event=leading" in worker.log or "event=coordinator_started" in worker.log)

    assert worker.stop() == 0, worker.log
