"""Who is let in, who may do what, and what a foreign web page gets."""

import hashlib
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from tasks_app.models import ApiToken

pytestmark = pytest.mark.django_db

HERE = {"host": "localhost:8080"}
ELSEWHERE = {"host": "testserver"}


@pytest.fixture(autouse=True)
def _empty(broker):
    pass


@pytest.fixture
def make_user():
    def make(*codenames, name="ann"):
        user = User.objects.create_user(name, password="secret")
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return user

    return make


@pytest.fixture
def make_token(capsys):
    """Makes a token as an administrator does, and gives the key."""

    def make(user, *options):
        call_command("createtoken", user.username, "a script", *options)
        return capsys.readouterr().out.strip()

    return make


def with_token(key, scheme="Token"):
    return Client(headers={**ELSEWHERE, "authorization": f"{scheme} {key}"})


def submit(client, **headers):
    body = json.dumps({"taskType": "test"})
    return client.post("/api/tasks/submit", body, "application/json", headers=headers)


# --- tokens ---


def test_a_token_acts_as_its_user(make_user, make_token):
    key = make_token(make_user("view_task", "submit_task"))

    assert submit(with_token(key)).status_code == 201
    assert with_token(key, "bearer").get("/api/metrics").status_code == 200
    assert with_token(key).post("/api/system/reset").status_code == 403


def test_only_the_hash_of_a_token_is_kept(make_user, make_token):
    key = make_token(make_user())

    token = ApiToken.objects.get()
    assert token.digest == hashlib.sha256(key.encode()).hexdigest()
    assert key.startswith(token.prefix) and len(token.prefix) <= 12
    assert key not in str(vars(token))
    assert len(key) > 40


def test_a_token_that_is_over_or_whose_user_is_disabled_lets_nobody_in(make_user, make_token):
    user = make_user("view_task")
    key = make_token(user, "--days", "1")
    client = with_token(key)
    assert client.get("/api/metrics").status_code == 200
    assert ApiToken.objects.get().last_used_at is not None

    User.objects.update(is_active=False)
    assert client.get("/api/metrics").status_code == 401
    User.objects.update(is_active=True)
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get("/api/metrics").status_code == 401
    ApiToken.objects.update(expires_at=None)
    assert client.get("/api/metrics").status_code == 200
    ApiToken.objects.all().delete()
    assert client.get("/api/metrics").status_code == 401


@pytest.mark.parametrize("key", ["", "wrong", "é", "a b", "\x7f", "x" * 5000])
def test_a_wrong_token_is_refused_even_here(key):
    """Who shows one means to be that user, and no other."""
    response = Client(headers={**HERE, "authorization": f"Token {key}"}).get("/api/metrics")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Token"
    assert response.json()["detail"]


def test_a_token_in_the_address_is_ignored(make_user, make_token):
    key = make_token(make_user("view_task"))

    for name in ("token", "api_key", "access_token", "Authorization"):
        response = Client(headers=ELSEWHERE).get("/api/metrics", {name: key})
        assert response.status_code == 401


def test_createtoken_refuses_what_makes_no_sense(make_user, make_token):
    user = make_user()

    with pytest.raises(CommandError):
        call_command("createtoken", "nobody", "a script")
    for days in ("0", "-1", "99999999"):
        with pytest.raises(CommandError):
            make_token(user, f"--days={days}")
    assert not ApiToken.objects.exists()


# --- permissions ---

VIEWS = ["/api/workers", "/api/metrics", "/api/debug", "/api/tasks", "/api/queues",
         "/api/task-types", "/api/schema", "/api/docs", "/api/workers/decisions"]  # fmt: skip
OPERATIONS = ["/api/workers/start", "/api/workers/stop?id=a", "/api/system/reset",
              "/api/tasks/a/cancel", "/api/tasks/a/retry", "/api/queues/mail/pause",
              "/api/queues/mail/resume", "/api/workers/pause?id=a", "/api/workers/resume?id=a",
              "/api/workers/restart?id=a", "/api/workers/scale?id=a"]  # fmt: skip


