"""The registrar: the database knows which workers there are and were."""

from tasks_app.models import WorkerRecord, moment
from workers_app.coordinator.services.registrar import Registrar

from ..conftest import wait_until
from ..postgres import on_both_databases

SAID = {
    "hostname": "here", "pid": 7, "started_us": 1_000_000, "queues": ["default", "mail"],
    "slots": 4, "status": "active", "processed": 3, "failed": 1,
}  # fmt: skip


@on_both_databases
def test_what_a_worker_says_of_itself_is_copied(broker):
    broker.fleet.announce("w1", SAID)

    Registrar(broker).tick()

    worker = WorkerRecord.objects.get()
    assert (worker.id, worker.hostname, worker.pid, worker.slots) == ("w1", "here", 7, 4)
    assert (worker.queues, worker.status, worker.processed) == ("default,mail", "active", 3)
    assert worker.started_at == moment(1_000_000)
    assert worker.stopped_at is None


@on_both_databases
def test_a_change_of_status_is_copied_at_once_and_an_end_is_marked(broker):
    registrar = Registrar(broker)
    broker.fleet.announce("w1", SAID)
    registrar.tick()

    broker.fleet.announce("w1", {**SAID, "status": "stopping"})
    registrar.tick()
    assert WorkerRecord.objects.get().status == "stopping"

    broker.fleet.resign("w1")
    registrar.tick()
    worker = WorkerRecord.objects.get()
    assert worker.status == "stopped"
    assert worker.stopped_at is not None


@on_both_databases
def test_a_silent_worker_is_lost_until_it_answers_again(broker, settings):
    settings.DTPS = {**settings.DTPS, "LEASE_SECONDS": 0.01, "RENEW_SECONDS": 0.001}
    registrar = Registrar(broker)
    broker.fleet.announce("w1", SAID)

    def status():
        registrar.tick()
        return WorkerRecord.objects.get().status

    wait_until(lambda: status() == "lost")
    settings.DTPS = {**settings.DTPS, "LEASE_SECONDS": 3600}
    broker.fleet.announce("w1", SAID)
    assert status() == "active"
    assert WorkerRecord.objects.get().stopped_at is None


@on_both_databases
def test_a_worker_that_ended_while_nobody_looked_is_marked(broker):
    broker.fleet.announce("w1", SAID)
    Registrar(broker).tick()
    broker.fleet.resign("w1")

    Registrar(broker).tick()

    assert WorkerRecord.objects.get().status == "stopped"


@on_both_databases
def test_nonsense_of_one_worker_keeps_nobody_else_out(broker):
    broker.fleet.announce("silent", {})
    broker.fleet.announce("ancient", {**SAID, "started_us": -(10**30)})
    broker.fleet.announce("w" * 65, SAID)
    broker.fleet.announce("a\0b", SAID)
    broker.fleet.announce("w1", {**SAID, "hostname": "h\0" * 1000, "pid": 10**30})

    Registrar(broker).tick()

    worker = WorkerRecord.objects.get()
    assert worker.id == "w1"
    assert worker.hostname.startswith("h\\x00")
