"""Several aliases in one project stay apart; the backport of Django's tasks works beside them."""

import django_tasks
import pytest
from bookshop import ported, tasks
from bookshop.api import InvalidTask, task_backends
from bookshop.models import Heard
from waiting import finished, value_of, wait_until


def test_each_alias_has_its_own_queues():
    for refused in (
        lambda: tasks.add.using(queue_name="reports"),
        lambda: tasks.report.using(queue_name="default"),
        lambda: tasks.report.using(backend="default"),
        lambda: tasks.add.using(backend="reports"),
    ):
        with pytest.raises(InvalidTask):
            refused()
    assert task_backends["default"].queues == {"default", "mail"}


def test_a_result_names_the_alias_that_took_the_task_in():
    report = finished(tasks.report.enqueue(1))
    other = finished(tasks.report.using(backend="default", queue_name="mail").enqueue(2))
    any_queue = finished(tasks.add.using(backend="anything", queue_name="reports").enqueue(3))

    for result, alias in ((report, "reports"), (other, "default"), (any_queue, "anything")):
        assert result.backend == result.task.backend == alias
        found = result.task.get_result(result.id)
        assert found.backend == found.task.backend == alias
        heard = Heard.objects.filter(result_id=result.id)
        wait_until(lambda heard=heard: heard.count() == 3)
        assert {each.backend for each in heard} == {alias}


def test_a_queue_may_have_any_name_where_none_are_named():
    assert value_of(tasks.odd_queue.enqueue()) == "out"


def test_a_task_of_the_backport_is_run_like_any_other():
    result = ported.scan.enqueue("page")

    assert value_of(result) == "scanned page"
    assert isinstance(django_tasks.task_backends["default"], type(task_backends["default"]))
    assert value_of(ported.scan.get_result(result.id)) == "scanned page"
    assert value_of(ported.scan_with_context.enqueue()) == 1


def test_both_interfaces_see_the_same_results():
    result = ported.scan.enqueue("page")

    found = task_backends["default"].get_result(result.id)

    assert value_of(found) == "scanned page"
    assert value_of(django_tasks.default_task_backend.get_result(tasks.add.enqueue(1).id)) == 1
