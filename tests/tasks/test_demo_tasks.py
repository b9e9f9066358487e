"""The task types that come with the system do what they say, and read no other files."""

import asyncio
import hashlib
import os

import pytest

from tasks_app import tasks


@pytest.fixture
def root(tmp_path, settings):
    """A directory that may be read, with a secret beside it."""
    root = tmp_path / "files"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "text.txt").write_text("one two\ntwo Three three three\n", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret")
    settings.DTPS = {**settings.DTPS, "FILES_ROOT": str(root)}
    return root


def test_the_test_type_answers_any_payload():
    for payload in ("task data here", None, 0, [1, {"a": None}]):
        assert tasks.test.call(payload) == payload
    assert tasks.test.call() is None


def test_wordcount_counts_a_text():
    counted = tasks.wordcount.call("The cat, the hat.\nDon't! Größe-2\n")

    assert counted == {
        "words": 7, "different": 6, "lines": 2, "characters": 33,
        "commonest": {"the": 2, "cat": 1, "hat": 1, "don't": 1, "größe": 1, "2": 1},
    }  # fmt: skip
    assert tasks.wordcount.call({"text": ""})["words"] == 0


def test_wordcount_counts_a_file(root):
    counted = tasks.wordcount.call({"file": "inner/text.txt"})

    assert (counted["words"], counted["lines"]) == (6, 2)
    assert counted["commonest"] == {"three": 3, "two": 2, "one": 1}


def test_wordcount_counts_a_file_that_is_no_text(root):
    (root / "bytes").write_bytes(b"\xff\x00word\n")

    assert tasks.wordcount.call({"file": "bytes"})["words"] == 1


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "blake2b"])
def test_checksum_hashes_a_file(root, algorithm):
    content = (root / "inner" / "text.txt").read_bytes()

    assert tasks.checksum.call({"file": "inner/text.txt", "algorithm": algorithm}) == {
        "algorithm": algorithm,
        "digest": hashlib.new(algorithm, content).hexdigest(),
        "bytes": len(content),
    }


def test_checksum_takes_sha256_unless_told(root):
    assert tasks.checksum.call("inner/text.txt") == tasks.checksum.call({"file": "inner/text.txt"})
    for algorithm in ("shake_128", "crc32", "", None, ["sha256"]):
        with pytest.raises(ValueError, match="must be one of"):
            tasks.checksum.call({"file": "inner/text.txt", "algorithm": algorithm})


def test_no_file_outside_the_directory_is_read(root):
    secret = root.parent / "secret.txt"
    (root / "link.txt").symlink_to(secret)
    (root / "way").symlink_to(root.parent)
    (root / "inside.txt").symlink_to(root / "inner" / "text.txt")
    os.mkfifo(root / "pipe")

    for name in (
        str(secret), "../secret.txt", "inner/../../secret.txt", "link.txt", "way/secret.txt",
        "/etc/passwd", str(root / "inner" / "text.txt"), "pipe",
    ):  # fmt: skip
        for read in (tasks.checksum, tasks.wordcount):
            with pytest.raises(PermissionError):
                read.call({"file": name})
    assert tasks.checksum.call("inside.txt") == tasks.checksum.call("inner/text.txt")


def test_what_is_no_file_is_refused_clearly(root):
    (root / "circle").symlink_to(root / "circle")

    for name, error in (
        ("missing.txt", FileNotFoundError),
        ("inner/text.txt/more", FileNotFoundError),
        ("x" * 5000, FileNotFoundError),
        ("circle", FileNotFoundError),
        ("~/.bashrc", FileNotFoundError),
        ("inner", IsADirectoryError),
        (".", IsADirectoryError),
        ("a\0b", ValueError),
        ("\ud800", ValueError),
        ("", ValueError),
        (5, ValueError),
        (None, ValueError),
    ):
        with pytest.raises(error):
            tasks.checksum.call({"file": name})


def test_no_file_is_read_without_a_directory(settings):
    settings.DTPS = {**settings.DTPS, "FILES_ROOT": ""}

    with pytest.raises(PermissionError, match="FILES_ROOT"):
        tasks.checksum.call("README.md")


def test_primes_are_counted_right_across_the_pieces_of_the_sieve(monkeypatch):
    known = [
        sum(all(n % d for d in range(2, n)) for n in range(2, limit + 1)) for limit in range(200)
    ]

    for segment in (2, 6, 64, tasks.SEGMENT):
        monkeypatch.setattr(tasks, "SEGMENT", segment)
        assert [tasks.count_primes(limit) for limit in range(200)] == known
    assert tasks.primes.call(3_000_000) == 216_816
    assert tasks.primes.call("10") == tasks.primes.call({"limit": 10}) == 4


def test_sleep_waits_in_both_ways():
    assert tasks.sleep.call(0.001) == 0.001
    assert asyncio.run(tasks.sleep_async.func({"seconds": "0.001"})) == 0.001


def test_flaky_fails_with_its_probability():
    assert tasks.flaky.call(0) == tasks.flaky.call({"probability": 0})
    for _ in range(20):
        with pytest.raises(RuntimeError, match="100% of the attempts"):
            tasks.flaky.call(1)
    assert tasks.flaky.max_attempts > 1


@pytest.mark.parametrize(
    "wrong", [-1, 1e9, float("nan"), float("inf"), 10**400, "many", None, [], {}]
)
def test_numbers_have_bounds(wrong):
    for task in (tasks.primes, tasks.sleep, tasks.flaky):
        with pytest.raises(ValueError, match="must be a number from 0 to"):
            task.call(wrong)


@pytest.mark.parametrize("wrong", [None, 5, [], {}, {"files": "a"}, {"text": 5}])
def test_payloads_of_another_shape_are_refused(wrong):
    for task in (tasks.wordcount, tasks.checksum):
        with pytest.raises(ValueError, match="payload must be"):
            task.call(wrong)
