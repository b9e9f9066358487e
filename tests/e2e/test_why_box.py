"""The box on a task's page that says why it does not run."""

import pytest
from playwright.sync_api import expect

from .test_live_page import PHONE, row


@pytest.fixture
def paused(site):
    """A queue that gives nothing out; its tasks are cancelled at the end."""
    ids = []

    def submit(**task):
        ids.append(site.submit(queue="paused", **task))
        return ids[-1]

    site.broker.pause("paused")
    yield submit
    site.broker.cancel(ids)
    site.broker.resume("paused")


def box(page):
    return page.locator('[data-part="why"]')


def reason(page, code):
    return box(page).locator(f'[data-code="{code}"]')


def test_the_box_says_why_a_task_waits_and_follows_what_changes(visit, site, paused):
    paused(priority=9)
    task_id = paused(priority=2)
    page = visit()
    row(page, task_id).get_by_role("button").click()

    expect(box(page).get_by_role("heading")).to_have_text("Why is it not running?")
    expect(box(page).locator("li").first).to_have_text(
        "The queue paused is paused: it gives nothing out until it is resumed."
    )
    expect(reason(page, "behind")).to_contain_text("1 task of its queue goes first")

    site.broker.resume("paused")
    expect(page.locator('[data-part="drawer"] header [data-field="status"]')).to_have_text(
        "completed"
    )
    expect(box(page)).to_be_hidden()


def test_a_delayed_task_says_when_it_is_due_also_on_a_phone(visit, site, paused):
    task_id = paused(runAfter="2100-01-01T00:00:00Z")
    page = visit(viewport=PHONE, is_mobile=True, has_touch=True)
    row(page, task_id).get_by_role("button").tap()

    expect(reason(page, "scheduled")).to_contain_text("It is due in")
    expect(reason(page, "queue_paused")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_failed_task_says_why_it_was_not_tried_again(visit, site):
    error = "<img src=x onerror=window.pwned=1>"
    task_id = site.submit(taskType="wordcount", payload={"no": error}, retries=0)
    site.wait_for(task_id, "failed")
    page = visit()
    row(page, task_id).get_by_role("button").click()

    expect(box(page).get_by_role("heading")).to_have_text("Why did it fail?")
    expect(reason(page, "failed")).to_contain_text("It had one attempt.")
