"""Sensitive arguments: found, hidden at every door, encrypted with keys that change."""

import json
import re
from copy import copy
from io import StringIO

import msgspec
import pytest
from cryptography.fernet import Fernet
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from tasks_app import actions, lookup
from tasks_app.api.task_view import all_of
from tasks_app.compat import InvalidTask, task_backends
from tasks_app.conf import Conf
from tasks_app.enqueue import TaskRequest, message_of, submit
from tasks_app.exceptions import InvalidCall, KeyMissing, KeyReused, SealBroken, ValueTooLarge
from tasks_app.message import TaskMessage
from tasks_app.models import Outbox, Quarantine, Schedule, TaskRecord
from tasks_app.registry import get
from tasks_app.results import task_of
from tasks_app.schedules import firing, operations, sync
from tasks_app.schedules.definition import Definition
from tasks_app.secrecy import rotation, sealing
from tasks_app.secrecy.rotation import CLEAR, Rotation, Uses
from tasks_app.secrecy.sensitive import (
    REDACTED,
    hidden_in,
    opened_call,
    opened_result,
    result_of,
    scrubbed,
    sensitive_error,
)
from tests.sample.secretive import keep_quiet, log_in, log_in_wrongly, make_token
from tests.sample.tasks import echo

from ..postgres import on_both_databases
from .executing import Hands, record

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD, NUMBER = "correct horse battery", "4000123412341234"
CARD = {"number": NUMBER, "valid": "12/30"}
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TYPE = "tests.sample.secretive.log_in"


@pytest.fixture
def use_keys(settings):
    """Gives a function that says which ENCRYPTION_KEYS there are."""

    def use(*keys):
        settings.DTPS = {**settings.DTPS, "ENCRYPTION_KEYS": list(keys)}
        return sealing.fingerprints()

    return use


@pytest.fixture
def api(broker):
    get_user_model().objects.create_superuser("root", password="x")
    client = Client(headers={"host": "localhost:8080"})
    client.force_login(get_user_model().objects.get())
    return client


def request(*args, task=log_in, **more):
    return TaskRequest(type=get(task.module_path), args=args, **more)


def secrets_in(text):
    text = text if isinstance(text, str) else text.decode(errors="replace")
    return [secret for secret in (PASSWORD, NUMBER) if secret in text]


def hidden(function, names, *args, leading=False, takes_context=False, **kwargs):
    task = copy(echo)
    object.__setattr__(task, "func", function)
    object.__setattr__(task, "takes_context", takes_context)
    return set(hidden_in(names, task, args, kwargs, leading=leading))


# --- where they are ---


def of_two(a, b, *, c=0):
    """A call like most."""


def of_many(a, *rest, **more):
    """A call that takes everything."""


@pytest.mark.parametrize(
    ("function", "names", "args", "kwargs", "places"),
    [
        (of_two, ["b"], (1, 2), {}, {(1,)}),
        (of_two, ["b"], (1,), {"b": 2}, {("b",)}),
        (of_two, ["c"], (1, 2), {}, set()),
        (of_two, ["c", "return"], (1, 2), {"c": 3}, {("c",)}),
        (of_two, ["*"], (1,), {"b": 2}, {(0,), ("b",)}),
        (of_two, ["c"], (1, 2, 3), {"d": 4}, {(0,), (1,), (2,), ("d",)}),  # it cannot be called so
        (of_two, ["a.x"], ({"x": 1, "y": 2}, 2), {}, {(0, "x")}),
        (of_two, ["a.x.z"], ({"x": {"z": 1}}, 2), {}, {(0, "x", "z")}),
        (of_two, ["a.x"], ({"y": 2}, 2), {}, set()),
        (of_two, ["a.x"], ("x=secret", 2), {}, {(0,)}),  # no dict: all of it
        (of_two, ["a.x.z"], ({"x": [{"z": 1}]}, 2), {}, {(0, "x")}),
        (of_two, ["a.x", "a"], ({"x": 1}, 2), {}, {(0,)}),
        (of_many, ["rest"], (1, 2, 3), {}, {(1,), (2,)}),
        (of_many, ["more"], (1,), {"x": 1, "y": 2}, {("x",), ("y",)}),
        (of_many, ["x"], (1,), {"x": 1, "y": 2}, {("x",)}),
    ],
)
def test_a_name_is_found_wherever_the_call_has_it(function, names, args, kwargs, places):
    assert hidden(function, names, *args, **kwargs) == places


