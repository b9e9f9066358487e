"""What is encrypted at rest, with the keys of ENCRYPTION_KEYS; and digests that nobody can guess.

A sealed text is ``FINGERPRINT:TOKEN``: which key it takes, and what Fernet made of a JSON value. It
is sealed *for* something, a task's id as a rule, and opens for nothing else: whoever can write to
Redis cannot have one task's secret handed to another. The first key seals, each of them opens.
"""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from django.utils.crypto import salted_hmac

from ..conf import conf
from ..exceptions import KeyMissing, SealBroken

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

FINGERPRINT = 8  # letters of it: tells keys apart, and helps nobody to guess 256 random bits
SALT = "tasks_app.secrecy.sealing"


def new_key() -> str:
    """One for ENCRYPTION_KEYS."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def is_on() -> bool:
    """Whether there is a key to seal with."""
    return bool(conf().encryption_keys)


def fingerprints() -> list[str]:
    """Of the keys, in their order: the first one seals."""
    return list(_ring(conf().encryption_keys))


def seal(value: Any, bound_to: str) -> str:
    """Encrypt a JSON value for something that is called so. There must be a key."""
    (fingerprint, fernet), *_ = _ring(conf().encryption_keys).items()
    token = fernet.encrypt(msgspec.json.encode([bound_to, value]))
    return f"{fingerprint}:{token.decode()}"


def opened(text: str, bound_to: str) -> Any:
    """The value that was sealed.

    Raise KeyMissing if its key is not here, SealBroken if it was sealed for something else, or is
    not as it was.
    """
    from cryptography.fernet import InvalidToken  # few processes need it

    fingerprint, _, token = text.partition(":")
    fernet = _ring(conf().encryption_keys).get(fingerprint)
    if fernet is None:
        raise KeyMissing(f"No key here opens what is encrypted with the key {fingerprint}.")
    try:
        sealed_for, value = msgspec.json.decode(fernet.decrypt(token.encode()))
    except (InvalidToken, ValueError):
        raise SealBroken(f"What is encrypted of {bound_to} is not as it was.") from None
    if sealed_for != bound_to:
        raise SealBroken(f"What is encrypted of {bound_to} was encrypted for {sealed_for}.")
    return value


def fingerprint_in(text: str) -> str:
    """Which key a sealed text takes."""
    return text.partition(":")[0]


def resealed(text: str, bound_to: str) -> str:
    """The same under the first key; the text itself if it is so already. Raise as ``opened``."""
    if not text or fingerprint_in(text) == fingerprints()[0]:
        return text
    return seal(opened(text, bound_to), bound_to)


def keyed_digest(text: bytes) -> str:
    """A digest that takes SECRET_KEY to make: a plain one of a value that can be guessed is none.

    Not by ENCRYPTION_KEYS: what is unique has to stay so when these change.
    """
    return salted_hmac(SALT, text, algorithm="sha256").hexdigest()


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> "dict[str, Fernet]":
    """Fingerprint -> what encrypts with that key."""
    from cryptography.fernet import Fernet  # 30 ms, which few processes need

    return {_fingerprint(key): Fernet(key) for key in keys}


def _fingerprint(key: str) -> str:
    return hashlib.sha256(b"tasks_app key " + key.encode()).hexdigest()[:FINGERPRINT]
