"""REST: workflows, and single tasks that wait for others."""

import pytest
from django.contrib.auth.models import Permission, User

from tasks_app.lookup import find
from tasks_app.models import Dependency, WorkflowRecord
from tasks_app.workflows.parents import results_for

from ..rest import caller

pytestmark = pytest.mark.django_db(transaction=True)

NIGHTLY = {
    "name": "nightly",
    "tasks": [
        {"name": "report", "taskType": "test", "payload": 3, "after": ["rows", "prices"],
         "takesResults": True},
        {"name": "rows", "taskType": "test", "payload": 1, "queue": "mail"},
        {"name": "prices", "taskType": "test", "payload": 2},
        {"name": "mail", "taskType": "test", "payload": 4, "after": "report",
         "ifParentFails": "run"},
    ],
}  # fmt: skip


@pytest.fixture
def call(client, broker):
    return caller(client)


def test_a_workflow_is_submitted_by_local_names_in_any_order(call, floor):
    code, answer = call("POST", "workflows", NIGHTLY)

    assert (code, answer["status"]) == (201, "queued")
    assert list(answer["taskIds"]) == ["rows", "prices", "report", "mail"]
    ids = answer["taskIds"]
    floor.record()
    assert floor.statuses(*ids.values()) == ["pending", "pending", "waiting", "waiting"]
    code, shown = call("GET", f"workflows/{answer['workflowId']}")
    assert code == 200
    assert (shown["name"], shown["total"], shown["done"], shown["layers"]) == ("nightly", 4, 0, 3)
    assert (shown["state"], shown["statuses"]) == ("open", {"pending": 2, "waiting": 2})
    assert [(t["name"], t["layer"], t["status"]) for t in shown["tasks"]] == [
        ("rows", 0, "pending"), ("prices", 0, "pending"), ("report", 1, "waiting"),
        ("mail", 2, "waiting"),
    ]  # fmt: skip
    floor.run(ids["prices"], result=2)
    floor.run(ids["rows"], queue="mail", result=1)
    assert results_for(find(ids["report"]).message) == [1, 2]
    floor.run(ids["report"], "failed")
    floor.run(ids["mail"])
    code, shown = call("GET", f"workflows/{answer['workflowId']}")
    assert (shown["state"], shown["done"]) == ("failed", 4)


def test_a_task_tells_what_it_waited_for_and_its_workflow(call, floor):
    _, answer = call("POST", "workflows", NIGHTLY)
    ids = answer["taskIds"]

    _, task = call("GET", f"tasks/{ids['report']}")

    assert task["depends_on"] == [ids["rows"], ids["prices"]]
    assert (task["workflow"], task["takes_results"]) == (answer["workflowId"], True)
    _, task = call("GET", f"tasks/{ids['mail']}")
    assert (task["if_parent_fails"], task["takes_results"]) == ("run", False)
    _, task = call("GET", f"tasks/{ids['rows']}")
    assert task["depends_on"] == []


def test_it_is_paged_and_filtered(call, floor):
    made = [call("POST", "workflows", NIGHTLY)[1]["workflowId"] for _ in range(3)]

    _, page = call("GET", "workflows?limit=2")
    assert [each["id"] for each in page["results"]] == made[:0:-1]
    _, rest = call("GET", f"workflows?limit=2&cursor={page['next']}")
    assert ([each["id"] for each in rest["results"]], rest["next"]) == (made[:1], None)

    path = f"workflows/{made[0]}?limit=3"
    _, first = call("GET", path)
    _, second = call("GET", f"{path}&cursor={first['next']}")
    names = [task["name"] for task in first["tasks"] + second["tasks"]]
    assert (names, second["next"]) == (["rows", "prices", "report", "mail"], None)
    floor.record()
    _, some = call("GET", f"workflows/{made[0]}?status=waiting")
    assert [task["name"] for task in some["tasks"]] == ["report", "mail"]