def test_what_is_given_before_the_arguments_moves_no_place():
    assert hidden(of_two, ["b"], 1, 2, takes_context=False) == {(1,)}
    assert hidden(lambda context, a, b: None, ["b"], 1, 2, takes_context=True) == {(1,)}
    assert hidden(lambda results, a, b: None, ["b"], 1, 2, leading=True) == {(1,)}


def test_names_are_checked():
    assert sensitive_error(True) == sensitive_error(["a", "return"]) == ""
    assert sensitive_error("password") and sensitive_error([""]) and sensitive_error([1])
    with pytest.raises(InvalidTask, match="has no argument 'pasword'"):
        log_in.using(sensitive=["pasword"])


def test_a_submit_adds_names_and_takes_none_away(broker):
    message = message_of(request("eve", PASSWORD, sensitive=["user"]))
    none = broker.must_get(log_in.using(sensitive=False).enqueue("eve", PASSWORD).id).message

    assert set(message.sensitive) == {"password", "card.number", "user"}
    assert task_of(message).sensitive == ("password", "card.number", "user")
    assert hash(task_of(message))
    assert task_of(message_of(request(task=keep_quiet))).sensitive is True
    assert none.sensitive == ("password", "card.number")


# --- hidden ---


@pytest.mark.parametrize("keys", [[], [NEW]], ids=["clear", "encrypted"])
@on_both_databases
def test_no_door_shows_them(api, broker, use_keys, keys):
    use_keys(*keys)
    body = {"taskType": TYPE, "kwargs": {"user": "eve", "password": PASSWORD, "card": CARD}}
    made = api.post("/api/tasks/submit", json.dumps(body), content_type="application/json")
    task_id = made.json()["taskId"]
    token = make_token.enqueue(PASSWORD).id
    hands = Hands(broker)
    stored = {each.message.id: each for each in hands.claim()}

    hands.settle(task_id, "failed", error="no")
    hands.settle(token, "completed", **kept_result(stored[token].message, NUMBER))
    record(broker, task_id)
    record(broker, token)

    seen = [api.get(f"/api/tasks/{each}{more}") for each in (task_id, token) for more in MORE]
    seen += [api.get(f"/api/tasks/status?id={token}"), api.get("/api/tasks")]
    for name, each in (("taskrecord", task_id), ("taskrecord", token)):
        seen.append(api.get(reverse(f"admin:tasks_app_{name}_change", args=[each])))
    assert [answer.status_code for answer in seen] == [200] * len(seen)
    assert not [secrets_in(answer.content) for answer in seen if secrets_in(answer.content)]
    shown = seen[0].json()
    assert shown["kwargs"] == {
        "user": "eve", "password": REDACTED, "card": {**CARD, "number": REDACTED}
    }  # fmt: skip
    assert shown["sensitive"] == ["password", "card.number"]
    assert seen[len(MORE)].json()["output"] == REDACTED


MORE = ("", "/log", "/why")


def kept_result(message, value):
    """An attempt's words for a sensitive result, as the runner writes them."""
    if sealing.is_on():
        return {"sealed": sealing.seal(value, result_of(message.id))}
    return {"result": value}


def test_python_sees_its_own_result_and_no_argument(broker, use_keys):
    use_keys(NEW)
    result = make_token.enqueue(PASSWORD)
    hands = Hands(broker)
    [stored] = hands.claim()
    hands.settle(result.id, "completed", **kept_result(stored.message, {"token": 7}))

    found = make_token.get_result(result.id)

    assert result.args == found.args == [REDACTED]
    assert found.return_value == {"token": 7}
    use_keys()
    there = task_backends["default"].get_result(result.id)
    assert there.status == "SUCCESSFUL"
    with pytest.raises(KeyMissing):
        _ = there.return_value


def test_the_reprs_that_tracebacks_print_tell_nothing(broker):
    message = message_of(request("eve", PASSWORD))

    assert not secrets_in(repr(message)) and message.id in repr(message)
    assert NEW not in repr(Conf(encryption_keys=[NEW]))


def test_exact_values_are_taken_out_of_texts():
    values = [PASSWORD, {"n": 123456789, "short": "abc"}, ["line\nbreak", True, None, 1.5]]
    said = f"got {PASSWORD!r} and 123456789, abc, {['line' + chr(10) + 'break']!r}, True"

    assert scrubbed(said, values) == (f"got '{REDACTED}' and {REDACTED}, abc, ['{REDACTED}'], True")


