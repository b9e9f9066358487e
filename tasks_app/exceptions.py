"""What can go wrong on the way into, through and out of the queue."""


class TaskSystemError(Exception):
    """Base of the errors below. Do not raise directly."""


class QueueUnavailable(TaskSystemError):
    """Redis did not answer, or refuses writes; nothing was stored."""


class UnknownOutcome(QueueUnavailable):
    """The answer was lost: the call may or may not have taken effect."""


class QueueFull(TaskSystemError):
    """The queue, or Redis itself, has no room for more tasks; nothing was stored."""


class DuplicateTask(TaskSystemError):
    """A task with this id is known already."""


class TaskNotFound(TaskSystemError):
    """Neither Redis nor the database knows a task with this id."""


class WrongState(TaskSystemError):
    """The state of the task, or of the worker, does not allow this."""


class TooLate(TaskSystemError):
    """The submit arrived after its `not_after`; nothing was stored."""


class UnknownTaskType(TaskSystemError):
    """No installed app declares a task type of this name."""


class InvalidCall(TaskSystemError):
    """The arguments or options of a submit are not acceptable.

    ``errors`` maps a field's name to a list of sentences.
    """

    def __init__(self, errors: dict[str, list[str]]):
        self.errors = errors
        super().__init__("; ".join(f"{name}: {' '.join(said)}" for name, said in errors.items()))


class ValueTooLarge(TaskSystemError):
    """A payload or a result is over its limit."""


class TaskTimeout(TimeoutError):
    """The attempt ran longer than its `timeout`."""


class WorkerLost(TaskSystemError):
    """The process that ran this attempt died or stopped answering."""


class TaskCancelled(TaskSystemError):
    """The task was cancelled before it had an outcome."""


class TaskExpired(TaskSystemError):
    """The task's `expires` passed before an attempt began."""


class LostLead(TaskSystemError):
    """Somebody else leads by now: a write of the leader before was refused, nothing was changed."""


class NoAgent(TaskSystemError):
    """No host agent is alive to start a worker."""


class NoAnswer(TaskSystemError):
    """A worker did not answer a question in time."""


class WorkerNotFound(TaskSystemError):
    """No worker with this id is registered."""
