"""The embedded server: whoever needs it first starts it, and it ends after its last user."""

import logging
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

from django.core.management import CommandError

from tasks_app.conf import conf

from .guardian import answers, ask
from .locks import FileLock
from .places import Places

logger = logging.getLogger(__name__)

START_SECONDS = 60  # for a server to say anything at all
FEWEST_BYTES = 1_000_000  # free where its data lies; with less it would end at once
KEEP_SECONDS = 2.0  # between two looks of who keeps the server alive
PROJECT = Path(__file__).resolve().parents[2]

_membership: FileLock | None = None  # held while this process uses the server


class EmbeddedFailed(CommandError):
    """The embedded server did not start. A command ends with this sentence."""


def places() -> Places | None:
    """Where the embedded server lives; None if the project uses a server of its own."""
    given = conf().embedded_dir
    if not given or Places(Path(given)).url != conf().redis_url:
        return None
    return Places(Path(given))


def ensure() -> None:
    """Let the embedded server run for as long as this process does. Raise EmbeddedFailed.

    Nothing happens if the project uses a server of its own. Safe to call again at any time.
    """
    here = places()
    if here is None:
        return
    _prepare(here)
    _join(here)
    until = time.monotonic() + START_SECONDS
    while not answers(here.socket):
        if ask(here.socket):  # it is there, and still loads what it holds
            until = time.monotonic() + START_SECONDS
        elif time.monotonic() > until:
            raise EmbeddedFailed(f"The embedded server does not answer; see {here.log}.")
        else:
            _start_guardian(here)
        time.sleep(0.02)


def keep() -> None:
    """Let it run as ``ensure`` does, and look after it in a thread: its guardian may be killed.

    Not for who forks.
    """
    if places() is not None:
        ensure()
        threading.Thread(target=_keep, name="embedded", daemon=True).start()


def _keep() -> None:
    while True:
        time.sleep(KEEP_SECONDS)
        try:
            ensure()
        except (CommandError, OSError) as error:
            logger.error("event=embedded_failed error=%s", error)


def leave() -> None:
    """Stop using the server, and wait until it is gone unless somebody else uses it."""
    global _membership
    here = places()
    if here is None or _membership is None:
        return
    _membership.close()
    _membership = None
    users, guardian = FileLock(here.users), FileLock(here.guardian)
    seen = 0
    while not guardian.try_alone() and seen < 3:  # more than once: the guardian takes a look too
        seen = seen + 1 if users.is_shared() else 0
        time.sleep(0.05)
    users.close()
    guardian.close()


def _join(here: Places) -> None:
    global _membership
    if _membership is None:
        membership = FileLock(here.users)
        membership.share()  # waits while a guardian is just shutting its server down
        _membership = membership


def _prepare(here: Places) -> None:
    """Make the directories, for our eyes only. Raise EmbeddedFailed where that cannot be."""
    try:
        here.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        here.directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EmbeddedFailed(
            f"The embedded server has no place: {error.strerror} ({error.filename})."
        ) from error
    if not _is_ours(here.directory) or not _is_ours(here.socket.parent):
        raise EmbeddedFailed(f"{here.socket.parent} belongs to another user of this machine.")


def _is_ours(directory: Path) -> bool:
    """Whether nobody else can put a server of his own in this place."""
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return True
    return (
        found.st_uid == os.geteuid() and not found.st_mode & 0o022 and stat.S_ISDIR(found.st_mode)
    )


def _start_guardian(here: Places) -> None:
    """Start one; it returns at once if another one is at work."""
    if shutil.disk_usage(here.directory).free < FEWEST_BYTES:
        raise EmbeddedFailed(f"There is no space left for the embedded server in {here.directory}.")
    started = subprocess.run(  # noqa: S603 (our own words)
        [sys.executable, "-m", "workers_app.embedded.guardian", os.fspath(here.directory)],
        env={**os.environ, "PYTHONPATH": os.fspath(PROJECT)},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        check=False,
    )
    if started.returncode != 0:
        said = started.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise EmbeddedFailed(f"The embedded server did not start: {said[-1]} (see {here.log})")
