"""The DTPS setting: a wrong name or value is told in one sentence."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from tasks_app.conf import Conf, conf


def test_what_is_given_counts_and_the_rest_has_defaults():
    loaded = Conf.load({"LEASE_SECONDS": 30, "SHARDS": {"mail": 3}})

    assert (loaded.lease_seconds, loaded.renew_seconds) == (30, 1.0)
    assert loaded.shards == {"mail": 3}
    assert Conf.load({}).shards == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("REDIS_URI", "REDIS_URL"), ("LEASE_SECOND", "LEASE_SECONDS"), ("redis_url", "REDIS_URL")],
)
def test_a_wrong_name_gets_a_guess(name, meant):
    with pytest.raises(ImproperlyConfigured, match=rf"{name}.*Did you mean {meant}\?"):
        Conf.load({name: 1})


@pytest.mark.parametrize("name", ["XYZZY", "", 7, None])
def test_a_name_like_no_other_gets_none(name):
    with pytest.raises(ImproperlyConfigured, match=r"not an option\.$"):
        Conf.load({name: 1})


NAN, ENDLESS = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("LEASE_SECONDS", ["10", None, True, -1, 0, NAN, ENDLESS, [10]]),
        ("SOCKET_TIMEOUT_SECONDS", [0, -0.1, NAN]),
        ("MAX_CRASHES", [0, -1, 2.5, "3", True]),
        ("RECORDER_BATCH", [0, 1e3]),
        ("REDIS_URL", [None, 6379, b"redis://"]),
        ("NAMESPACE", ["", "a b", "{x}", None, 1]),
        ("SHARDS", ["abc", [1], {"q": 16}, {"q": -1}, {"q": True}, {"q": "0"}, {"q": 1.0}]),
        ("RENEW_SECONDS", [4]),
    ],
)
def test_a_wrong_value_is_refused_by_name(name, values):
    for value in values:
        with pytest.raises(ImproperlyConfigured, match=name):
            Conf.load({name: value})


def test_no_bound_and_no_pause_are_legal():
    Conf.load({"MAX_QUEUE_DEPTH": 0, "BACKOFF_SECONDS": 0, "GRACE_SECONDS": 0, "REST_RETRIES": 0})


def test_the_settings_are_read_again_when_a_test_changes_them(options):
    options(MAX_CRASHES=7)
    assert conf().max_crashes == 7
    options(MAX_CRASHES=8)
    assert conf().max_crashes == 8
