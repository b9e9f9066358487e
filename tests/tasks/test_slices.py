from tasks_app.slices import page_of, slices


def test_only_the_last_slice_may_be_shorter():
    assert list(slices("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]


def test_what_fits_exactly_leaves_no_empty_slice():
    assert list(slices([1, 2, 3, 4], 2)) == [[1, 2], [3, 4]]


def test_nothing_has_no_slices():
    assert list(slices([], 2)) == []


def test_a_slice_is_taken_when_it_is_asked_for():
    numbers = iter(range(10))

    assert next(slices(numbers, 3)) == [0, 1, 2]
    assert next(numbers) == 3


def test_a_page_tells_after_what_the_next_one_begins():
    assert page_of([5, 4, 3, 2], 2) == ([5, 4], 4)


def test_the_last_page_tells_that_it_is_the_last():
    assert page_of([5, 4], 2) == ([5, 4], None)
    assert page_of([], 2) == ([], None)
