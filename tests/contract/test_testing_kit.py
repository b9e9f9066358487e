"""The testing kit where it is meant to be used: in the tests of a project that has our wheel."""

NOBODY = "redis://127.0.0.1:1/0"  # what the bookshop's settings name is not touched
PYTEST = ("-m", "pytest", "kit", "-c", "kit/pytest.ini", "-q")


def test_pytest_finds_the_fixture_that_the_wheel_brings(foreign):
    said = foreign.python(*PYTEST, "-p", "no:xdist", BOOKSHOP_REDIS_URL=NOBODY)

    assert "9 passed" in said


def test_processes_that_share_the_tests_do_not_meet(foreign):
    said = foreign.python(*PYTEST, "-n", "2", BOOKSHOP_REDIS_URL=NOBODY)

    assert "9 passed" in said


def test_djangos_own_runner_needs_nothing_of_pytest(foreign):
    said = foreign.manage("test", "bookshop", BOOKSHOP_REDIS_URL=NOBODY)

    assert "Ran 8 tests" in said and "OK" in said


def test_so_do_its_processes(foreign):
    here = str(foreign.directory)  # these are ended by force, and leave their files behind
    said = foreign.manage(
        "test", "bookshop", "--parallel", "2", BOOKSHOP_REDIS_URL=NOBODY, TMPDIR=here
    )

    assert "Ran 8 tests" in said and "OK" in said


def test_a_server_that_the_environment_names_is_used_and_left_clean(foreign):
    server = foreign.environment["BOOKSHOP_REDIS_URL"]

    foreign.python(*PYTEST, "-p", "no:xdist", BOOKSHOP_REDIS_URL=NOBODY, DTPS_TEST_REDIS_URL=server)

    foreign.python("-c", LOOK, server)


def test_the_plugin_costs_a_project_that_has_no_use_for_it_nothing(foreign):
    foreign.python("-c", NOTHING_HEAVY)


LOOK = """
import redis, sys
client = redis.Redis.from_url(sys.argv[1])
assert client.info("commandstats")["cmdstat_unlink"]["calls"] > 0
assert client.keys("dtps-test-*") == []
"""

NOTHING_HEAVY = """
import sys
import tasks_app.testing.plugin
heavy = {"redis", "msgspec", "workers_app", "asgiref", "django.db", "django.conf"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
