"""Task types are found by their exact names, and nothing is ever imported because of a name."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest

from tasks_app import registry
from tasks_app.compat import task
from tasks_app.exceptions import UnknownTaskType
from tests.sample import awkward, tasks


def test_our_types_have_short_names_and_all_others_their_paths():
    names = registry.task_types()

    assert {"test", "wordcount", "primes", "sleep", "sleep_async", "checksum", "flaky"} <= set(
        names
    )
    assert "tests.sample.tasks.echo" in names
    assert "echo" not in names
    assert list(names) == sorted(names)


def test_a_type_tells_what_its_declaration_says():
    declared = registry.get("tests.sample.tasks.declared")

    assert declared.task is tasks.declared
    assert declared.doc == "Declare every option."
    assert (declared.queue, declared.priority) == ("mail", 50)
    assert declared.options == {"max_attempts": 5, "backoff": 2.5, "timeout": 30}
    assert not declared.is_async


def test_a_type_leaves_open_what_its_declaration_does_not_say():
    plain = registry.get("tests.sample.tasks.async_echo")

    assert plain.options == {}
    assert plain.is_async


def test_a_task_is_found_where_a_tasks_module_imports_it():
    assert registry.get("tests.sample.awkward.elsewhere").task is awkward.elsewhere


@pytest.mark.parametrize("hidden", [awkward.hidden, awkward.nameless])
def test_a_task_that_no_worker_could_find_is_not_registered(hidden):
    assert registry.type_of(hidden) is None


def test_a_task_elsewhere_in_an_app_is_found_by_who_has_it_and_listed_nowhere():
    name = "tests.sample.awkward.unlisted"

    assert registry.type_of(awkward.unlisted).name == name
    assert registry.resolve(name).task is awkward.unlisted
    assert registry.stands_elsewhere(name)
    assert not registry.stands_elsewhere("tests.sample.tasks.echo")
    assert name not in registry.task_types()
    with pytest.raises(UnknownTaskType):
        registry.get(name)


def stray_in(monkeypatch, name):
    """A task in a module that is no app's."""
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)

    def stray():
        """Be importable by this path."""

    stray.__module__, stray.__qualname__ = name, "stray"
    module.stray = task(stray)
    return module.stray


def test_a_task_outside_of_every_app_is_found_like_one_elsewhere_in_an_app(monkeypatch):
    stray = stray_in(monkeypatch, "outside_of_apps")

    assert registry.resolve("outside_of_apps.stray").task is stray
    assert registry.type_of(stray).name == "outside_of_apps.stray"
    assert "outside_of_apps.stray" not in registry.task_types()


@pytest.mark.parametrize("name", ["this", "__main__", "pip.__main__"])
def test_no_name_makes_a_worker_import_a_program_or_a_module_of_python(name, monkeypatch):
    stray = stray_in(monkeypatch, name)

    assert registry.type_of(stray) is None
    with pytest.raises(UnknownTaskType):
        registry.resolve(f"{name}.stray")


@pytest.mark.parametrize(
    "name",
    ["tests.sample.tasks.Path", "tests.sample.gone.x", "tests.sample.awkward.hidden", "os.system"],
)
def test_only_a_task_of_exactly_that_path_is_resolved(name):
    with pytest.raises(UnknownTaskType):
        registry.resolve(name)


def test_a_task_is_not_taken_for_another_of_the_same_path():
    def echo():
        """Pretend to be the registered one, as the old function does after a reload."""

    echo.__module__, echo.__qualname__ = "tests.sample.tasks", "echo"

    assert registry.type_of(tasks.echo.using(priority=1)).task is tasks.echo
    assert registry.type_of(replace(tasks.echo, func=echo)) is None


def test_an_unknown_name_is_answered_with_the_nearest_ones_first():
    with pytest.raises(UnknownTaskType, match=r"'wordcont'.* Known are: wordcount, checksum"):
        registry.get("wordcont")


def test_any_other_name_is_unknown_and_imports_nothing():
    for name in (
        "", "os.system", "antigravity.fly", "tests.sample.tasks", "tests.sample.tasks.Path", "*",
        "TEST", "test ", "../test", "x" * 1_000_000, "\ud800", None, 7, ["test"], {"test": 1},
    ):  # fmt: skip
        with pytest.raises(UnknownTaskType) as raised:
            registry.get(name)

        assert len(str(raised.value)) < 5000
    assert "antigravity" not in sys.modules
