"""One snapshot a second for all viewers: gathered by one process, heard by all.

Each process with viewers bids for a short lease every second; the one that holds it gathers a
snapshot and sends it through the channel layer. Every process listens once, and hands what it
hears to its own sockets.
"""

import asyncio
import contextlib
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import close_old_connections
from redis.exceptions import RedisError

from tasks_app.broker import broker
from tasks_app.exceptions import QueueUnavailable

from .snapshot import sample, snapshot

GROUP = "live"
LEASE = "broadcast"
LEASE_MS = 2500  # after the holder died, the next one speaks within this
PAUSE_SECONDS = 1.0
FRESH_SECONDS = 1.5  # older, and a newcomer gets a snapshot of its own
CALL_SECONDS = 1.5  # an answer to the channel layer that takes longer is lost
SILENCE_SECONDS = 5.0  # without a word, and the subscription may be half open: it is made anew

logger = logging.getLogger(__name__)
_thread = ThreadPoolExecutor(1, thread_name_prefix="snapshot")  # with a database connection


class Viewer:
    """What one socket is to be told; a slow one skips what is out of date."""

    def __init__(self) -> None:
        self._text = ""
        self._news = asyncio.Event()

    def tell(self, text: str) -> None:
        self._text = text
        self._news.set()

    async def next(self) -> str:
        """Wait for something new."""
        await self._news.wait()
        self._news.clear()
        return self._text


class Broadcast:
    """This process' part: it works while there are viewers, and only then."""

    def __init__(self) -> None:
        self._who = uuid4().hex
        self._viewers: set[Viewer] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._gathering = asyncio.Lock()
        self._text, self._at = "", 0.0  # the newest snapshot, and when it came

    def __len__(self) -> int:
        return len(self._viewers)

    def join(self) -> Viewer:
        """Add a viewer."""
        viewer = Viewer()
        self._viewers.add(viewer)
        if not self._loops:
            self._loops = [asyncio.create_task(self._speak()), asyncio.create_task(self._listen())]
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Take a viewer off; the last one ends the work."""
        self._viewers.discard(viewer)
        if not self._viewers:
            for loop in self._loops:
                loop.cancel()
            self._loops = []

    async def current(self, max_age: float = FRESH_SECONDS) -> str:
        """A snapshot as JSON that is at most so many seconds old."""
        async with self._gathering:
            if time.monotonic() - self._at > max_age or not self._text:
                self._keep(await _in_thread(_gather))
            return self._text

    def _keep(self, text: str) -> None:
        self._text, self._at = text, time.monotonic()

    def _tell_all(self, text: str) -> None:
        for viewer in self._viewers:
            viewer.tell(text)

    async def _speak(self) -> None:
        try:
            while True:
                started = time.monotonic()
                await self._speak_once()
                await asyncio.sleep(max(0.1, PAUSE_SECONDS - (time.monotonic() - started)))
        finally:
            with contextlib.suppress(QueueUnavailable):
                await asyncio.shield(_in_thread(_hold, self._who, 0))

    async def _speak_once(self) -> None:
        try:
            if await _in_thread(_hold, self._who, LEASE_MS):
                text = await self.current(PAUSE_SECONDS / 2)
                async with asyncio.timeout(CALL_SECONDS):
                    await get_channel_layer().group_send(GROUP, {"type": "snapshot", "text": text})
        except (QueueUnavailable, RedisError, OSError) as error:
            self._tell_all(trouble(error))

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except (RedisError, OSError) as error:
                self._tell_all(trouble(error))
                await asyncio.sleep(PAUSE_SECONDS)
            await _disconnect()

    async def _hear(self) -> None:
        """Subscribe, and hand on what is said until it is silent for too long."""
        layer = get_channel_layer()
        async with asyncio.timeout(CALL_SECONDS):
            channel = await layer.new_channel()
            await layer.group_add(GROUP, channel)
        try:
            with contextlib.suppress(TimeoutError):
                while True:
                    await self._hear_one(channel)
        finally:
            await asyncio.shield(_unsubscribe(channel))

    async def _hear_one(self, channel: str) -> None:
        async with asyncio.timeout(SILENCE_SECONDS):
            message = await get_channel_layer().receive(channel)
        self._keep(message["text"])
        self._tell_all(message["text"])


async def _unsubscribe(channel: str) -> None:
    with contextlib.suppress(RedisError, OSError):
        async with asyncio.timeout(CALL_SECONDS):
            await get_channel_layer().group_discard(GROUP, channel)


async def _disconnect() -> None:
    """Let the channel layer connect anew, and forget what it had subscribed to."""
    with contextlib.suppress(RedisError, OSError):
        async with asyncio.timeout(CALL_SECONDS):
            await get_channel_layer().flush()


def trouble(error: Exception) -> str:
    """What viewers are told while there are no numbers."""
    logger.warning("No live numbers: %s", error)
    return json.dumps({"trouble": "Redis does not answer, so there are no numbers now."})


def _gather() -> str:
    close_old_connections()
    try:
        return json.dumps(snapshot())
    finally:
        close_old_connections()


def _hold(who: str, lease_ms: int) -> bool:
    """Bid for the lease. Its holder also samples the counters if no coordinator does."""
    fleet = broker().fleet
    held = fleet.hold(LEASE, who, lease_ms)
    if held and fleet.leader() is None:
        fleet.keep_sample(sample(broker().stats(), fleet.workers().values()))
    return held


def _in_thread(function: Any, *arguments: Any) -> Any:
    call = partial(function, *arguments)
    return sync_to_async(call, thread_sensitive=False, executor=_thread)()


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Broadcast] = WeakKeyDictionary()


def broadcast() -> Broadcast:
    """The broadcast of the running loop: a web process has one."""
    loop = asyncio.get_running_loop()
    if loop not in _by_loop:
        _by_loop[loop] = Broadcast()
    return _by_loop[loop]
