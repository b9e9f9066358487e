"""``dtps cancel``: end open tasks."""

from typing import Any

from .. import actions
from .each import EachCommand
from .who import who


class CancelCommand(EachCommand):
    name = "cancel"
    help = "End open tasks; those that run are interrupted."
    examples = (
        "cancel 01980… 01981…\n"
        "python manage.py dtps list --queue mail --ids | python manage.py dtps cancel - --yes"
    )

    def act(self, task_id: str) -> dict[str, Any]:
        return {"status": "cancelled", "before": actions.cancel(task_id, by=who()).value}
