"""The live page in a real browser, fed by a real site."""

import json
import re

import pytest
from playwright.sync_api import expect
from uuid_utils import uuid7

from tasks_app.message import TaskMessage, now_us

from ..conftest import wait_until
from .conftest import wait_until_live

ANSWER_400 = "status of 400"
LOST = ("WebSocket connection", "net::ERR_")  # what it asked for when the server died, and since
PHONE = {"width": 390, "height": 844}


def row(page, key):
    return page.locator(f"tr[data-key={json.dumps(key)}]")


def card(page, name):
    return page.locator(f'[data-card="{name}"] [data-field="value"]')


def error_at(page, name):
    return page.locator(f'form[data-part="submit"] [data-error="{name}"]')


def test_the_page_follows_tasks_and_numbers(visit, site):
    page = visit()
    before = int(card(page, "processed").inner_text())
    task_id = site.submit(payload="hello", priority=9)

    task = row(page, task_id)
    expect(task.locator('[data-field="status"]')).to_have_text("completed")
    expect(task.locator('[data-field="priority"]')).to_have_text("9")
    expect(card(page, "processed")).not_to_have_text(str(before))
    expect(card(page, "activeWorkers")).to_have_text("1")
    expect(page.locator('[data-part="throughput-peak"]')).to_contain_text("/s")


def test_the_form_submits_and_shows_what_became_of_the_task(visit, site):
    page = visit()
    page.get_by_label("Task type").select_option("wordcount")
    expect(page.locator('[data-part="type-doc"]')).to_contain_text("Count the words")
    expect(page.get_by_label("Payload")).to_have_value(re.compile("fox"))
    page.get_by_label("Payload").fill("one two three two")
    page.get_by_role("button", name="Submit", exact=True).click()

    submitted = page.locator('[data-part="submitted"] button')
    task = site.wait_for(submitted.get_attribute("data-task"), "completed")
    submitted.click()

    drawer = page.locator('[data-part="drawer"]')
    expect(drawer.locator('[data-field="status"]').first).to_have_text("completed")
    expect(drawer.locator('[data-field="arguments"]')).to_have_text("one two three two")
    expect(drawer.locator('[data-field="output"]')).to_contain_text('"words": 4')
    assert task["priority"] == 5


def test_the_server_says_what_is_wrong_beside_the_field(visit, site):
    page = visit(expected=[ANSWER_400])
    page.get_by_label("Retries").fill("-1")
    page.get_by_text("More options").click()
    page.get_by_label("Queue", exact=True).fill("No such name!")
    page.get_by_text("More options").click()
    submitted = site.broker.stats().count("submitted")

    page.get_by_role("button", name="Submit", exact=True).click()

    expect(error_at(page, "retries")).to_contain_text("greater than or equal to 0")
    expect(error_at(page, "queue")).to_be_visible()  # its fold has opened
    expect(page.get_by_label("Retries")).to_be_focused()
    expect(error_at(page, "payload")).to_be_hidden()
    assert site.broker.stats().count("submitted") == submitted

    page.get_by_label("Retries").fill("")
    page.get_by_label("Queue", exact=True).fill("")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.locator('[data-part="submitted"] button')).to_be_visible()
    expect(error_at(page, "retries")).to_be_hidden()


def test_a_worker_is_added_and_stopped(visit, site):
    page = visit(expected=[ANSWER_400])
    page.get_by_role("button", name="Add worker").click()
    dialog = page.get_by_role("dialog", name="Add a worker")
    dialog.get_by_label("Pool size").fill("2")
    dialog.get_by_label("At least").fill("3")
    dialog.get_by_role("button", name="Add worker").click()
    expect(dialog.locator(".field-error:visible").first).to_be_visible()

    known = set(site.broker.fleet.workers())
    dialog.get_by_label("At least").fill("1")
    dialog.get_by_role("button", name="Add worker").click()
    expect(dialog).to_be_hidden()
    (worker,) = wait_until(lambda: set(site.broker.fleet.workers()) - known, "the worker")
    expect(row(page, worker).locator('[data-field="status"]')).to_have_text("active")

    row(page, worker).get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Stop").click()
    page.get_by_role("dialog", name="Stop").get_by_role("button", name="Stop the worker").click()
    expect(row(page, worker)).to_have_count(0)


def test_a_paused_queue_shows_its_tasks_by_priority(visit, site):
    task_id = site.submit(queue="paused", runAfter="2100-01-01T00:00:00Z")
    page = visit()
    row(page, "paused").get_by_role("button", name="Pause").click()
    expect(row(page, "paused").locator('[data-field="paused"]')).to_be_visible()
    wait_until(lambda: any(q.is_paused for q in site.broker.stats().queues), "the pause")

    ids = [site.submit(queue="paused", priority=2) for _ in range(3)]

    chart = page.locator('canvas[data-part="priorities"]')
    expect(chart).to_have_attribute("aria-label", re.compile(r"\b2: 3\b"))
    expect(row(page, "paused").locator('[data-field="ready"]')).to_have_text("3")
    row(page, ids[0]).get_by_role("button").click()
    page.get_by_role("button", name="Cancel the task").click()
    expect(page.locator('[data-part="drawer"] header [data-field="status"]')).to_have_text(
        "cancelled"
    )
    page.keyboard.press("Escape")
    row(page, "paused").get_by_role("button", name="Resume").click()
    expect(row(page, ids[2]).locator('[data-field="status"]')).to_have_text("completed")
    site.call("POST", f"/api/tasks/{task_id}/cancel")


