"""The pages of workflows in a browser: the list, the drawing, and what is done with one."""

import pytest
from playwright.sync_api import expect

LONG = "a name that is rather long, since nobody told its maker to keep it short 0123456789"
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def task(name, *after, **more):
    return {"name": name, "taskType": "test", "payload": 1, "after": list(after), **more}


@pytest.fixture
def workflow(site):
    """One that waits in a queue that nobody serves, with a hostile name."""
    tasks = [
        task("rows", queue="nobody"),
        task("prices"),
        task(f"<script>pwned=1</script>{LONG}", "rows", "prices"),
        task("mail", f"<script>pwned=1</script>{LONG}"),
    ]
    made = site.call("POST", "/api/workflows", {"name": f"<b>{LONG}</b>", "tasks": tasks})
    yield made
    site.call("POST", f"/api/workflows/{made['workflowId']}/cancel")


def test_an_empty_page_explains(visit):
    page = visit()
    page.get_by_role("link", name="Workflows").click()

    expect(page.get_by_role("link", name="Workflows")).to_have_attribute("aria-current", "page")
    expect(page.get_by_text("No workflow yet")).to_be_visible()


def test_a_workflow_is_listed_drawn_cancelled_and_retried(visit, site, workflow):
    page = visit()
    page.goto("/workflows/")
    row = page.locator(f"tr[data-key='{workflow['workflowId']}']")
    expect(row).to_contain_text("1 of 4")
    expect(row.locator(".badge")).to_have_text("open")
    row.get_by_role("link").click()

    expect(page.locator("h1")).to_contain_text(LONG)
    expect(page.locator("g.node")).to_have_count(4)
    expect(page.locator("path.link-line")).to_have_count(3)
    expect(page.locator("g.node[data-status=completed]")).to_have_count(1)
    expect(page.locator(".members [data-status=waiting]")).to_have_count(2)

    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("3 tasks cancelled.")).to_be_visible()
    expect(page.locator("[data-part=workflow] .badge")).to_have_text("cancelled")

    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("3 tasks run once more.")).to_be_visible()
    expect(page.locator("[data-part=workflow] .badge")).to_have_text("open")


def test_many_tasks_are_drawn_in_groups(visit, site):
    many = [task(f"p{n}") for n in range(160)]
    end = task("end", *[each["name"] for each in many])
    made = site.call("POST", "/api/workflows", {"name": "many", "tasks": [*many, end]})
    page = visit()
    page.goto(f"/workflows/{made['workflowId']}/")

    expect(page.locator("g.node")).to_have_count(2)
    expect(page.locator("g.node").first).to_contain_text("160 tasks")
    expect(page.get_by_text("tasks of one type in a layer are one box")).to_be_visible()
    expect(page.get_by_text("The first 100")).to_be_visible()
    expect(page.locator("[data-part=workflow] .badge")).to_have_text("completed")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone_never_scrolls_sideways(visit, workflow, scheme):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.goto("/workflows/")
    expect(page.locator(".workflows tbody tr").first).to_be_visible()
    assert page.evaluate(SIDEWAYS) <= 0

    page.goto(f"/workflows/{workflow['workflowId']}/")
    expect(page.locator("g.node")).to_have_count(4)
    assert page.evaluate(SIDEWAYS) <= 0
