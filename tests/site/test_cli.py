"""``manage.py dtps``: real processes against a real worker and a real server."""

import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile

import pytest
from django.core.management import load_command_class

from tasks_app.cli.terminal import safe

from ..conftest import PATIENCE_SECONDS, wait_until
from ..redis_server import RedisServer
from ..workers.processes import ROOT, processes

SETTINGS = "dtps_site.settings"


class Cli:
    """Runs commands in an environment, as a script does: without a terminal."""

    def __init__(self, environment):
        self.environment = {**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, **environment}

    def run(self, *words, stdin="", code=0, **environment):
        """What it wrote to stdout; its exit code must be ``code``."""
        done = subprocess.run(
            self.words(*words), cwd=ROOT, env={**self.environment, **environment},
            input=stdin, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        self.remarks = done.stderr
        return done.stdout

    def json(self, *words, **options):
        return json.loads(self.run(*words, "--json", **options))

    def words(self, *words):
        return [sys.executable, str(ROOT / "manage.py"), "dtps", *words]

    def submit(self, *words):
        return self.run("submit", *words).strip()

    def status(self, task_id):
        return self.json("status", task_id)["status"]


@pytest.fixture(scope="module")
def site():
    """A server, a database, and a worker of the queues "default" and "held"."""
    server = RedisServer()
    with tempfile.TemporaryDirectory(prefix="dtps-cli-", dir="/tmp") as directory:
        environment = {
            "DTPS_PROFILE": "development",
            "DTPS_REDIS_URL": server.url,
            "DTPS_VAR_DIR": directory,
            "DATABASE_URL": f"sqlite:///{directory}/dtps.sqlite3",
        }
        try:
            server.start()
            with processes(server.url, directory) as start:
                migrate = start("migrate", "--verbosity=0", settings=SETTINGS, env=environment)
                assert migrate.wait() == 0, migrate.log
                worker = start(
                    "runworker", "--pool-size=2", "--queues=default,held", "--name=cli",
                    settings=SETTINGS, env=environment,
                )  # fmt: skip
                worker.wait_for("event=executor_started")
                yield environment
        finally:
            server.close()


@pytest.fixture
def cli(site):
    return Cli(site)


@pytest.fixture
def held(cli):
    """Submits tasks that wait: their queue is paused until the end."""
    ids = []

    def submit(*words):
        ids.append(cli.submit("test", "x", "--queue", "held", *words))
        return ids[-1]

    cli.run("queues", "pause", "held")
    yield submit
    left = cli.json("list", "--queue", "held", "--status", "pending", "--limit", "200")["results"]
    if left:
        cli.run("cancel", "--yes", *(row["task_id"] for row in left))
    cli.run("queues", "resume", "held")


def test_a_task_is_submitted_watched_and_shown(cli):
    task_id = cli.submit("wordcount", "one two three two", "--priority", "9", "--tags", "a,b")

    said = cli.run("watch", task_id)
    task = cli.json("status", task_id)

    assert "completed" in said and '"words": 4' in said
    assert (task["status"], task["priority"], task["tags"]) == ("completed", 9, ["a", "b"])
    assert task["args"] == ["one two three two"]
    assert f"task       {task_id}" in cli.run("status", task_id)


def test_words_are_json_or_text_and_keywords(cli, held):
    task_id = cli.submit("test", "5", "05", '{"a": [1]}', "ratio=0.5", "note=a=b", "--queue=held")
    task = cli.json("status", task_id)

    assert task["args"] == [5, "05", {"a": [1]}]
    assert task["kwargs"] == {"ratio": 0.5, "note": "a=b"}
    cli.run("cancel", task_id)


def test_why_tells_people_and_programs(cli, held):
    task_id = held()

    assert "- The queue held is paused" in cli.run("why", task_id)
    reasons = cli.json("why", task_id)["reasons"]
    assert [reason["code"] for reason in reasons] == ["queue_paused", "next"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["primes", "10"], 0),
        (["wordcount", '{"not": "a text"}', "--retries", "0"], 4),
    ],
)
def test_the_exit_code_of_watch_tells_how_a_task_ended(cli, words, code):
    lines = cli.run("watch", cli.submit(*words), "--json", code=code).splitlines()

    ends = {0: "completed", 4: "failed"}
    assert json.loads(lines[-1])["status"] == ends[code]