@pytest.mark.parametrize("permission", ["", "view_task", "submit_task", "operate_task"])
def test_a_permission_is_good_for_its_own_doors_only(make_user, permission):
    client = Client(headers=ELSEWHERE)
    client.force_login(make_user(permission))

    for path in [*VIEWS, "/api/tasks/a", "/api/tasks/status?id=a"]:
        assert (client.get(path).status_code != 403) == (permission == "view_task"), path
    for path in OPERATIONS:
        assert (client.post(path).status_code != 403) == (permission == "operate_task"), path
    stacks = client.get("/api/workers/stacks?id=a")  # they show what tasks work on
    assert (stacks.status_code != 403) == (permission == "operate_task")
    for path in ["/api/tasks/submit", "/api/tasks/bulk"]:
        assert (client.post(path).status_code != 403) == (permission == "submit_task"), path


def test_a_session_needs_the_csrf_token(make_user):
    user = make_user("submit_task")
    for headers in (ELSEWHERE, HERE):
        client = Client(headers=headers, enforce_csrf_checks=True)
        client.force_login(user)
        assert submit(client).status_code == 403

    client = Client(headers=ELSEWHERE, enforce_csrf_checks=True)
    client.get("/admin/login/")
    client.force_login(user)
    key = client.cookies["csrftoken"].value
    assert submit(client, **{"x-csrftoken": key}).status_code == 201


# --- this machine ---


def test_who_sits_at_this_machine_needs_no_login():
    for host in ("localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"):
        assert submit(Client(headers={"host": host})).status_code == 201
    assert Client(headers=HERE, REMOTE_ADDR="::1").get("/api/metrics").status_code == 200


@pytest.mark.parametrize(
    "name",
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"],
)
def test_a_request_that_a_proxy_passed_on_needs_a_login(name):
    response = Client(headers={**HERE, name: "127.0.0.1"}).get("/api/metrics")

    assert response.status_code == 401


@pytest.mark.parametrize("peer", ["192.168.0.7", "10.0.0.1", "", "unix:", "127.0.0.1.evil.test"])
def test_a_peer_elsewhere_needs_a_login(peer):
    response = Client(headers=HERE, REMOTE_ADDR=peer).get("/api/metrics")

    assert response.status_code == 401


def test_a_foreign_name_for_this_machine_needs_a_login(settings):
    settings.ALLOWED_HOSTS = ["*"]

    for host in ("rebound.example", "localhost.evil.test", "127.0.0.1.evil.test", "128.0.0.1"):
        assert Client(headers={"host": host}).get("/api/metrics").status_code == 401


@pytest.mark.parametrize("host", ["evil.test", "user@localhost", "localhost/", "", "a b"])
def test_a_name_that_is_not_ours_is_refused_in_json(host):
    response = Client(headers={"host": host}).post("/api/tasks/submit", "{}", "text/plain")

    assert response.status_code == 400
    assert response.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.test"}, {"origin": "null"}, {"origin": "http://localhost:5000"},
     {"origin": "https://localhost:8080"}, {"origin": "http://localhost:8080.evil.test"},
     {"origin": "HTTP://LOCALHOST:3000"}, {"origin": ""}, {"sec-fetch-site": "cross-site"},
     {"sec-fetch-site": "same-site"},
     {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}],
    ids=str,
)  # fmt: skip
def test_a_foreign_page_open_at_this_machine_can_do_nothing(broker, headers):
    response = submit(Client(headers=HERE), **headers)

    assert response.status_code == 401
    assert broker.stats().count("submitted") == 0
    assert "access-control-allow-origin" not in response.headers


def test_a_link_to_us_may_be_followed_from_anywhere():
    headers = {**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}

    assert Client(headers=headers).get("/api/docs").status_code == 200


def test_our_own_page_and_the_original_front_end_are_let_in():
    assert submit(Client(headers=HERE), origin="http://localhost:8080").status_code == 201
    cross = {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}

    preflight = Client(headers=HERE).options(
        "/api/tasks/submit",
        headers={
            **cross,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )
    answer = submit(Client(headers=HERE), **cross)

    assert answer.status_code == 201
    for response in (preflight, answer):
        assert response.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers


def test_in_production_nobody_is_local(settings):
    settings.DTPS_LOCAL_ACCESS = False

    for path in VIEWS:
        assert Client(headers=HERE).get(path).status_code == 401
    assert submit(Client(headers=HERE)).status_code == 401
