"""keep_decision and decisions: what the autoscalers decided, newest first, up to a bound."""


def test_decisions_are_kept_newest_first_up_to_a_bound(broker, monkeypatch):
    monkeypatch.setattr("tasks_app.broker.fleet.DECISIONS_KEPT", 3)
    for n in range(5):
        broker.fleet.keep_decision({"n": n, "reason": "ä"})

    assert [decision["n"] for decision in broker.fleet.decisions()] == [4, 3, 2]
    assert broker.fleet.decisions(limit=1) == [{"n": 4, "reason": "ä"}]
    assert broker.fleet.decisions(limit=0) == []
