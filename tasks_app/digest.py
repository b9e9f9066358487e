"""Keys to the API: made once, shown once, and kept only as their hash."""

import hashlib
import secrets

PREFIX_LENGTH = 8  # of a key: enough to recognise it by, too little to guess the rest


def new_key() -> str:
    """A key with 256 random bits."""
    return "dtps_" + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """What the database keeps. Fast is safe here: nobody guesses 256 random bits."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def prefix_of(key: str) -> str:
    """The beginning that lists show."""
    return key[: len("dtps_") + PREFIX_LENGTH - 1]
