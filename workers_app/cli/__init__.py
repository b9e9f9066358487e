"""``manage.py dtps``: the commands that look at workers, and those that go on for a while."""

from tasks_app.cli.bulk import BulkCommand
from tasks_app.cli.cancel import CancelCommand
from tasks_app.cli.command import CliCommand
from tasks_app.cli.keys import KeysCommand, RotateCommand
from tasks_app.cli.list import ListCommand
from tasks_app.cli.operations import OperationsCommand
from tasks_app.cli.queues import QueuesCommand
from tasks_app.cli.retention import RetentionCommand
from tasks_app.cli.retry import RetryCommand
from tasks_app.cli.schedules import SchedulesCommand
from tasks_app.cli.status import StatusCommand
from tasks_app.cli.submit import SubmitCommand
from tasks_app.cli.why import WhyCommand
from tasks_app.cli.workflows import WorkflowCommand, WorkflowsCommand

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
    BulkCommand(),
    OperationsCommand(),
    RetentionCommand(),
    QueuesCommand(),
    WorkersCommand(),
    SchedulesCommand(),
    WorkflowsCommand(),
    WorkflowCommand(),
    TopCommand(),
    KeysCommand(),
    RotateCommand(),
)
