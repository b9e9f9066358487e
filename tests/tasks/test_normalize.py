"""What users hand in comes back as it went, or is refused."""

import enum
from collections import OrderedDict, UserDict, UserList
from types import MappingProxyType

import pytest
from django.utils.safestring import mark_safe
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks_app.message import TaskMessage
from tasks_app.normalize import MOST_DEEP, normalized, queue_error, size_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    LEAVES | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


class Colour(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


def nested(levels):
    value = "end"
    for _ in range(levels):
        value = [value]
    return value


def after_a_journey(value):
    message = TaskMessage(id="a", type="t", submitted_us=1, args=[value], kwargs={"x": value})
    arrived = TaskMessage.decode(message.encode())
    assert arrived.args == [arrived.kwargs["x"]]
    return arrived.args[0]


@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@given(VALUES)
def test_json_comes_back_as_it_went(value):
    assert normalized(value) == value
    assert after_a_journey(normalized(value)) == value


def test_numbers_and_texts_that_others_lose_survive():
    for value in (2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**4000, "a\0b", -0.0, 5e-324):
        assert repr(after_a_journey(normalized(value))) == repr(value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2,)), [1, [2]]),
        (b"caf\xc3\xa9", "café"),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=(1,)), {"a": [1]}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (UserList([1]), [1]),
        (range(3), [0, 1, 2]),
        (mark_safe("text"), "text"),
        (Colour.RED, "red"),
        (Number.ONE, 1),
        ({1: "a", None: "b", 1.5: "c"}, {"1": "a", "null": "b", "1.5": "c"}),
        ({False: 0, Colour.RED: 1, b"key": 2}, {"false": 0, "red": 1, "key": 2}),
    ],
)  # fmt: skip
def test_what_is_nearly_json_becomes_json(value, plain):
    arrived = normalized(value)

    assert arrived == plain
    assert after_a_journey(arrived) == plain
    assert type(arrived) in (dict, list, str, int)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 1j, print, [object()], {"a": {"b": object()}}, {(1,): 2}]
)
def test_what_is_not_json_is_a_type_error(value):
    with pytest.raises(TypeError, match="Unsupported type"):
        normalized(value)


def test_what_would_not_come_back_is_a_value_error():
    for value in (
        float("nan"),
        float("inf"),
        [-float("inf")],
        b"\xff",
        10**5000,
        {"a": -(10**5000)},
    ):
        with pytest.raises(ValueError):
            normalized(value)


def test_nesting_has_a_bound_that_endless_nesting_meets_too():
    circle = []
    circle.append(circle)

    assert after_a_journey(normalized(nested(MOST_DEEP))) == nested(MOST_DEEP)
    for value in (nested(MOST_DEEP + 1), nested(100_000), circle):
        with pytest.raises(ValueError, match="nested deeper than 100 levels"):
            normalized(value)


def test_half_a_surrogate_pair_is_no_character():
    for value in (["\ud800"], {"\udfff": 1}):
        with pytest.raises(ValueError, match="surrogate"):
            size_of(normalized(value))


@pytest.mark.parametrize("name", ["default", "two words", "a:b", "Grüße", "{s0}", "*", "x" * 255])
def test_a_queue_may_have_any_printable_name(name):
    assert not queue_error(name)


def test_a_queue_may_have_no_other_name():
    for name in ("", "x" * 256, "a\nb", "a\0b", "\ud800", None, 5):
        assert queue_error(name)
