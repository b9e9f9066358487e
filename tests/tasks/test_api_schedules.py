"""REST, admin and page of schedules."""

from datetime import datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from tasks_app.models import Firing, Outbox, Schedule
from tasks_app.schedules.policies import Source

from ..rest import caller

pytestmark = pytest.mark.django_db(transaction=True)

FIVE = {"name": "tidy", "taskType": "test", "payload": "x", "cron": "*/5 * * * *"}


@pytest.fixture
def call(client, broker):
    return caller(client, "/api/schedules")


def made(**fields):
    return Schedule.objects.create(
        **{"name": "tidy", "type": "test", "every": 300, "next_us": 300_000_000} | fields
    )


def test_a_schedule_is_made_and_says_in_words_when_it_is_due(call):
    code, answer = call("POST", "", FIVE | {"timezone": "Europe/Zurich", "priority": 7})

    assert code == 201
    assert answer["words"] == "Every 5 minutes (Europe/Zurich)"
    assert len(answer["next"]) == 5
    assert all(datetime.fromisoformat(each).minute % 5 == 0 for each in answer["next"])
    assert answer["next"][0].endswith(("+01:00", "+02:00"))
    assert (answer["enabled"], answer["source"], answer["priority"]) == (True, "operator", 7)
    row = Schedule.objects.get()
    assert (row.args, row.priority, row.catch_up, row.overlap) == (["x"], 40, "last", "allow")
    assert row.next_us > 0
    assert call("GET", "") == (200, [answer | {"lastFiring": None}])
    assert call("GET", "/tidy") == (200, answer)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cron": "nonsense"}, "cron"),
        ({"cron": None}, "cron"),
        ({"every": 5}, "cron"),
        ({"cron": None, "every": 0}, "every"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"taskType": "nobody.knows"}, "taskType"),
        ({"options": {"max_atempts": 3}}, "options"),
        ({"options": {"max_attempts": 0}}, "options"),
        ({"options": {"idempotency_key": "k"}}, "options"),
        ({"overlap": "explode"}, "overlap"),
        ({"catchUp": "some"}, "catchUp"),
        ({"catchUpMost": 100_000}, "catchUpMost"),
        ({"name": "a/b"}, "name"),
        ({"name": " "}, "name"),
        ({"starts": "2030-01-02", "ends": "x"}, "ends"),
        ({"starts": "2030-01-02T00:00Z", "ends": "2030-01-01T00:00Z"}, "ends"),
        ({"interval": 5}, "interval"),
        ({"args": [1]}, "payload"),
    ],
)
def test_what_is_no_schedule_is_refused_by_field(call, changes, field):
    code, answer = call("POST", "", FIVE | changes)

    assert (code, field in answer) == (400, True), answer
    assert not Schedule.objects.exists()


def test_a_name_is_taken_once(call):
    call("POST", "", FIVE)

    assert call("POST", "", FIVE) == (400, {"name": ["There is a schedule of this name."]})


def test_a_change_of_the_timing_plans_anew_and_another_one_does_not(call):
    made(next_us=300_000_000)

    assert call("PATCH", "/tidy", {"payload": "y"})[0] == 200
    row = Schedule.objects.get()
    assert (row.args, row.next_us) == (["y"], 300_000_000)

    code, _ = call("PATCH", "/tidy", {"cron": "0 9 * * *"})
    row.refresh_from_db()
    assert (code, row.cron, row.every) == (200, "0 9 * * *", 0)
    assert row.next_us > 300_000_000
    assert call("PATCH", "/tidy", {"cron": "x"})[0] == 400
    assert call("PATCH", "/tidy", {"name": "other"})[0] == 400


def test_what_code_declares_is_changed_there(call):
    made(source=Source.CODE)

    code, answer = call("PATCH", "/tidy", {"payload": "y"})
    assert (code, "code of the project" in answer["detail"]) == (409, True)
    assert call("DELETE", "/tidy")[0] == 409
    assert call("POST", "/tidy/pause")[1]["enabled"] is False
    Schedule.objects.update(is_declared=False)
    assert call("DELETE", "/tidy") == (204, None)


def test_a_pause_ends_without_catching_up(call):
    made()

    code, answer = call("POST", "/tidy/pause")
    assert (code, answer["enabled"], answer["next"]) == (200, False, [])

    code, answer = call("POST", "/tidy/resume")
    assert (code, answer["enabled"], len(answer["next"])) == (200, True, 5)
    assert Schedule.objects.get().next_us > 300_000_000


def test_run_now_submits_at_once_and_is_in_the_history(call, broker):
    made(args=["x"], enabled=False)
    Firing.objects.create(schedule=Schedule.objects.get(), slot_us=1, fired_us=1, reason="Because.")

    code, answer = call("POST", "/tidy/run")

    assert (code, answer["status"]) == (201, "queued")
    assert broker.must_get(answer["taskId"]).message.args == ["x"]
    assert not Outbox.objects.exists()
    code, (manual, skipped) = call("GET", "/tidy/firings")
    assert call("GET", "")[1][0]["lastFiring"] == manual
    assert (manual["taskId"], manual["manual"], manual["status"]) == (
        answer["taskId"], True, "pending",
    )  # fmt: skip
    assert (skipped["status"], skipped["reason"]) == ("skipped", "Because.")
    assert len(call("GET", "/tidy/firings?limit=1")[1]) == 1
    assert call("GET", "/tidy/firings?limit=0")[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/run"), ("POST", "/pause"),
     ("POST", "/resume"), ("GET", "/firings")],
)  # fmt: skip
def test_a_name_that_nobody_knows_is_not_found(call, method, path):
    assert call(method, f"/no%20such{path}", {} if method != "GET" else None)[0] == 404


