"""Mistakes in the settings are told before anything runs, and without asking Redis."""

import pytest
from django.core.checks import registry
from django.test import override_settings

from tasks_app import checks
from tasks_app.compat import Task
from tests.sample import awkward, tasks

BACKEND = "tasks_app.backends.RedisBackend"


def found():
    """What ``manage.py check`` says of tasks, each mistake once: id -> message."""
    said = [each for each in registry.run_checks() if (each.id or "").startswith("tasks.")]
    assert len({str(each) for each in said}) == len(said)
    return {each.id: each for each in said}


def test_the_sites_settings_are_sound(settings):
    settings.DTPS = {**settings.DTPS, "REDIS_URL": "redis://nowhere.invalid:1/0", "FILES_ROOT": ""}

    assert found() == {}
    assert {checks.check_conf, checks.check_backends, checks.check_tasks} <= set(
        registry.registry.get_checks()
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"REDIS_URI": "x"}, "tasks.E001"),
        ({"LEASE_SECONDS": -1}, "tasks.E001"),
        ({"REDIS_URL": "http://localhost"}, "tasks.E002"),
        ({"FILES_ROOT": "/does/not/exist"}, "tasks.W001"),
        ({"BACKOFF_SECONDS": 10, "BACKOFF_MAX_SECONDS": 5}, "tasks.W002"),
    ],
)
def test_a_useless_option_is_told(settings, options, expected):
    settings.DTPS = options

    assert list(found()) == [expected]


def test_a_wrong_name_is_answered_with_the_right_one(settings):
    settings.DTPS = {"REDIS_URI": "x"}

    assert "Did you mean REDIS_URL?" in found()["tasks.E001"].msg


@pytest.mark.parametrize(
    ("backends", "expected"),
    [
        ({"default": {"BACKEND": BACKEND, "OPTIONS": {"retries": 3}}}, ["tasks.E004"]),
        ({"default": {"BACKEND": BACKEND, "OPTIONS": {"ENQUEUE": "never"}}}, ["tasks.E004"]),
        ({"default": {"BACKEND": BACKEND, "OPTIONS": {"DATABASE": "no"}}}, ["tasks.E004"]),
        ({"default": {"BACKEND": BACKEND, "OPTIONS": {"DURABILITY": "high"}}}, ["tasks.E004"]),
        ({"default": {"BACKEND": BACKEND, "OPTIONS": {"DURABILITY": "fsync"}}}, []),
        ({"default": {"BACKEND": BACKEND}, "b": {"BACKEND": BACKEND}}, []),
    ],
)
def test_a_useless_setting_of_a_backend_is_told(settings, backends, expected):
    settings.DTPS = {**settings.DTPS, "FILES_ROOT": ""}
    with override_settings(TASKS=backends):
        assert list(found()) == expected


def test_a_wrong_option_of_a_backend_is_answered_with_the_right_one():
    with override_settings(TASKS={"mail": {"BACKEND": BACKEND, "OPTIONS": {"ENQUE": "direct"}}}):
        message = found()["tasks.E004"].msg

    assert message == "OPTIONS of TASKS['mail']: 'ENQUE' is no option. Did you mean ENQUEUE?"


def test_an_app_of_ours_that_is_not_installed_is_told(settings):
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "workers_app"]

    assert found()["tasks.E007"].msg == "TASKS['default'] needs the app 'workers_app'."


def test_a_site_without_our_backend_is_told(settings):
    dummy = f"{Task.__module__.removesuffix('.base')}.backends.dummy.DummyBackend"
    with override_settings(TASKS={"default": {"BACKEND": dummy}}):
        assert "tasks.W003" in found()


def test_a_task_that_no_worker_could_find_is_told(monkeypatch):
    monkeypatch.setattr(tasks, "hidden", awkward.hidden, raising=False)

    message = found()["tasks.W005"]

    assert "tests.sample.awkward._hidden is something else" in message.msg
    assert message.hint