@on_both_databases
def test_the_admin_shows_no_raw_text_of_them(api, broker):
    message = message_of(request("eve", PASSWORD, CARD))
    Outbox.objects.create(id=message.id, definition=message.encode(), created_us=1, turn_us=2**60)
    row = Quarantine.objects.create(task_id=message.id, definition=message.encode(), reason="x")
    torn = Quarantine.objects.create(
        task_id="torn", definition=message.encode()[:-9], reason="x",
        state=b'failed|1|1|3|1|0|0||1\n{"result":"' + PASSWORD.encode() + b'"}\n',
    )  # fmt: skip

    pages = [
        api.get(reverse(f"admin:tasks_app_{name}_change", args=[key])).content
        for name, key in (("outbox", message.id), ("quarantine", row.pk), ("quarantine", torn.pk))
    ]

    assert [secrets_in(page) for page in pages] == [[], [], []]
    assert b"eve" in pages[0] and REDACTED.encode() in pages[1]


def test_refusals_name_the_field_and_not_the_value(api):
    for more in (
        {"kwargs": {"user": 1, "password": PASSWORD}, "sensitive": ["nobody"]},
        {"args": [PASSWORD], "kwargs": {"password": PASSWORD}, "priority": 99},
        {"args": PASSWORD},
        {"kwargs": {"password": PASSWORD + "\0"}},
        {"payload": PASSWORD, "args": [PASSWORD]},
    ):
        body = json.dumps({"taskType": TYPE, **more})
        answer = api.post("/api/tasks/submit", body, content_type="application/json")
        assert answer.status_code == 400
        assert not secrets_in(answer.content)


# --- digests ---


def test_keys_made_of_secrets_cannot_be_guessed(broker, settings):
    message = message_of(request("eve", "1234", CARD, idempotency_key="k"))
    same = message_of(request("bob", kwargs={"password": "1234", "card": {**CARD, "valid": "x"}}))
    settings.SECRET_KEY = "another"
    other = message_of(request("eve", "1234", CARD, idempotency_key="k"))

    assert message.unique_key == same.unique_key != other.unique_key
    assert message.limit == same.limit != other.limit
    marks, others = (json.loads(each.marks()) for each in (message, other))
    assert marks["i"]["h"] != others["i"]["h"]
    assert re.fullmatch(re.escape(TYPE) + r" #[\w-]{6}", message.limit_label)


def test_a_key_of_what_is_no_secret_is_what_it_was(broker, settings):
    options = {"task": echo, "unique": True, "sensitive": ["return"]}
    message = message_of(request("eve", **options))
    settings.SECRET_KEY = "another"

    assert message_of(request("eve", **options)).unique_key == message.unique_key


def test_a_repeated_call_is_known_though_it_is_encrypted_anew(broker, use_keys):
    use_keys(NEW)
    first = submit([request("eve", PASSWORD, idempotency_key="k", unique=False)])[0]
    again = submit([request("eve", PASSWORD, idempotency_key="k", unique=False)])[0]

    assert again.id == first.id
    with pytest.raises(KeyReused):
        submit([request("eve", "another one", idempotency_key="k", unique=False)])


def test_duplicates_are_found_under_any_key(broker, use_keys):
    use_keys(OLD)
    first = submit([request("eve", PASSWORD)])[0]
    use_keys(NEW, OLD)

    assert submit([request("bob", PASSWORD)])[0].id == first.id


# --- encrypted ---


def test_what_is_stored_is_encrypted_and_opens_for_its_task_alone(broker, use_keys):
    fingerprint, _ = use_keys(NEW, OLD)
    message = message_of(request("eve", PASSWORD, CARD))
    other = message_of(request("eve", "nothing", CARD))

    stored = TaskMessage.decode(message.encode())

    assert not secrets_in(message.encode()) and message.sealed.startswith(f"{fingerprint}:")
    assert stored.args == ["eve", None, {**CARD, "number": None}]
    assert opened_call(stored) == (["eve", PASSWORD, CARD], {})
    with pytest.raises(SealBroken, match="encrypted for"):
        opened_call(msgspec.structs.replace(other, sealed=message.sealed))
    with pytest.raises(SealBroken, match="not as it was"):
        opened_call(msgspec.structs.replace(message, sealed=message.sealed[:-9] + "AAAAAAAA="))
    use_keys(OLD)
    with pytest.raises(KeyMissing, match=fingerprint):
        opened_call(stored)


