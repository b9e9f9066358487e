"""Applications that others wrote for django.tasks run on our backend, as they came."""

from bookshop import tasks
from bookshop.models import Book
from django.conf import settings
from waiting import finished, wait_until

if "maintenance_tasks" in settings.INSTALLED_APPS:
    from maintenance_tasks import runner
    from maintenance_tasks.models import Run
    from tasks_monitor.models import TaskRecord
    from tasks_monitor.retry import retry

    def test_maintenance_tasks_backfills_in_batches():
        for number in range(10):
            Book.objects.create(title=f"ada {number}")

        run = runner.start("bookshop.maintenance_tasks.ShoutTitles", {"author": "ada"})
        wait_until(lambda: Run.objects.get(pk=run.pk).ended_at)

        run.refresh_from_db()
        assert (run.status, run.tick_count) == (Run.Status.SUCCEEDED, 10), run.backtrace
        assert Book.objects.filter(title__startswith="ADA ").count() == 10

    def test_tasks_monitor_follows_each_task_by_its_signals():
        result = finished(tasks.never_lucky.enqueue())

        record = TaskRecord.objects.get(result_id=result.id)
        wait_until(lambda: TaskRecord.objects.get(pk=record.pk).status == "FAILED")
        record.refresh_from_db()
        assert (record.attempts, record.exception_class) == (2, "builtins.LookupError")
        assert record.worker_ids == result.worker_ids

    def test_tasks_monitor_enqueues_a_failed_task_again():
        result = finished(tasks.fail.enqueue())
        record = TaskRecord.objects.get(result_id=result.id)
        wait_until(lambda: TaskRecord.objects.get(pk=record.pk).status == "FAILED")
        record.refresh_from_db()

        again = retry(record)

        assert again.retry_of_id == record.pk
        wait_until(lambda: TaskRecord.objects.get(pk=again.pk).status == "FAILED")
