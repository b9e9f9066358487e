"""Building a workflow in Python, step by step."""

from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async

from ..call import Call, Ends, Part
from ..compat import InvalidTask
from ..listening import tell_enqueued
from ..options.dependence import ids_of
from .plan import Plan, Planned
from .policies import OnFailure
from .result import WorkflowResult


@dataclass(frozen=True)
class Step:
    """A task of a workflow that is being built. Its id is that of the task to come."""

    name: str
    id: str


class Workflow:
    """Tasks that are submitted together, of which some wait for others.

    workflow = Workflow("nightly")
    rows = workflow.add(collect.part())
    report = workflow.add(summarise.using(takes_results=True).part(), after=rows)
    workflow.add(mail.part(), after=[report])
    workflow.enqueue()
    """

    def __init__(self, name: str = "", *, on_failure: str = OnFailure.CONTINUE):
        self._plan = Plan(name, on_failure)
        self._steps: dict[str, Step] = {}

    def add(self, call: Call, *, after: Any = None, name: str = "") -> Step:
        """Add a task that waits for others: steps, their names, or tasks outside, by id or result.

        One that ``takes_results`` is given a value if ``after`` is one of these, and a list if it
        is a list. Raise as ``enqueue`` of the task does, and InvalidCall if there is such a name.
        """
        return self._steps[self._add(call, _ends(after), name)]

    def put(self, part: Part, *, after: Any = None) -> list[Step]:
        """Add a call, a chain or a group; return the steps that it ends with."""
        return [self._steps[task_id] for task_id in part.place(self._add, _ends(after)).ids]

    def enqueue(self) -> WorkflowResult:
        """Store all tasks, or none; in the caller's transaction, if there is one.

        Raise InvalidCall, which says what is wrong (a cycle, an unknown task, two of one name),
        or DatabaseError.
        """
        by_id = {step.id: step.name for step in self._steps.values()}
        names = set(by_id.values())
        for each in self._plan.tasks:  # a step is meant by its name, or by its id
            each.after = tuple(
                dict.fromkeys(a if a in names else by_id.get(a, a) for a in each.after)
            )
        messages = self._plan.store()
        tell_enqueued(messages)
        return WorkflowResult(self._plan.id)

    async def aenqueue(self) -> WorkflowResult:
        return await sync_to_async(self.enqueue, thread_sensitive=True)()

    def _add(self, call: Call, after: Ends, name: str = "") -> str:
        """Add a task; return its id."""
        backend = call.task.get_backend()
        if not hasattr(backend, "message_of"):
            raise InvalidTask(f"The backend of {call.task.module_path} knows no workflows.")
        message = backend.message_of(call.task, call.args, call.kwargs)
        name = name or self._new_name(message.type)
        planned = Planned(name, message, backend.how.durability, after.ids, after.is_join)
        self._plan.tasks.append(planned)
        self._steps[message.id] = Step(name, message.id)
        return message.id

    def _new_name(self, kind: str) -> str:
        short = kind.rpartition(".")[2]
        return f"{short}-{len(self._plan.tasks) + 1}"


def _ends(after: Any) -> Ends:
    """What ``after`` names: steps, results, ids or names, one or a list of them."""
    given = ids_of(after)
    if isinstance(given, str):
        return Ends((given,))
    return Ends(given or (), is_join=given is not None)