def test_the_first_key_encrypts_and_all_open(broker, use_keys):
    [old] = use_keys(OLD)
    before = message_of(request("eve", PASSWORD))
    new, _ = use_keys(NEW, OLD)
    after = message_of(request("eve", PASSWORD))

    assert [each.sealed[:8] for each in (before, after)] == [old, new]
    assert opened_call(before) == opened_call(after) == (["eve", PASSWORD], {})


def test_a_bound_on_size_counts_what_is_stored(broker, settings, use_keys):
    settings.DTPS = {**settings.DTPS, "MAX_PAYLOAD_BYTES": 400}
    message_of(request("eve", "x" * 300))
    use_keys(NEW)

    with pytest.raises(ValueTooLarge, match="encrypted"):
        message_of(request("eve", "x" * 300))


BAD = {
    "too short": "short",
    "without its end": NEW[:-1],
    "with a letter more": f"{NEW}x",
    "a number": 7,
    "no base64": NEW.replace("=", "!"),
    "none": None,
}


@pytest.mark.parametrize("key", BAD.values(), ids=BAD)
def test_a_bad_key_is_refused_and_not_told(key):
    with pytest.raises(ImproperlyConfigured, match="key 2 of 2") as refused:
        Conf(encryption_keys=[OLD, key])

    assert OLD not in str(refused.value) and str(key) not in str(refused.value).split()


def test_keys_are_a_list_without_repeats():
    with pytest.raises(ImproperlyConfigured, match="list"):
        Conf(encryption_keys=NEW)
    with pytest.raises(ImproperlyConfigured, match="twice"):
        Conf(encryption_keys=[NEW, NEW])


# --- rotation ---


def finished(broker, task=make_token, *args, **more):
    """A task that is over, of which only the history knows."""
    message = submit([request(*args, task=task, **more)])[0]
    hands = Hands(broker)
    hands.claim()
    outcome = kept_result(message, {"pin": NUMBER}) if message.hides_result else {}
    hands.settle(message.id, "completed", **outcome)
    record(broker, message.id)
    return message.id


def counted():
    uses = Uses()
    list(rotation.count(uses))
    return uses


def rotated():
    done = Rotation()
    list(rotation.rotate(done))
    return done


@on_both_databases
def test_a_rotation_brings_what_is_over_under_the_first_key(broker, use_keys):
    old = use_keys(OLD)[0]
    over = finished(broker, make_token, PASSWORD)
    still_open = submit([request("eve", PASSWORD)])[0].id
    record(broker, still_open, forget=False)
    new = use_keys(NEW, OLD)[0]
    before = counted()
    assert before.counts["history"] == {old: 2} and before.counts["open"] == {old: 1}

    done = rotated()

    assert (done.renewed, done.open, done.lost) == (1, 1, 0)
    after = counted()
    assert after.of(new)["history"] == 1 and after.of(old) == {
        "history": 1, "open": 1, "outbox": 0, "schedules": 0, "quarantine": 0
    }  # fmt: skip
    assert not after.is_free(old)
    hands = Hands(broker)
    hands.claim()
    hands.settle(still_open, "completed")
    record(broker, still_open)
    assert rotated().renewed == 1 and counted().is_free(old)
    use_keys(NEW)
    stored = lookup.find(over)
    assert opened_call(stored.message) == ([PASSWORD], {})
    assert opened_result(stored.message, stored.state.attempts[-1]) == {"pin": NUMBER}


@on_both_databases
def test_a_rotation_changes_nothing_but_what_is_encrypted(broker, use_keys):
    use_keys(OLD)
    task_id = finished(broker, log_in, "eve", PASSWORD, CARD)
    row = TaskRecord.objects.get(id=task_id)
    use_keys(NEW, OLD)

    rotated()

    now = TaskRecord.objects.get(id=task_id)
    assert bytes(now.state) == bytes(row.state)
    before, after = (TaskMessage.decode(bytes(each.definition)) for each in (row, now))
    assert before.sealed != after.sealed
    assert msgspec.structs.replace(before, sealed="") == msgspec.structs.replace(after, sealed="")
    assert bytes(now.definition).partition(b"\n")[0] == bytes(row.definition).partition(b"\n")[0]


