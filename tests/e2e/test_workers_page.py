"""Workers seen and steered on the page: real ones, and some that are played by hand."""

import json
import re
import threading
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect
from uuid_utils import uuid7

from tasks_app.broker.answers import Settlement
from tasks_app.message import Attempt, TaskMessage, now_us

from ..conftest import wait_until

PHONE = {"width": 390, "height": 844}
ANSWER_409 = "status of 409"
ANSWER_503 = "status of 503"


def row(page, key):
    return page.locator(f"tr[data-key={json.dumps(key)}]")


def shown(page, worker, name):
    return row(page, worker).locator(f'[data-field="{name}"]')


def choose(page, worker, action):
    """Choose something in the menu of a worker."""
    row(page, worker).get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name=action).click()


def open_drawer(page, worker):
    row(page, worker).locator('[data-action="open"]').click()
    drawer = page.get_by_role("dialog", name=worker)
    expect(drawer).to_be_visible()
    return drawer


@pytest.fixture(scope="module")
def worker(site):
    """The site's own worker."""
    return wait_until(lambda: list(site.broker.fleet.workers()), "the worker")[0]


class Played:
    """A worker that a test plays: it says what it is given, and keeps what it is told."""

    def __init__(self, site, name):
        self.fleet = site.broker.fleet
        self.name = name
        self.executor = f"{name}:0:x"
        self.orders = []
        self.said = {"hostname": "elsewhere", "pid": 7, "slots": 4, "bounds": [1, 8]}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def _play(self):
        while not self._is_over.wait(0.05):
            announced = self.fleet.announce(self.name, self.said, executors=[self.executor])
            for order in announced.orders:
                self.orders.append(order)
                if order["order"] == "stacks" and "stacks" in self.said:
                    self.fleet.answer(order["request"], self.said["stacks"])

    def __enter__(self):
        self.fleet.announce(self.name, self.said, executors=[self.executor])
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._is_over.set()
        self._thread.join()
        self.fleet.resign(self.name)


@pytest.fixture
def play(site):
    @contextmanager
    def play(name="played", **said):
        with Played(site, name) as worker:
            worker.said = worker.said | said
            yield worker

    return play


# --- steering a real one ---


def test_a_worker_is_paused_and_resumed(visit, site, worker):
    page = visit()
    choose(page, worker, "Pause")
    expect(shown(page, worker, "status")).to_have_text("paused")
    task_id = site.submit()
    expect(shown(page, task_id, "status")).to_have_text("pending")

    choose(page, worker, "Resume")

    expect(shown(page, worker, "status")).to_have_text("active")
    expect(shown(page, task_id, "status")).to_have_text("completed")


def test_a_worker_is_scaled(visit, site, worker):
    page = visit(expected=["status of 400"])
    choose(page, worker, "Scale")
    dialog = page.get_by_role("dialog", name="Scale")
    dialog.get_by_label("Slots").fill("many")
    dialog.get_by_role("button", name="Scale").click()
    expect(dialog.locator('[data-error="slots"]')).to_be_visible()

    dialog.get_by_label("Slots").fill("4")
    dialog.get_by_role("button", name="Scale").click()

    expect(dialog).to_be_hidden()
    wait_until(lambda: site.call("GET", "/api/workers")[worker]["slots"] == 4, "four slots")
    expect(shown(page, worker, "slots")).to_have_text("0/4")


def test_the_stacks_of_what_runs_are_shown(visit, site, worker):
    page = visit()
    task_id = site.submit(taskType="sleep", payload=30)
    expect(shown(page, task_id, "status")).to_have_text("processing")

    choose(page, worker, "Stacks")

    dialog = page.get_by_role("dialog", name="Stacks")
    stack = dialog.locator('[data-part="stacks"] li')
    expect(stack.locator('[data-field="type"]')).to_have_text("sleep")
    expect(stack.locator("pre")).to_contain_text("tasks.py")
    site.call("POST", f"/api/tasks/{task_id}/cancel")
    nothing_runs = lambda: not site.call("GET", f"/api/workers/stacks?id={worker}")["stacks"]  # noqa: E731
    wait_until(nothing_runs, "the end of the task")
    dialog.get_by_role("button", name="Ask again").click()
    expect(dialog.get_by_text("no task is running")).to_be_visible()