def test_the_theme_is_remembered(visit):
    page = visit(color_scheme="light")
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(colour)

    page.get_by_role("button", name="Switch between dark and light").click()
    dark = page.evaluate(colour)
    page.reload()

    assert light != dark
    assert page.evaluate(colour) == dark


def test_a_task_opens_and_closes_by_keyboard(visit, site):
    task_id = site.submit(payload={"deep": [1]})
    page = visit()
    opener = row(page, task_id).get_by_role("button")
    opener.focus()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog", name="test")
    expect(drawer.locator('[data-field="arguments"]')).to_contain_text('"deep"')

    page.keyboard.press("Escape")

    expect(drawer).to_be_hidden()
    expect(opener).to_be_focused()


HOSTILE = [
    '<img src=x onerror="window.pwned=1">',
    "</script><script>window.pwned=1</script>",
    '"><svg onload=window.pwned=1>',
    "{{constructor.constructor('window.pwned=1')()}} __proto__ javascript:window.pwned=1",
    "\u202edesrever\u202c \u2028 \u200b" + "x" * 600,
]


@pytest.fixture
def hostile_task(site):
    """Hostile text wherever users' text is shown."""
    fleet = site.broker.fleet
    for text in HOSTILE:
        fleet.announce(text, {"hostname": text, "status": text, "queues": [text], "version": text})
    queues = [text[:200] for text in HOSTILE]
    tasks = [
        TaskMessage(
            id=str(uuid7()), type=text[:200], queue=text[:200], args=[text],
            kwargs={text: text}, submitted_us=now_us(),
        )
        for text in HOSTILE
    ]  # fmt: skip
    site.broker.submit_many(tasks)
    yield tasks[0]
    site.broker.cancel([task.id for task in tasks])
    for text in HOSTILE:
        fleet.resign(text)
    for queue in queues:
        site.broker.resume(queue)


def test_hostile_text_is_only_text(visit, hostile_task):
    page = visit()

    expect(row(page, hostile_task.id).locator('[data-field="type"]')).to_have_text(HOSTILE[0])
    expect(page.locator('[data-part="workers"]').get_by_text(HOSTILE[1]).first).to_be_visible()
    expect(page.locator('[data-part="queues"]').get_by_text(HOSTILE[2]).first).to_be_visible()
    row(page, hostile_task.id).get_by_role("button").click()
    drawer = page.locator('[data-part="drawer"]')
    expect(drawer.locator('[data-field="arguments"]')).to_contain_text(HOSTILE[0][:9])
    assert page.locator("main img, main svg svg, main :not(button) > svg, dialog img").count() == 0


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone_never_scrolls_sideways(visit, hostile_task, scheme):
    page = visit(viewport=PHONE, color_scheme=scheme, is_mobile=True, has_touch=True)
    width = "document.documentElement.scrollWidth"
    expect(row(page, hostile_task.id)).to_be_visible()
    assert page.evaluate(width) == PHONE["width"]

    row(page, hostile_task.id).get_by_role("button").tap()
    expect(page.locator('[data-part="drawer"]')).to_be_visible()
    assert page.evaluate(width) == PHONE["width"]


def test_the_numbers_are_there_without_javascript(visit, site):
    task_id = site.submit(payload="plain")
    site.wait_for(task_id, "completed")

    page = visit(java_script_enabled=False, until_live=False)

    expect(card(page, "activeWorkers")).to_have_text("1")
    expect(row(page, task_id)).to_be_visible()
    expect(page.get_by_role("button", name="Submit", exact=True)).to_have_count(0)
    expect(page.get_by_text("These numbers are from")).to_be_visible()


def test_the_page_says_when_the_server_is_gone_and_finds_it_again(visit, site):
    page = visit(expected=LOST)
    banner = page.locator('[data-part="offline"]')
    expect(banner).to_be_hidden()

    site.web.kill()
    expect(banner).to_contain_text("Offline.")
    expect(banner).to_contain_text("These numbers are from")
    site.web.start()

    wait_until_live(page)
    expect(banner).to_be_hidden()
    task_id = site.submit()
    expect(row(page, task_id)).to_be_visible()


def test_a_reset_is_asked_for_twice(visit, site):
    site.wait_for(site.submit(), "completed")
    page = visit()
    page.get_by_role("button", name="Reset the system").click()
    dialog = page.get_by_role("dialog", name="Reset the system?")
    dialog.get_by_role("button", name="Keep everything").click()
    expect(dialog).to_be_hidden()
    assert site.broker.stats().count("completed") > 0

    page.get_by_role("button", name="Reset the system").click()
    dialog.get_by_role("button", name="Reset", exact=True).click()

    expect(page.get_by_text("The system was reset.")).to_be_visible()
    expect(card(page, "processed")).to_have_text("0")


def test_pictures_are_taken_of_a_running_site(site, tmp_path):
    picture = tmp_path / "page.png"

    assert site.start("screenshot", "--url", site.url, "--output", str(picture)).wait() == 0

    assert picture.read_bytes().startswith(b"\x89PNG")
