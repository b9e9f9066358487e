"""The page of schedules in a browser: dark, light, and on a phone."""

import re

import pytest
from playwright.sync_api import expect

LONG = "a name that is rather long, since nobody told its maker to keep it short 0123456789"
# By how much the page is wider than the window.
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def schedules(site):
    """Two schedules, one of them hostile, deleted at the end."""
    made = [
        site.call("POST", "/api/schedules", body)
        for body in (
            {"name": "tidy", "taskType": "test", "payload": "x", "cron": "*/5 * * * *",
             "timezone": "Europe/Zurich"},
            {"name": f"<script>x()<{LONG}", "taskType": "test", "every": 86_400, "enabled": False},
        )
    ]  # fmt: skip
    yield [each["name"] for each in made]
    for each in site.call("GET", "/api/schedules"):
        site.delete(f"/api/schedules/{each['name']}")


def row(page, name):
    return page.locator("tr[data-key]", has=page.get_by_text(name, exact=True)).first


def test_an_empty_page_explains(visit, site):
    page = visit()
    page.get_by_role("link", name="Schedules").click()

    expect(page.get_by_text("No schedule yet")).to_be_visible()
    expect(page.get_by_role("link", name="Schedules")).to_have_attribute("aria-current", "page")


def test_a_schedule_is_run_paused_and_resumed(visit, site, schedules):
    page = visit()
    page.goto("/schedules/")
    tidy = row(page, "tidy")
    expect(tidy).to_contain_text("Every 5 minutes (Europe/Zurich)")
    expect(tidy).to_contain_text("not yet")

    tidy.get_by_role("button", name="Run tidy now").click()
    expect(tidy).to_contain_text("completed")

    tidy.get_by_role("button", name="Pause tidy").click()
    expect(tidy).to_contain_text("not while paused")
    tidy.get_by_role("button", name="Resume tidy").click()
    expect(tidy.locator(".s-next")).to_contain_text(re.compile(r"in \d+ (s|min)"))

    tidy.get_by_role("button", name="tidy", exact=True).click()
    drawer = page.locator("[data-part=schedule-drawer]")
    expect(drawer.locator("[data-part=coming] li")).to_have_count(5)
    expect(drawer.locator("[data-part=firings] li")).to_have_count(1)
    expect(drawer).to_contain_text("run by hand")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone_never_scrolls_sideways(visit, schedules, scheme):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.goto("/schedules/")

    expect(row(page, "tidy")).to_be_visible()
    assert page.evaluate(SIDEWAYS) <= 0
    row(page, "tidy").get_by_role("button", name="tidy", exact=True).click()
    expect(page.locator("[data-part=coming] li")).to_have_count(5)
    assert page.evaluate(SIDEWAYS) <= 0
