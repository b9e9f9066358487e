"""One site for all tests of the page: web, worker and agent as real processes, and a browser."""

import os
import shutil
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from tasks_app.broker.broker import Broker
from tasks_app.broker.connection import link

from ..conftest import PATIENCE_SECONDS, wait_until
from ..machine import find
from ..redis_server import RedisServer
from ..web_server import WebServer
from ..workers.processes import processes

PATIENCE_MS = PATIENCE_SECONDS * 1000
SETTINGS = "dtps_site.settings"
WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
  violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""
expect.set_options(timeout=PATIENCE_MS)


class Site:
    """The site's web server, and a way to its API and its queue."""

    def __init__(self, web, redis_url, start):
        self.web = web
        self.url = web.url
        self.broker = Broker(link(redis_url))
        self.start = start  # a command of manage.py

    def call(self, method, path, body=None):
        with httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
            answer = client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def delete(self, path):
        with httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
            assert client.delete(path).is_success

    def submit(self, **task):
        """Submit a task. Return its id."""
        return self.call("POST", "/api/tasks/submit", {"taskType": "test"} | task)["taskId"]

    def wait_for(self, task_id, status):
        """Wait until a task has a status. Return all that is known of it."""

        def arrived():
            task = self.call("GET", f"/api/tasks/{task_id}")
            return task if task["status"] == status else None

        return wait_until(arrived, f"{status} of {task_id}")


@pytest.fixture(scope="package")
def site():
    """With one worker of two slots, and an agent."""
    redis = RedisServer()
    directory = Path(tempfile.mkdtemp(prefix="dtps-e2e-", dir="/tmp"))
    environment = {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "DTPS_PROFILE": "development",
        "DTPS_REDIS_URL": redis.url,
        "DTPS_VAR_DIR": str(directory),
        "DATABASE_URL": f"sqlite:///{directory}/dtps.sqlite3",
    }
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.callback(redis.close)
        redis.start()
        start = stack.enter_context(processes(redis.url, directory))
        run = partial(start, settings=SETTINGS, env=environment)
        assert run("migrate", "--verbosity=0").wait() == 0
        run("runagent")
        worker = run("runworker", "--pool-size=2", "--queues=default,paused")
        web = WebServer(environment, directory / "web.log")
        stack.callback(web.close)
        web.start()
        site = Site(web, redis.url, run)
        worker.wait_for("event=executor_started")
        wait_until(site.broker.fleet.agents, "the agent")
        yield site
        site.broker.link.close()


@pytest.fixture(scope="package")
def browser():
    """The machine's Chromium, else Playwright's own."""
    # No longer than the package: while it runs, this thread has an event loop.
    unsandboxed = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find("chromium"), args=["--disable-dev-shm-usage", *unsandboxed]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, site):
    """Opens the page in a new profile; at the end nothing may have gone wrong in any of them.

    ``expected`` are parts of console errors that the test provokes.
    """
    with ExitStack() as stack:

        def visit(*, expected=(), until_live=True, **options):
            context = browser.new_context(base_url=site.url, **options)
            stack.callback(context.close)
            context.add_init_script(WATCH)
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            errors = watch(page)
            stack.callback(check, page, errors, expected)
            page.goto("/")
            if until_live:
                wait_until_live(page)
            return page

        yield visit


def wait_until_live(page):
    expect(page.locator("html")).to_have_attribute("data-connection", "live")


def watch(page):
    """What goes wrong in a page, as it happens."""
    errors = []
    page.on("console", lambda said: said.type == "error" and errors.append(said.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: (errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
    return errors


def check(page, errors, expected):
    unexpected = [e for e in errors if not any(part in e for part in expected)]
    assert unexpected == []
    assert page.evaluate("window.violations ?? []") == []
    assert page.evaluate("window.pwned === undefined")