def test_only_operators_change_anything(client, broker):
    viewer = User.objects.create_user("viewer")
    viewer.user_permissions.add(Permission.objects.get(codename="view_task"))
    client.force_login(viewer)
    made()

    assert client.get("/api/schedules").status_code == 200
    for method, path in (("post", ""), ("patch", "/tidy"), ("delete", "/tidy"),
                         ("post", "/tidy/run"), ("post", "/tidy/pause")):  # fmt: skip
        assert getattr(client, method)(f"/api/schedules{path}").status_code == 403


# --- the page ---


@pytest.fixture
def page(client, call):
    return lambda: client.get("/schedules/").content.decode()


def test_an_empty_page_explains_how_to_make_one(page):
    shown = page()

    assert "No schedule yet" in shown
    assert "@periodic(" in shown


def test_the_page_shows_each_schedule_with_words_and_its_last_outcome(page, call):
    made(name="<b>tidy</b>")
    made(name="paused one", enabled=False)
    made(name="gone one", is_declared=False, source=Source.CODE)
    call("POST", "/paused%20one/run")

    shown = page()

    assert "&lt;b&gt;tidy&lt;/b&gt;" in shown
    assert "<b>tidy" not in shown
    assert shown.count("Every 5 minutes") == 3
    assert 'data-status="pending"' in shown
    for text in ("not yet", "not while paused", "not while gone", "Run now", "Pause", "Resume"):
        assert text in shown


def test_a_viewer_has_no_buttons_and_nobody_else_has_the_page(client, broker):
    made()
    assert client.get("/schedules/").status_code == 302
    nobody = User.objects.create_user("nobody")
    client.force_login(nobody)
    assert client.get("/schedules/").status_code == 403

    nobody.user_permissions.add(Permission.objects.get(codename="view_task"))
    client.force_login(User.objects.get(pk=nobody.pk))
    shown = client.get("/schedules/").content.decode()
    assert "Every 5 minutes" in shown
    assert "Run now" not in shown


# --- the admin ---


@pytest.fixture
def admin(client, broker):
    client.force_login(User.objects.create_superuser("root"))
    return client


FORM = {
    "name": "tidy", "type": "test", "args": '["x"]', "kwargs": "{}", "queue": "", "priority": "",
    "options": "{}", "cron": "0 9 * * *", "every": "", "timezone": "Europe/Zurich",
    "starts_0": "", "starts_1": "", "ends_0": "", "ends_1": "", "catch_up": "last",
    "catch_up_most": "100", "overlap": "skip", "enabled": "on",
}  # fmt: skip
ADD = "admin:tasks_app_schedule_add"


def change(row):
    return reverse("admin:tasks_app_schedule_change", args=[row.pk])


def test_the_admin_makes_a_schedule_and_tells_the_next_five_times(admin):
    answer = admin.post(reverse(ADD), FORM, follow=True)

    row = Schedule.objects.get()
    assert (row.args, row.cron, row.every, row.source) == (["x"], "0 9 * * *", 0, "operator")
    assert row.next_us > 0
    assert answer.content.decode().count("09:00:00 CE") >= 5
    assert admin.get(change(row)).content.decode().count("09:00:00 CE") >= 5
    listed = admin.get(reverse("admin:tasks_app_schedule_changelist")).content.decode()
    assert listed.count("09:00:00 CE") == 6  # the next one, and all five where one points at it


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"cron": "x"}, "This is no cron expression"),
        ({"every": "5"}, "Give either a cron expression or an interval"),
        ({"options": '{"nonsense": 1}'}, "There is no option"),
        ({"options": '{"max_attempts": 0}'}, "number of attempts"),
        ({"args": '{"a": 1}'}, "Must be a list"),
        ({"kwargs": "[1]"}, "Must be an object"),
        ({"args": "["}, "Enter a valid JSON"),
        ({"type": "nobody.knows"}, "There is no task type"),
        ({"priority": "200"}, "Must be a whole number"),
        ({"name": "a/b"}, "no slash"),
    ],
)
def test_the_admin_refuses_what_is_no_schedule(admin, changes, text):
    answer = admin.post(reverse(ADD), FORM | changes)

    assert text in answer.content.decode()
    assert not Schedule.objects.exists()


def test_the_admin_changes_pauses_and_resumes(admin):
    row = made(next_us=1)

    admin.post(change(row), FORM | {"args": "[1]", "cron": "", "every": "300", "timezone": "UTC"})
    row.refresh_from_db()
    assert (row.args, row.next_us) == ([1], 1)

    paused = FORM | {"cron": "", "every": "300", "timezone": "UTC"}
    del paused["enabled"]
    admin.post(change(row), paused)
    admin.post(change(row), paused | {"enabled": "on"})
    row.refresh_from_db()
    assert (row.enabled, row.next_us > 1) == (True, True)


def test_of_what_code_declares_the_admin_changes_the_pause_alone(admin):
    row = made(source=Source.CODE, args=["mine"])

    shown = admin.get(change(row)).content.decode()
    assert 'name="cron"' not in shown
    admin.post(change(row), {"args": '["theirs"]'})

    row.refresh_from_db()
    assert (row.enabled, row.args) == (False, ["mine"])


def test_the_admin_s_actions_pause_and_run(admin, broker):
    row = made()
    url = reverse("admin:tasks_app_schedule_changelist")

    admin.post(url, {"action": "pause", "_selected_action": [row.pk]})
    admin.post(url, {"action": "run", "_selected_action": [row.pk]})

    row.refresh_from_db()
    assert row.enabled is False
    (firing,) = Firing.objects.all()
    assert broker.must_get(firing.task_id)
    listed = admin.get(reverse("admin:tasks_app_firing_changelist")).content.decode()
    assert firing.task_id in listed
