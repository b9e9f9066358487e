"""Who is at the command line."""

import getpass


def who() -> str:
    """A name for the record of what was done."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        name = "somebody"
    return f"{name} (command line)"
