"""``dtps retry``: run finished tasks once more."""

from typing import Any

from .. import actions
from .each import EachCommand


class RetryCommand(EachCommand):
    name = "retry"
    help = "Run finished tasks once more, under the same ids."
    examples = (
        "retry 01980…\n"
        "python manage.py dtps list --status failed --ids | python manage.py dtps retry - --yes"
    )

    def act(self, task_id: str) -> dict[str, Any]:
        return {"status": "pending", "run": actions.retry(task_id)}
