"""What a task says of itself, on its page: a bar that moves, and its log."""

import pytest
from playwright.sync_api import expect

from tasks_app.broker.answers import Remark
from tasks_app.remarks import Line, Progress, encode

from .test_live_page import row

WORKER, EXECUTOR = "teller", "teller:0:x"
HOSTILE = "<img src=x onerror=window.pwned=1>"


class Teller:
    """Holds a task, and speaks for it."""

    def __init__(self, site):
        self.broker = site.broker
        self.broker.fleet.announce(WORKER, {}, executors=[EXECUTOR])
        self.task_id = site.submit(queue="telling")
        self.token = self.broker.claim(EXECUTOR, WORKER, ["telling"], 1).token
        self.broker.start(EXECUTOR, [self.task_id])
        self.serial = 0

    def say(self, done, total, note, *lines):
        self.serial += 1
        text = b"".join(encode(Line(line, at_us=1)) + b"\n" for line in lines)
        progress = encode(Progress(done, total, note))
        remark = Remark(self.task_id, self.token, self.serial, progress, lines=text)
        assert self.broker.remark(EXECUTOR, [remark]) == []


@pytest.fixture
def teller(site):
    teller = Teller(site)
    yield teller
    site.broker.cancel([teller.task_id])
    site.broker.fleet.resign(WORKER)


def test_a_running_task_shows_how_far_it_is_and_what_it_logs(visit, teller):
    page = visit()
    row(page, teller.task_id).get_by_role("button").click()
    drawer = page.locator('[data-part="drawer"]')
    section, bar = drawer.locator('[data-part="progress"]'), drawer.get_by_role("progressbar")
    log = drawer.locator('[data-field="log"]')
    expect(drawer.locator("header .badge")).to_have_text("processing")
    expect(section).to_be_hidden()
    expect(log).to_be_hidden()

    teller.say(250, 1000, HOSTILE, "began", HOSTILE)

    expect(section).to_contain_text(f"250 of 1,000 (25 %) · {HOSTILE}")
    expect(bar).to_have_js_property("value", 250)
    expect(bar).to_have_js_property("max", 1000)
    expect(log).to_contain_text("INFO began")
    expect(log).to_contain_text(HOSTILE)

    teller.say(1000, 1000, "", "ended")

    expect(bar).to_have_js_property("value", 1000)
    expect(section).to_contain_text("1,000 of 1,000 (100 %)")
    expect(log).to_contain_text("INFO ended")

    teller.say(7, None, "")

    expect(section).to_contain_text("7")
    expect(bar).not_to_have_attribute("value", "1000")
