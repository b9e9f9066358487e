"""A project that adds us by the wheel: checks, tables, the dashboard, its API and its socket."""

import json
import os
import zipfile
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from ..conftest import wait_until
from ..web_server import WebServer
from ..workers.processes import ROOT
from .foreign import PACKAGES

PAGE = "/work/"


@pytest.fixture(scope="module")
def web(foreign):
    """The bookshop as daphne serves it, and a client of it that somebody at this machine uses."""
    server = WebServer(
        {**foreign.environment, "PYTHONUNBUFFERED": "1"},
        foreign.directory / "web.log",
        application="bookshop.asgi:application",
        directory=foreign.directory,
    )
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def token(foreign):
    foreign.manage("shell", "-c", MAKE_USER)
    return foreign.manage("createtoken", "ada", "a test").split()[-1]


MAKE_USER = """
from django.contrib.auth.models import User
user = User.objects.create_superuser("ada", password="secret")
from django.test import Client
client = Client()
client.force_login(user)
open("session", "w").write(client.cookies["sessionid"].value)
"""


@pytest.fixture
def client(web, token):
    with httpx.Client(base_url=web.url, headers={"Authorization": f"Token {token}"}) as client:
        yield client


@pytest.fixture
def browser(web, foreign, token):
    cookies = {"sessionid": (foreign.directory / "session").read_text()}
    with httpx.Client(base_url=web.url, cookies=cookies) as client:
        yield client


def files_below(directory):
    """Also what links lead to: the pages."""
    for parent, _, names in os.walk(directory, followlinks=True):
        yield from (Path(parent, name) for name in names)


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}

    there = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in files_below(ROOT / package)
        if "__pycache__" not in path.parts
    }
    assert inside == there


def test_the_project_runs_what_the_wheel_brought(foreign, site_packages):
    said = foreign.python("-c", "import tasks_app; print(tasks_app.__file__)")

    assert Path(said.strip()).is_relative_to(site_packages)


def test_the_checks_are_content_without_a_server_or_a_table(foreign):
    said = foreign.manage("check", BOOKSHOP_REDIS_URL="redis://127.0.0.1:1/0")

    assert "System check identified no issues (0 silenced)." in said


def test_the_checks_say_so_when_channels_would_take_runworker(foreign):
    with pytest.raises(AssertionError, match="Put workers_app before channels in INSTALLED_APPS"):
        foreign.manage("check", "--settings", "bookshop.wrong_order")


def test_no_migration_is_missing_whatever_key_the_project_prefers(foreign):
    foreign.manage("makemigrations", "tasks_app", "workers_app", "--check", "--dry-run")


def test_the_page_is_for_those_who_are_logged_in(web, browser):
    stranger = httpx.get(web.url + PAGE)
    assert (stranger.status_code, stranger.headers["Location"]) == (302, f"/login/?next={PAGE}")

    page = browser.get(PAGE)

    assert page.status_code == 200, page.text
    assert "No worker is running. Start one with <code>manage.py runworker</code>" in page.text
    assert f'data-root="{PAGE}"' in page.text
    assert httpx.get(web.url + "/").text == "books"  # what was there is there


def test_what_the_page_needs_is_served_by_the_project(foreign):
    wanted = ("dtps/js/main.js", "dtps/css/base.css", "dtps/img/mark.svg")

    found = foreign.manage("findstatic", "--first", *wanted)

    assert found.count("Found ") == len(wanted)


def test_the_api_is_ours_whatever_the_project_thinks_of_its_own(web, client):
    assert httpx.get(f"{web.url}{PAGE}api/tasks").status_code == 401
    wrong = client.post(f"{PAGE}api/tasks/submit", json={"taskType": "nonsense"})
    assert wrong.status_code == 400 and "bookshop.tasks.add" in wrong.json()["taskType"][0]

    answer = client.post(
        f"{PAGE}api/tasks/submit", json={"taskType": "bookshop.tasks.add", "args": [1, 2]}
    )

    assert answer.status_code == 201, answer.text
    status = client.get(f"{PAGE}api/tasks/status", params={"id": answer.json()["taskId"]})
    assert status.json()["status"] == "pending"


def test_a_task_that_is_submitted_there_is_run(foreign, client):
    foreign.start_worker("--processes", "1")
    task = client.post(f"{PAGE}api/tasks/submit", json={"taskType": "wordcount", "payload": "a b"})

    address = f"{PAGE}api/tasks/{task.json()['taskId']}"
    wait_until(lambda: client.get(address).json()["status"] == "completed")

    assert client.get(address).json()["output"]["words"] == 2


def test_the_socket_tells_what_goes_on(web, browser):
    headers = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}

    with connect(f"{web.socket_url}/ws/live", origin=web.url, additional_headers=headers) as socket:
        snapshot = json.loads(socket.recv(timeout=60))

    assert "queues" in snapshot


def test_static_files_are_collected(foreign):
    said = foreign.manage(
        "collectstatic", "--noinput", "--dry-run", "--settings", "bookshop.all_in"
    )

    assert "dtps/js/main.js" in said


def test_with_all_that_the_site_has_there_are_the_admin_and_the_description_too(foreign):
    said = foreign.manage("shell", "-c", LOOK_AROUND, "--settings", "bookshop.all_in")

    assert "200 200 200" in said.splitlines()
    assert "collisions" not in said


LOOK_AROUND = """
from django.contrib.auth.models import User
from django.test import Client
user, _ = User.objects.get_or_create(username="eve", is_superuser=True, is_staff=True)
client = Client()
client.force_login(user)
pages = ("/admin/tasks_app/taskrecord/", "/work/api/schema", "/work/api/docs")
print(*(client.get(page).status_code for page in pages))
"""
