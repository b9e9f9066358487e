"""``manage.py dtps``: the commands that look at workers, and those that go on for a while."""

from tasks_app.cli.cancel import CancelCommand
from tasks_app.cli.command import CliCommand
from tasks_app.cli.list import ListCommand
from tasks_app.cli.queues import QueuesCommand
from tasks_app.cli.retry import RetryCommand
from tasks_app.cli.schedules import SchedulesCommand
from tasks_app.cli.status import StatusCommand
from tasks_app.cli.submit import SubmitCommand
from tasks_app.cli.why import WhyCommand

from .top import TopCommand
from .watch import WatchCommand
from .workers import WorkersCommand

COMMANDS: tuple[CliCommand, ...] = (
    SubmitCommand(),
    StatusCommand(),
    WhyCommand(),
    WatchCommand(),
    ListCommand(),
    CancelCommand(),
    RetryCommand(),
    QueuesCommand(),
    WorkersCommand(),
    SchedulesCommand(),
    TopCommand(),
)