# --- what a worker says ---


def test_what_is_held_stolen_and_how_many_slots_there_may_be_is_seen(visit, play):
    executor = {"id": "played:0:x", "pid": 77, "active": 1, "reserved": 34, "memoryBytes": 5 << 20}
    with play(
        kind="processes", active=1, reserved=34, stolen=12, stolenFrom=87, crashed=1,
        executors=[executor], config={"enableSteal": True},
    ) as played:  # fmt: skip
        page = visit()

        expect(shown(page, "played", "held")).to_have_text("34")
        expect(shown(page, "played", "stolen")).to_have_text("12/87")
        expect(shown(page, "played", "pool")).to_have_text("1\u20138, steals")
        drawer = open_drawer(page, "played")
        expect(drawer.get_by_text("12 tasks stolen by it, 87 from it")).to_be_visible()
        cells = drawer.locator('[data-part="executor-rows"] td')
        expect(cells).to_have_text(["0:x", "77", "1", "34", "5 MiB"])
        expect(drawer.get_by_text("1 crashed, 0 recycled")).to_be_visible()

        played.said |= {"stolenFrom": 99, "executors": []}

        expect(drawer.get_by_text("12 tasks stolen by it, 99 from it")).to_be_visible()
        expect(drawer.get_by_text("It has said nothing of its executors.")).to_be_visible()


def test_decisions_are_listed_with_their_reasons(visit, site, play):
    with play():
        page = visit()
        drawer = open_drawer(page, "played")
        expect(drawer.get_by_text("Nothing yet")).to_be_visible()

        why = f"240 tasks wait <b>{uuid7()}</b>"
        decision = {"at_ms": now_us() // 1000, "from": 3, "to": 6, "reason": why, "numbers": {}}
        site.broker.fleet.keep_decision(decision | {"worker": "played"})

        expect(drawer.get_by_text(why)).to_be_visible()
        expect(drawer.locator('[data-field="change"]')).to_have_text("3 → 6")
        page.keyboard.press("Escape")
        newest = page.locator('[data-part="decisions"] li').first
        expect(newest).to_contain_text("3 → 6")
        expect(newest).to_contain_text("played")
        expect(newest).to_contain_text(why)
        chart = page.locator('canvas[data-part="slots"]')
        expect(chart).to_have_attribute("aria-label", re.compile("now slots: "))


def test_a_worker_that_does_not_answer_is_said_to_be_silent(visit, play):
    with play():
        page = visit(expected=[ANSWER_503])
        choose(page, "played", "Stacks")

        dialog = page.get_by_role("dialog", name="Stacks")
        expect(dialog.get_by_role("alert")).to_contain_text("did not answer within 3 s")


def test_orders_that_make_no_sense_are_not_offered(visit, play):
    with play(status="stopping") as played:
        page = visit(expected=[ANSWER_409])
        row(page, "played").get_by_role("button", name="Actions").click()
        expect(page.get_by_role("menuitem")).to_have_text(["Stacks"])
        page.keyboard.press("Escape")

        drawer = open_drawer(page, "played")
        expect(drawer.get_by_role("button", name="Stop")).to_be_hidden()

        played.said["status"] = "active"

        expect(drawer.get_by_role("button", name="Stop")).to_be_visible()
        assert played.orders == []


def test_a_menu_closes_by_what_opened_it_and_by_a_click_beside_it(visit, play):
    with play(), play("other"):
        page = visit()
        button = row(page, "played").get_by_role("button", name="Actions")
        menu = page.get_by_role("menu")
        beside = page.get_by_role("heading", name="Workers", exact=True)
        for close in (button.click, beside.click):
            button.click()
            expect(menu).to_be_visible()
            close()
            expect(menu).to_be_hidden()
            expect(button).to_have_attribute("aria-expanded", "false")

        button.click()
        row(page, "other").get_by_role("button", name="Actions").click()

        expect(page.get_by_role("menu", name="Actions for other")).to_be_visible()
        expect(button).to_have_attribute("aria-expanded", "false")


def test_a_menu_is_used_by_keyboard(visit, play):
    with play() as played:
        page = visit()
        button = row(page, "played").get_by_role("button", name="Actions")
        button.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("menuitem", name="Pause")).to_be_focused()
        page.keyboard.press("ArrowUp")
        expect(page.get_by_role("menuitem", name="Stop")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("menu")).to_be_hidden()
        expect(button).to_be_focused()
        expect(button).to_have_attribute("aria-expanded", "false")

        page.keyboard.press("Enter")
        page.keyboard.press("Enter")

        wait_until(lambda: played.orders == [{"order": "pause"}], "the order")
        expect(page.get_by_text("Worker played is told to pause.")).to_be_visible()


