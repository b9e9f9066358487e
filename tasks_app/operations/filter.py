"""Which tasks an operation is about: the words of its filter, and what each action allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from .. import listing, lookup
from ..exceptions import InvalidCall
from ..listing import Wanted, contains, is_overlaid
from ..message import StoredTask
from ..models import TaskRecord
from ..slices import slices
from ..states import FINAL, HELD, OPEN, Status
from .words import Action

# Which tasks each action is for; and which it means if the filter names no status.
MAY: dict[Action, frozenset[Status]] = {
    Action.RETRY: FINAL,
    Action.CANCEL: OPEN,
    Action.PRIORITY: OPEN - HELD,
    Action.QUEUE: OPEN - HELD,
    Action.DELETE: FINAL,
}
MEANS = MAY | {Action.RETRY: frozenset({Status.FAILED})}
READ_AT_ONCE = 50  # whole tasks; each may have a megabyte


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for: what lists know, a tag, and submitted until a moment."""

    wanted: Wanted
    until_us: int
    tag: str = ""

    @classmethod
    def of(cls, action: Action, words: Mapping[str, Any], until_us: int) -> Self:
        """A filter of validated words, for tasks that were submitted until then.

        Raise InvalidCall if it names nothing, or a status that the action is not for.
        """
        words = {name: value for name, value in words.items() if value}
        if not words:
            raise InvalidCall(
                {"filter": ["Say which tasks: with no word at all it would be all of them."]}
            )
        statuses = words.pop("statuses", frozenset())
        if wrong := sorted(statuses - MAY[action]):
            allowed = ", ".join(sorted(MAY[action]))
            raise InvalidCall(
                {"status": [f"{action} is for tasks that are {allowed}; not {wrong[0]}."]}
            )
        tag = words.pop("tag", "")
        return cls(Wanted(statuses=statuses or MEANS[action], **words), until_us, tag)

    def below(self, task_id: str) -> Self:
        """The same for what is left after a slice."""
        return replace(self, wanted=replace(self.wanted, below=task_id)) if task_id else self

    def page(self, limit: int) -> tuple[list[TaskRecord], str | None]:
        """Some of the tasks, newest first, and the id that the rest is below; None: that is all.

        There may be none on a page that is not the last one.
        """
        records, below = listing.page(self.wanted, limit)
        records = [record for record in records if record.submitted_us <= self.until_us]
        right = self._right(records)
        return [record for record in records if record.id in right], below

    def _right(self, records: Sequence[TaskRecord]) -> set[str]:
        """Those that match too in what only the whole task tells."""
        error = self.wanted.error
        unsure = [r.id for r in records if self.tag or (error and is_overlaid(r))]
        right = {record.id for record in records} - set(unsure)
        for some in slices(unsure, READ_AT_ONCE):
            right |= {
                task_id
                for task_id, task in lookup.find_many(some).items()
                if (not self.tag or self.tag in task.message.tags)
                and contains(_error_of(task), error)
            }
        return right


def _error_of(task: StoredTask) -> str:
    """The last error, as the history has it."""
    errors = [attempt.error or attempt.error_type for attempt in task.state.attempts]
    return next(filter(None, reversed(errors)), "")
