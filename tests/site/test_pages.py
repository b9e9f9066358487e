"""The pages as the server renders them: to whom, with which policy, and in which state."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from uuid_utils import uuid7

from tasks_app.message import TaskMessage, now_us

pytestmark = pytest.mark.django_db


@pytest.fixture
def local():
    """A browser at this machine."""
    return Client(headers={"host": "localhost:8080"})


@pytest.fixture
def far_away(settings):
    """Requests are not from somebody at this machine."""
    settings.DTPS_LOCAL_ACCESS = False


def new_user(*permissions):
    user = User.objects.create_user("ada")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def new_task(**fields):
    return TaskMessage(**{"id": str(uuid7()), "type": "test", "submitted_us": now_us()} | fields)


def test_an_empty_system_explains_itself(local, broker):
    page = local.get("/").content.decode()

    assert "No worker is running. Start one with <code>manage.py runworker</code>" in page
    assert "No task yet." in page and "No queue yet" in page
    assert "When a worker's autoscaler changes its slots, it says here why." in page


def test_numbers_tasks_and_types_are_in_the_first_answer(local, broker):
    broker.submit_many([new_task() for _ in range(1000)])
    broker.fleet.announce("w1", {"hostname": "here", "slots": 4, "active": 3})

    page = local.get("/").content.decode()

    assert "1,000" in page and "3 running, 4 slots" in page
    assert '<option value="wordcount"' in page


def test_decisions_and_what_workers_hold_are_in_the_first_answer(local, broker):
    broker.fleet.announce(
        "w1", {"slots": 4, "reserved": 34, "stolen": 12, "stolenFrom": 87, "bounds": [2, 9]}
    )
    broker.fleet.keep_decision(
        {"at_ms": 1, "worker": "w1", "from": 3, "to": 4, "reason": "7 tasks wait.", "numbers": {}}
    )

    page = local.get("/").content.decode()

    assert "3 → 4" in page and "7 tasks wait." in page
    assert ">34<" in page and ">12/87<" in page and "2\u20139" in page


def test_text_of_users_is_escaped(local, broker):
    hostile = "</script><img src=x onerror=alert(1)>"
    broker.submit(new_task(type=hostile, queue=hostile))
    broker.fleet.announce(hostile, {"hostname": hostile, "kind": hostile, "status": hostile})
    broker.fleet.keep_decision({"worker": hostile, "reason": hostile})

    page = local.get("/").content.decode()

    assert page.count("&lt;img src=x") >= 3 and "<img src=x" not in page


def test_without_redis_the_page_says_so(local, settings):
    settings.DTPS = {**settings.DTPS, "REDIS_URL": "unix:///nowhere/redis.sock"}

    page = local.get("/").content.decode()

    assert "Redis cannot be reached" in page
    assert page.count('data-part="empty" hidden') == 3  # that nothing is there would be a guess


def test_strangers_are_led_to_the_login(client, far_away):
    answer = client.get("/")

    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/?next=/"


def test_a_foreign_page_is_not_let_in_as_somebody_at_this_machine(local):
    answer = local.get("/", headers={"Origin": "http://evil.example"})

    assert answer.status_code == 302


def test_who_may_not_view_is_refused(client, far_away, broker):
    client.force_login(new_user("submit_task"))

    assert client.get("/").status_code == 403


@pytest.mark.parametrize(
    ("permissions", "submits", "operates"),
    [
        (["view_task"], False, False),
        (["view_task", "submit_task"], True, False),
        (["view_task", "operate_task"], False, True),
    ],
)
def test_controls_are_for_those_who_may(client, far_away, broker, permissions, submits, operates):
    client.force_login(new_user(*permissions))

    page = client.get("/").content.decode()

    assert ("Submit a task" in page) == submits
    for control in (
        "Add a worker",
        "Reset the system",
        "Cancel the task",
        'data-action="stop"',
        "Scale…",
        "Restart…",
        "stacks-dialog",
    ):
        assert (control in page) == operates


def test_the_policy_allows_nothing_inline(local, broker):
    answer = local.get("/")
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' ws://localhost:8080"
    assert policy["frame-ancestors"] == "'none'"
    page = answer.content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    links = re.findall(r'\s(?:src|href|action)="([^"]*)"', page)
    assert [link for link in links if not re.match("#|/(?!/)", link)] == []


def test_nobody_keeps_the_page(local, broker):
    assert "no-store" in local.get("/")["Cache-Control"]


def test_only_reading_is_possible(local):
    assert local.post("/").status_code == 405
