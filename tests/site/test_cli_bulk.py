"""``manage.py dtps bulk``, ``operations`` and ``retention``, against a real worker."""

import pytest

from ..conftest import wait_until
from .test_cli import Cli, site  # noqa: F401  a fixture


@pytest.fixture
def cli(site):  # noqa: F811
    return Cli(site)


@pytest.fixture
def paused(cli):
    """Submits tasks to a queue that gives nothing out."""
    cli.run("queues", "pause", "held")
    yield lambda: cli.submit("test", "x", "--queue", "held")
    cli.run("bulk", "cancel", "--queue", "held", "--yes")
    cli.run("queues", "resume", "held")


def test_a_dry_run_shows_and_changes_nothing(cli, paused):
    ids = [paused() for _ in range(2)]

    told = cli.json("bulk", "cancel", "--queue", "held", "--dry-run")
    shown = cli.run("bulk", "cancel", "--queue", "held", "--since", "1h", "--dry-run")

    assert (told["matched"], [row["task_id"] for row in told["sample"]]) == (2, ids[::-1])
    assert all(task_id in shown for task_id in ids)
    assert cli.remarks.startswith("2 tasks would be found.")
    assert (
        cli.json("bulk", "cancel", "--queue", "held", "--until", "1h", "--dry-run")["matched"] == 0
    )
    assert {cli.status(task_id) for task_id in ids} == {"pending"}


def test_a_priority_is_changed_and_the_record_tells_by_whom(cli, paused):
    ids = [paused() for _ in range(12)]

    words = ("--queue", "held", "--status", "pending,waiting")
    done = cli.json("bulk", "priority", "--to", "9", *words, "--yes")

    assert (done["state"], done["done"], done["skipped"], done["failed"]) == ("done", 12, 0, 0)
    assert done["who"].endswith(" (command line)")
    assert cli.json("status", ids[3])["priority"] == 9
    assert cli.json("operations", done["id"]) == [done]
    (line,) = [row for row in cli.run("operations").splitlines() if done["id"] in row]
    assert "priority 9" in line and "queue=held" in line


def test_tasks_that_failed_are_retried_and_deleted(cli):
    task_id = cli.submit("wordcount", "5", "--retries", "0")
    cli.run("watch", task_id, code=4)
    words = ("--type", "wordcount", "--error", "payload must be", "--since", "1h")

    said = cli.run("bulk", "retry", *words, "--yes")
    assert " done: 1 done, 0 skipped, 0 failed." in said
    wait_until(lambda: cli.json("status", task_id)["run"] == 2, "the retry")
    cli.run("watch", task_id, code=4)

    def is_deleted():
        return cli.json("bulk", "delete", *words, "--yes")["done"] == 1

    wait_until(is_deleted, "the record of its end")
    cli.run("status", task_id, code=1)


def test_nothing_is_done_without_a_yes(cli, paused):
    task_id = paused()

    cli.run("bulk", "cancel", "--queue", "held", code=1)

    assert cli.remarks == "Cancel 1 task? Nobody can be asked here: add --yes.\n"
    assert cli.status(task_id) == "pending"


def test_what_is_wrong_is_told_in_a_sentence(cli):
    for words, sentence in (
        (["retry"], "Say which tasks: with no word at all it would be all of them."),
        (["priority", "--queue", "x"], "priority: Say which one."),
        (
            ["priority", "--to", "11", "--queue", "x"],
            "priority: A priority is a number from 1 to 10.",
        ),
        (["queue", "--to", "A B", "--type", "x"], "queue: A queue's name matches"),
        (["cancel", "--status", "done"], '"done" is not a valid choice.'),
        (["cancel", "--type", "x", "--since", "soon"], "submitted_after: Not a moment"),
    ):
        cli.run("bulk", *words, "--yes", code=1)
        assert sentence in cli.remarks


def test_a_detached_one_prints_its_id_and_is_cancelled_once(cli):
    operation = cli.run("bulk", "cancel", "--queue", "nobody", "--yes", "--detach").strip()
    wait_until(lambda: cli.json("operations", operation)[0]["state"] == "done", "its end")

    cli.run("operations", operation, "--cancel", code=1)

    assert "The operation is done already." in cli.remarks
    cli.run("operations", "unknown", code=1)
    assert "There is no such operation." in cli.remarks


def test_retention_says_how_long_and_how_much(cli):
    told = cli.json("retention")
    shown = cli.run("retention")

    assert {each["status"]: each["seconds"] for each in told["statuses"]}["completed"] == 2_592_000
    assert told["max_records"] == 0
    assert shown.splitlines()[0].split() == ["status", "kept", "for", "tasks", "to", "go", "MB"]
    assert "30 d" in shown and "90 d" in shown
