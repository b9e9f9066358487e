"""The live socket against real web processes: who may look, what is told, and when it ends."""

import asyncio
import json
import socket
from contextlib import ExitStack, closing
from datetime import datetime

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, connection
from uuid_utils import uuid7
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tasks_app.broker import keys
from tasks_app.message import TaskMessage, now_us
from workers_app.live import consumers
from workers_app.live.broadcast import LEASE
from workers_app.live.origins import own_origin_only

from ..conftest import PATIENCE_SECONDS, wait_until
from ..faults.proxy import FaultProxy
from ..web_server import WebServer

KEY = "a key that only these tests know, long enough"
TRUSTED = "https://tasks.example"


@pytest.fixture(scope="module")
def serve(redis_server, django_db_setup, var_dir):
    """Starts a web process on the tests' Redis and database."""
    servers = []

    def start(**environment):
        given = {
            "DJANGO_SETTINGS_MODULE": "tests.workers.process_settings",
            "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
            "DTPS_REDIS_URL": redis_server.url,
            "DTPS_VAR_DIR": str(var_dir),
        }
        server = WebServer(given | environment, var_dir / f"web{len(servers)}.log")
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def site(serve):
    """In the development profile, as it comes."""
    return serve(DTPS_PROFILE="development")


@pytest.fixture(scope="module")
def production(serve):
    """Where everybody needs a login."""
    return serve(
        DTPS_PROFILE="production",
        DJANGO_SECRET_KEY=KEY,
        DTPS_ALLOWED_HOSTS="127.0.0.1",
        DTPS_TRUSTED_ORIGINS=TRUSTED,
    )


@pytest.fixture
def person(transactional_db, settings):
    """Somebody who may see tasks."""
    settings.SECRET_KEY = KEY
    return new_person("ada")


def new_person(name):
    user = User.objects.create_user(name, password="analytical engine")
    user.user_permissions.add(Permission.objects.get(codename="view_task"))
    return user


def login(user):
    """The session of somebody who has logged in."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session


def look(server, path="/ws/live", **options):
    """Open a socket as the site's own page does."""
    given = {"origin": server.url, "open_timeout": PATIENCE_SECONDS, "proxy": None} | options
    return connect(server.socket_url + path, **given)


def look_as(server, session, **options):
    return look(
        server, additional_headers={"Cookie": f"sessionid={session.session_key}"}, **options
    )


def told(viewer):
    return json.loads(viewer.recv(timeout=PATIENCE_SECONDS))


def moment_ms(snapshot):
    return datetime.fromisoformat(snapshot["at"]).timestamp() * 1000


def code_of_end(viewer):
    """Listen until the server closes the socket. Return its reason."""
    with pytest.raises(ConnectionClosed) as ended:
        for _ in range(PATIENCE_SECONDS):  # there is one text a second
            viewer.recv(timeout=PATIENCE_SECONDS)
    return ended.value.rcvd.code


def is_refused(open_socket, *arguments, **options):
    with pytest.raises(InvalidStatus) as refused:
        open_socket(*arguments, **options)
    return refused.value.response.status_code in (400, 403)


def hear_until_common(one, other, times=2):
    """Listen to both until both have heard ``times`` texts that are the same."""
    heard = [], []
    while len(set(heard[0]) & set(heard[1])) < times:
        for viewer, texts in zip((one, other), heard, strict=True):
            texts.append(viewer.recv(timeout=PATIENCE_SECONDS))
        assert len(heard[0]) < 100, "no common snapshots"
    return heard


# --- what is told ---


def test_a_viewer_is_told_the_state_at_once_and_then_every_change(site, broker):
    with look(site) as viewer:
        assert told(viewer)["waiting"] == 0

        broker.submit(TaskMessage(id=str(uuid7()), type="test", submitted_us=now_us()))

        def waiting():
            snapshot = told(viewer)
            return snapshot if snapshot["waiting"] == 1 else None

        shown = wait_until(waiting, "the task")
        assert shown["queueLengths"]["5"] == 1 and shown["latest"][0]["status"] == "pending"


def test_the_viewers_of_all_web_processes_are_told_the_same(site, production, person):
    with look(site) as here, look(site) as beside, look_as(production, login(person)) as there:
        hear_until_common(here, beside)
        hear_until_common(here, there)


def test_another_web_process_goes_on_when_the_one_that_gathers_dies(serve, site, broker):
    other = serve(DTPS_PROFILE="development")
    with look(other) as doomed:
        wait_until(lambda: len({told(doomed)["at"] for _ in range(2)}) == 2, "its broadcast")
        with look(site) as viewer:
            told(viewer)
            other.kill()
            died_ms = broker.stats().at_ms

            wait_until(lambda: moment_ms(told(viewer)) > died_ms, "a later snapshot")


def test_only_the_holder_of_the_lease_speaks(site, broker):
    with look(site) as viewer:
        told(viewer)
        broker.link.call("SET", keys.key(0, f"hold:{LEASE}"), "the test", "PX", 60_000)

        with pytest.raises(TimeoutError):
            for _ in range(5):  # some may still be on their way
                viewer.recv(timeout=2.5)

        broker.fleet.hold(LEASE, "the test", 0)
        told(viewer)


def test_rates_go_on_without_a_coordinator(site, broker):
    with look(site) as viewer:
        told(viewer)

        wait_until(lambda: len(broker.fleet.samples()) >= 2, "samples of the counters")


