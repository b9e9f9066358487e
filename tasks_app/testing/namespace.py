"""The keys of one test: apart from all others, and gone after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from django.conf import settings
from django.test.utils import override_settings

from ..broker import broker
from ..conf import conf
from .server import address

MANY = 1000  # keys at once


@contextmanager
def own() -> Iterator[None]:
    """Let everything in this process use a namespace of its own on the server of the tests."""
    given = getattr(settings, "DTPS", {})
    options = {"REDIS_URL": address(), "EMBEDDED_DIR": "", "NAMESPACE": f"dtps-test-{uuid4().hex}"}
    with override_settings(DTPS={**given, **options}):
        try:
            yield
        finally:
            _empty()


def age(ms: int) -> None:
    """Let so much time pass for keys that end by themselves, which go by the server's own clock."""
    client = broker().link.client()
    for some in _keys():
        left = client.pipeline(transaction=False)
        for key in some:
            left.pttl(key)
        change = client.pipeline(transaction=False)
        for key, left_ms in zip(some, left.execute(), strict=True):
            if left_ms > ms:
                change.pexpire(key, left_ms - ms)
            elif left_ms >= 0:
                change.unlink(key)
        change.execute()


def _empty() -> None:
    for some in _keys():
        broker().link.call("UNLINK", *some)


def _keys() -> Iterator[list[bytes]]:
    """All keys of the namespace, in lists."""
    cursor = b"0"
    while True:
        match = f"{conf().namespace}:*"
        cursor, some = broker().link.call("SCAN", cursor, "MATCH", match, "COUNT", MANY)
        if some:
            yield some
        if cursor == b"0":
            return
