"""What can go wrong on the way into, through and out of the queue."""


class TaskSystemError(Exception):
    """Base of the errors below. Do not raise directly."""


class QueueUnavailable(TaskSystemError):
    """Redis did not answer, or refuses writes; nothing was stored."""


class UnknownOutcome(QueueUnavailable):
    """The answer was lost: the call may or may not have taken effect."""


class NotDurable(QueueUnavailable):
    """The server cannot make a submit as durable as it was asked to be; nothing was stored."""


class QueueFull(TaskSystemError):
    """The queue, or Redis itself, has no room for more tasks; nothing was stored."""


class DuplicateTask(TaskSystemError):
    """A task with this id, or with this unique key, is there already; nothing was stored.

    ``task_id``: the one that has the key; "" if ids are known.
    """

    def __init__(self, message: str, task_id: str = ""):
        self.task_id = task_id
        super().__init__(message)


class KeyReused(DuplicateTask):
    """The idempotency key was used for another task; nothing was stored."""


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


class PartlyStored(TaskSystemError):
    """Of many tasks only the first were stored: more than one call can carry, and no outbox.

    ``ids`` are theirs.
    """

    def __init__(self, message: str, ids: list[str]):
        super().__init__(message)
        self.ids = ids


class ValueTooLarge(TaskSystemError):
    """A payload or a result is over its limit."""


class KeyMissing(TaskSystemError):
    """What is encrypted takes a key that ENCRYPTION_KEYS does not have here."""


class SealBroken(TaskSystemError):
    """What is encrypted has been altered, or belongs to something else."""


class TaskTimeout(TimeoutError):
    """The attempt ran longer than its `timeout`."""


class TaskLost(TaskSystemError):
    """Somebody else has the task by now, or nobody wants it any more; nothing was stored."""


class TaskSnoozed(BaseException):
    """Ends an attempt that wants to begin anew after so many ``seconds``: see context.py.

    No Exception, so that a task's ``except Exception`` does not swallow it; nor is the next one.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        super().__init__(f"The task asked for a pause of {seconds:g} s.")


class TaskRetry(BaseException):
    """Ends an attempt as a failure, with a pause of so many ``seconds``; None: the usual one."""

    def __init__(self, seconds: float | None = None):
        self.seconds = seconds
        super().__init__("The task asked to be tried again.")


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


class WorkflowNotFound(TaskSystemError):
    """There is no workflow of this id."""


class ScheduleNotFound(TaskSystemError):
    """There is no schedule of this name."""


class OperationNotFound(TaskSystemError):
    """There is no bulk operation of this id."""