def test_viewers_are_told_when_redis_is_gone_and_when_it_is_back(serve, server):
    site = serve(DTPS_PROFILE="development", DTPS_REDIS_URL=server.url)
    with look(site) as viewer:
        assert "at" in told(viewer)

        server.kill()
        wait_until(lambda: "trouble" in told(viewer), "trouble")
        with look(site) as newcomer:
            wait_until(lambda: "trouble" in told(newcomer), "trouble of a newcomer")

        server.start()
        wait_until(lambda: "at" in told(viewer), "numbers")


def test_lines_that_are_half_open_are_opened_anew(serve, server):
    """The network forgot every connection, and told nobody: what is sent on them gets lost."""
    with closing(FaultProxy(server.socket)) as proxy:
        site = serve(DTPS_PROFILE="development", DTPS_REDIS_URL=proxy.through(server.url))
        with look(site) as viewer:
            before = {told(viewer)["at"] for _ in range(3)}
            assert len(before) > 1  # its broadcast has begun

            proxy.forget()

            wait_until(lambda: "trouble" in told(viewer), "trouble")
            seen = set()

            def goes_on():
                seen.add(told(viewer).get("at"))
                return len(seen - before) > 5

            wait_until(goes_on, "numbers")


# --- who may look ---


def test_a_program_on_this_machine_needs_no_origin_in_development(site):
    with look(site, origin=None) as viewer:
        assert "at" in told(viewer)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
def test_who_comes_through_a_proxy_is_not_at_this_machine(site, header):
    assert is_refused(look, site, additional_headers={header: "for=10.0.0.1"})


def test_foreign_pages_are_refused(site):
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{site.port}"):
        assert is_refused(look, site, origin=origin), origin


def test_a_second_origin_does_not_help(site):
    assert is_refused(look, site, additional_headers={"Origin": "http://evil.example"})


def test_a_foreign_name_that_points_here_is_refused(site):
    with socket.create_connection(("127.0.0.1", site.port)) as line:
        evil = "ws://evil.example/ws/live"
        assert is_refused(connect, evil, sock=line, origin="http://evil.example")


def test_an_unknown_address_is_refused(site):
    assert is_refused(look, site, path="/ws/other")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8081"),
        ("127.0.0.1:8080", "https://127.0.0.1:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080.evil.example"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080@evil.example"),
        ("127.0.0.1:8080", "http://evil.example@127.0.0.1:8080"),
        ("127.0.0.1:8080", "HTTP://127.0.0.1:8080"),
        ("127.0.0.1:8080", "http://localhost:8080"),
        ("127.0.0.1:8080", ""),
        ("evil.example", "http://evil.example"),
        ("", "http://"),
    ],
)
def test_a_refusal_needs_nothing_but_the_headers(host, origin):
    sent = []

    async def application(scope, receive, send):
        raise AssertionError("it got in")

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    scope = {"type": "websocket", "headers": headers, "client": ["127.0.0.1", 5]}
    asyncio.run(own_origin_only(application)(scope, receive, send))

    assert sent == [{"type": "websocket.close"}]


def test_nobody_looks_without_a_login_in_production(production, person):
    assert is_refused(look, production)
    assert is_refused(look, production, origin=None)
    assert is_refused(look_as, production, login(person), origin=None)
    assert is_refused(look_as, production, login(User.objects.create_user("bob")))


def test_a_configured_origin_is_ours_too(production, person):
    with look_as(production, login(person), origin=TRUSTED) as viewer:
        assert "at" in told(viewer)


def log_out(user, session):
    session.delete()


def change_password(user, session):
    user.set_password("difference engine")
    user.save()


def withdraw_permission(user, session):
    user.user_permissions.clear()


def disable(user, session):
    user.is_active = False
    user.save()


def test_a_socket_ends_with_the_login(production, person):
    with ExitStack() as stack:
        viewers = {}
        for happens in (log_out, change_password, withdraw_permission, disable):
            user = new_person(happens.__name__)
            session = login(user)
            viewers[happens] = stack.enter_context(look_as(production, session))
            told(viewers[happens])
            happens(user, session)
        stays = stack.enter_context(look_as(production, login(person)))

        ends = {happens.__name__: code_of_end(viewer) for happens, viewer in viewers.items()}

        assert ends == dict.fromkeys(ends, 4401)
        assert "at" in told(stays)


@pytest.mark.django_db  # the thread that asks may have a connection, of an earlier test
@pytest.mark.parametrize("was_let_in", [True, False])
def test_while_no_login_can_be_checked_who_looks_looks_on_and_nobody_else(monkeypatch, was_let_in):
    def unknown(scope):
        raise OperationalError("the database is away")

    monkeypatch.setattr(consumers, "may_view", unknown)

    assert asyncio.run(consumers._may_view({}, in_doubt=was_let_in)) is was_let_in


# --- what viewers send ---


def test_a_large_frame_ends_the_socket(site):
    with look(site) as viewer:
        viewer.send("x" * (64 * 1024 + 1))

        assert code_of_end(viewer) == 4413


def test_a_flood_of_frames_ends_the_socket(site):
    with look(site) as viewer:
        for _ in range(100):
            viewer.send("{}")

        assert code_of_end(viewer) == 4408


def test_a_word_is_ignored(site):
    with look(site) as viewer:
        viewer.send('{"type": "live.snapshot", "text": "forged"}')
        viewer.send(b"\0")

        assert all("at" in told(viewer) for _ in range(3))