# --- what holds a task up ---


@pytest.fixture
def told(site, play):
    """A task that a played worker gave back, or lost, with this line."""

    @contextmanager
    def told(settled, **line):
        name = f"gone-{uuid7()}"
        message = TaskMessage(id=str(uuid7()), type=name, queue=name, submitted_us=now_us())
        with play(name, queues=[name]) as worker:
            site.broker.submit(message)
            held = site.broker.claim(worker.executor, name, [name], 1)
            attempt = Attempt(worker=name, ended_us=now_us(), **line).encode()
            settlement = Settlement(
                id=message.id, token=held.token, outcome=settled, pause_ms=3_600_000, line=attempt
            )
            assert site.broker.finish(worker.executor, [settlement]) == []
            yield message
        site.broker.cancel([message.id])

    return told


def test_a_task_that_no_worker_knows_says_so(visit, told):
    line = {
        "outcome": "pending",
        "error_type": "tasks_app.exceptions.UnknownTaskType",
        "error": "There is no task type 'x'.",
    }
    with told("released", **line) as task:
        page = visit()
        row(page, task.id).get_by_role("button").click()

        drawer = page.locator('[data-part="drawer"]')
        expect(drawer.get_by_text(f"the type {task.type}")).to_be_visible()


def test_the_last_words_of_a_process_that_died_are_there_to_be_read(visit, told):
    line = {
        "outcome": "crashed",
        "number": 1,
        "started_us": now_us(),
        "error_type": "tasks_app.exceptions.WorkerLost",
        "error": "The process was killed by signal SIGSEGV.",
        "traceback": "Fatal Python error: Segmentation fault\nINFO <i>reading</i>",
    }
    with told("failed", **line) as task:
        page = visit()
        row(page, task.id).get_by_role("button").click()

        drawer = page.locator('[data-part="drawer"]')
        expect(drawer.get_by_text("Poison: the process that ran it died")).to_be_visible()
        drawer.get_by_text("Its last words").click()
        expect(drawer.locator('[data-field="traceback"]')).to_have_text(line["traceback"])


# --- small windows ---


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(visit, play, scheme):
    long = "w" * 60
    stacks = {"worker": long, "tasks": [{"id": "a" * 64, "executor": long, "stack": "x" * 500}]}
    executor = {"id": f"{long}:0:x", "pid": 4_000_000, "memoryBytes": 10**12}
    with play(long, hostname=long, executors=[executor], stolen=10**9, stacks=stacks):
        page = visit(viewport=PHONE, color_scheme=scheme, is_mobile=True, has_touch=True)
        width = "document.documentElement.scrollWidth"
        expect(row(page, long)).to_be_visible()
        assert page.evaluate(width) == PHONE["width"]

        row(page, long).get_by_role("button", name="Actions").tap()
        menu = page.get_by_role("menu")
        expect(menu).to_be_visible()
        box = menu.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
        page.get_by_role("menuitem", name="Stacks").tap()
        dialog = page.get_by_role("dialog", name="Stacks")
        expect(dialog.locator("pre").first).to_contain_text("xxx")
        assert not is_cut(dialog)
        dialog.get_by_role("button", name="Close").tap()
        drawer = open_drawer(page, long)
        assert not is_cut(drawer)
        assert page.evaluate(width) == PHONE["width"]


def is_cut(dialog):
    """Whether something in it is wider than it is."""
    return dialog.evaluate("element => element.scrollWidth > element.clientWidth")
