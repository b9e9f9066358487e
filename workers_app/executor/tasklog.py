"""A task's own ``logging`` goes into its log too, whatever the project does with it otherwise."""

import logging
from typing import Any

from tasks_app import context
from tasks_app.compat import signals
from tasks_app.conf import conf

from .errors import traceback_of


def keep_logs() -> None:
    """From now on, what tasks log in this process goes into their logs: see TASK_LOG_LEVEL.

    All else that is logged goes where it went before, and nowhere else.
    """
    if not conf().task_log_level or not conf().task_log_lines:
        return
    level = logging.getLevelNamesMapping()[conf().task_log_level]
    _open(level)
    # Not a handler: a project whose loggers have none would see nothing of its warnings any more.
    logging.setLogRecordFactory(keeping(logging.getLogRecordFactory(), level))


def _open(level: int) -> None:
    """Let records of this level be made where only the root logger's level keeps them from it."""
    root = logging.getLogger()
    before = root.level
    if before <= level:
        return
    was_on = signals.logger.isEnabledFor(level)
    root.setLevel(level)
    if not was_on and signals.logger.isEnabledFor(level):
        signals.logger.setLevel(before)  # or each task would be told of: see listening.py
    quiet = _Quiet(before)
    known = [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for handler in {handler for each in (root, *known) for handler in each.handlers}:
        handler.addFilter(quiet)


class _Quiet(logging.Filter):
    """Lets through what a root logger of another level would have let through."""

    def __init__(self, level: int):
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self._level or _has_own_level(logging.getLogger(record.name))


def _has_own_level(logger: logging.Logger) -> bool:
    while logger.parent is not None:
        if logger.level:
            return True
        logger = logger.parent
    return False


def keeping(make: Any, level: int) -> Any:
    """A factory of records that shows each to the task in whose code it is made."""

    def make_and_keep(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        attempt = context.attempt()
        if attempt is not None and record.levelno >= level:
            attempt.write(_text(record), record.levelno, record.name)
        return record

    return make_and_keep


def _text(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 (the arguments do not fit: logging says so where it prints)
        text = str(record.msg)
    error = record.exc_info and record.exc_info[1]
    return f"{text}\n{traceback_of(error)}" if error else text