@on_both_databases
def test_a_rotation_encrypts_what_was_stored_in_the_clear(broker, use_keys):
    task_id = finished(broker, make_token, PASSWORD)
    assert counted().counts["history"] == {CLEAR: 1}
    use_keys(NEW)

    rotated()

    row = TaskRecord.objects.get(id=task_id)
    assert not secrets_in(bytes(row.definition) + bytes(row.state))
    assert counted().is_free(CLEAR)
    assert all_of(lookup.find(task_id))["output"] == REDACTED


@on_both_databases
def test_a_rotation_leaves_what_no_key_opens_and_says_so(broker, use_keys):
    lost = use_keys(OLD)[0]
    task_id = finished(broker, make_token, PASSWORD)
    before = bytes(TaskRecord.objects.get(id=task_id).definition)
    use_keys(NEW)

    assert rotated().lost == 1
    assert bytes(TaskRecord.objects.get(id=task_id).definition) == before
    assert counted().keys[1:] == [lost]


def test_a_rotation_needs_a_key():
    with pytest.raises(KeyMissing):
        rotated()


@on_both_databases
def test_a_row_that_moved_on_meanwhile_is_left(broker, use_keys):
    use_keys(OLD)
    task_id = finished(broker, make_token, PASSWORD)
    use_keys(NEW, OLD)
    [rows] = rotation._batches()
    TaskRecord.objects.filter(id=task_id).update(run=2)
    before = bytes(TaskRecord.objects.get(id=task_id).definition)

    rotation._rotate_rows(rows, Rotation())

    assert bytes(TaskRecord.objects.get(id=task_id).definition) == before


@on_both_databases
def test_a_task_of_the_history_runs_again_under_its_key(broker, use_keys):
    use_keys(OLD)
    task_id = finished(broker, make_token, PASSWORD)
    use_keys(NEW, OLD)
    rotated()

    assert actions.retry(task_id) == 2

    [again] = Hands(broker).claim()
    assert opened_call(again.message) == ([PASSWORD], {})


# --- schedules ---


def definition(**more):
    kwargs = {"user": "eve", "password": PASSWORD, "card": CARD}
    return Definition(**{"name": "daily", "type": TYPE, "every": 60, "kwargs": kwargs} | more)


@pytest.mark.parametrize("keys", [[], [NEW]], ids=["clear", "encrypted"])
@on_both_databases
def test_a_schedule_hides_them_and_hands_them_on(api, use_keys, keys):
    use_keys(*keys)
    schedule = operations.create(definition())

    seen = [
        api.get("/api/schedules/daily"), api.get("/api/schedules"),
        api.get(reverse("admin:tasks_app_schedule_change", args=[schedule.pk])),
    ]  # fmt: skip
    assert not [secrets_in(answer.content) for answer in seen if secrets_in(answer.content)]
    assert seen[0].json()["kwargs"]["password"] == REDACTED
    assert seen[0].json()["options"] == {}
    row = Schedule.objects.values().get()
    assert bool(secrets_in(json.dumps(row, default=str))) is not bool(keys)
    fired = lookup.find(operations.run_now("daily").task_id).message
    assert opened_call(fired)[1] == {"user": "eve", "password": PASSWORD, "card": CARD}


@on_both_databases
def test_a_change_of_a_schedule_keeps_what_it_shows_as_redacted(api, use_keys):
    use_keys(NEW)
    operations.create(definition())
    shown = api.get("/api/schedules/daily").json()["kwargs"]
    body = json.dumps({"kwargs": {**shown, "user": "bob"}, "every": 90})

    answer = api.patch("/api/schedules/daily", body, content_type="application/json")

    assert answer.status_code == 200
    kept = Definition.of(Schedule.objects.get())
    assert kept.kwargs == {"user": "bob", "password": PASSWORD, "card": CARD} and kept.every == 90


@on_both_databases
def test_the_admin_s_form_keeps_what_it_shows_as_redacted(api, use_keys):
    use_keys(NEW)
    schedule = operations.create(definition())
    address = reverse("admin:tasks_app_schedule_change", args=[schedule.pk])
    form = api.get(address).context["adminform"].form
    data = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    data |= {"name": "renamed", "starts_0": "", "starts_1": "", "ends_0": "", "ends_1": ""}
    assert REDACTED in data["kwargs"]

    answer = api.post(address, {k: v for k, v in data.items() if k not in ("starts", "ends")})

    assert answer.status_code == 302, answer.context["errors"]
    kept = Definition.of(Schedule.objects.get())
    assert (kept.name, kept.kwargs["password"]) == ("renamed", PASSWORD)
    assert not secrets_in(json.dumps(Schedule.objects.values().get(), default=str))