def test_a_graph_has_the_tasks_and_who_waits_for_whom(call):
    _, answer = call("POST", "workflows", NIGHTLY)
    ids = answer["taskIds"]

    _, graph = call("GET", f"workflows/{answer['workflowId']}/graph")

    assert graph["grouped_by"] == "task"
    assert [(node["label"], node["layer"], node["statuses"]) for node in graph["nodes"]] == [
        ("rows", 0, {"pending": 1}), ("prices", 0, {"pending": 1}), ("report", 1, {"waiting": 1}),
        ("mail", 2, {"waiting": 1}),
    ]  # fmt: skip
    assert sorted(map(tuple, graph["links"])) == sorted(
        [(ids["rows"], ids["report"]), (ids["prices"], ids["report"]), (ids["report"], ids["mail"])]
    )


def test_a_large_graph_is_drawn_in_groups(call):
    many = [{"name": f"p{n}", "taskType": "test", "payload": n} for n in range(160)]
    end = {"name": "end", "taskType": "test", "payload": 0, "after": [t["name"] for t in many]}
    _, answer = call("POST", "workflows", {"tasks": [*many, end]})

    _, graph = call("GET", f"workflows/{answer['workflowId']}/graph")

    assert graph["grouped_by"] == "layer"
    assert [(n["label"], n["layer"], n["statuses"]) for n in graph["nodes"]] == [
        ("test", 0, {"pending": 160}), ("test", 1, {"waiting": 1}),
    ]  # fmt: skip
    assert graph["links"] == [["0/test", "1/test"]]


def test_one_that_is_also_very_long_is_grouped_by_type(call):
    tasks = [
        {"name": f"t{n}", "taskType": "test", "payload": 1, "after": [f"t{n - 1}"] if n else []}
        for n in range(160)
    ]
    _, answer = call("POST", "workflows", {"tasks": tasks})

    _, graph = call("GET", f"workflows/{answer['workflowId']}/graph")

    assert (graph["grouped_by"], graph["links"]) == ("type", [])
    assert [node["statuses"] for node in graph["nodes"]] == [{"pending": 1, "waiting": 159}]


def task(name="a", **fields):
    return {"name": name, "taskType": "test", "payload": 1, **fields}


@pytest.mark.parametrize(
    "tasks, said",
    [
        ([task("a", after="b"), task("b", after="a")], "They wait for each other: "),
        ([task("a", after="nobody")], "There is no task nobody."),
        ([task("a"), task("a")], "Two tasks have the name 'a'."),
    ],
)
def test_what_is_wrong_is_named(call, tasks, said):
    code, answer = call("POST", "workflows", {"tasks": tasks})

    assert code == 400
    assert answer["tasks"][0].startswith(said)
    assert (WorkflowRecord.objects.count(), Dependency.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "wrong, field",
    [
        (task(taskType="nothing"), "taskType"),
        (task(dependsOn=["x"]), "dependsOn"),
        (task(durability="fsync"), "durability"),
        (task(after=5), "after"),
        (task(priority=99), "priority"),
        (task(expires="2001-01-01T00:00:00Z"), "expires"),
        ({"taskType": "test", "payload": 1}, "name"),
    ],
)
def test_a_wrong_task_is_told_by_its_index(call, wrong, field):
    code, answer = call("POST", "workflows", {"tasks": [task("good"), wrong]})

    assert code == 400
    assert list(answer["tasks"]) == ["1"]
    assert field in answer["tasks"]["1"]


@pytest.mark.parametrize("body", [{}, {"tasks": []}, {"tasks": [task()], "onFailure": "jump"}])
def test_a_wrong_body_is_refused(call, body):
    assert call("POST", "workflows", body)[0] == 400


def test_a_repeated_call_with_a_key_stores_nothing(call):
    header = {"Idempotency-Key": '"abc"'}
    code, first = call("POST", "workflows", NIGHTLY, **header)
    again, second = call("POST", "workflows", NIGHTLY, **header)

    assert (code, again) == (201, 200)
    assert second == first | {"duplicate": True}
    assert WorkflowRecord.objects.count() == 1


