"""Orders of one receiver: Redis gives them until they have arrived, here each comes out once."""

import hashlib
import json
import logging
from collections import deque
from typing import Any

logger = logging.getLogger(__name__)

KEPT = 1000  # orders that are known again, should Redis be rolled back


class Inbox:
    """Remembers what has arrived, and what is to be said of that to each shard with the next call.

    An order is known by the digest of its text; its ticket makes it unlike any other. One without
    a ticket, of an older version, cannot be known again.
    """

    def __init__(self) -> None:
        self._known: deque[str] = deque(maxlen=KEPT)
        self._arrived: dict[int, tuple[int, str]] = {}  # shard -> what the last answer brought

    def arrived(self, shard: int) -> tuple[int, str]:
        """How many orders the last answer brought, and the digest of the last of them or ""."""
        return self._arrived.get(shard, (0, ""))

    def take(self, shard: int, texts: list[bytes]) -> list[dict[str, Any]]:
        """The orders of an answer that are new, without their tickets."""
        self._arrived[shard] = (len(texts), digest_of(texts[-1]) if texts else "")
        return [order for text in texts if (order := self._read(text)) is not None]

    def _read(self, text: bytes) -> dict[str, Any] | None:
        digest = digest_of(text)
        if digest in self._known:
            return None
        try:
            order = dict(json.loads(text))
        except (TypeError, ValueError) as error:  # it does not keep the others back
            logger.warning("event=bad_order order=%r error=%r", text[:200], error)
            return None
        if order.pop("ticket", None) is not None:
            self._known.append(digest)
        return order


def digest_of(text: bytes) -> str:
    """As the server makes it."""
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()
