"""Bulk operations and retention over REST and in the admin."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from tasks_app.models import Operation, TaskRecord

from ..lua.world import submitted
from ..rest import caller

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def call(client, broker):
    return caller(client)


def test_a_dry_run_counts_and_shows_and_stores_nothing(call, broker):
    ones = submitted(broker, 12, queue="mail")
    body = {"action": "cancel", "filter": {"queue": "mail"}, "dry_run": True}

    code, answer = call("POST", "operations", body)

    assert code == 200
    assert (answer["dry_run"], answer["action"]) == (True, "cancel")
    assert (answer["matched"], answer["more"]) == (12, False)
    assert [row["task_id"] for row in answer["sample"]] == [o.id for o in ones[:1:-1]]
    assert not Operation.objects.exists()
    assert broker.must_get(ones[0].id).state.status == "pending"


def test_an_operation_is_written_down_with_who_asked_for_it(call, broker):
    submitted(broker, 2)
    words = {"status": ["pending", "scheduled"], "type": "test"}

    code, made = call("POST", "operations", {"action": "priority", "filter": words, "priority": 9})

    assert code == 201
    assert (made["action"], made["filter"], made["who"]) == ("priority", words, "root")
    assert (made["state"], made["expected"], made["parameters"]) == ("pending", 2, {"priority": 9})
    assert call("GET", f"operations/{made['id']}") == (200, made)
    assert call("GET", "operations") == (200, {"results": [made], "next": None})


def test_operations_are_listed_in_pages_the_newest_first(call):
    ids = [Operation.objects.create(action="retry", created_us=n).id for n in range(3)]

    code, first = call("GET", "operations?limit=2")
    assert code == 200
    _, second = call("GET", f"operations?limit=2&cursor={first['next']}")

    assert [one["id"] for one in first["results"] + second["results"]] == ids[::-1]
    assert second["next"] is None


def test_one_is_cancelled_once(call):
    one = Operation.objects.create(action="retry", created_us=1)

    code, answer = call("POST", f"operations/{one.id}/cancel")

    assert (code, answer["state"], answer["message"]) == (200, "cancelled", "Cancelled by root.")
    code, answer = call("POST", f"operations/{one.id}/cancel")
    assert (code, answer["code"]) == (409, "wrong_state")
    assert call("POST", "operations/unknown/cancel")[0] == 404
    assert call("GET", "operations/%00")[0] == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"filter": {"type": "x"}}, "action"),
        ({"action": "explode", "filter": {"type": "x"}}, "action"),
        ({"action": "retry"}, "filter"),
        ({"action": "retry", "filter": []}, "filter"),
        ({"action": "retry", "filter": {}}, "filter"),
        ({"action": "retry", "filter": {"typ": "x"}}, "filter"),
        ({"action": "retry", "filter": {"status": "done"}}, "filter"),
        ({"action": "retry", "filter": {"status": []}}, "filter"),
        ({"action": "retry", "filter": {"status": ["pending"]}}, "status"),
        ({"action": "retry", "filter": {"error": "\u0000"}}, "filter"),
        ({"action": "retry", "filter": {"submitted_after": "yesterday"}}, "filter"),
        ({"action": "priority", "filter": {"type": "x"}, "priority": 11}, "priority"),
        ({"action": "priority", "filter": {"type": "x"}}, "priority"),
        ({"action": "queue", "filter": {"type": "x"}, "queue": "A B"}, "queue"),
        ({"action": "cancel", "filter": {"type": "x"}, "priority": 1}, "priority"),
        ({"action": "cancel", "filter": {"type": "x"}, "dry_run": 1}, "dry_run"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_what_is_wrong_is_told_by_field_and_nothing_is_done(call, body, field, dry_run):
    code, answer = call("POST", "operations", ({"dry_run": True} if dry_run else {}) | body)

    assert (code, list(answer)) == (400, [field])
    assert not Operation.objects.exists()


def test_whoever_may_see_may_not_begin_one(call, client):
    viewer = User.objects.create_user("viewer")
    viewer.user_permissions.add(Permission.objects.get(codename="view_task"))
    client.force_login(viewer)
    body = {"action": "cancel", "filter": {"type": "x"}, "dry_run": True}
    one = Operation.objects.create(action="retry", created_us=1)

    assert call("GET", "operations")[0] == 200
    assert call("POST", "operations", body)[0] == 403
    assert call("POST", f"operations/{one.id}/cancel")[0] == 403
    assert call("GET", "retention")[0] == 200


def test_retention_tells_the_rules_and_what_would_go(call, settings):
    types = {"slow": {"completed": "2d"}}
    settings.DTPS = {
        **settings.DTPS, "MAX_RECORDS": 5,
        "RETENTION": {"completed": "7d", "failed": None, "types": types},
    }  # fmt: skip
    TaskRecord.objects.create(
        id="0", type="test", queue="default", priority=0, status="completed", submitted_us=1,
        finished_us=1, definition=b"x" * 100, state=b"y" * 11,
    )  # fmt: skip

    code, answer = call("GET", "retention")

    assert code == 200
    found = {each.pop("status"): each for each in answer["statuses"]}
    assert found["completed"] == {"seconds": 604_800, "tasks": 1, "bytes": 111, "more": False}
    assert found["failed"] == {"seconds": None, "tasks": 0, "bytes": 0, "more": False}
    assert answer["types"]["slow"]["completed"] == 172_800
    assert answer["others"]["quarantine"] == 90 * 86_400
    assert (answer["max_records"], answer["records"]) == (5, 1)


def test_the_admin_shows_who_did_what_and_changes_nothing(client, call):
    one = Operation.objects.create(
        action="queue", filter={"type": "<b>x"}, parameters={"queue": "slow"}, who="<i>ann",
        created_us=1_790_000_000_000_000, matched=1234, done=1200, state="done",
    )  # fmt: skip

    listed = client.get(reverse("admin:tasks_app_operation_changelist"))
    page = client.get(reverse("admin:tasks_app_operation_change", args=[one.id]))

    for answer in (listed, page):
        text = answer.content.decode()
        assert answer.status_code == 200
        assert "&lt;i&gt;ann" in text and "<i>ann" not in text
        assert "queue: slow" in text and "1200" in text
    assert "&lt;b&gt;x" in page.content.decode()
    assert client.get(reverse("admin:tasks_app_operation_add")).status_code == 403