def test_it_is_cancelled_and_retried(call, floor):
    _, answer = call("POST", "workflows", NIGHTLY | {"onFailure": "cancel"})
    path = f"workflows/{answer['workflowId']}"
    floor.record()

    assert call("POST", f"{path}/cancel") == (200, {"id": answer["workflowId"], "cancelled": 4})
    floor.record()
    _, shown = call("GET", path)
    assert (shown["state"], shown["statuses"]) == ("cancelled", {"cancelled": 4})
    assert shown["cancelled_at"] is not None
    assert call("POST", f"{path}/retry") == (
        200, {"id": answer["workflowId"], "retried": 4, "refused": {}},
    )  # fmt: skip
    floor.record()
    _, shown = call("GET", path)
    assert (shown["state"], shown["cancelled_at"]) == ("open", None)
    assert shown["statuses"] == {"pending": 2, "waiting": 2}


@pytest.mark.parametrize(
    "method, path", [("GET", "x"), ("GET", "x/graph"), ("POST", "x/cancel"), ("POST", "x/retry")]
)
def test_an_unknown_one_is_not_found(call, method, path):
    assert call(method, f"workflows/{path}") == (
        404, {"detail": "There is no workflow x.", "code": "not_found"},
    )  # fmt: skip


def test_each_door_asks_for_its_permission(client, broker):
    user = User.objects.create_user("ann")
    user.user_permissions.add(Permission.objects.get(codename="view_task"))
    client.force_login(user)

    codes = [
        client.get("/api/workflows").status_code,
        client.get("/api/workflows/x").status_code,
        client.post("/api/workflows", "{}", content_type="application/json").status_code,
        client.post("/api/workflows/x/cancel").status_code,
        client.post("/api/workflows/x/retry").status_code,
    ]

    assert codes == [200, 404, 403, 403, 403]


def test_a_single_task_waits_for_others(call, floor):
    _, parent = call("POST", "tasks/submit", {"taskType": "test", "payload": 1})
    code, child = call(
        "POST", "tasks/submit",
        {"taskType": "test", "payload": 2, "dependsOn": parent["taskId"], "takesResults": True},
    )  # fmt: skip
    assert code == 201
    code, more = call(
        "POST", "tasks/bulk",
        {"tasks": [{"taskType": "test", "payload": 3, "dependsOn": [parent["taskId"]]},
                   {"taskType": "test", "payload": 4}]},
    )  # fmt: skip
    assert code == 201
    ids = [child["taskId"], *more["taskIds"]]

    assert floor.statuses(*ids) == ["waiting", "waiting", "pending"]
    floor.run(parent["taskId"], result="r")
    assert results_for(find(ids[0]).message) == "r"
    assert floor.claimed() == ids[:2]


def test_an_unknown_parent_of_a_single_task_is_refused(call):
    body = {"taskType": "test", "payload": 1, "dependsOn": ["nobody"]}

    assert call("POST", "tasks/submit", body) == (400, {"dependsOn": ["There is no task nobody."]})


def test_the_admin_shows_workflows_and_changes_none(call, client):
    _, answer = call("POST", "workflows", NIGHTLY)

    listed = client.get("/admin/tasks_app/workflowrecord/")
    shown = client.get(f"/admin/tasks_app/workflowrecord/{answer['workflowId']}/change/")

    assert (listed.status_code, shown.status_code) == (200, 200)
    assert "0 of 4" in listed.text
    for name in ("rows", "prices", "report", "mail"):
        assert name in shown.text
    assert "2 pending, 2 waiting" in shown.text
    assert client.get("/admin/tasks_app/workflowrecord/add/").status_code == 403


def test_the_pages_are_whole_without_javascript(call, client):
    empty = client.get("/workflows/")
    assert "No workflow yet" in empty.text
    _, answer = call("POST", "workflows", NIGHTLY | {"name": "<b>nightly</b>"})

    listed, shown = client.get("/workflows/"), client.get(f"/workflows/{answer['workflowId']}/")

    assert "&lt;b&gt;nightly&lt;/b&gt;" in listed.text and "0 of 4" in listed.text
    assert "report" in shown.text and "2 pending, 2 waiting" in shown.text
    assert client.get("/workflows/nothing/").status_code == 404
    assert "There are no older ones" in client.get("/workflows/?cursor=0").text
    client.logout()
    assert client.get("/workflows/", headers={"host": "example.com"}).status_code in (302, 400)