def test_watch_ends_early_if_told_so_and_by_a_cancel(cli, held):
    task_id = held()
    cli.run("watch", task_id, "--timeout", "0.1", code=7)

    cli.run("cancel", task_id)
    cli.run("watch", task_id, code=5)


def test_lists_take_the_filters_of_the_api(cli, held):
    ids = [held("--priority", "7") for _ in range(3)]

    found = cli.json("list", "--queue", "held", "--status", "pending", "--limit", "2")
    assert [row["task_id"] for row in found["results"]] == ids[:0:-1]
    more = cli.run("list", "--queue", "held", "--cursor", found["next"], "--ids").split()
    assert ids[0] in more
    assert "pending" in cli.run("list", "--queue", "held", "--priority", "7")
    cli.run("list", "--status", "nonsense", code=1)
    assert "status: " in cli.remarks


def test_finished_tasks_run_again_and_many_only_with_a_yes(cli):
    ids = cli.run("submit", "test", "--file", "-", "--ids", stdin="{}\n" * 11).split()
    assert len(ids) == 11
    for task_id in ids:
        cli.run("watch", task_id)

    cli.run("retry", "-", stdin="\n".join(ids), code=1)
    assert "Retry 11 tasks? Nobody can be asked here: add --yes." in cli.remarks
    lines = cli.run("retry", "-", "--yes", "--json", stdin="\n".join(ids)).splitlines()
    assert [json.loads(line)["run"] for line in lines] == [2] * 11

    cli.run("retry", "nowhere", code=1)
    assert "nowhere: There is no such task." in cli.remarks


def test_a_file_of_json_lines_is_submitted_and_its_errors_are_told_by_line(cli, held, tmp_path):
    file = tmp_path / "tasks.jsonl"
    good = {"taskType": "test", "payload": "x", "queue": "held"}
    lines = [json.dumps(good)] * 1200
    lines[4] = json.dumps(good | {"priority": 11})
    lines[1100] = "{"
    lines[1101] = "[]"
    lines[1102] = ""
    file.write_text("\n".join(lines))

    checked = cli.json("submit", "--file", str(file), "--dry-run", code=1)
    done = cli.json("submit", "--file", str(file), code=1)

    assert (checked["submitted"], checked["valid"], checked["wrong"]) == (0, 1196, 3)
    assert (done["submitted"], [each["line"] for each in done["errors"]]) == (1196, [5, 1101, 1102])
    assert done["errors"][0]["errors"][0].startswith("priority: ")
    cli.run("submit", "--file", str(file), "--from-line", "1199", "--ids")
    assert "2 tasks submitted." in cli.remarks
    cli.run("queues", "--json")


def test_columns_of_csv_are_options_or_arguments(cli, held, tmp_path):
    file = tmp_path / "orders.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["order_id", "priority", "kwargs.queue", "queue", "note"])
        writer.writerow([17, 8, "inner", "held", 'two\n"lines"'])
        writer.writerow(["x-1", "", "", "held", ""])

    ids = cli.run("submit", "test", "--file", str(file), "--ids").split()
    first, second = (cli.json("status", task_id) for task_id in ids)

    assert first["kwargs"] == {"order_id": 17, "queue": "inner", "note": 'two\n"lines"'}
    assert (first["priority"], first["queue"]) == (8, "held")
    assert (second["kwargs"], second["priority"]) == ({"order_id": "x-1"}, 5)
    cli.run("cancel", *ids)