def test_a_schedule_is_not_stored_in_the_clear_for_want_of_a_key(api, use_keys):
    use_keys(NEW)
    schedule = operations.create(definition())
    use_keys()

    with pytest.raises(KeyMissing):
        definition().put_into(schedule, 1)
    body = json.dumps({"every": 90})
    answer = api.patch("/api/schedules/daily", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "key_missing")
    with pytest.raises(KeyMissing):
        firing.message_of(schedule)


@on_both_databases
def test_a_declared_schedule_is_written_once_though_each_encryption_differs(
    settings, use_keys, broker
):
    kwargs = {"user": "eve", "password": PASSWORD}
    settings.DTPS = {
        **settings.DTPS, "SCHEDULES": {"daily": {"task": TYPE, "every": 60, "kwargs": kwargs}}
    }  # fmt: skip
    use_keys(OLD)
    sync.sync(1)
    before = Schedule.objects.values().get(name="daily")
    sync.sync(1)
    assert Schedule.objects.values().get(name="daily") == before
    use_keys(NEW)
    sync.sync(1)

    assert Definition.of(Schedule.objects.get(name="daily")).kwargs == kwargs


@on_both_databases
def test_a_rotation_brings_schedules_along(broker, use_keys):
    operations.create(definition())
    assert counted().counts["schedules"] == {CLEAR: 1}
    new = use_keys(NEW)[0]

    assert rotated().renewed == 1

    assert counted().counts["schedules"] == {new: 1}
    assert Definition.of(Schedule.objects.get()).kwargs["password"] == PASSWORD


def test_a_schedule_of_a_type_that_is_unknown_here_shows_nothing(api, broker):
    schedule = operations.create(definition())
    Schedule.objects.filter(pk=schedule.pk).update(type="gone.away")

    assert set(api.get("/api/schedules/daily").json()["kwargs"].values()) == {REDACTED}


def test_wrong_names_are_refused_for_a_schedule_too(broker):
    with pytest.raises(InvalidCall):
        operations.create(definition(options={"sensitive": ["nobody"]}))


def test_all_of_a_call_can_be_hidden(broker):
    message = message_of(request("a", PASSWORD, task=keep_quiet, kwargs={"x": NUMBER}))

    assert message.hides_result and message.sensitive == ("*",)
    shown = all_of(lookup.find(submit([request(PASSWORD, task=keep_quiet)])[0].id))
    assert shown["args"] == [REDACTED] and shown["sensitive"] is True
    assert log_in_wrongly.sensitive == ("password", "card.number")


# --- the command line ---


def dtps(*words):
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command("dtps", *words, stdout=out, stderr=err)
    except SystemExit as ended:
        code = ended.code
    return code, out.getvalue(), err.getvalue()


@on_both_databases
def test_the_command_line_counts_rotates_and_says_which_key_can_go(broker, use_keys):
    old = use_keys(OLD)[0]
    finished(broker, make_token, PASSWORD)
    new = use_keys(NEW, OLD)[0]

    _, table, said = dtps("keys")
    assert re.search(rf"^{new} +encrypts +0 +0", table, re.M)
    assert re.search(rf"^{old} +opens +1 +0", table, re.M) and "dtps rotate" in said
    code, answer, _ = dtps("rotate", "--json")
    assert (code, json.loads(answer)) == (
        0, {"looked_at": 1, "renewed": 1, "open": 0, "lost": 0}
    )  # fmt: skip
    code, _, said = dtps("keys")
    assert (code, f"Nothing takes {old} any more" in said) == (0, True)
    use_keys(OLD)
    shown = {each["key"]: each for each in json.loads(dtps("keys", "--json")[1])}
    assert shown[new]["role"] == "is missing" and shown[new]["history"] == 1
    code, _, said = dtps("rotate")
    assert (code, "1 record that no key" in said) == (1, True)
    for words in (("keys",), ("keys", "--json")):
        assert OLD not in "".join(map(str, dtps(*words)))


def test_a_new_key_is_one_that_the_setting_takes():
    _, key, _ = dtps("keys", "--new")

    assert Conf(encryption_keys=[key.strip()]).encryption_keys == (key.strip(),)
