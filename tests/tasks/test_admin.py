"""The admin: what it shows, what it lets be done, and that it never looks through the table."""

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tasks_app.admin import keyset
from tasks_app.digest import digest_of
from tasks_app.message import Attempt, TaskMessage, now_us
from tasks_app.models import ApiToken, Quarantine, TaskRecord, WorkerRecord
from tasks_app.note import LOST
from tasks_app.states import Status

pytestmark = pytest.mark.django_db

LIST = "admin:tasks_app_taskrecord_changelist"
CHANGE = "admin:tasks_app_taskrecord_change"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>\u202e{{ 7|add:7 }}"


def an_id(number):
    return str(UUID(int=(0x0192A000 << 96) | number))


def record(number=0, *, lines="", **fields):
    """A row as the recorder would write it."""
    message = TaskMessage(
        id=an_id(number),
        type=fields.get("type", "test"),
        submitted_us=now_us(),
        queue=fields.get("queue", "default"),
        priority=fields.get("priority", 0),
        kwargs=fields.pop("kwargs", {}),
    )
    status = fields.get("status", Status.COMPLETED)
    state = f"{status}|1|1|3|1|0|0||{now_us() // 1000}\n{lines}"
    return TaskRecord(
        **{
            "id": message.id, "type": message.type, "queue": message.queue,
            "priority": message.priority,
            "status": status, "submitted_us": message.submitted_us, "version": 3,
            "definition": message.encode(), "state": state.encode(),
        } | fields
    )  # fmt: skip