def test_what_is_refused_is_told_in_a_sentence(cli, tmp_path):
    for words, said in [
        (["submit", "nonsense"], "taskType: There is no task type 'nonsense'."),
        (["submit"], "Which task type?"),
        (["submit", "test", "--priority", "x"], "priority: "),
        (["submit", "test", "1", "--args", "[2]"], "Give --args, or words after the type."),
        (["submit", "--file", str(tmp_path / "none")], "cannot be read: No such file"),
        (["status", "nowhere"], "There is no task nowhere."),
        (["why", "nowhere"], "There is no such task."),
        (["queues", "pause"], "Which queue is to pause?"),
        (["schedules", "pause"], "Of which schedule? As in: schedules pause NAME"),
        (["schedules", "history", "a", "--limit", "0"], "--limit is a number from 1 to 200."),
        (["workers", "pause", "nobody"], "No worker has the id nobody."),
        (["workers", "scale", "nobody"], "Scale takes a worker and its slots"),
    ]:
        cli.run(*words, code=1)
        assert said in cli.remarks, words
    cli.run("submit", "--nonsense", code=2)
    cli.run(code=2)


def test_queues_are_paused_and_resumed(cli):
    cli.submit("primes", "10", "--queue", "held")
    cli.run("queues", "pause", "held")
    assert cli.remarks == "held is paused.\n"
    assert next(q for q in cli.json("queues") if q["name"] == "held")["paused"] is True
    cli.run("queues", "resume", "held")
    assert re.search(r"^held +\d+ +\d+ +\d+ +open$", cli.run("queues"), re.MULTILINE)


def test_schedules_are_shown(cli):
    assert cli.run("schedules").startswith("schedule")
    assert cli.json("schedules") == []
    cli.run("schedules", "nightly", code=1)
    assert cli.remarks == "There is no schedule 'nightly'.\n"


WORKFLOW = """
from tasks_app.workflows import chain
from tasks_app.tasks import primes, test
print(chain(test.part(1), primes.part("no number"), test.part(3)).enqueue("letters").id)
"""


def test_a_workflow_is_shown_cancelled_and_retried(cli):
    assert cli.run("workflows").startswith("workflow")
    made = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "shell", "--no-imports", "-c", WORKFLOW],
        cwd=ROOT, env=cli.environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    workflow_id = made.stdout.strip()

    def state():
        return cli.json("workflow", workflow_id)["state"]

    wait_until(lambda: state() == "failed", "the failure")
    assert re.search(rf"^{workflow_id} +letters +failed +3 +3 ", cli.run("workflows"), re.MULTILINE)
    said = cli.run("workflow", workflow_id)
    assert re.search(r"^statuses +1 completed, 1 failed, 1 cancelled$", said, re.MULTILINE)
    assert re.search(r"test-3 +test +2 +cancelled$", said, re.MULTILINE)
    assert [t["name"] for t in cli.json("workflow", workflow_id, "--status=failed")["tasks"]] == [
        "primes-2"
    ]
    assert cli.run("workflow", workflow_id, "--retry") == "2 tasks retried.\n"
    wait_until(lambda: state() == "failed", "the failure")
    assert cli.json("workflow", workflow_id, "--cancel") == {"id": workflow_id, "cancelled": 0}
    cli.run("workflow", "nothing", code=1)
    assert cli.remarks == "There is no workflow nothing.\n"
    cli.run("workflows", "--limit", "0", code=1)


def test_a_task_waits_for_others(cli):
    parent = cli.submit("test", "x")
    cli.run("watch", parent)

    child = cli.submit("test", "y", "--depends-on", parent)

    cli.run("watch", child)
    cli.run("submit", "test", "y", "--depends-on", '["nobody"]', code=1)
    assert "There is no task nobody." in cli.remarks


def test_workers_are_shown_paused_resumed_and_scaled(cli):
    (worker,) = cli.json("workers")
    assert worker.startswith("cli-")

    cli.run("workers", "pause", worker)
    wait_until(lambda: cli.json("workers")[worker]["status"] == "paused", "the pause")
    task_id = cli.submit("test", "x")
    assert cli.json("why", task_id)["reasons"][0]["code"] == "workers_paused"

    cli.run("workers", "resume", worker)
    cli.run("watch", task_id)
    cli.run("workers", "scale", worker, "3")
    wait_until(lambda: cli.json("workers")[worker]["slots"] == 3, "the slot")
    assert re.search(rf"^{worker} +active", cli.run("workers"), re.MULTILINE)


