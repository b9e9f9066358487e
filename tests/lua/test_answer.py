"""answer and await_answer: a question by order, answered to whoever waits for it."""

import threading

from tasks_app.broker import keys


def test_an_answer_that_is_there_is_got_once(broker):
    broker.fleet.answer("a request", {"stacks": "ä\n"})
    broker.fleet.answer("another", {})

    assert broker.fleet.await_answer("a request", 60) == {"stacks": "ä\n"}
    assert broker.fleet.await_answer("a request", 0.01) is None
    assert 0 < broker.link.call("TTL", keys.key(0, "answer:another")) <= 30


def test_who_waits_hears_at_once(broker):
    found = []
    waiting = threading.Thread(target=lambda: found.append(broker.fleet.await_answer("r", 60)))
    waiting.start()

    broker.fleet.answer("r", {"n": 1})
    waiting.join()

    assert found == [{"n": 1}]
