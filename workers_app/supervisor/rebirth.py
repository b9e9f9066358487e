"""Begins a worker anew, with the code that is there now and a new id."""

import logging
import os
import re
import sys
from typing import NoReturn

logger = logging.getLogger(__name__)

AGAIN = 75  # exit code by which a worker asks who has forked it for another one; EX_TEMPFAIL

_RANDOM = re.compile(r"-[0-9a-f]{8}$")  # the end of an id that was made up


def restart(worker: str) -> NoReturn:
    """Become a new worker. One that was forked cannot: whoever has done that is asked to."""
    if sys.argv[1:2] != ["runworker"]:
        sys.exit(AGAIN)
    words = [*reborn(sys.orig_argv[1:], worker)]
    logger.info("event=worker_restarts worker=%s", worker)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 (our own words)


def reborn(words: list[str], worker: str) -> list[str]:
    """The words of a command line without the id, which must never be used again."""
    kept, is_id = [], False
    for word in words:
        if is_id or word.startswith("--id="):
            is_id = False
        elif word == "--id":
            is_id = True
        else:
            kept.append(word)
    if kept != words and not any(re.match(r"--name(=|$)", word) for word in kept):
        kept += ["--name", _RANDOM.sub("", worker)]
    return kept
