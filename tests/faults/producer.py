"""Who submits: it writes down what it was told of each task, before and after."""

from tasks_app.enqueue import TaskRequest, message_of
from tasks_app.exceptions import TaskSystemError, UnknownOutcome
from tasks_app.registry import get

ACKED, REFUSED, UNKNOWN = "acked", "refused", "unknown"


class Producer:
    """Submits the sample tasks through a broker; ``told`` has an answer for each id."""

    def __init__(self, broker):
        self.broker = broker
        self.told = {}
        self.errors = []

    def submit(self, name, *args, **options):
        """Submit one task that must be accepted. Return its id."""
        (task_id,) = self.submit_many(1, name, *args, **options)
        return task_id

    def submit_many(self, count, name, *args, **options):
        """Submit equal tasks in one call that must be accepted. Return their ids."""
        ids = self.offer(count, name, *args, **options)
        assert self.told[ids[0]] == ACKED, self.errors[-1]
        return ids

    def offer(self, count, name, *args, **options):
        """Submit equal tasks in one call, whatever becomes of it. Return their ids."""
        request = TaskRequest(type=get(f"tests.sample.effects.{name}"), args=args, **options)
        return self.send([message_of(request) for _ in range(count)])

    def send(self, messages):
        """Submit tasks in one call, whatever becomes of it. Return their ids."""
        ids = [message.id for message in messages]
        self.told |= dict.fromkeys(ids, UNKNOWN)  # should this process die now
        try:
            self.broker.submit_many(messages)
        except UnknownOutcome as error:
            self.errors.append(error)
        except TaskSystemError as error:
            self.errors.append(error)
            self.told |= dict.fromkeys(ids, REFUSED)
        else:
            self.told |= dict.fromkeys(ids, ACKED)
        return ids

    def ids(self, *answers):
        """The ids that were answered so."""
        return [task_id for task_id, told in self.told.items() if told in answers]
