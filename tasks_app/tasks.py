"""The task types that come with the system."""

from typing import Any

from .compat import task


@task
def test(payload: Any = None) -> Any:
    """Answer the payload."""
    return payload