def test_top_without_a_terminal_is_one_look_without_escapes(cli):
    task_id = cli.submit("test", "x")
    cli.run("watch", task_id)

    said = cli.run("top", TERM="xterm-256color")

    assert "\x1b" not in said
    assert re.search(r"of \d+ slots? in use", said)
    assert "Newest tasks" in said and task_id in said
    assert cli.json("top")["workers"]


def test_top_in_a_terminal_draws_until_it_is_interrupted(cli):
    said, ends = in_terminal(cli, "top", "--interval", "0.2", until="Newest tasks")

    assert "\x1b[?1049h" in said  # the other screen
    assert ends == 130


def test_watch_in_a_terminal_says_why_the_task_waits(cli, held):
    said, ends = in_terminal(cli, "watch", held(), until="is paused")

    assert "pending" in said
    assert ends == 130


def in_terminal(cli, *words, until):
    """Run a command in a terminal until it says a text; then Ctrl-C. What it said, its exit."""
    parent, child = pty.openpty()
    environment = {**cli.environment, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40"}
    process = subprocess.Popen(
        cli.words(*words), cwd=ROOT, env=environment, stdin=child, stdout=child, stderr=child,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(child)
    said = b""
    try:
        while until.encode() not in said:
            said += os.read(parent, 65536)
        process.send_signal(signal.SIGINT)
        return said.decode(errors="replace"), process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(parent)


def test_without_redis_a_command_ends_with_a_sentence(cli):
    away = {"DTPS_REDIS_URL": "redis://127.0.0.1:1/0"}
    for words in (["submit", "test", "x"], ["status", "a"], ["list"], ["top"]):
        cli.run(*words, code=3, **away)
        assert "Redis cannot be reached at redis://127.0.0.1:1/0" in cli.remarks, words
        assert len(cli.remarks.splitlines()) == 1


def test_without_the_database_what_needs_it_says_so_and_the_rest_works(cli, held):
    away = {"DATABASE_URL": "sqlite:////nowhere/at/all.sqlite3"}
    task_id = held()

    cli.run("list", code=3, **away)
    assert cli.remarks.startswith("The database does not answer:")
    assert cli.json("status", task_id, **away)["status"] == "pending"
    cli.run("queues", **away)


def test_an_import_that_breaks_says_where_to_go_on(cli, tmp_path):
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"taskType": "test", "payload": 1}\n' * 3)

    told = cli.json("submit", "--file", str(file), code=3, DTPS_REDIS_URL="redis://127.0.0.1:1/0")

    assert told["submitted"] == 0
    assert "Lines 1 to 3 were not stored" in told["broken"]
    assert told["broken"].endswith("Go on with --from-line 1.")


def test_a_reader_that_has_seen_enough_is_no_error(cli):
    command = " ".join(cli.words("list", "--limit", "200", "--ids")) + " | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, env=cli.environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip

    assert done.stderr == ""
    assert done.returncode == 0


def test_help_has_examples_for_every_command():
    parser = load_command_class("workers_app", "dtps").create_parser("manage.py", "dtps")
    commands = parser._subparsers._group_actions[0].choices

    assert {"submit", "status", "why", "watch", "list", "top"} <= set(commands)
    for name, each in commands.items():
        shown = each.format_help()
        assert f"python manage.py dtps {name}" in shown.split("examples:")[1]
        assert "Exit codes:" in shown


def test_nobody_steers_a_terminal_by_a_text():
    assert safe("a\x1b[2Jb\u202e\x9b1m\r\n\tü") == "a\\x1b[2Jb\\u202e\\x9b1m\\r\n\tü"
