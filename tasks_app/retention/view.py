"""How retention is shown."""

from typing import Any

from ..conf import conf
from .estimate import bound, estimate
from .rules import Rules


def shown() -> dict[str, Any]:
    """The rules, and what would go now."""
    rules = Rules.of(conf().retention)
    limit = bound()
    return {
        "statuses": [
            {
                "status": each.status.value,
                "seconds": each.seconds,
                "tasks": each.tasks,
                "bytes": each.bytes,
                "more": each.is_more,
            }
            for each in estimate(rules)
        ],
        "types": {
            name: {status.value: seconds for status, seconds in of.items()}
            for name, of in rules.types.items()
        },
        "others": rules.others,
        "max_records": limit.most,
        "records": limit.records if limit.most else None,
    }
