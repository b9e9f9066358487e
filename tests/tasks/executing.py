"""An executor's side of the broker, for tests that need tasks in every state."""

from tasks_app.broker.answers import Settlement
from tasks_app.message import Attempt
from tasks_app.models import TaskRecord

WORKER, EXECUTOR = "w1", "w1:0:aa"


class Hands:
    """Claims tasks and settles them, one attempt at a time."""

    def __init__(self, broker):
        self.broker = broker
        self.tokens = {}

    def claim(self, queue="default"):
        """Claim all there is in a queue. Return the claimed tasks."""
        self.broker.fleet.announce(WORKER, {}, executors=[EXECUTOR])
        exchange = self.broker.claim(EXECUTOR, WORKER, [queue], 100)
        self.tokens |= {task.message.id: exchange.token for task in exchange.claimed}
        return exchange.claimed

    def start(self, task_id):
        assert self.broker.start(EXECUTOR, [task_id]) == 1

    def settle(self, task_id, outcome, pause_ms=0, **said):
        """Report an attempt, as an executor does."""
        line = Attempt(worker=WORKER, outcome="retrying" if outcome == "retry" else outcome, **said)
        settlement = Settlement(
            id=task_id,
            token=self.tokens[task_id],
            outcome=outcome,
            pause_ms=pause_ms,
            line=line.encode(),
        )
        assert self.broker.finish(EXECUTOR, [settlement]) == []


def record(broker, task_id, forget=True):
    """Write a task's row as the recorder does, and let Redis forget it."""
    stored = broker.get(task_id)
    [(definition, state)] = broker.read([task_id]).values()
    TaskRecord.objects.update_or_create(
        id=task_id,
        defaults={
            "type": stored.message.type,
            "queue": stored.message.queue,
            "priority": stored.message.priority,
            "status": stored.state.status,
            "submitted_us": stored.message.submitted_us,
            "version": stored.state.version,
            "definition": definition,
            "state": state or b"",
        },
    )
    if forget:
        assert broker.forget({task_id: stored.state.version}) == 1
