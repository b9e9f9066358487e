"""A task's own logging is kept for it, and what is printed stays as the project has it."""

import io
import logging

import pytest

from tasks_app import context
from tasks_app.compat import signals
from tasks_app.listening import is_heard
from workers_app.executor.tasklog import keep_logs


class Heard:
    """Stands where an attempt does, and keeps what it is told."""

    def __init__(self):
        self.lines = []

    def write(self, text, level, logger=""):
        self.lines.append((text, logging.getLevelName(level), logger))


@pytest.fixture
def heard():
    heard = Heard()
    context.enter(heard)
    yield heard
    context.enter(None)


@pytest.fixture
def printed():
    """What the root logger, as Django leaves it, prints; all of logging is put back at the end."""
    root, factory = logging.getLogger(), logging.getLogRecordFactory()
    level, handlers = root.level, root.handlers[:]
    djangos = signals.logger.level
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    yield stream
    logging.setLogRecordFactory(factory)
    root.setLevel(level)
    root.handlers[:] = handlers
    signals.logger.setLevel(djangos)
    for name in ("shop", "shop.loud"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_what_a_task_logs_is_kept_and_not_printed_unless_it_was_before(printed, heard):
    logging.getLogger("shop.loud").setLevel(logging.DEBUG)
    keep_logs()

    logging.getLogger("shop").debug("unheard")
    logging.getLogger("shop").info("packed %d", 3)
    logging.getLogger("shop.loud").debug("too fine")
    logging.getLogger("shop.loud").info("printed before")
    logging.getLogger("shop").warning("careful")

    assert heard.lines == [
        ("packed 3", "INFO", "shop"),
        ("printed before", "INFO", "shop.loud"),
        ("careful", "WARNING", "shop"),
    ]
    assert printed.getvalue() == "too fine\nprinted before\ncareful\n"


def test_what_is_logged_outside_of_a_task_goes_nowhere_else(printed):
    keep_logs()

    logging.getLogger("shop").info("nobody's")
    logging.getLogger("shop").error("everybody's")

    assert printed.getvalue() == "everybody's\n"


def test_a_logger_that_keeps_its_records_to_itself_is_heard_too(printed, heard):
    shop = logging.getLogger("shop")
    shop.propagate = False
    try:
        keep_logs()
        shop.info("alone")
    finally:
        shop.propagate = True

    assert heard.lines == [("alone", "INFO", "shop")]


def test_the_level_is_the_projects_choice(printed, heard, settings):
    settings.DTPS = {**settings.DTPS, "TASK_LOG_LEVEL": "ERROR"}
    keep_logs()

    logging.getLogger("shop").warning("not kept")
    logging.getLogger("shop").error("kept")

    assert [text for text, _, _ in heard.lines] == ["kept"]


def test_it_can_be_switched_off(printed, heard, settings):
    settings.DTPS = {**settings.DTPS, "TASK_LOG_LEVEL": ""}
    keep_logs()

    logging.getLogger("shop").error("not kept")

    assert heard.lines == []


def test_djangos_signals_are_not_heard_because_of_it(printed):
    django = logging.getLogger("django")
    before = django.level
    django.setLevel(logging.NOTSET)
    try:
        was_heard = is_heard(signals.task_started)
        keep_logs()
        assert is_heard(signals.task_started) == was_heard
    finally:
        django.setLevel(before)