def client_of(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin(broker):
    """A superuser's browser; the queue is empty."""
    return client_of(get_user_model().objects.create_superuser("root", password="secret"))


@pytest.fixture
def staff(broker):
    """Makes the browser of a user who has only some permissions."""

    def make(*codenames):
        user = get_user_model().objects.create_user(f"staff-{len(codenames)}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return client_of(user)

    return make


def ids_on(response):
    return [row.pk for row in response.context["cl"].result_list]


def queries_on(client, address):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.get(address)
    assert response.status_code == 200
    return [each["sql"] for each in captured if "tasks_app_" in each["sql"]]


def plan_of(sql):
    """How SQLite would carry a query out; nothing on another database."""
    if connection.vendor != "sqlite":
        return []
    with connection.cursor() as cursor:
        return [row[3] for row in cursor.execute("EXPLAIN QUERY PLAN " + sql)]


def attempt_line(attempt):
    line = attempt.encode()
    return (line if isinstance(line, str) else line.decode()) + "\n"


# --- what it costs ---

LISTS = [
    "",
    "?status=failed",
    "?type=test",
    "?queue=mail",
    "?level=7",
    "?status=failed&queue=mail",
    "?status=failed&queue=mail&type=test&level=7",
    f"?q={an_id(7)}",
    "?q=0192a",
    "?q=0192a&status=failed&level=1",
    f"?p={an_id(50)}&status=failed&queue=mail",
    "?o=2.-4",
    "?_facets=True",
    "?all=",
]


@pytest.mark.parametrize("query", LISTS)
def test_no_list_counts_or_scans_or_sorts(admin, query):
    TaskRecord.objects.bulk_create([record(n, status=Status.FAILED) for n in range(60)])

    queries = queries_on(admin, reverse(LIST) + query)

    assert 1 <= len(queries) <= 5  # where the windows of the filters end, and the rows
    for sql in queries:
        assert "COUNT(" not in sql
        assert "LIMIT" in sql
        # "SCAN ... USING INDEX" walks the ids from the newest down, and the LIMIT ends it.
        plan = plan_of(sql)
        assert all("USING" in step and "TEMP B-TREE" not in step for step in plan), (sql, plan)


@pytest.mark.parametrize("rare", ["status", "queue"])
def test_of_two_filters_the_one_that_leaves_less_leads_by_its_index(admin, monkeypatch, rare):
    monkeypatch.setattr(keyset, "WINDOW", 10)
    common = {"status": Status.FAILED, "queue": "mail"}
    other = {"status": Status.COMPLETED, "queue": "default"}
    rows = [record(n, **common | ({rare: other[rare]} if n % 10 else {})) for n in range(60)]
    TaskRecord.objects.bulk_create(rows)

    *_, sql = queries_on(admin, reverse(LIST) + "?status=failed&queue=mail&level=3")

    indexes = {"status": "task_status_id", "queue": "task_queue_id"}
    assert '"id" >= ' in sql
    assert all(indexes[rare] in step for step in plan_of(sql))


def test_the_order_cannot_be_changed(admin):
    TaskRecord.objects.bulk_create([record(n) for n in range(3)])

    assert ids_on(admin.get(reverse(LIST) + "?o=1")) == [an_id(2), an_id(1), an_id(0)]


@pytest.mark.parametrize("per_page", [2, 10])
def test_the_pages_show_every_match_once_however_small_the_window(admin, monkeypatch, per_page):
    monkeypatch.setattr(keyset, "WINDOW", 10)
    monkeypatch.setattr(keyset.KeysetMixin, "list_per_page", per_page)
    rows = [
        record(
            n,
            status=Status.COMPLETED if n % 2 else Status.FAILED,
            queue="default" if n % 3 else "mail",
        )
        for n in range(60)
    ]
    TaskRecord.objects.bulk_create(rows)

    seen, page = [], reverse(LIST) + "?status=failed&queue=mail"
    while page:
        changes = admin.get(page).context["cl"]
        seen += [row.pk for row in changes.result_list]
        page = changes.next_page and reverse(LIST) + changes.next_url

    assert seen == [an_id(n) for n in range(54, -1, -6)]


# --- what it finds ---


def test_search_takes_an_id_or_its_beginning_and_nothing_else(admin):
    TaskRecord.objects.bulk_create([record(1), record(2), record(0x55 << 88)])

    def found(term):
        return ids_on(admin.get(reverse(LIST), {"q": term}))

    assert found(an_id(2)) == [an_id(2)]
    assert found(f" {an_id(2).upper()} ") == [an_id(2)]
    assert found("0192a000") == [an_id(0x55 << 88), an_id(2), an_id(1)]
    assert found("0192a000-00") == [an_id(2), an_id(1)]
    assert found("test") == found("%") == found("' OR 1=1") == found("f" * 33) == []


def test_a_level_covers_every_priority_that_is_shown_as_it(admin):
    TaskRecord.objects.bulk_create(
        [record(n, priority=p) for n, p in enumerate([-100, -80, -79, 0, 1, 20, 21, 100])]
    )

    def found(level):
        return [
            row.priority
            for row in admin.get(reverse(LIST), {"level": level}).context["cl"].result_list
        ]

    assert found("1") == [-80, -100]
    assert found("2") == [-79]
    assert found("6") == [20, 1]
    assert found("10") == [100]
    assert found("11") == found("x") == []


@pytest.mark.parametrize("query", ["error__contains=x", "definition=x", "pk__gt=0"])
def test_the_address_cannot_ask_for_other_lookups(admin, query):
    assert admin.get(f"{reverse(LIST)}?{query}").status_code == 400


@pytest.mark.parametrize(
    "query", ["p=%00", "p=zz", "status=%00", "type=a%00b", "q=%00", "status=x"]
)
def test_garbage_in_the_address_is_answered(admin, query):
    assert admin.get(f"{reverse(LIST)}?{query}").status_code == 200


# --- what it shows ---


def test_hostile_text_is_shown_as_text(admin):
    attempt = Attempt(
        number=1, worker=HOSTILE, started_us=1, ended_us=5000, outcome="failed",
        error_type=HOSTILE, error=HOSTILE, traceback=HOSTILE,
    )  # fmt: skip
    TaskRecord.objects.bulk_create(
        [
            record(
                1, status=Status.FAILED, type=HOSTILE, queue=HOSTILE, worker=HOSTILE[:64],
                error=HOSTILE, kwargs={"payload": HOSTILE}, lines=attempt_line(attempt),
            )
        ]
    )  # fmt: skip
    Quarantine.objects.create(
        task_id=HOSTILE, definition=HOSTILE.encode(), state=b"\xff", reason=HOSTILE
    )
    WorkerRecord.objects.create(
        id="w1", hostname=HOSTILE, status="active", started_at=LONG_AGO, last_seen_at=LONG_AGO
    )

    pages = [
        reverse(LIST),
        reverse(CHANGE, args=[an_id(1)]),
        reverse("admin:tasks_app_quarantine_changelist"),
        reverse("admin:tasks_app_quarantine_change", args=[Quarantine.objects.get().pk]),
        reverse("admin:tasks_app_workerrecord_changelist"),
        reverse("admin:tasks_app_workerrecord_change", args=["w1"]),
    ]

    for page in pages:
        response = admin.get(page)
        text = response.content.decode()
        assert response.status_code == 200
        assert "&lt;img" in text
        assert "<img src=x" not in text
        assert "{{ 7|add:7 }}" in text


def test_the_right_to_left_mark_of_a_text_ends_with_it(admin):
    record(1, error=HOSTILE, status=Status.FAILED).save()

    text = admin.get(reverse(LIST)).content.decode()

    assert re.search(r"<bdi>[^<]*\u202e[^<]*</bdi>", text)


def test_a_long_payload_is_cut(admin):
    record(1, kwargs={"payload": "x" * 900_000}).save()

    response = admin.get(reverse(CHANGE, args=[an_id(1)]))

    assert "more characters)" in response.content.decode()
    assert len(response.content) < 200_000


def test_attempts_and_result_are_shown(admin):
    lines = attempt_line(
        Attempt(number=1, outcome="retrying", error_type="ValueError", traceback="Traceback: 17")
    ) + attempt_line(Attempt(number=2, outcome="completed", result={"words": 4711}))
    record(1, lines=lines).save()

    text = admin.get(reverse(CHANGE, args=[an_id(1)])).content.decode()

    assert "Traceback: 17" in text
    assert "4711" in text


def test_why_a_task_was_given_up_and_the_last_words_of_its_process_are_shown(admin):
    crash = Attempt(
        number=1, outcome="crashed", error_type=LOST, error="killed by SIGSEGV",
        traceback="Segmentation fault\nINFO <i>reading</i>",
    )  # fmt: skip
    record(1, status=Status.FAILED, lines=attempt_line(crash)).save()

    text = admin.get(reverse(CHANGE, args=[an_id(1)])).content.decode()

    assert "Poison: the process that ran it died" in text
    assert "Its last words" in text
    assert "INFO &lt;i&gt;reading&lt;/i&gt;" in text


def test_a_row_of_another_version_is_shown_without_its_body(admin):
    row = record(1)
    row.definition = b"99|later\n{}"
    row.save()

    response = admin.get(reverse(CHANGE, args=[row.pk]))

    assert "cannot be read by this version" in response.content.decode()


def test_redis_has_the_last_word_on_an_open_task(admin, broker):
    row = record(1, status=Status.PENDING)
    row.save()
    broker.submit(row.stored.message)
    broker.cancel([row.pk], by="somebody")

    listed = admin.get(reverse(LIST)).context["cl"].result_list[0]
    text = admin.get(reverse(CHANGE, args=[row.pk])).content.decode()

    assert listed.status == Status.CANCELLED
    assert "Cancelled by somebody." in text
    assert "Status." not in text
    assert "Redis, at this moment" in text


def test_the_history_is_shown_when_redis_is_away(admin, settings):
    record(1, status=Status.PENDING).save()
    settings.DTPS = {**settings.DTPS, "REDIS_URL": "unix:///tmp/dtps-nobody-listens.sock"}

    assert ids_on(admin.get(reverse(LIST))) == [an_id(1)]
    text = admin.get(reverse(CHANGE, args=[an_id(1)])).content.decode()
    assert "Redis does not answer" in text


# --- what it does ---


def order(client, action, *ids):
    return client.post(
        reverse(LIST), {"action": action, "_selected_action": ids, "index": 0}, follow=True
    )


def test_selected_tasks_are_cancelled(admin, broker):
    rows = [record(n, status=Status.PENDING) for n in range(3)]
    TaskRecord.objects.bulk_create(rows)
    broker.submit_many([row.stored.message for row in rows])

    response = order(admin, "cancel_selected", an_id(0), an_id(2))

    states = broker.get_many([row.pk for row in rows])
    assert [states[row.pk].state.status for row in rows] == ["cancelled", "pending", "cancelled"]
    assert "Cancelled: 2" in response.content.decode()


def test_selected_tasks_are_retried_from_the_history(admin, broker):
    record(1, status=Status.FAILED).save()
    record(2, status=Status.PENDING).save()
    broker.submit(record(2).stored.message)

    response = order(admin, "retry_selected", an_id(1), an_id(2))

    state = broker.get(an_id(1)).state
    assert (state.status, state.run) == ("pending", 2)
    assert "only a finished one can be retried" in response.content.decode()


def test_an_order_on_one_page_asks_first_and_follows_a_post_only(admin, broker):
    row = record(1, status=Status.PENDING)
    row.save()
    broker.submit(row.stored.message)
    address = reverse("admin:tasks_app_taskrecord_cancel_this", args=[row.pk])

    asked = admin.get(address)
    assert "End this task?" in asked.content.decode()
    assert broker.get(row.pk).state.status == Status.PENDING

    done = admin.post(address, {"_form_submitted": "True"})
    assert done.status_code == 302
    assert broker.get(row.pk).state.status == Status.CANCELLED


def test_an_order_to_all_pages_reaches_only_what_was_ticked(admin, broker):
    rows = [record(n, status=Status.PENDING) for n in range(2)]
    TaskRecord.objects.bulk_create(rows)
    broker.submit_many([row.stored.message for row in rows])

    admin.post(
        reverse(LIST),
        {
            "action": "cancel_selected",
            "_selected_action": [an_id(0)],
            "select_across": 1,
            "index": 0,
        },
    )

    assert broker.get(an_id(1)).state.status == Status.PENDING


# --- who may ---


def test_looking_needs_view_and_ordering_needs_operate(staff, broker):
    row = record(1, status=Status.PENDING)
    row.save()
    broker.submit(row.stored.message)
    nobody, viewer = staff(), staff("view_task")
    detail = reverse(CHANGE, args=[row.pk])
    cancel = reverse("admin:tasks_app_taskrecord_cancel_this", args=[row.pk])

    assert nobody.get(reverse(LIST)).status_code == 403
    assert nobody.get(detail).status_code == 403
    assert viewer.get(reverse(LIST)).status_code == 200
    assert cancel not in viewer.get(detail).content.decode()
    assert viewer.post(cancel, {"_form_submitted": "True"}).status_code == 403
    order(viewer, "cancel_selected", row.pk)
    assert broker.get(row.pk).state.status == Status.PENDING

    operator = staff("view_task", "operate_task")
    assert cancel in operator.get(detail).content.decode()
    order(operator, "cancel_selected", row.pk)
    assert broker.get(row.pk).state.status == Status.CANCELLED


def test_operating_alone_does_not_show_a_task(staff):
    record(1).save()
    blind = staff("operate_task")

    assert blind.get(reverse(CHANGE, args=[an_id(1)])).status_code == 403


@pytest.mark.parametrize("model", ["taskrecord", "workerrecord", "quarantine"])
def test_nothing_that_the_system_wrote_can_be_changed(admin, model):
    assert admin.get(reverse(f"admin:tasks_app_{model}_add")).status_code == 403
    row = record(1)
    row.save()
    assert admin.post(reverse(CHANGE, args=[row.pk]), {"queue": "other"}).status_code == 403
    assert (
        admin.post(reverse("admin:tasks_app_taskrecord_delete", args=[row.pk])).status_code == 403
    )


# --- tokens ---

TOKENS = "admin:tasks_app_apitoken_changelist"
NEW_TOKEN = "admin:tasks_app_apitoken_add"


def make_token(client, **fields):
    """Fill in the form; return the key that the answer shows, and the answer."""
    response = client.post(reverse(NEW_TOKEN), {"name": "ci", **fields}, follow=True)
    return re.search(r"dtps_[\w-]+", response.content.decode())[0], response


def test_a_key_is_shown_once_and_only_its_hash_is_kept(admin):
    root = get_user_model().objects.get()

    key, _ = make_token(admin, user=root.pk)

    token = ApiToken.objects.get()
    assert token.digest == digest_of(key)
    assert key not in str(vars(token))
    assert key not in admin.get(reverse(TOKENS)).content.decode()
    assert token.prefix in admin.get(reverse(TOKENS)).content.decode()


def test_nobody_but_a_superuser_makes_or_sees_tokens_of_others(staff, admin):
    root = get_user_model().objects.get(username="root")
    user = staff("view_apitoken")

    make_token(admin, user=root.pk)
    make_token(user, user=root.pk, name="mine")

    mine = ApiToken.objects.get(name="mine")
    assert mine.user.username == "staff-1"
    assert [row.pk for row in user.get(reverse(TOKENS)).context["cl"].result_list] == [mine.pk]
    assert staff().get(reverse(NEW_TOKEN)).status_code == 403


@pytest.mark.parametrize(
    "page", ["index", "auth_user_add", "auth_group_add", "auth_user_changelist"]
)
def test_users_and_their_permissions_are_managed_here_too(admin, page):
    assert admin.get(reverse(f"admin:{page}")).status_code == 200
