"""``/ws/live``: a read-only socket that is told each snapshot, as JSON."""

import asyncio
import logging

from channels.db import database_sync_to_async
from django.db import InterfaceError, OperationalError

from tasks_app.exceptions import QueueUnavailable

from .broadcast import Viewer, broadcast, trouble
from .origins import Receive, Scope, Send, refuse
from .viewers import may_view

RECHECK_SECONDS = 2.0  # how long a socket may outlive its login
MOST_VIEWERS = 2000  # in one web process
LARGEST_FRAME = 64 * 1024  # bytes
MOST_FRAMES = 100  # in the life of a socket: there is nothing to say

# Why the server closed a socket; applications may use 4000 to 4999.
NOT_LOGGED_IN, TOO_MANY_FRAMES, TOO_LARGE, TOO_MANY_VIEWERS = 4401, 4408, 4413, 4429

logger = logging.getLogger(__name__)


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one viewer until it leaves or may not look any more."""
    if not await _may_view(scope, in_doubt=False):
        await refuse(scope, receive, send)
        return
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    if len(broadcast()) >= MOST_VIEWERS:
        await _close(send, TOO_MANY_VIEWERS)
        return
    viewer = broadcast().join()
    try:
        await _until_one_ends(
            _first_then_news(viewer, send), _ignore_frames(receive, send), _recheck(scope, send)
        )
    finally:
        broadcast().leave(viewer)


async def _until_one_ends(*jobs) -> None:
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _first_then_news(viewer: Viewer, send: Send) -> None:
    try:
        text = await broadcast().current()
    except QueueUnavailable as error:
        text = trouble(error)
    while True:
        await send({"type": "websocket.send", "text": text})
        text = await viewer.next()


async def _ignore_frames(receive: Receive, send: Send) -> None:
    for _ in range(MOST_FRAMES):
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if _size(message) > LARGEST_FRAME:
            await _close(send, TOO_LARGE)
            return
    await _close(send, TOO_MANY_FRAMES)


def _size(message: dict) -> int:
    return len((message.get("text") or "").encode()) or len(message.get("bytes") or b"")


async def _recheck(scope: Scope, send: Send) -> None:
    # While the database is away, who has looked so far looks on: nobody can log out then.
    while await _may_view(scope, in_doubt=True):
        await asyncio.sleep(RECHECK_SECONDS)
    await _close(send, NOT_LOGGED_IN)


async def _may_view(scope: Scope, *, in_doubt: bool) -> bool:
    try:
        return await database_sync_to_async(may_view)(scope)
    except (OperationalError, InterfaceError) as error:
        logger.warning("A login cannot be checked: %s", error)
        return in_doubt


async def _close(send: Send, code: int) -> None:
    await send({"type": "websocket.close", "code": code})
